"""Defects that must survive: the probe of a picture, a strength that heeds it, and places that are left alone."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from skimage.draw import line

from hf_denoise import Denoiser
from hf_denoise.errors import UserError
from hf_denoise.inference.protection import FULL, Treatment, auto_strength, largest_share, protect_places
from hf_denoise.metrics.quality import contrast
from hf_denoise.probing.report import ProbeReport

pytestmark = pytest.mark.usefixtures("few_probes")


@cache
def packaged() -> Denoiser:
    return Denoiser.from_pretrained(engine="torch", precision="float32", device="cpu")


@cache
def report_of_strong_noise() -> ProbeReport:
    return packaged().probe(scratched(50)[0])


def scratched(sigma: float, seed: int = 0, deep: float = 30) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A grey gradient (160, 192) with a dark scratch of 2 pixels, and noise; and the mask of the scratch."""
    mask = np.zeros((160, 192), bool)
    rows, columns = line(40, 30, 120, 150)
    mask[rows, columns] = mask[rows + 1, columns] = True
    ground = np.linspace(0.4, 0.7, 192, dtype=np.float32) * np.ones((160, 1), np.float32)
    noise = np.random.default_rng(seed).normal(0, sigma / 255, mask.shape)
    return (ground - deep / 255 * mask + noise).astype(np.float32), mask


def kept(picture: NDArray[np.float32], mask: NDArray[np.bool_], deep: float = 30) -> float:
    return contrast(np.dstack([picture] * 3), mask) / (-deep / 255)


@pytest.mark.slow
def test_the_probe_takes_what_a_call_takes(tmp_path: Path) -> None:
    photograph = data.astronaut()[100:228, 100:228]
    Image.fromarray(photograph).save(tmp_path / "photo.png")
    with_alpha = np.dstack([photograph, photograph[..., 0] // 2 + 9])  # nothing is hidden
    given = [photograph, Image.fromarray(photograph), tmp_path / "photo.png", with_alpha]
    reports = [packaged().probe(image, contrasts=[20, 60]) for image in given]
    for report in reports[1:]:
        assert np.array_equal(report.responses.value, reports[0].responses.value)
    with pytest.raises(UserError, match="cannot denoise a list"):
        packaged().probe([1])
    with pytest.raises(UserError, match="strength must be"):
        packaged().probe(photograph, 2)


@pytest.mark.slow
def test_at_half_the_strength_half_of_the_loss() -> None:
    noisy, _ = scratched(25)
    whole, half = (packaged().probe(noisy, strength, contrasts=[30]).responses.value for strength in (1, 0.5))
    assert half == pytest.approx(1 - 0.5 * (1 - whole), abs=0.02)
    assert np.median(whole) < 0.8  # or there would be nothing to see


@pytest.mark.slow
def test_stronger_noise_hides_more() -> None:
    limits = [packaged().probe(scratched(sigma)[0]).curve("scratch 3 px").limit(0.5).value for sigma in (8, 40)]
    assert limits == sorted(limits)
    assert limits[0] < limits[-1]


@pytest.mark.slow
def test_the_strength_that_a_defect_allows() -> None:
    noisy, _ = scratched(30)
    report = packaged().probe(noisy)
    for keep in (20, 60, 120):
        strength = auto_strength(report, keep)
        assert 1 - strength * (1 - float(report.curve().at(keep))) >= 0.8 - 1e-6
    result = packaged()(noisy, "auto", keep=60)
    assert np.allclose(result, packaged()(noisy, auto_strength(report, 60)), atol=1e-5)
    assert auto_strength(report, 20) < auto_strength(report, 120)
    assert largest_share(1.0, 0.8) == 1
    assert largest_share(0.0, 0.8) == pytest.approx(0.2)


def test_inside_a_mask_nothing_is_changed_and_outside_all_is_denoised() -> None:
    noisy, mask = scratched(50)
    clean, plain = packaged()(noisy, protect=mask), packaged()(noisy)
    assert np.allclose(clean[mask], noisy[mask].clip(0, 1), atol=0.01)
    far = np.ones_like(mask)
    far[20:150, 10:180] = False
    assert np.allclose(clean[far], plain[far], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("protect", ["mask", "auto"])
def test_a_protected_defect_keeps_its_contrast_under_strong_noise(protect: str) -> None:
    """The contrast of a 30 level scratch under noise of 50, in the mean of six pictures: noise moves it in each."""
    lost, safe, before = [], [], []
    for seed in range(6):
        noisy, mask = scratched(50, seed)
        clean = packaged()(noisy)
        lost.append(kept(clean, mask))
        places = protect_places(noisy, mask if protect == "mask" else None, 30, report_of_strong_noise(), 1.0)
        places.apply(noisy, clean)
        safe.append(kept(clean, mask))
        before.append(kept(noisy.clip(0, 1), mask))
    assert np.mean(lost) / np.mean(before) < 0.8
    assert np.mean(safe) / np.mean(before) >= 0.95


@pytest.mark.slow
def test_where_all_survives_nothing_is_protected() -> None:
    noisy, _ = scratched(4)
    assert np.allclose(packaged()(noisy, protect="auto", keep=100), packaged()(noisy), atol=1e-6)


def test_a_mask_is_as_the_picture_shows(tmp_path: Path) -> None:
    noisy, mask = scratched(50)
    exif = Image.Exif()
    exif[0x0112] = 6  # it shows turned by 90 degrees
    stored = np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)
    Image.fromarray(stored).save(tmp_path / "in.png", exif=exif)
    shown = np.rot90(mask, -1)
    Image.fromarray(255 * shown.astype(np.uint8)).save(tmp_path / "mask.png")
    report = packaged().file(tmp_path / "in.png", tmp_path / "out.png", protect=tmp_path / "mask.png")
    with Image.open(tmp_path / "out.png") as image:
        assert np.array_equal(np.asarray(image)[mask], stored[mask])
    assert report.protection is not None
    assert 0.02 < report.protection.area < 0.2
    assert (report.protection.shares[mask] < 0.1 * FULL).all()
    turned = packaged()(tmp_path / "in.png", protect=shown)
    assert np.array_equal(np.asarray(turned)[shown], np.rot90(stored, -1)[shown])


@pytest.mark.slow
def test_what_was_protected_is_said_and_shown() -> None:
    noisy, mask = scratched(40)
    stored = np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)
    for protect, area in ((mask, 0.1), ("auto", 0.9)):
        planes, strength, protection = packaged()._planes((stored,), None, _options(protect), None)
        assert strength == 1
        assert protection is not None
        assert protection.area == pytest.approx(area, abs=0.1)
        left = protection.noise_left
        assert left is not None
        inside = protection.shares < protection.shares.min() + 5
        removed = (stored.astype(float) - planes[0])[inside].std()
        assert left + removed == pytest.approx(protection.noise or 0, rel=0.1)  # the rest of the same noise
        assert "% of the picture is protected; noise of up to" in protection.sentence()
        view = protection.picture(stored).astype(int)
        blue = view[..., 2] - view[..., 0]
        assert blue[inside].mean() > 40


def _options(protect: object) -> Treatment:
    return Treatment(1.0, 15, protect)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": "auto"}, "strength 'auto' needs keep"),
        ({"protect": "auto"}, "protect 'auto' needs keep"),
        ({"keep": 20}, "keep does nothing alone"),
        ({"keep": 0, "strength": "auto"}, "keep must be a contrast over 0"),
        ({"keep": 300, "protect": "auto"}, "up to 255 grey levels, got 300"),
        ({"strength": "strong"}, "a number from 0 to 1, or 'auto', got 'strong'"),
        ({"protect": np.zeros((5, 6), bool)}, "has 6x5 pixels and the picture 192x160"),
        ({"protect": 3}, "protect must be 'auto', a mask, or a path of one, not a int"),
        ({"protect": "missing.png"}, "missing.png"),
    ],
)
def test_options_that_say_nothing_are_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        packaged()(scratched(10)[0], **options)
