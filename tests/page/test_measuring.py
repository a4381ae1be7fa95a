"""Figures of large pictures: the same as those of small ones but for sampling, and in little time."""

import numpy as np
import pytest
from page_server import clean_pixels, to_8_bits

from hf_denoise.imaging.conversion import from_pil
from hf_denoise.metrics import quality
from hf_denoise.page import measuring
from hf_denoise.page.companions import Companions
from hf_denoise.page.keeping import Mix, Wishes
from hf_denoise.page.measuring import Measured
from hf_denoise.page.results import Result
from hf_denoise.page.scores import quality_scores


@pytest.fixture
def pictures() -> tuple[Result, Companions]:
    """480 x 640, noisy, less noisy and clean, with a defect in the mask."""
    clean = np.tile(clean_pixels(), (4, 4, 1))
    clean[200:220, 300:340] = 0.1
    mask = np.zeros(clean.shape[:2], bool)
    mask[200:220, 300:340] = True
    noise = np.random.default_rng(0).normal(0, 20 / 255, clean.shape).astype(np.float32)
    before, after, true = (from_pil(to_8_bits((clean + share * noise).clip(0, 1))) for share in (1, 0.2, 0))
    return Result(before, after, (before, after)), Companions("clean", "mask", true, mask)


def test_figures_are_those_of_the_metrics(pictures: tuple[Result, Companions]) -> None:
    result, companions = pictures
    measured = Measured(result, Mix(Wishes(), 1.0), companions)
    assert companions.clean is not None and companions.inside is not None
    images, clean, mask = (result.before.rgb, result.after.rgb), companions.clean.rgb, companions.inside
    assert measured.noise() == pytest.approx([quality.noise_level(image) for image in images])
    for inside in (None, mask):
        found = measured.psnr(inside is not None)
        assert found == pytest.approx([quality.psnr(image, clean, inside) for image in images], abs=1e-4)
        found = measured.ssim(inside is not None)
        assert found == pytest.approx([quality.ssim(image, clean, inside) for image in images], abs=1e-4)
    assert measured.contrast_kept() == pytest.approx(quality.contrast_kept(images[1], clean, mask), abs=1e-5)


def test_samples_are_near_to_the_whole(pictures: tuple[Result, Companions], monkeypatch: pytest.MonkeyPatch) -> None:
    result, companions = pictures
    whole = Measured(result, Mix(Wishes(), 1.0), companions)
    exact = whole.noise(), whole.ssim(False), whole.ssim(True), whole.psnr(False)
    result.measured.clear()
    monkeypatch.setattr(measuring, "SAMPLED", 100)
    monkeypatch.setattr(measuring, "SAMPLES", 36)
    assert whole.sampled
    assert whole.noise() == pytest.approx(exact[0], rel=0.05)
    assert whole.ssim(False) == pytest.approx(exact[1], abs=0.02)
    assert whole.ssim(True) == pytest.approx(exact[2], abs=1e-4)  # every cell of a small mask
    assert whole.psnr(False) == exact[3]


def test_another_strength_measures_the_picture_before_no_second_time(
    pictures: tuple[Result, Companions], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, companions = pictures
    levels: list[float] = []

    def counted(image: np.ndarray) -> float:
        levels.append(quality.noise_level(image))
        return levels[-1]

    monkeypatch.setattr(measuring, "noise_level", counted)
    first = Measured(result, Mix(Wishes(), 1.0), companions).noise()
    half = Measured(result, Mix(Wishes(0.5), 0.5), companions).noise()
    assert (len(levels), first[0]) == (3, half[0])
    assert first[1] < half[1] < half[0]


def test_an_empty_mask_is_no_number_and_the_reason_is_said(pictures: tuple[Result, Companions]) -> None:
    result, companions = pictures
    assert companions.inside is not None
    empty = Companions("clean", "empty", companions.clean, np.zeros_like(companions.inside))
    measured = Measured(result, Mix(Wishes(), 1.0), empty)
    assert all(np.isnan([*measured.psnr(True), *measured.ssim(True), measured.contrast_kept()]))
    assert "The mask is empty" in quality_scores(measured)[-1]["said"]
