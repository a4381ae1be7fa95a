"""Ways into the page: files dropped anywhere, snippets of "Use via API", the wait for the network, models of others."""

import functools
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from gradio_client import Client
from page_server import Server, upload, wait_for_result
from PIL import Image

from hf_denoise.errors import UserError
from hf_denoise.page import models
from hf_denoise.page.stop import Turns

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

DRAG = """([files, kind]) => {
    const given = new DataTransfer();
    files.forEach(([name, bytes]) => given.items.add(
        new File([new Uint8Array(bytes)], name, {type: "image/png"})));
    document.body.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: given}));
}"""


def drag(page: "Page", kind: str, *files: Path) -> None:
    page.evaluate(DRAG, [[[file.name, [*file.read_bytes()]] for file in files], kind])


def test_a_drop_anywhere_is_for_the_tab_that_is_open(page: "Page", pictures: Path) -> None:
    page.get_by_role("tab", name="Many images").click()
    page.locator("#many").wait_for()
    drag(page, "drop", pictures / "noisy.png", pictures / "clean.png")
    for name in ("noisy", "clean"):
        page.locator("#many").get_by_text(name).first.wait_for()
    page.get_by_role("tab", name="Try it").click()
    page.locator("#noisy-comparison img").last.wait_for()
    for name in ("clean.png", "noisy.png"):  # the second takes the place of the first
        wait_for_result(page, functools.partial(drag, page, "drop", pictures / name), "#noisy-comparison")
    assert "noisy" in page.locator("#original").inner_text()


def test_of_several_files_the_others_are_offered_to_many_images(page: "Page", pictures: Path) -> None:
    wait_for_result(page, lambda: drag(page, "drop", pictures / "noisy.png", pictures / "clean.png"))
    assert "noisy" in page.locator("#picture").inner_text()
    offer = page.locator("#offer")
    assert "Only the first of 2 files was taken" in offer.inner_text()
    offer.get_by_role("button", name="Many images").click()
    for name in ("noisy", "clean"):
        page.locator("#many").get_by_text(name).first.wait_for()
    page.get_by_role("button", name="Denoise all", disabled=False).wait_for()
    assert not offer.count()


def test_the_field_for_a_file_is_marked_while_one_is_dragged(page: "Page", pictures: Path) -> None:
    outline = "(field) => getComputedStyle(field).outlineStyle"
    drag(page, "dragover", pictures / "noisy.png")
    assert page.locator("#picture").evaluate(outline) == "dashed"
    drag(page, "dragleave", pictures / "noisy.png")
    assert page.locator("#picture").evaluate(outline) != "dashed"


def test_the_address_opens_an_example_or_an_earlier_upload(
    page: "Page", server: Server, pictures: Path, tmp_path: Path
) -> None:
    # Gradio keeps the same contents in one folder, under the names of all who gave them.
    (tmp_path / "another's.png").write_bytes((pictures / "noisy.png").read_bytes())
    wait_for_result(page, lambda: upload(page, "#picture", tmp_path / "another's.png"))
    page.locator("#facts").filter(has_text="another's.png").wait_for()
    upload(page, "#intake", pictures / "noisy.png")
    page.locator("#facts").filter(has_text="noisy.png").wait_for()
    link = page.locator("#facts a").get_attribute("href")
    for address, name in (("?image=scan", "Example: Scanned page"), (link, "noisy.png")):
        page.goto(f"{server.url}{address}")
        page.locator("#facts").filter(has_text=name).wait_for()
        page.locator("#metrics dt").filter(has_text="PSNR" if "Example" in name else "Estimated").first.wait_for()
    page.goto(f"{server.url}?image={'0' * 64}")
    page.get_by_test_id("toast-body").filter(has_text="no longer here").wait_for()


def test_all_that_goes_in_and_comes_out_has_a_name(client: Client) -> None:
    for endpoint in client.view_api(return_format="dict", print_info=False)["named_endpoints"].values():
        labels = [each["label"] for each in (*endpoint["parameters"], *endpoint["returns"])]
        assert not [label for label in labels if label.startswith(("value_", "parameter_"))]


def test_the_snippets_in_python_run(context: "BrowserContext", server: Server, pictures: Path, tmp_path: Path) -> None:
    shutil.copy(pictures / "noisy.png", tmp_path)
    page = context.new_page()  # not the fixture: Gradio asks for an MCP server in vain, an error in the console
    page.goto(server.url)
    page.get_by_text("Use via API").click()
    page.locator("pre", has_text="from gradio_client").first.wait_for()
    snippets = [text for text in page.locator("pre").all_inner_texts() if text.startswith("from gradio_client")]
    assert len(snippets) == 4
    for snippet in snippets:
        ran = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
    in_javascript = [text for text in page.locator("pre").all_inner_texts() if "@gradio/client" in text]
    assert in_javascript and all(text.count("const exampleFile") == 1 for text in in_javascript)
    page.close()


def test_who_waits_is_told_for_how_many_and_no_guess_of_the_time(
    page: "Page", context: "BrowserContext", server: Server, pictures: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (150, 100), "navy").save(tmp_path / "new.png")  # no result of it is in memory
    upload(page, "#picture", pictures / "large.png")
    page.locator("#comparison").get_by_text("/20").wait_for()  # tiles
    other = context.new_page()
    other.goto(server.url)
    other.locator("#comparison img").last.wait_for()
    upload(other, "#picture", tmp_path / "new.png")
    other.locator("#comparison").get_by_text("Waiting for 1 other picture").wait_for()
    for shown in (page, other):  # as "12.3/45.6s"
        assert not re.search(r"\d\.\d/\d", shown.locator("#comparison").inner_text())
    page.get_by_role("button", name="Cancel").first.click()
    other.wait_for_function("document.querySelector('#comparison img')?.naturalWidth === 150")
    other.close()


def test_turns_come_in_order() -> None:
    turns, order, told, threads = Turns(), [], [], []

    def wait(number: int) -> None:
        with turns.turn(lambda ahead: told.append((number, ahead))):
            order.append(number)

    with turns.turn():
        for number in range(3):
            threads.append(threading.Thread(target=wait, args=[number]))
            threads[-1].start()
            while (number, number + 1) not in told:
                pass
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]


def test_mistakes_of_users_leave_no_trace_in_the_log(page: "Page", server: Server) -> None:
    page.get_by_label("number input for Strength").first.fill("3")
    page.get_by_test_id("toast-body").first.wait_for()
    asked = {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, 1, None, None, "", "", None]}
    event = httpx.post(f"{server.url}gradio_api/call/denoise", json=asked).json()["event_id"]
    assert "event: error" in httpx.get(f"{server.url}gradio_api/call/denoise/{event}", timeout=30).text
    assert "Traceback" not in server.log()


def test_offline_a_visitor_gets_a_way_out_that_a_visitor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="this server is offline and does not have 'ada/missing'") as refusal:
        models.denoiser("ada/missing")
    assert "folder" not in str(refusal.value)
