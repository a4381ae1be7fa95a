"""Grey pictures in three channels are found out, and their noise is averaged; colour, however little, is not lost."""

import numpy as np
import pytest
import torch
from skimage import data

from hf_denoise import Denoiser
from hf_denoise.inference.grey import is_grey
from hf_denoise.metrics.quality import psnr


def grey_photo() -> np.ndarray:
    return np.repeat(data.camera()[::2, ::2, None], 3, axis=2).astype(np.float32) / 255


def noisy(clean: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma / 255, clean.shape)
    return (clean + noise).astype(np.float32)


@pytest.mark.parametrize("sigma", [0, 2, 15, 50])
def test_a_grey_picture_is_known_through_its_noise(sigma: float) -> None:
    image = noisy(grey_photo(), sigma)
    assert is_grey(image)
    assert is_grey(np.rint(image.clip(0, 1) * 255).astype(np.uint8))


@pytest.mark.parametrize("sigma", [0, 15, 50])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "cat", "rocket", "immunohistochemistry", "retina"])
def test_a_colour_picture_is_known_through_its_noise(name: str, sigma: float) -> None:
    clean = getattr(data, name)()[:512, :512].astype(np.float32) / 255
    assert not is_grey(noisy(clean, sigma))


@pytest.mark.parametrize(("side", "levels", "sigma"), [(16, 40, 25), (64, 10, 25), (64, 25, 50), (3, 60, 0)])
def test_a_rust_stain_on_steel_keeps_its_colour(side: int, levels: float, sigma: float) -> None:
    clean = grey_photo()
    clean[101 : 101 + side, 77 : 77 + side] += np.array([levels, 0, -levels], np.float32) / 255
    assert not is_grey(noisy(clean, sigma))


def test_fringes_that_average_out_are_colour() -> None:
    """Text drawn on the stripes of a screen: every square of it is grey on average."""
    clean = grey_photo()
    clean[40:80:2, 30:200] += np.array([0.1, 0, -0.1], np.float32)
    clean[41:80:2, 30:200] -= np.array([0.1, 0, -0.1], np.float32)
    assert not is_grey(clean)
    assert not is_grey(noisy(clean, 5))


def test_noise_that_goes_together_is_not_averaged() -> None:
    noise = np.random.default_rng(0).normal(0, 20 / 255, (258, 258, 3))
    image = grey_photo() + (noise[1:-1, 1:-1] + noise[1:-1, 2:] + noise[1:-1, :-2])
    assert not is_grey(image.astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 200, 3), (31, 31, 3)])
def test_small_pictures_are_colour_unless_their_channels_are_equal(shape: tuple[int, ...]) -> None:
    assert is_grey(np.full(shape, 77, np.uint8))
    assert not is_grey(np.random.default_rng(0).normal(0.5, 0.1, shape).astype(np.float32))


def test_colour_in_the_last_rows_alone_is_colour() -> None:
    picture = np.full((260, 300, 3), 77, np.uint8)
    picture[258, 5] = 200, 0, 0
    assert not is_grey(picture)


def test_grey_comes_back_grey_and_better_than_from_the_network_alone() -> None:
    denoise = Denoiser.from_pretrained(device="cpu", precision="float32")
    clean = grey_photo()
    image = noisy(clean, 40)
    output = denoise(image)
    assert (np.ptp(output, axis=2) == 0).all()
    with torch.inference_mode():
        alone = denoise.model(torch.from_numpy(image).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    assert psnr(output, clean) > psnr(alone.clip(0, 1), clean) + 0.1
