"""What was removed as a picture: mid-grey plus 4 times the difference."""

import numpy as np
import pytest

from hf_denoise.imaging.formats import Header
from hf_denoise.imaging.picture import Picture
from hf_denoise.inference.removed import difference, removed_view, view_picture


def test_the_view_is_grey_plus_a_fixed_multiple() -> None:
    removed = np.array([[[0.0, 0.05, -0.05]], [[1.0, -1.0, 0.125]]])
    assert removed_view(removed) == pytest.approx(np.array([[[0.5, 0.7, 0.3]], [[1, 0, 1]]]))
    assert removed_view(removed, gain=1)[0, 0] == pytest.approx([0.5, 0.55, 0.45])
    assert removed_view(np.full((4, 5), 0.1, np.float16)).shape == (4, 5, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(600, 20), (600, 20, 3)])
def test_difference_of_pictures(rng: np.random.Generator, dtype: type, shape: tuple[int, ...]) -> None:
    full = 1 if dtype is np.float32 else np.iinfo(dtype).max
    before, after = (rng.uniform(0.4, 0.6, (2, *shape)) * full).astype(dtype)
    header = Header("TIFF", "L" if len(shape) == 2 else "RGB", np.dtype(dtype), (20, 600))
    noisy, clean = Picture(header, (before,)), Picture(header, (after,))
    removed = difference(noisy, clean)
    assert removed.shape == shape
    assert removed == pytest.approx((before.astype(float) - after) / full, abs=2e-4)
    view = view_picture(removed, noisy)
    assert (view.header.size, view.planes[0].dtype) == ((20, 600), np.uint8)
    assert view.rgb == pytest.approx(removed_view(removed), abs=0.6 / 255)


def test_the_input_is_left_alone(rng: np.random.Generator) -> None:
    removed = rng.normal(0, 0.1, (80, 90, 3))
    before = removed.copy()
    removed_view(removed)
    assert np.array_equal(removed, before)
