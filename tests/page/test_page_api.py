"""The endpoints of the page, and the files they take and give."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from page_server import (
    BAD_FILES,
    ROOT,
    Server,
    clean_pixels,
    from_file,
    noisy_pixels,
    to_8_bits,
)
from PIL import Image, ImageCms

from hf_denoise.metrics.quality import psnr

pytestmark = pytest.mark.slow


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
