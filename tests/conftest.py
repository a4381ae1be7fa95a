"""Every test talks to the Hub of `hub_server.py`, never to the real one."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from page_server import browser, client, context, page, picture, pictures, server  # noqa: F401  (one server for all modules)

if TYPE_CHECKING:
    from hub_server import HubServer

# The Hub client reads these once, at import. The port is bound here and answers only while a test uses the Hub:
# without one, a connection is refused at once.
HUB_SOCKET = socket.socket()
HUB_SOCKET.bind(("127.0.0.1", 0))
HF_HOME = tempfile.mkdtemp(prefix="hf_home-")
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{HUB_SOCKET.getsockname()[1]}"
os.environ["HF_HOME"] = HF_HOME
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# The workers of xdist share the cores: threads of one that wait while those of another run would spin.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))
for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_HUB_OFFLINE"):
    os.environ.pop(name, None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each file is run by one worker, and all of the page by the same: two browsers keep each other waiting."""
    from xdist.scheduler import LoadFileScheduling

    class OneBrowser(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "page" if file.startswith("tests/page/test_page_") else file

    return OneBrowser(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no worker has it alone at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not item.path.name.startswith("test_page_"), item.path not in slow))


def pytest_unconfigure() -> None:
    shutil.rmtree(HF_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def hub_server() -> Iterator["HubServer"]:
    from hub_server import HubServer

    running = HubServer(HUB_SOCKET).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def few_probes() -> Iterator[None]:
    """For tests that do not count them: a small picture gets a third of the probes, in a third of the time."""
    from hf_denoise.probing import responses

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(responses, "MOST_PASSES", 10)
        yield


@pytest.fixture
def hub(hub_server: "HubServer") -> "HubServer":
    """An empty Hub, at HF_ENDPOINT. Users: "hf_ada" and "hf_bob" may write, "hf_reader" (ada) may only read."""
    hub_server.reset()
    # What an earlier test fetched would be served from the cache where the Hub is out of reach.
    for cache in ("hub", "datasets"):
        shutil.rmtree(os.path.join(HF_HOME, cache), ignore_errors=True)
    return hub_server
