"""The structure in what was removed: 0 for every noise, and more the more of a defect went with it."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

from hf_denoise.metrics import structure as structure_module
from hf_denoise.metrics.structure import structure
from hf_denoise.noise.degradations import parse_degradation

Defect = Callable[[tuple[int, ...], float], np.ndarray]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def photo() -> np.ndarray:
    """(300, 400, 3) float32 in [0, 1], with bright and dark places, fine texture and bokeh."""
    return data.coffee()[50:350, 100:500].astype(np.float32) / 255


def scratch(shape: tuple[int, ...], contrast: float) -> np.ndarray:
    """A dark slanted line of 1.5 x 40 pixels in the middle, in levels of 255."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    y, x = y - shape[0] // 2, x - shape[1] // 2
    cover = (1.25 - np.abs(y - 0.5 * x)).clip(0, 1) * (20.5 - np.abs(x)).clip(0, 1)
    return (-contrast / 255 * cover[..., None]).astype(np.float32)


def pit(shape: tuple[int, ...], contrast: float) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    cover = (3.5 - np.hypot(y - shape[0] // 2, x - shape[1] // 2)).clip(0, 1)
    return (-contrast / 255 * cover[..., None]).astype(np.float32)


@pytest.mark.parametrize(
    "kind",
    [f"gaussian:{sigma}" for sigma in (2, 15, 25, 50, 75)]
    + [f"{kind}:{sigma}" for kind in ("poisson-gaussian", "speckle", "camera") for sigma in (5, 25)],
)
def test_noise_is_no_structure(kind: str) -> None:
    for seed in range(2):  # two cameras
        noisy, target = parse_degradation(kind).pair(photo(), np.random.default_rng(seed))
        assert structure(noisy - target) < 0.01


@pytest.mark.parametrize("reach", [0, 0.7, 1.5])
def test_grey_and_correlated_noise_is_no_structure(rng: np.random.Generator, reach: float) -> None:
    noise = gaussian_filter(rng.standard_normal((500, 500), dtype=np.float32), reach)
    noise *= np.float32(0.1) / noise.std()
    assert structure(noise) < 0.01
    assert structure(np.dstack([noise] * 3)) < 0.01


def test_noise_that_jumps_from_weak_to_strong_is_no_structure(rng: np.random.Generator) -> None:
    strength = np.full((256, 256), 0.01)
    strength[:, 128:] = 0.1
    strength[60:66, 60:66] = 0.1
    assert structure(strength * rng.standard_normal((256, 256))) < 0.01


@pytest.mark.parametrize(
    "shape", [(0, 7), (1, 1), (2, 300, 3), (15, 15, 3), (16, 16, 3), (31, 90), (40, 47, 3), (65, 64, 3), (130, 63)]
)
def test_pictures_of_any_size(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    assert structure(np.zeros(shape)) == 0
    assert 0 <= structure(rng.normal(0, 0.1, shape)) < 0.01


@pytest.mark.parametrize("defect", [scratch, pit])
@pytest.mark.parametrize("sigma", [15, 25])
def test_it_grows_as_more_of_a_defect_is_taken_away(defect: Defect, sigma: int) -> None:
    noise = np.random.default_rng(sigma).normal(0, sigma / 255, (300, 400, 3))
    numbers = [structure(noise + share * defect(noise.shape, 90)) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert numbers[0] < 0.01
    assert numbers == sorted(numbers)
    assert numbers[-1] > 0.2


def test_a_defect_counts_the_same_in_a_large_picture(rng: np.random.Generator) -> None:
    noise = rng.normal(0, 0.08, (1000, 1400, 3)).astype(np.float32)
    noise += pit(noise.shape, 80)
    large, small = structure(noise), structure(noise[400:600, 600:800])
    assert small > 0.3
    assert large == pytest.approx(small, abs=0.02)


def test_blurring_a_photograph_takes_more_structure_away_than_noise(rng: np.random.Generator) -> None:
    noisy = photo() + rng.normal(0, 0.06, photo().shape).astype(np.float32)
    assert structure(noisy - gaussian_filter(noisy, (1, 1, 0))) > 0.1
    assert structure(photo() - gaussian_filter(photo(), (2, 2, 0))) > 0.3
    assert structure(noisy - photo()) < 0.01


def test_structure_alone_is_near_1() -> None:
    step = np.zeros((200, 200))
    step[:, 100:] = 0.3
    assert structure(step - gaussian_filter(step, 3)) > 0.9


@pytest.mark.slow
def test_tiles_give_what_the_whole_gives(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = rng.normal(0, 0.06, (520, 700, 3)).astype(np.float32)
    for top, left in ((250, 254), (0, 0), (505, 690)):
        removed = noise.copy()
        removed[top : top + 12, left : left + 3] -= 0.3
        whole = structure(removed)
        with monkeypatch.context() as patch:
            patch.setattr(structure_module, "TILE", 256)
            assert structure(removed) == pytest.approx(whole, rel=1e-3)
        assert whole > 0.05


def test_the_input_is_left_alone(rng: np.random.Generator) -> None:
    removed = rng.normal(0, 0.1, (80, 90, 3))
    before = removed.copy()
    structure(removed)
    assert np.array_equal(removed, before)
