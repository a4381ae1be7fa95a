"""Whatever people give comes back as the same kind: tensors, batches, lists, arrays of any layout and byte order."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from torch import Tensor

from hf_denoise import Denoiser
from hf_denoise.errors import UserError

SIDE = 96

pytestmark = pytest.mark.usefixtures("few_probes")


@cache
def packaged() -> Denoiser:
    return Denoiser.from_pretrained(engine="torch", precision="float32", device="cpu")


@cache
def noisy() -> NDArray[np.uint8]:
    clean = data.astronaut()[20 : 20 + SIDE, 160 : 168 + SIDE]
    noise = np.random.default_rng(0).normal(0, 20, clean.shape)
    return np.rint((clean + noise).clip(0, 255)).astype(np.uint8)


@cache
def cleaned() -> NDArray[np.uint8]:
    return packaged()(noisy())


@cache
def cleaned_floats() -> NDArray[np.float32]:
    return packaged()(floats())


def floats() -> NDArray[np.float32]:
    return (noisy() / 255).astype(np.float32)


def mask() -> NDArray[np.bool_]:
    found = np.zeros(noisy().shape[:2], bool)
    found[30:50, 40:60] = True
    return found


def tensor(image: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0)))


def array(image: Tensor) -> NDArray[Any]:
    return np.moveaxis(image.numpy(), 0, -1)


@pytest.mark.parametrize(
    "dtype, tolerance",
    [(torch.float32, 0), (torch.float64, 1e-6), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)],
)
def test_a_tensor_of_floats_comes_back_as_one_of_its_kind(dtype: torch.dtype, tolerance: float) -> None:
    given = tensor(floats()).to(dtype)
    before = given.clone()
    result = packaged()(given)
    assert (result.shape, result.dtype, result.device) == (given.shape, dtype, given.device)
    assert np.abs(array(result.float()) - cleaned_floats()).max() <= tolerance
    assert torch.equal(given, before)


def test_a_tensor_of_bytes_is_denoised_as_an_array_of_them() -> None:
    result = packaged()(tensor(noisy()))
    assert result.dtype == torch.uint8
    assert np.array_equal(array(result), cleaned())
    assert packaged()(torch.zeros(1, 4, 5, dtype=torch.uint16)).dtype == torch.uint16


def test_gradients_are_off() -> None:
    result = packaged()(torch.nn.Parameter(tensor(floats())))
    assert type(result) is Tensor
    assert not result.requires_grad
    assert np.array_equal(array(result), cleaned_floats())


def test_a_picture_of_a_batch_is_denoised_as_if_it_were_alone() -> None:
    still = torch.full((3, SIDE, SIDE + 8), 0.5)
    batch = torch.stack([tensor(floats()), still, tensor(floats()).flip(-1)])
    for given in (batch, batch.to(memory_format=torch.channels_last)):
        result = packaged()(given)
        assert result.shape == batch.shape
        for picture, expected in zip(result, batch, strict=True):
            assert torch.equal(picture, packaged()(expected))


def test_grey_tensors_and_those_with_alpha() -> None:
    grey = tensor(floats())[:1]
    expected = packaged()(floats()[..., 0])
    assert np.array_equal(packaged()(grey)[0].numpy(), expected)
    assert np.array_equal(packaged()(grey[0]).numpy(), expected)
    assert np.array_equal(packaged()(grey[None])[0, 0].numpy(), expected)
    alpha = torch.linspace(0.1, 1, SIDE).expand(SIDE + 8, SIDE).T[None]
    result = packaged()(torch.cat([tensor(floats()), alpha]))
    assert torch.equal(result[3:], alpha)
    assert np.array_equal(array(result[:3]), cleaned_floats())


BAD_TENSORS = {
    "int64; convert it to float": torch.zeros(3, 4, 4, dtype=torch.int64),
    "tensor of bool": torch.zeros(3, 4, 4, dtype=torch.bool),
    r"shape \(5,\); it must be": torch.zeros(5),
    r"shape \(3, 0, 4\)": torch.zeros(3, 0, 4),
    r"shape \(0, 3, 4, 4\)": torch.zeros(0, 3, 4, 4),
    r"shape \(64, 48, 3\).*movedim\(-1, -3\)": torch.zeros(64, 48, 3),
    r"shape \(2, 64, 48, 3\).*movedim\(-1, -3\)": torch.zeros(2, 64, 48, 3),
    "sparse": torch.zeros(3, 4, 4).to_sparse(),
    "meta": torch.zeros(3, 4, 4, device="meta"),
    "the tensor holds NaN": torch.full((3, 4, 4), torch.nan),
    "the tensor holds values from 0 to 128": torch.full((3, 4, 4), 128.0),
    "picture 2 of 2: the tensor holds NaN": torch.stack([torch.zeros(3, 4, 4), torch.full((3, 4, 4), torch.nan)]),
}


@pytest.mark.parametrize("reason", BAD_TENSORS)
def test_bad_tensors_are_one_sentence(reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        packaged()(BAD_TENSORS[reason])


def test_a_list_of_any_kinds_gives_a_list_of_these(tmp_path: Any) -> None:
    image = Image.fromarray(noisy())
    image.save(tmp_path / "noisy.png")
    steps: list[tuple[int, int]] = []
    results = packaged()(
        [noisy(), tensor(noisy()), image, tmp_path / "noisy.png", floats()], progress=lambda *step: steps.append(step)
    )
    assert [type(result) for result in results] == [np.ndarray, Tensor, Image.Image, Image.Image, np.ndarray]
    for found in (results[0], array(results[1]), np.asarray(results[2]), np.asarray(results[3])):
        assert np.array_equal(found, cleaned())
    assert np.array_equal(results[4], cleaned_floats())
    assert steps == [(done, 5) for done in range(1, 6)]
    assert packaged()([]) == []
    assert isinstance(packaged()((noisy(),)), list)


def test_what_is_wrong_in_a_list_is_named() -> None:
    with pytest.raises(UserError, match=r"picture 2 of 2: 'no\.png' does not exist"):
        packaged()([noisy(), "no.png"])
    with pytest.raises(UserError, match=r"picture 1 of 1: cannot denoise a list; .* a flat list of these"):
        packaged()([[noisy()]])


@pytest.mark.parametrize("dtype", [">u2", ">f2", ">f4", ">f8"])
def test_big_endian_arrays_are_converted(dtype: str) -> None:
    full = 65535 if "u" in dtype else 1
    given = (floats() * full).astype(dtype)
    result = packaged()(given)
    assert result.dtype.isnative
    assert np.array_equal(result, packaged()(given.astype(given.dtype.newbyteorder("="))))


def test_masked_arrays_are_one_sentence() -> None:
    given = np.ma.MaskedArray(floats(), mask=floats() > 0.5)
    with pytest.raises(UserError, match=r"masked array.*filled\(\)"):
        packaged()(given)
    with pytest.raises(UserError, match=r"masked array.*filled\(\)"):
        packaged().probe(given)
    with pytest.raises(UserError, match="mask to protect is a masked array"):
        packaged()(noisy(), protect=np.ma.MaskedArray(mask(), mask=mask()))


VIEWS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "upside down": lambda image: image[::-1],
    "mirrored": lambda image: image[:, ::-1],
    "BGR": lambda image: image[..., ::-1],
    "every other": lambda image: image[::2, ::3],
    "by columns": np.asfortranarray,
    "repeated": lambda image: np.broadcast_to(image[:1], image.shape),
    "matrix": lambda image: np.asmatrix(image[..., 0]),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("strength", [0, 0.5, 1])
def test_layout_in_memory_does_not_matter(view: str, strength: float) -> None:
    given = VIEWS[view](noisy().copy())
    expected = packaged()(np.array(given, order="C", subok=False), strength)
    given.flags.writeable = False
    result = packaged()(given, strength)
    assert type(result) is np.ndarray
    assert result.flags.writeable and not np.shares_memory(result, given)
    assert np.array_equal(result, expected)


def test_a_mask_may_be_a_tensor() -> None:
    expected = packaged()(noisy(), protect=mask())
    assert not np.array_equal(expected, cleaned())
    place = torch.from_numpy(mask())
    for given in (place, place[None], place.bfloat16(), place.byte().expand(3, -1, -1) * 255):
        assert np.array_equal(packaged()(noisy(), protect=given), expected)
    assert np.array_equal(array(packaged()(tensor(noisy()), protect=place)), expected)


def test_pictures_of_a_list_or_batch_have_a_mask_for_all_or_one_each() -> None:
    protected = packaged()(noisy(), protect=mask())
    for masks, expected in ((mask(), [protected, protected]), ([mask(), None], [protected, cleaned()])):
        assert np.array_equal(packaged()([noisy(), noisy()], protect=masks), expected)
    batch = torch.stack([tensor(noisy())] * 2)
    place = torch.from_numpy(mask())
    for places in (torch.stack([place, ~place]), torch.stack([place, ~place])[:, None]):
        result = packaged()(batch, protect=places)
        assert np.array_equal(array(result[0]), protected)
        assert np.array_equal(array(result[1]), packaged()(noisy(), protect=~mask()))
    with pytest.raises(UserError, match="1 masks to protect for 2 pictures"):
        packaged()([noisy(), noisy()], protect=[mask()])
    with pytest.raises(UserError, match="picture 2 of 2: the mask to protect has 104x5 pixels"):
        packaged()([noisy(), noisy()], protect=[mask(), mask()[:5]])


def test_the_strength_holds_for_all() -> None:
    half = packaged()(noisy(), 0.5)
    assert np.array_equal(packaged()([noisy(), noisy()], 0.5), [half, half])
    assert np.array_equal(array(packaged()(tensor(noisy()), 0.5)), half)


@pytest.mark.slow
def test_auto_decides_for_each() -> None:
    strong = np.random.default_rng(0).normal(128, 50, noisy().shape).clip(0, 255).astype(np.uint8)
    results = packaged()(torch.stack([tensor(strong), tensor(noisy())]), "auto", keep=15)
    assert np.array_equal(array(results[0]), packaged()(strong, "auto", keep=15))
    assert not np.array_equal(array(results[0]), packaged()(strong))
    assert np.array_equal(array(results[1]), cleaned())  # of little noise all may go


@pytest.mark.slow
def test_a_probe_takes_one_tensor() -> None:
    given = tensor(noisy())
    expected = packaged().probe(noisy(), contrasts=[30])
    assert np.array_equal(packaged().probe(given, contrasts=[30]).responses.value, expected.responses.value)
    with pytest.raises(UserError, match="batch of 2 pictures"):
        packaged().probe(torch.stack([given, given]))
