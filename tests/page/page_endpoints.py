"""Every endpoint of a running page, called with what was not meant for it."""

import json
import uuid
from pathlib import Path
from typing import Any

import httpx

from benchmarks.page.files import whole_files
from benchmarks.page.server import Outcome, PageServer, file_data

ROOT = Path(__file__).resolve().parent.parent


PICTURE = whole_files()["PNG RGB"][1]


# Of what a server would say of itself by mistake.
TELLTALES = ("Traceback", 'File "', "site-packages", "hf_denoise-page-", str(ROOT))


def fresh(page: PageServer) -> httpx.Client:
    """A connection of its own: the server closes it after some errors."""
    return httpx.Client(base_url=page.url, timeout=60, trust_env=False, verify=False)


def raw_get(page: PageServer, path: str) -> bytes:
    """The whole answer to a path that no client has tidied up."""
    import socket

    address = httpx.URL(page.url)
    with socket.create_connection((address.host, address.port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {address.host}\r\n\r\n".encode())
        answer = b""
        while block := connection.recv(65536):
            answer += block
    return answer


def endpoints(page: PageServer) -> list[tuple[str, list[Any], list[int]]]:
    """A function of the page for every list of inputs: name, inputs that it takes in good order, which are files.

    What is read is decided by the components, before the function.
    """
    config = page.http.get("/config").json()
    components = {component["id"]: component for component in config["components"]}
    good = file_data(page.upload("good.png", PICTURE))
    found, known = [], set()
    for function in config["dependencies"]:
        if tuple(function["inputs"]) in known:
            continue
        known.add(tuple(function["inputs"]))
        inputs, files = [], []
        for index, number in enumerate(function["inputs"]):
            component = components[number]
            is_file = '"path"' in json.dumps(component.get("api_info_as_input") or component.get("api_info") or {})
            if is_file:
                files.append(index)
            value = 0 if component["type"] == "dataset" else component["props"].get("value")
            inputs.append(good if is_file else value)
        found.append((f"{function['id']} {function['api_name']}", inputs, files))
    return found


def call_hidden(page: PageServer, name: str, inputs: list[Any]) -> Outcome:
    """Call a function by its number, as the page in the browser does, whether it has a public name or not."""
    session = uuid.uuid4().hex
    body = {"data": inputs, "fn_index": int(name.split()[0]), "session_hash": session}
    with fresh(page) as http:
        joined = http.post("/gradio_api/queue/join", json=body)
        if not joined.is_success:
            return Outcome("message", joined.text, [], 0)
        with http.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    if message["success"]:
                        return Outcome("result", "", output["data"], 0)
                    return Outcome("message", str(output.get("error") or ""), [], 0)
    return Outcome("silent", "", [], 0)


def foreign_files(page: PageServer, inner: str) -> dict[str, dict[str, Any]]:
    """Files that nobody uploaded, pictures among them, as an attacker would name them."""
    uploaded = page.upload("good.png", PICTURE)
    link, folder_link = page.uploads / "link.png", page.uploads / "folder"
    if not link.is_symlink():
        link.symlink_to(page.folder / "secret.png")
        folder_link.symlink_to(page.folder)
    paths = {
        "system": "/etc/passwd",
        "beside the uploads": str(page.folder / "secret.png"),
        "up from an upload": f"{uploaded}/../../../secret.png",
        "up from the uploads": f"{page.uploads}/../secret.png",
        "relative": "secret.png",
        "link": str(link),
        "folder link": str(folder_link / "secret.png"),
        "repository": str(ROOT / "benchmarks" / "results" / "quality_speed.png"),
        "code": str(ROOT / "app.py"),
        "address": f"http://{inner}/a.png",
        "address by name": f"http://localhost:{inner.split(':')[1]}/a.png",
        "address in IPv6": f"http://[::ffff:127.0.0.1]:{inner.split(':')[1]}/a.png",
        "cloud": "http://169.254.169.254/latest/meta-data/",
        "file address": f"file://{page.folder}/secret.png",
    }
    return {
        **{name: file_data(path) for name, path in paths.items()},
        "address beside no path": {"path": None, "url": f"http://{inner}/b.png", "meta": {"_type": "gradio.FileData"}},
        "stream": {**file_data(str(page.folder / "secret.png")), "is_stream": True},
        "of no type": {"path": str(page.folder / "secret.png")},
    }


def is_file(parameter: dict[str, Any]) -> bool:
    return "filepath" in parameter["python_type"]["type"]


def as_asked(parameter: dict[str, Any], file: dict[str, Any]) -> Any:
    """The file, in a list where the parameter takes several."""
    return [file] if parameter["python_type"]["type"].startswith("list") else file
