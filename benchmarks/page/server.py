"""`python app.py` in a process of its own, and its endpoint `/denoise` over plain HTTP."""

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.shared import machine

START_SECONDS = 180
TICK = 0.05  # seconds between two looks at the memory


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    Attributes:
        kind: "result", "message" (one that is shown), "silent" (an error without a text), "late" (no answer in time).
        text: of the message.
        data: the outputs of the endpoint.
        seconds: from the call to its end, in the queue or not.
    """

    kind: str
    text: str
    data: list[Any]
    seconds: float


def file_data(path: str) -> dict[str, Any]:
    """A file on the server as an endpoint takes it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


class PageServer:
    """The page at a free port, with a folder for its files that goes with it.

    Args:
        model: folder or Hub id of the weights; None is the model in the package.

    Attributes:
        url: without a slash at the end.
        uploads: the folder that Gradio keeps uploads and results in.
        peak: largest resident memory that was seen since the last `watch`, in bytes.
    """

    def __init__(self, model: str | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hf_denoise-page-")
        self.folder = Path(self._folder.name)
        self.uploads = self.folder / "uploads"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            **machine.child_environment(),
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_TEMP_DIR": str(self.uploads),
            "GRADIO_ANALYTICS_ENABLED": "False",
        }
        environment.pop("HF_DENOISE_MODEL", None)
        environment |= {"HF_DENOISE_MODEL": model} if model else {"HF_HUB_OFFLINE": "1"}
        # Beside the project: that the page finds its files does not hang on where it is started.
        with (self.folder / "log").open("w") as log:
            self.process = psutil.Popen(
                [sys.executable, str(machine.ROOT / "app.py")],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.http = httpx.Client(base_url=self.url, timeout=60, trust_env=False, verify=False)
        self.peak = 0
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PageServer":
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.http.close()
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(20)
            except psutil.TimeoutExpired:
                self.process.kill()
        self._folder.cleanup()

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if not self.alive():
                raise RuntimeError(f"app.py ended: {self.log()[-2000:]}")
            try:
                if self.http.get("/").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        raise TimeoutError(f"app.py did not answer within {START_SECONDS} s: {self.log()[-2000:]}")

    def _watch(self) -> None:
        while not self._stopped.wait(TICK):
            try:
                self.peak = max(self.peak, self.memory())
            except psutil.NoSuchProcess:
                return

    def alive(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def memory(self) -> int:
        """Resident memory now, in bytes."""
        return self.process.memory_info().rss

    def settled_memory(self, seconds: float = 3) -> int:
        """Resident memory after that much idleness, in bytes."""
        time.sleep(seconds)
        return self.memory()

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file as the page does; its path on the server."""
        answer = self.http.post("/gradio_api/upload", files={"files": (name, content)})
        answer.raise_for_status()
        return answer.json()[0]

    def call(self, endpoint: str, data: Sequence[Any], limit: float = 60) -> Outcome:
        """Call an endpoint and wait for its end, `limit` seconds at most."""
        start = time.monotonic()

        def outcome(kind: str, text: str = "", outputs: Sequence[Any] = ()) -> Outcome:
            return Outcome(kind, text, list(outputs), time.monotonic() - start)

        joined = self.http.post(f"/gradio_api/call/{endpoint}", json={"data": list(data)})
        if not joined.is_success:
            detail = joined.json().get("detail") if "json" in joined.headers.get("content-type", "") else joined.text
            return outcome("message" if detail else "silent", str(detail or ""))
        event = ""
        try:
            path = f"/gradio_api/call/{endpoint}/{joined.json()['event_id']}"
            with self.http.stream("GET", path, timeout=httpx.Timeout(limit)) as lines:
                for line in lines.iter_lines():
                    field, _, value = line.partition(": ")
                    if field == "event":
                        event = value
                    elif field == "data" and event == "complete":
                        return outcome("result", outputs=json.loads(value))
                    elif field == "data" and event == "error":
                        return _error(outcome, value)
                    elif time.monotonic() - start > limit:  # heartbeats keep the connection alive
                        return outcome("late")
        except httpx.TimeoutException:
            return outcome("late")
        except httpx.TransportError as error:
            return outcome("silent", f"connection lost: {type(error).__name__}")
        return outcome("silent", "the stream ended without a result")

    def denoise(self, name: str, content: bytes, limit: float = 60) -> Outcome:
        """Upload a picture and denoise it."""
        return self.call("denoise", [file_data(self.upload(name, content)), 1.0, None, None, None], limit)

    def download(self, file: dict[str, Any]) -> bytes:
        """The contents of a file among the outputs."""
        answer = self.http.get("/gradio_api/file=" + file["path"])
        answer.raise_for_status()
        return answer.content


def _error(outcome: Any, value: str) -> Outcome:
    content = json.loads(value)
    text = content.get("error") if isinstance(content, dict) else content
    return outcome("message" if text else "silent", str(text or ""))
