"""Pixels that are no picture decide nothing: what lies under alpha 0, and flat ground around a subject."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from hf_denoise import Denoiser
from hf_denoise.imaging.conversion import from_pil
from hf_denoise.imaging.hidden import fill_hidden, visible_mask

SIDE, SIGMA = 256, 15.0


@cache
def packaged() -> Denoiser:
    return Denoiser.from_pretrained(engine="torch", precision="float32", device="cpu")


def cut_out(radius: int = 60) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """A clean picture, the same with noise inside a disc, and the disc."""
    clean = data.astronaut()[:SIDE, 100 : 100 + SIDE]
    down, right = np.indices((SIDE, SIDE)) - SIDE // 2
    noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    return clean, np.rint((clean + noise).clip(0, 255)).astype(np.uint8), down**2 + right**2 < radius**2


def error(image: NDArray[np.uint8], clean: NDArray[np.uint8], disc: NDArray[np.bool_]) -> float:
    colours = image[..., :3] if image.ndim == 3 else image
    return float(np.sqrt(((colours.astype(float) - clean)[disc] ** 2).mean()))


def with_ground(noisy: NDArray[np.uint8], disc: NDArray[np.bool_], ground: str) -> NDArray[np.uint8]:
    hidden = {
        "white": np.full_like(noisy, 255),
        "colour": np.broadcast_to(np.array([128, 10, 77], np.uint8), noisy.shape),
        "noise": np.random.default_rng(1).integers(0, 256, noisy.shape, dtype=np.uint8),
        "the picture": noisy,
    }[ground]
    return np.where(disc[..., None], noisy, hidden)


def test_what_lies_under_alpha_0_changes_nothing() -> None:
    clean, noisy, disc = cut_out()
    alpha = np.where(disc, 255, 0).astype(np.uint8)
    results = {}
    for ground in ("white", "colour", "noise", "the picture"):
        given = np.dstack([with_ground(noisy, disc, ground), alpha])
        result = packaged()(given)
        assert np.array_equal(result[~disc], given[~disc])  # hidden colours and alpha stay
        results[ground] = result[disc]
    for result in results.values():
        assert np.array_equal(result, results["white"])
    assert error(packaged()(np.dstack([noisy, alpha])), clean, disc) < 6.5  # of 15, most of which is gone


@pytest.mark.parametrize("ground", ["white", "colour"])
def test_a_noisy_subject_on_flat_ground_is_cleaned(ground: str) -> None:
    clean, noisy, disc = cut_out()
    result = packaged()(with_ground(noisy, disc, ground))
    _, _, inner = cut_out(50)  # at the rim the network sees an edge that the clean picture has not
    assert error(result, clean, inner) < 7


def on_gradient(image: NDArray[np.uint8], disc: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """In front of a vignette without noise, as rounded to 8 bits."""
    down, right = np.indices(disc.shape) - SIDE // 2
    light: Any = 220 - 130 * (down**2 + right**2) / (2 * (SIDE / 2) ** 2)
    return np.where(disc[..., None], image, np.rint(light[..., None] * np.array([1, 0.97, 0.92])).astype(np.uint8))


@pytest.mark.parametrize("grey", [False, True])
def test_a_noisy_subject_on_a_gradient_is_cleaned_and_the_gradient_stays(grey: bool) -> None:
    clean, noisy, disc = cut_out(85)
    if grey:
        clean = data.rocket()[:SIDE, 100 : 100 + SIDE]
        noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
        noisy = np.rint((clean + noise).clip(0, 255)).astype(np.uint8)
    clean, given = (on_gradient(image, disc) for image in (clean, noisy))
    if grey:
        clean, given = clean[..., 1], given[..., 1]
    result = packaged()(given)
    _, _, inner = cut_out(75)
    assert error(given, clean, inner) > 14
    assert error(result, clean, inner) < (10 if grey else 7)  # the network takes no more of it
    _, _, near = cut_out(110)
    assert np.abs(result.astype(int) - given)[~near].max() <= 1


@pytest.mark.parametrize("name", ["astronaut", "camera", "grass", "gravel", "cat"])
def test_a_clean_subject_on_a_gradient_stays(name: str) -> None:
    image = getattr(data, name)()[:SIDE, :SIDE]
    image = np.dstack([image] * 3)[..., :3]
    _, _, disc = cut_out(85)
    given = on_gradient(image, disc)
    assert error(packaged()(given), given, disc) < 1


def test_a_palette_and_a_colour_key_hide_as_alpha_does() -> None:
    _, noisy, disc = cut_out()
    grey = np.where(disc, noisy[..., 0].clip(1, 255), 0).astype(np.uint8)
    image = Image.fromarray(grey)
    image.info["transparency"] = 0
    keyed = np.asarray(packaged()(image))
    as_alpha = packaged()(np.dstack([grey, grey, grey, np.where(disc, 255, 0).astype(np.uint8)]))
    assert np.abs(keyed[disc].astype(int) - as_alpha[..., 0][disc]).max() <= 1


def test_the_probe_puts_nothing_where_nobody_sees_it() -> None:
    _, noisy, disc = cut_out(100)
    alpha = np.where(disc, 255, 0).astype(np.uint8)
    given = [np.dstack([with_ground(noisy, disc, ground), alpha]) for ground in ("white", "noise")]
    reports = [packaged().probe(image, contrasts=[30]) for image in given]
    assert np.array_equal(reports[0].responses.value, reports[1].responses.value)
    assert disc[tuple(reports[0].responses.place.T)].all()
    picture = packaged().probe(from_pil(Image.fromarray(given[0])), contrasts=[30])  # as the page and the command do
    assert np.array_equal(picture.responses.value, reports[0].responses.value)


def test_the_ground_is_filled_in_with_noise_as_strong() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(100, 20, (200, 1300)).clip(0, 255).astype(np.uint8)
    visible = np.ones(plane.shape, bool)
    visible[:, 600:700] = False
    filled = fill_hidden(plane, visible)
    assert np.array_equal(filled[visible], plane[visible])
    assert filled[:, 600:700].std() == pytest.approx(20, rel=0.1)
    other = plane.copy()
    other[~visible] = 7
    assert np.array_equal(fill_hidden(other, visible), filled)
    assert visible_mask(np.full((4, 4), 255)) is None
    assert visible_mask(np.zeros((4, 4))) is None
    assert visible_mask(None) is None
