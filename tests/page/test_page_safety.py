"""What the page must not do for anyone: read a file that was not uploaded, fetch an address, tell where it runs.

The endpoints are those that the running page lists, the hidden ones of its buttons included, so that later ones count.
"""

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from page_endpoints import (
    PICTURE,
    ROOT,
    TELLTALES,
    as_asked,
    call_hidden,
    endpoints,
    foreign_files,
    fresh,
    is_file,
    raw_get,
)
from PIL import Image

from benchmarks.page.files import hostile_files
from benchmarks.page.fuzz import fault
from benchmarks.page.server import Outcome, PageServer, file_data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page() -> Iterator[PageServer]:
    """A page that must still run, and denoise, when all tests are done."""
    with PageServer() as server:
        (server.folder / "secret.png").write_bytes(PICTURE)
        yield server
        assert server.alive(), server.log()[-2000:]
        assert server.denoise("good.png", PICTURE).kind == "result"


@pytest.fixture(scope="module")
def inner_server() -> Iterator[tuple[str, list[str]]]:
    """A web server beside the page, which only the page's machine reaches: its address, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PICTURE)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_no_function_reads_what_was_not_uploaded(page: PageServer, inner_server: tuple[str, list[str]]) -> None:
    address, asked = inner_server
    foreign = foreign_files(page, address)
    tried = 0
    for name, inputs, files in endpoints(page):
        for place in files:
            for kind, file in foreign.items():
                outcome = call_hidden(page, name, [*inputs[:place], file, *inputs[place + 1 :]])
                assert outcome.kind != "result", (name, place, kind, outcome.data)
                assert not any(telltale in outcome.text for telltale in TELLTALES), (name, kind, outcome.text)
                tried += 1
    assert tried >= 4 * len(foreign)  # image, reference and mask of /denoise, and the picture of /add_noise
    assert asked == []


def test_the_public_names_are_as_closed(page: PageServer, inner_server: tuple[str, list[str]]) -> None:
    address, asked = inner_server
    info = page.http.get("/gradio_api/info").json()
    assert "/denoise" in info["named_endpoints"]
    for name, endpoint in info["named_endpoints"].items():
        parameters = endpoint["parameters"]
        good = file_data(page.upload("good.png", roomy_picture()))
        data = [
            as_asked(each, good) if is_file(each) else each.get("parameter_default", each["example_input"])
            for each in parameters
        ]
        for place in [index for index, each in enumerate(parameters) if is_file(each)]:
            for kind in ("beside the uploads", "address", "repository"):
                file = as_asked(parameters[place], foreign_files(page, address)[kind])
                outcome = page.call(name.strip("/"), [*data[:place], file, *data[place + 1 :]])
                assert outcome.kind != "result", (name, place, kind)
                assert not any(telltale in outcome.text for telltale in TELLTALES)
        assert page.call(name.strip("/"), data).kind == "result", name  # so that the files alone were refused
    assert asked == []


def roomy_picture() -> bytes:
    """A PNG with room for probes."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(90, 160, (120, 140, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "text", "right"),
    [
        ("result", "", True),
        ("message", "'a.png' is empty (0 bytes); get a whole copy of it", True),
        ("message", "'/srv/uploads/a.png' is empty (0 bytes); get a whole copy of it", False),
        ("message", 'Traceback (most recent call last): File "app.py"', False),
        ("message", "KeyError: 256 is not there", False),
        ("message", "Error", False),
        ("silent", "", False),
        ("late", "", False),
    ],
)
def test_the_fuzzer_tells_a_right_answer_from_a_wrong_one(kind: str, text: str, right: bool) -> None:
    assert (fault(Outcome(kind, text, [], 0)) is None) == right


def test_an_address_beside_an_upload_is_not_fetched(page: PageServer, inner_server: tuple[str, list[str]]) -> None:
    file = {**file_data(page.upload("good.png", PICTURE)), "url": f"http://{inner_server[0]}/c.png"}
    page.call("denoise", [file, 1.0, None, None, None])
    assert inner_server[1] == []


def test_no_route_serves_what_was_not_uploaded(page: PageServer, inner_server: tuple[str, list[str]]) -> None:
    address, asked = inner_server
    foreign_files(page, address)  # makes the links
    targets = [
        "/etc/passwd",
        "//etc/passwd",
        "../../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd%00.png",
        "secret.png",
        str(page.folder / "secret.png"),
        str(page.folder / "log"),
        f"{page.uploads}/../secret.png",
        f"{page.uploads}/link.png",
        f"{page.uploads}/folder/secret.png",
        f"{page.uploads}",
        f"{ROOT}/app.py",
        f"{ROOT}/hf_denoise/page/examples/../../../README.md",
        f"{ROOT}/hf_denoise/page/examples/..%2f..%2f..%2fREADME.md",
        f"{ROOT}/.git/config",
        f"http://{address}/d.png",
        f"http:/{address}/d.png",
        f"file://{page.folder}/secret.png",
    ]
    routes = ["/gradio_api/file=", "/gradio_api/file/", "/file=", "/static/", "/assets/", "/svelte/"]
    routes += ["/gradio_api/proxy=", "/gradio_api/custom_component/x/client/component/", "/gradio_api/stream/"]
    for route in routes:
        for target in targets:
            answer = raw_get(page, route + target)
            status = int(answer.split(b" ", 2)[1])
            assert status >= 400, (route, target, status)
            content = answer.partition(b"\r\n\r\n")[2]
            for secret in (PICTURE[:100], b"root:", b"Running on local", b"import gradio", b"[core]", b"Traceback"):
                assert secret not in content, (route, target)
    assert asked == []
    uploaded = page.upload("good.png", PICTURE)
    assert page.http.get(f"/gradio_api/file={uploaded}").content == PICTURE  # the route itself works


@pytest.mark.parametrize(
    "name",
    [
        "../../x.png",
        "..\\..\\x.png",
        "/etc/x.png",
        "C:\\x.png",
        "a/../../../x.png",
        "%2e%2e%2fx.png",
        "x\0.png",
        "a\nb.png",
        "é" * 300 + ".png",
        "it's 'a'.png",
        "<img src=x onerror=alert(1)>.png",
        "CON.png",
        "-rf.png",
    ],
)
def test_an_upload_lies_in_the_folder_for_uploads_whatever_its_name(page: PageServer, name: str) -> None:
    before = set(page.folder.iterdir())
    stored = Path(page.upload(name, PICTURE))
    assert stored.resolve().is_relative_to(page.uploads.resolve())
    assert stored.read_bytes() == PICTURE
    assert set(page.folder.iterdir()) == before
    outcome = page.call("denoise", [file_data(str(stored)), 1.0, None, None, None])
    if stored.name.startswith("."):  # Gradio takes none that begins with a dot
        assert outcome.kind != "result"
        return
    assert outcome.kind == "result", outcome.text
    assert Path(outcome.data[1]["path"]).resolve().is_relative_to(page.uploads.resolve())
    nothing = page.denoise(name, b"no picture")
    assert nothing.kind == "message" and fault(nothing) is None, nothing
    assert not any(telltale in nothing.text for telltale in TELLTALES)


@pytest.mark.parametrize("kind", ["empty", "text", "SVG", "EPS", "PNG cut", "TIFF pages in a circle"])
@pytest.mark.parametrize("field", ["image", "reference", "mask"])
def test_a_bad_file_in_any_field_is_one_sentence(page: PageServer, field: str, kind: str) -> None:
    extension, content = hostile_files()[kind]
    bad = file_data(page.upload(f"bad{extension}", content))
    good = file_data(page.upload("good.png", PICTURE))
    data = {"image": good, "strength": 1.0, "reference": None, "mask": None, "model": None, field: bad}
    outcome = page.call("denoise", list(data.values()))
    assert outcome.kind == "message"
    assert fault(outcome) is None
    assert f"'bad{extension}'" in outcome.text


@pytest.mark.parametrize(
    "body", ["", "[", "{}", '"x"', '{"data": 1}', '{"data": [[]]}', '{"data": [NaN, {}, 1e999, 0]}']
)
def test_a_call_that_makes_no_sense_does_no_harm(page: PageServer, body: str) -> None:
    with fresh(page) as http:
        answer = http.post("/gradio_api/call/denoise", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (200, 422)
        text = answer.text
        if answer.is_success:
            text += http.get(f"/gradio_api/call/denoise/{answer.json()['event_id']}").text
            assert "event: error" in text
    assert not any(telltale in text for telltale in TELLTALES)


def test_no_server_function_of_a_component_can_be_called(page: PageServer) -> None:
    """Some components of Gradio list folders; none of this page does."""
    for component in page.http.get("/config").json()["components"]:
        for function in ("ls", "load", "preprocess", "async_move_resource_to_block_cache"):
            body = {"data": "/etc", "component_id": component["id"], "session_hash": "x", "fn_name": function}
            assert page.http.post("/gradio_api/component_server", json=body).status_code == 404
