"""Denoiser: every kind of image comes back as it was but cleaner, tiled or whole, from a path, Pillow or an array."""

from pathlib import Path

import numpy as np
import pytest
import torch
from denoisers import SMALL, astronaut, identity, packaged
from PIL import Image

from hf_denoise.errors import UserError
from hf_denoise.hub.files import PACKAGED
from hf_denoise.imaging.blending import blend, blend_pictures
from hf_denoise.imaging.images import read_image
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.metrics.quality import psnr
from hf_denoise.model.unet import DenoisingUNet


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 9), (37, 1, 1), (5, 3, 3), (201, 77), (150, 203, 1), (203, 150, 3), (90, 33, 4)]
)
def test_the_identity_gives_arrays_back_exactly(rng: np.random.Generator, dtype: type, shape: tuple[int, ...]) -> None:
    if dtype is np.float32:
        image = rng.random(shape, np.float32)
    else:
        image = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    before = image.copy()
    output = identity()(image)
    assert (output.shape, output.dtype) == (image.shape, image.dtype)
    assert np.allclose(output, image, atol=1e-6, rtol=0) if dtype is np.float32 else np.array_equal(output, image)
    assert np.array_equal(image, before)


def test_noise_goes(rng: np.random.Generator) -> None:
    clean, noisy = astronaut(rng)
    output = packaged()(noisy)
    assert psnr(output, clean) > psnr(noisy, clean) + 6
    assert output.dtype == np.float32
    assert output.min() >= 0
    assert output.max() <= 1
    eight = packaged()((noisy.clip(0, 1) * 255).round().astype(np.uint8))
    assert psnr(eight / 255, clean) > psnr(noisy.clip(0, 1), clean) + 5


@pytest.mark.slow
def test_the_self_ensemble_is_better_and_turns_with_the_picture(rng: np.random.Generator) -> None:
    model = DenoisingUNet.from_pretrained(PACKAGED)
    eight = Denoiser(model, device="cpu", precision="float32", self_ensemble=True)
    clean, noisy = astronaut(rng)
    result = eight(noisy)
    assert psnr(result, clean) > psnr(packaged()(noisy), clean) + 0.03
    # By far less than a network alone, whose strides and tiles begin at one corner.
    for turn in (lambda image: np.rot90(image), lambda image: image[:, ::-1], lambda image: image.swapaxes(0, 1)):
        assert np.abs(eight(turn(noisy).copy()) - turn(result)).max() < 1e-5
    clean, noisy = astronaut(rng, size=277)
    tiled = Denoiser(model, device="cpu", precision="float32", self_ensemble=True, tile=64)
    assert tiled.tiles(277, 277) > 1
    assert np.abs(tiled(noisy) - eight(noisy)).max() < 1 / 255


def test_strength_blends_and_blend_does_it_again_without_the_network(tmp_path: Path, rng: np.random.Generator) -> None:
    _, noisy = astronaut(rng, size=48)
    full, half, none = (packaged()(noisy, strength=strength) for strength in (1, 0.5, 0))
    assert np.array_equal(none, noisy.clip(0, 1))
    unclipped = (noisy > 0.1) & (noisy < 0.9) & (full > 0.02) & (full < 0.98)
    assert np.allclose(half[unclipped], ((noisy + full) / 2)[unclipped], atol=1e-5)
    eight = (noisy.clip(0, 1) * 255).round().astype(np.uint8)
    clean = packaged()(eight)
    assert np.array_equal(blend(eight, clean, 0), eight)
    assert np.array_equal(blend(eight, clean, 1), clean)
    difference = blend(eight, clean, 0.3).astype(int) - packaged()(eight, strength=0.3)
    assert np.abs(difference).max() <= 1
    Image.fromarray(eight).save(tmp_path / "in.png")
    before = read_image(tmp_path / "in.png")
    after = packaged().picture(before)
    assert np.array_equal(blend_pictures(before, after, 0.3).planes[0], blend(eight, clean, 0.3))


BAD_ARRAYS = {
    "NaN": np.array([[0.5, np.nan]]),
    "infinite": np.array([[0.5, np.inf]]),
    "scale": np.full((4, 4, 3), 128.0),
    "int64": np.zeros((4, 4), np.int64),
    "bool": np.zeros((4, 4), bool),
    r"\(4, 4, 2\)": np.zeros((4, 4, 2), np.uint8),
    r"\(2, 4, 4, 3\)": np.zeros((2, 4, 4, 3), np.uint8),
    r"\(0, 4, 3\)": np.zeros((0, 4, 3), np.uint8),
}


@pytest.mark.parametrize("reason", BAD_ARRAYS)
def test_bad_arrays_are_one_sentence(reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        identity()(BAD_ARRAYS[reason])


def test_bad_options_are_one_sentence(tmp_path: Path) -> None:
    model = identity().model
    for strength in (-0.1, 1.01, float("nan")):
        with pytest.raises(UserError, match="strength"):
            identity()(np.zeros((4, 4), np.uint8), strength=strength)
    with pytest.raises(UserError, match="tile"):
        Denoiser(model, tile=0)
    with pytest.raises(UserError, match="precision"):
        Denoiser(model, precision="float8")
    with pytest.raises(UserError, match="device 'cuda:7'"):
        Denoiser(model, device="cuda:7")
    with pytest.raises(UserError, match="device 'toaster'"):
        Denoiser(model, device="toaster")
    with pytest.raises(UserError, match="dict"):
        identity()({})
    with pytest.raises(UserError, match=r"a\.jpg.*transparency"):
        Image.new("RGBA", (4, 4)).save(tmp_path / "a.png")
        identity().file(tmp_path / "a.png", tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["no/such/folder", "nobody/nothing", "bad id!"])
def test_a_model_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(UserError, match=name):
        Denoiser.from_pretrained(name)


def test_bfloat16_is_close_to_float32(rng: np.random.Generator) -> None:
    clean, noisy = astronaut(rng)
    half = Denoiser(packaged().model, device="cpu", precision="bfloat16")(noisy)
    assert abs(psnr(half, clean) - psnr(packaged()(noisy), clean)) < 0.05
    assert packaged()(noisy).dtype == half.dtype == np.float32


def test_a_saved_model_loads_from_its_folder(tmp_path: Path, rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    model = DenoisingUNet(**SMALL)
    torch.nn.init.normal_(model.head.weight, std=0.05)
    model.save_pretrained(tmp_path / "model")
    image = rng.random((40, 50, 3), np.float32)
    expected = Denoiser(model, device="cpu")(image)
    assert not np.array_equal(expected, image)
    assert np.array_equal(Denoiser.from_pretrained(tmp_path / "model", device="cpu")(image), expected)
