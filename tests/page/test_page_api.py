"""The endpoints of the page, and the files they take and give."""

import io
import os
import re
import shutil
import threading
import zipfile
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio.context import LocalContext
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from page_server import (
    BAD_FILES,
    ROOT,
    Server,
    clean_pixels,
    cpu_seconds,
    from_file,
    noisy_pixels,
    to_8_bits,
    wait_until_idle,
)
from PIL import Image, ImageCms

from hf_denoise.errors import UserError
from hf_denoise.imaging.picture import Picture
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.metrics.quality import psnr
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.page import batch, members, models, results
from hf_denoise.page.actions import denoise
from hf_denoise.page.stop import Stopped, Watch

pytestmark = pytest.mark.slow

# The API


def test_api_is_documented(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/denoise", "/add_noise", "/denoise_many", "/probe"}
    names = {
        endpoint: [parameter["parameter_name"] for parameter in described["parameters"]]
        for endpoint, described in endpoints.items()
    }
    plain = ["image", "strength", "reference", "mask", "model", "protect", "keep"]
    assert names["/denoise"] == [*plain, "luminance", "color", "grain", "self_ensemble", "format", "quality"]
    assert names["/denoise_many"] == ["files", "strength", "model"]
    assert names["/probe"] == ["image", "strength", "model"]
    assert all(endpoint["description"] for endpoint in endpoints.values())


def test_api_denoise(client: Client, pictures: Path) -> None:
    (before, after), result, metrics, removed, difference = client.predict(
        handle_file(pictures / "noisy.png"), reference=handle_file(pictures / "clean.png"), api_name="/denoise"
    )
    assert np.array_equal(from_file(before), from_file(pictures / "noisy.png"))  # not through lossy WebP
    assert np.array_equal(from_file(after), from_file(result))
    expected = (0.5 + 4 * (from_file(before) - from_file(after))).clip(0, 1)
    assert np.abs(from_file(removed) - expected).max() < 0.005
    wrong = (4 * np.abs(from_file(after) - clean_pixels())).clip(0, 1)
    assert np.abs(from_file(difference) - wrong).max() < 0.01
    assert [metric["name"] for metric in metrics] == ["PSNR", "SSIM"]
    assert metrics[0]["after"] == pytest.approx(psnr(from_file(result), clean_pixels()), abs=0.05)
    assert metrics[0]["after"] > metrics[0]["before"] + 3


def test_strength_0_gives_the_picture_back_unchanged(client: Client, pictures: Path) -> None:
    _, result, metrics, removed, difference = client.predict(
        handle_file(pictures / "noisy.png"), 0, api_name="/denoise"
    )
    assert np.array_equal(from_file(result), from_file(pictures / "noisy.png"))
    assert difference is None
    assert metrics[-1]["after"] == metrics[-1]["before"]
    assert np.abs(from_file(removed) - 0.5).max() < 0.005


def test_an_upload_may_be_named_by_its_address_here(client: Client, server: Server, pictures: Path) -> None:
    """As MCP clients do: they can give addresses alone."""
    with (pictures / "noisy.png").open("rb") as file:
        upload = httpx.post(f"{server.url}gradio_api/upload", files={"files": file}).json()[0]

    def given(path: str) -> dict[str, object]:
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    metrics = client.predict(given(f"https://elsewhere.test/gradio_api/file={upload}"), api_name="/denoise")[2]
    assert metrics[0]["name"] == "Estimated noise level"
    for other in (ROOT / "app.py", f"{upload}/../../../log", server.folder / "log"):
        with pytest.raises(AppError, match="fetches no addresses"):
            client.predict(given(f"{server.url}gradio_api/file={other}"), api_name="/denoise")


def test_16_bits_and_the_colour_profile_stay(client: Client, tmp_path: Path) -> None:
    import tifffile

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noisy = (noisy_pixels() * 65535).round().astype(np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", noisy, photometric="rgb", iccprofile=profile)
    (before, after), result, *_ = client.predict(handle_file(tmp_path / "deep.tif"), api_name="/denoise")
    assert Path(result).name == "deep-denoised.tif"
    with tifffile.TiffFile(result) as tiff:
        denoised = tiff.asarray()
        first = tiff.pages[0]
        assert isinstance(first, tifffile.TiffPage)
        assert first.tags[34675].value == profile
    assert (denoised.dtype, denoised.shape) == (np.uint16, noisy.shape)
    assert len(np.unique(denoised % 257)) > 200  # the lower bits are in use
    # A browser cannot show TIFF: the previews are PNG, and look like the picture.
    assert np.abs(from_file(before) - noisy_pixels()).max() < 0.01
    assert psnr(from_file(after), clean_pixels()) > psnr(from_file(before), clean_pixels()) + 3


def test_16_bit_grey_is_shown_as_it_looks(client: Client, tmp_path: Path) -> None:
    grey = noisy_pixels()[..., 1]
    Image.fromarray((grey * 65535).round().astype(np.uint16)).save(tmp_path / "grey.png")
    (before, _), result, *_ = client.predict(handle_file(tmp_path / "grey.png"), api_name="/denoise")
    assert np.abs(from_file(before)[..., 0] - grey).max() < 0.01
    with Image.open(result) as image:
        assert image.mode.startswith("I;16")


def test_a_turned_phone_photo_is_shown_upright(client: Client, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn right to show
    to_8_bits(noisy_pixels()).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    (before, after), result, _, removed, _ = client.predict(handle_file(tmp_path / "phone.jpg"), api_name="/denoise")
    assert Image.open(before).size == Image.open(after).size == Image.open(removed).size == (120, 160)
    with Image.open(result) as image:
        assert (image.format, image.size, image.getexif()[0x0112]) == ("JPEG", (160, 120), 6)


def test_a_large_picture_is_shown_small_and_given_back_whole(client: Client, tmp_path: Path) -> None:
    Image.new("L", (2200, 40), 90).save(tmp_path / "wide.png")
    (before, after), result, _, removed, _ = client.predict(handle_file(tmp_path / "wide.png"), api_name="/denoise")
    assert Image.open(before).width == Image.open(after).width == Image.open(removed).width == 2048
    assert Image.open(result).size == (2200, 40)


def test_the_self_ensemble_is_no_worse_and_the_format_is_the_one_asked_for(client: Client, pictures: Path) -> None:
    given, clean = handle_file(pictures / "noisy.png"), clean_pixels()
    plain = client.predict(given, api_name="/denoise")[1]
    best = client.predict(given, self_ensemble=True, format="TIFF", api_name="/denoise")[1]
    assert not np.array_equal(from_file(plain), from_file(best))
    assert psnr(from_file(best), clean) > psnr(from_file(plain), clean)
    assert Path(best).name == "noisy-denoised.tif"


def test_mask_of_another_size_is_refused(client: Client, pictures: Path) -> None:
    with pytest.raises(AppError, match=r"small-mask\.png.*160 x 60.*160 x 120"):
        client.predict(
            handle_file(pictures / "noisy.png"),
            reference=handle_file(pictures / "clean.png"),
            mask=handle_file(pictures / "small-mask.png"),
            api_name="/denoise",
        )


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_give_one_sentence_and_no_path(client: Client, server: Server, pictures: Path, name: str) -> None:
    for endpoint in ("/denoise", "/add_noise", "/probe"):
        with pytest.raises(AppError) as refusal:
            client.predict(handle_file(pictures / name), api_name=endpoint)
        assert name in str(refusal.value)
        assert str(server.folder) not in str(refusal.value)
    assert "Traceback" not in server.log()
    assert not list((server.folder / "gradio").rglob(f"{Path(name).stem}-denoised*"))


@pytest.mark.parametrize("kind", ["gaussian", "camera", "grain", "poisson-gaussian", "speckle", "salt-pepper", "jpeg"])
def test_api_add_noise(client: Client, pictures: Path, kind: str) -> None:
    (noisy, denoised), clean, metrics = client.predict(
        handle_file(pictures / "clean.png"), kind, 20, api_name="/add_noise"
    )
    # A camera has its own optics and colours, and a JPEG file may hold less colour: each is measured against what the
    # picture would have been without noise.
    unchanged = np.array_equal(from_file(clean), from_file(pictures / "clean.png"))
    assert unchanged == (kind not in ("camera", "jpeg")) or kind == "jpeg"
    assert [metric["name"] for metric in metrics] == ["PSNR", "SSIM"]
    assert metrics[0]["before"] == pytest.approx(psnr(from_file(noisy), from_file(clean)), abs=0.05)
    assert metrics[0]["after"] == pytest.approx(psnr(from_file(denoised), from_file(clean)), abs=0.05)
    if kind == "gaussian":
        assert metrics[0]["after"] > metrics[0]["before"] + 3


def test_a_mask_alone_compares_with_the_contrast_of_the_input(client: Client, pictures: Path) -> None:
    metrics = client.predict(
        handle_file(pictures / "noisy.png"), mask=handle_file(pictures / "mask.png"), api_name="/denoise"
    )[2]
    assert [metric["name"] for metric in metrics] == ["Estimated noise level", "Contrast kept"]
    assert metrics[1]["after"] == pytest.approx(1, abs=0.2)


def test_many_pictures_keep_names_and_folders(client: Client, pictures: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        for name in ("a.png", "deep/er/a.png", "__MACOSX/a.png", ".hidden.png"):
            archive.write(pictures / "noisy.png", name)
        archive.writestr("notes.txt", "no picture")
    files = [tmp_path / "shots.zip", pictures / "noisy.png"]
    archive, table = client.predict([handle_file(file) for file in files], 0.5, api_name="/denoise_many")
    with zipfile.ZipFile(archive) as found:
        assert sorted(found.namelist()) == ["a.png", "deep/er/a.png", "metrics.csv", "noisy.png"]
        with Image.open(io.BytesIO(found.read("deep/er/a.png"))) as image:
            assert (image.size, image.mode, image.format) == ((160, 120), "RGB", "PNG")
    rows = {row[0]: row[1:] for row in table}
    assert set(rows) == {"a.png", "deep/er/a.png", "notes.txt", "noisy.png"}
    before, after, message = rows["a.png"]
    assert before / 3 < after < before * 2 / 3
    assert message == ""
    assert "'notes.txt'" in rows["notes.txt"][2]


def test_a_result_in_the_zip_has_the_extension_of_its_format_and_a_name_of_its_own(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    shutil.copy(pictures / "whole.jpg", tmp_path / "photo.jfif")
    Image.new("RGBA", (40, 30), (90, 90, 90, 128)).save(tmp_path / "logo.jpg", "PNG")
    shutil.copy(pictures / "noisy.png", tmp_path / "logo.PNG")
    shutil.copy(pictures / "truncated.jpg", tmp_path / "cut.jfif")
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        archive.write(pictures / "whole.jpg", "deep/photo")
    files = [str(tmp_path / name) for name in ("photo.jfif", "logo.jpg", "logo.PNG", "cut.jfif", "shots.zip")]
    results_zip, rows = batch.denoise_many(files)
    expected = {"photo.jfif": "JPEG", "logo-2.png": "PNG", "logo.PNG": "PNG", "deep/photo.jpg": "JPEG"}
    assert {row[0]: row[3] for row in rows if not row[3]} == dict.fromkeys(expected, "")
    assert [(row[0], "'cut.jfif'" in row[3]) for row in rows if row[3]] == [("cut.jfif", True)]
    with zipfile.ZipFile(results_zip) as found:
        assert set(found.namelist()) == {*expected, "metrics.csv"}
        formats = {name: Image.open(io.BytesIO(found.read(name))).format for name in expected}
    assert formats == expected


def test_what_failed_in_the_zip_is_told_from_what_failed_in_the_network(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        for name in ("secret.png", "damaged.png", "whole.png"):
            archive.write(pictures / "noisy.png", name)
        damaged = archive.getinfo("damaged.png")
    packed = bytearray((tmp_path / "shots.zip").read_bytes())
    packed[packed.index(b"PK\1\2") + 8] |= 1  # the flag of the first entry that says that it is encrypted
    packed[damaged.header_offset + 100] ^= 255
    (tmp_path / "shots.zip").write_bytes(packed)

    def without_memory(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(Denoiser, "picture", without_memory)
    _, rows = batch.denoise_many([str(tmp_path / "shots.zip"), str(pictures / "clean.png")])
    messages = {row[0]: row[3] for row in rows}
    for name in ("secret.png", "damaged.png"):
        assert messages[name].startswith(f"'{name}' is damaged or encrypted in the ZIP; ")
    for name in ("whole.png", "clean.png"):
        assert messages[name] == "could not be denoised: CUDA out of memory. Tried to allocate 2 GiB."
        assert f"'{name}' could not be denoised" in caplog.text
    assert "TORCH_USE_CUDA_DSA" in caplog.text


def test_a_colon_in_a_name_in_the_zip_is_no_drive(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    names = ["2024-01-01T12:30:05.png", "12:30/part:a.png"]
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        for name in names:
            archive.write(pictures / "noisy.png", name)
    results_zip, rows = batch.denoise_many([str(tmp_path / "shots.zip")])
    assert [(row[0], row[3]) for row in rows] == [(name, "") for name in names]
    assert zipfile.ZipFile(results_zip).namelist() == [*names, "metrics.csv"]


@pytest.mark.parametrize(
    "name", ["../out.png", "/out.png", "/a/out.png", "a/../../out.png", "..\\out.png", "C:\\out.png", "C:/out.png"]
)
def test_a_zip_that_leads_out_of_itself_is_refused(client: Client, pictures: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), (pictures / "noisy.png").read_bytes())
    with pytest.raises(AppError, match=re.escape(f"'bad.zip' has a file whose name leads out of the ZIP, \"{name}\";")):
        client.predict([handle_file(tmp_path / "bad.zip")], api_name="/denoise_many")


def test_a_zip_bomb_is_refused(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(5_000_000))
        for number in range(20):
            archive.writestr(f"{number}.png", b"")
    monkeypatch.setattr(members, "MAX_UNPACKED", 4_000_000)
    with pytest.raises(gr.Error, match=r"unpacks to 0\.0 GB"):
        batch.denoise_many([str(tmp_path / "bomb.zip")])
    monkeypatch.setattr(members, "MAX_FILES", 20)
    monkeypatch.setattr(members, "MAX_UNPACKED", 6_000_000)
    with pytest.raises(gr.Error, match="21 files are too many"):
        batch.denoise_many([str(tmp_path / "bomb.zip")])

    # One that declares less than it holds is no way around.
    packed = (tmp_path / "bomb.zip").read_bytes()
    lie = packed.replace((5_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    (tmp_path / "lie.zip").write_bytes(lie)
    monkeypatch.setattr(members, "MAX_FILES", 21)
    results_zip, rows = batch.denoise_many([str(tmp_path / "lie.zip")])
    assert all(row[3] for row in rows)
    assert zipfile.ZipFile(results_zip).namelist() == ["metrics.csv"]


def test_a_cancelled_call_stops_and_leaves_nothing(client: Client, server: Server, pictures: Path) -> None:
    wait_until_idle(server, 10)
    job = client.submit(handle_file(pictures / "large.png"), api_name="/denoise")
    for _ in range(100):
        if cpu_seconds(server, 0.5) > 0.1 and job.status().progress_data:
            break
    job.cancel()
    wait_until_idle(server, 20)
    assert not list((server.folder / "gradio").rglob("large-denoised*"))
    assert "Traceback" not in server.log()


def test_work_that_begins_after_it_was_cancelled_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the network becomes free in the moment of the cancel: nobody would wait for the whole picture."""
    page = gr.Blocks()
    wanted, left = SimpleNamespace(_id="wanted", alive=True), SimpleNamespace(_id="left", alive=False)
    monkeypatch.setattr(page._queue, "active_jobs", [None, [wanted], [left]])

    def begin(event_id: str) -> None:
        LocalContext.blocks.set(page)
        LocalContext.event_id.set(event_id)
        Watch().check()

    copy_context().run(begin, "wanted")
    for event_id in ("left", "cancelled"):
        with pytest.raises(Stopped):
            copy_context().run(begin, event_id)


@pytest.mark.parametrize("model", ["examples/..", "hf_denoise/checkpoints", "name", "/etc/passwd", "a/b/c", "../a"])
def test_a_visitor_cannot_name_a_folder(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=re.escape(f"'{model}' is not the id of a model on the Hub")):
        models.denoiser(model)


def test_an_unknown_model_is_one_sentence(client: Client, pictures: Path, hub) -> None:
    with pytest.raises(AppError, match="there is no public model 'ada/missing' on the Hub"):
        client.predict(handle_file(pictures / "noisy.png"), model="ada/missing", api_name="/denoise")


class SlowHub:
    """In the place of the Hub: of the models that visitors name, those in `slow` come when `arrives` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow: set[str] = set()
        self.asked = {name: threading.Event() for name in ("ada/one", "ada/two", "ada/three", "ada/four")}
        self.arrives = threading.Event()
        self.model = DenoisingUNet(
            encoder="resnet10t", encoder_levels=2, decoder_channels=(8, 8), decoder_depths=(1, 0)
        )
        models.operators_denoiser()
        monkeypatch.setattr(models, "_visitors_models", OrderedDict())
        monkeypatch.setattr(models, "_check_size", lambda model: None)
        monkeypatch.setattr(models, "DenoisingUNet", SimpleNamespace(from_pretrained=self.fetch))

    def fetch(self, name: str, token: bool) -> DenoisingUNet:
        self.asked[name].set()
        if name in self.slow:
            assert self.arrives.wait(60)
        return self.model


def test_a_model_on_its_way_holds_up_nobody_else(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, picture = SlowHub(monkeypatch), results.read_picture(pictures / "noisy.png")
    models.denoiser("ada/one")
    hub.slow.add("ada/two")
    with ThreadPoolExecutor(2) as at_once:
        slow = at_once.submit(models.denoiser, "ada/two")
        try:
            assert hub.asked["ada/two"].wait(30)
            for model in ("ada/one", None):
                at_once.submit(models.fully_denoised, picture, model, gr.Progress()).result(30)
        finally:
            hub.arrives.set()
        slow.result(30)


def test_a_model_dropped_while_its_visitor_waits_is_fetched_again_and_holds_up_nobody_else(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, picture = SlowHub(monkeypatch), results.read_picture(pictures / "noisy.png")
    with ThreadPoolExecutor(2) as at_once:
        with models._network.turn():
            waits = at_once.submit(models.fully_denoised, picture, "ada/one", gr.Progress())
            assert hub.asked["ada/one"].wait(30)
            for name in ("ada/two", "ada/three", "ada/four"):
                models.denoiser(name)
            hub.slow.add("ada/one")
            hub.asked["ada/one"].clear()
        try:
            assert hub.asked["ada/one"].wait(30)
            at_once.submit(models.fully_denoised, picture, None, gr.Progress()).result(30)
        finally:
            hub.arrives.set()
        assert waits.result(30).header == picture.header


def test_another_strength_does_not_run_the_network_again(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = str(shutil.copy(pictures / "noisy.png", tmp_path / "once.png"))
    runs = []
    run = Denoiser.picture

    def counted(self: Denoiser, *args: Any, **kwargs: Any) -> Picture:
        runs.append(1)
        return run(self, *args, **kwargs)

    monkeypatch.setattr(Denoiser, "picture", counted)
    with ThreadPoolExecutor(3) as at_once:  # while the network works, too
        files = {file.result()[1] for file in [at_once.submit(denoise, path, strength) for strength in (1, 0.5, 0)]}
    os.utime(path)  # an upload of the same file is written again
    denoise(path, 0.7)
    assert (len(runs), len(files)) == (1, 3)
