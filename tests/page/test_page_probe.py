"""What the page says of defects that would not survive: its endpoint, and the panel in Chromium."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from page_server import (
    Server,
    cpu_seconds,
    from_file,
    noisy_pixels,
    to_8_bits,
    upload,
    wait_for_result,
    wait_until_idle,
)
from PIL import Image

from hf_denoise.defects.probes import PROBE_KINDS
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.page import probe as page_probe
from hf_denoise.page import results
from hf_denoise.page.probe import probe
from hf_denoise.page.samples import EXAMPLES
from hf_denoise.probing.report import ProbeReport

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_probes")]

if TYPE_CHECKING:
    from playwright.sync_api import Page

KINDS = [kind.name for kind in PROBE_KINDS]


def number(limit: str) -> float:
    return float(limit.lstrip("≤> "))


# The API


def test_api_probe_says_what_survives(client: Client, pictures: Path) -> None:
    sentence, table, curves, places, hits, structure = client.predict(
        handle_file(pictures / "noisy.png"), api_name="/probe"
    )
    assert sentence.startswith("Scratches 2 px wide ")
    assert [row["kind"] for row in table] == KINDS
    row = table[KINDS.index("scratch 2 px")]
    assert row["keeps 80 % from"] in sentence
    assert all(number(row["keeps 50 % from"]) <= number(row["keeps 80 % from"]) for row in table)
    # What is wider survives where it is fainter.
    assert number(table[KINDS.index("pit 8 px")]["keeps 50 % from"]) <= number(
        table[KINDS.index("pit 2 px")]["keeps 50 % from"]
    )
    assert all(row["a90/95"] or row["a90/95 note"] for row in table)
    assert Image.open(places).size == (160, 120)
    assert Image.open(curves).width > 600
    assert Path(hits).name == "noisy-defects.csv"
    with Path(hits).open() as file:
        trials = list(csv.DictReader(file))
    assert len(trials) >= sum(row["probes"] for row in table) > 0  # a point of few places is in no curve
    assert {trial["kind"] for trial in trials} == set(KINDS)
    assert all((float(trial["response"]) >= 0.5) == (trial["hit"] == "1") for trial in trials)
    assert 0 <= structure < 0.1


def test_at_strength_0_all_of_it_survives_and_at_half_more_than_at_1(client: Client, pictures: Path) -> None:
    tables = {}
    for strength in (0, 0.5, 1):
        sentence, tables[strength], *_, structure = client.predict(
            handle_file(pictures / "noisy.png"), strength, api_name="/probe"
        )
        assert sentence.startswith(f"At strength {strength}: ") == (strength < 1)
        assert structure == 0 or strength > 0
    assert all(row["keeps 80 % from"].startswith("≤") for row in tables[0])
    for weak, whole in zip(tables[0.5], tables[1], strict=True):
        assert number(weak["keeps 80 % from"]) <= number(whole["keeps 80 % from"])


def test_a_picture_too_small_to_probe_is_one_sentence(client: Client, tmp_path: Path) -> None:
    to_8_bits(noisy_pixels()[:24, :24]).save(tmp_path / "tiny.png")
    with pytest.raises(AppError, match="24 x 24 pixels has too few places"):
        client.predict(handle_file(tmp_path / "tiny.png"), api_name="/probe")


def test_a_turned_phone_photo_has_its_map_upright(client: Client, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    to_8_bits(noisy_pixels()).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    places = client.predict(handle_file(tmp_path / "phone.jpg"), api_name="/probe")[3]
    assert Image.open(places).size == (120, 160)


def test_a_cancelled_probe_stops(client: Client, server: Server, tmp_path: Path) -> None:
    to_8_bits(np.tile(noisy_pixels(), (5, 5, 1))).save(tmp_path / "wide.png")
    wait_until_idle(server, 10)
    logged = len(server.log())
    job = client.submit(handle_file(tmp_path / "wide.png"), api_name="/probe")
    for _ in range(100):
        progress = job.status().progress_data
        if progress and progress[0].desc == "Trying defects":
            break
        cpu_seconds(server, 0.1)
    else:
        raise AssertionError("no progress was told")
    job.cancel()
    wait_until_idle(server, 5)
    assert not list((server.folder / "gradio").rglob("wide-defects*"))
    assert "Traceback" not in server.log()[logged:]


# The functions behind it


def test_another_strength_does_not_probe_again_and_statsmodels_may_be_missing(
    picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    run = Denoiser.probe

    def counted(self: Denoiser, *args: Any, **kwargs: Any) -> ProbeReport:
        runs.append(1)
        return run(self, *args, **kwargs)

    monkeypatch.setattr(Denoiser, "probe", counted)
    sentences = {probe(picture, strength)[0] for strength in (1, 0.5, 1, 0.2)}
    assert (len(runs), len(sentences)) == (1, 3)
    monkeypatch.setattr(page_probe, "has_statsmodels", lambda: False)  # which need not be installed
    assert all("a90/95" not in key for row in probe(picture)[1] for key in row)


def test_a_report_at_another_strength_is_what_the_denoiser_says_there() -> None:
    denoiser = Denoiser.from_pretrained()
    plane = (255 * noisy_pixels()).round().astype(np.uint8)
    whole = denoiser.probe(plane)
    mixed = whole.at_strength(0.6, plane)
    asked = denoiser.probe(plane, 0.6, contrasts=list(whole.responses.contrasts))
    assert whole.at_strength(1, plane) is whole
    for name, curve in asked.curves.items():
        # Not the same to the last digit: fewer places are left out where less is cut off at black and white.
        assert mixed.curves[name].share == pytest.approx(curve.share, abs=0.12)
    assert mixed.curve().share.mean() > whole.curve().share.mean() + 0.05


def test_structure_is_a_low_number_for_noise_and_a_high_one_for_a_lost_defect(
    monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    clean = from_file(pictures / "clean.png")
    noisy = clean + np.random.default_rng(0).normal(0, 0.05, clean.shape)
    noisy[60:63, 30:110] -= 0.4
    path = str(tmp_path / "scratched.png")
    to_8_bits(noisy.clip(0, 1)).save(path)
    assert probe(path)[-1] < 0.1
    result = results.kept_result(path, None)
    assert result is not None
    lost = result.before.with_planes(((255 * clean).round().astype(np.uint8),))
    monkeypatch.setitem(
        results._results, (path, None, False), results.Result(result.before, lost, (result.before, lost))
    )
    assert probe(path)[-1] > 0.3


def test_an_error_names_the_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / "text.png").write_text("this is not a picture\n")
    with pytest.raises(gr.Error, match=r"'text\.png'"):
        probe(str(tmp_path / "text.png"))


# The panel


def ask(page: "Page") -> None:
    page.get_by_role("button", name="Find out").click()
    page.locator("#limits table").wait_for()
    page.locator("#map img").wait_for()


def is_empty(page: "Page") -> bool:
    return not page.locator("#limits table").count() and not page.locator("#findings").is_visible()


def test_the_panel_says_what_survives_until_something_changes(page: "Page", pictures: Path, tmp_path: Path) -> None:
    wait_for_result(page, lambda: upload(page, "#picture", pictures / "noisy.png"))
    page.get_by_role("button", name="Would a defect survive?").click()
    assert is_empty(page)
    ask(page)
    assert "Scratches 2 px wide" in page.locator("#verdict").inner_text()
    assert page.locator("#limits tbody tr").count() == len(KINDS)
    assert page.get_by_alt_text("Share of a defect that is kept").is_visible()
    assert page.get_by_alt_text("red where a defect must be stronger").is_visible()
    assert "0 is no proof that nothing was lost" in page.locator("#structure").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all trials").click()
    assert download.value.suggested_filename == "noisy-defects.csv"

    # A reference changes nothing of it.
    page.get_by_role("button", name="More").click()
    wait_for_result(page, lambda: upload(page, "#reference", pictures / "clean.png"))
    assert page.locator("#limits table").is_visible()
    whole = page.locator("#verdict").inner_text()

    wait_for_result(page, lambda: page.get_by_label("number input for Strength").first.fill("0.5"))
    assert is_empty(page)
    ask(page)
    assert "At strength 0.5" in page.locator("#verdict").inner_text() != whole
    wait_for_result(page, page.get_by_alt_text("Example: Scanned page, noisy").click)
    assert is_empty(page)
    page.set_viewport_size({"width": 390, "height": 844})
    ask(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_is_asked_of_a_picture_that_is_gone_is_not_shown(page: "Page", server: Server, tmp_path: Path) -> None:
    for number_, name in enumerate(("one.png", "two.png")):
        to_8_bits(np.roll(np.tile(noisy_pixels(), (5, 5, 1)), number_)).save(tmp_path / name)
    wait_for_result(page, lambda: upload(page, "#picture", tmp_path / "one.png"))
    page.get_by_role("button", name="Would a defect survive?").click()
    run, verdict = page.get_by_role("button", name="Find out"), page.locator("#verdict")
    run.click()
    verdict.get_by_text("steps").wait_for()
    page.locator("#probe").get_by_role("button", name="Cancel").click()
    wait_until_idle(server, 20)
    assert is_empty(page)
    run.click()
    verdict.get_by_text("steps").wait_for()
    wait_for_result(page, page.get_by_alt_text(f"Example: {EXAMPLES[1].caption}, noisy").click)
    wait_until_idle(server, 20)
    assert is_empty(page)
    assert not page.get_by_test_id("toast-body").count()
    ask(page)
