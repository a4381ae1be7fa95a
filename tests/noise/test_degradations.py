import math

import numpy as np
import pytest
import skimage.data

from hf_denoise.errors import UserError
from hf_denoise.metrics.quality import psnr
from hf_denoise.noise.degradations import KINDS, MIXTURE, parse_degradation

CLEAN = skimage.data.astronaut()[:128, :128].astype(np.float32) / 255
SPECS = [
    "gaussian:25",
    "poisson-gaussian:25",
    "speckle:25",
    "salt-pepper:5",
    "jpeg:30",
    "camera:12",
    "mixture",
    "gaussian:5+jpeg:50",
]


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("spec", SPECS)
def test_same_generator_same_noise(spec):
    degrade = parse_degradation(spec)
    first, again = degrade(CLEAN, rng()), degrade(CLEAN, rng())
    assert first.dtype == np.float32 and first.shape == CLEAN.shape
    assert np.array_equal(first, again)
    assert 10 < psnr(first, CLEAN) < 60


def test_gaussian_has_its_sigma_and_is_not_clipped():
    black = np.zeros((200, 200, 3), np.float32)
    noise = parse_degradation("gaussian:25")(black, rng())
    assert noise.std() * 255 == pytest.approx(25, rel=0.01)
    assert noise.min() < 0
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


def test_a_range_is_drawn_per_image():
    blind = parse_degradation("gaussian:0-55")
    black = np.zeros((64, 64, 3), np.float32)
    sigmas = [255 * float(blind(black, rng(seed)).std()) for seed in range(200)]
    assert min(sigmas) < 3 and max(sigmas) > 52
    assert np.mean(sigmas) == pytest.approx(27.5, abs=3)


def test_shot_noise_grows_with_the_signal():
    noise = lambda level: float(  # noqa: E731
        np.std(parse_degradation("poisson-gaussian:20")(np.full((200, 200, 3), level, np.float32), rng()))
    )
    read, shot = 5 / 255, 20 / 255
    for level in (0.0, 0.25, 1.0):
        assert noise(level) == pytest.approx(math.sqrt(shot**2 * level + read**2), rel=0.03)
    speckle = parse_degradation("speckle:20")(np.full((200, 200, 3), 0.5, np.float32), rng())
    assert speckle.std() * 255 == pytest.approx(10, rel=0.02)


def test_salt_and_pepper_hits_its_share_of_pixels():
    grey = np.full((300, 300, 3), 0.5, np.float32)
    noisy = parse_degradation("salt-pepper:10")(grey, rng())
    assert (noisy[..., 0] == 0).mean() == pytest.approx(0.05, abs=0.005)
    assert (noisy[..., 0] == 1).mean() == pytest.approx(0.05, abs=0.005)
    assert (noisy[..., 0] == noisy[..., 2]).all()


def test_chains_and_alternatives():
    both = parse_degradation("gaussian:20+jpeg:50")(CLEAN, rng())
    assert np.allclose(both * 255, np.round(both * 255), atol=1e-3)  # JPEG came last: 8-bit values
    either = parse_degradation("gaussian:0|salt-pepper:50")
    untouched = sum(np.array_equal(either(CLEAN, rng(seed)), CLEAN) for seed in range(100))
    assert 30 < untouched < 70


def test_alternatives_by_weight():
    often = parse_degradation("3*gaussian:0|salt-pepper:50")
    untouched = sum(np.array_equal(often(CLEAN, rng(seed)), CLEAN) for seed in range(200))
    assert 130 < untouched < 170


def test_the_mixture_is_one_among_others_and_a_step_of_a_chain():
    for seed in range(20):
        assert np.array_equal(
            parse_degradation("mixture")(CLEAN, rng(seed)), parse_degradation(MIXTURE)(CLEAN, rng(seed))
        )
    small = CLEAN[:32, :32]
    for spec, fewest, most in (("mixture|gaussian:0", 30, 70), ("9*gaussian:0 | mixture", 80, 98)):
        sometimes = parse_degradation(spec)
        assert fewest < sum(np.array_equal(sometimes(small, rng(seed)), small) for seed in range(100)) < most
    for seed in range(20):
        last = parse_degradation("mixture + jpeg:50")(small, rng(seed))
        assert np.allclose(last * 255, np.round(last * 255), atol=1e-3)  # 8-bit values, whatever came first


def test_only_a_camera_changes_the_target():
    for spec in SPECS:
        if spec not in ("camera:12", "mixture"):
            assert parse_degradation(spec).pair(CLEAN, rng())[1] is CLEAN
    pairs = [parse_degradation("camera:5+gaussian:5").pair(CLEAN, rng(seed)) for seed in range(10)]
    assert np.mean([psnr(degraded, target) - psnr(degraded, CLEAN) for degraded, target in pairs]) > 1


@pytest.mark.parametrize(
    "spec",
    [
        "gausian:25",
        "gaussian",
        "gaussian:x",
        "mixture:5",
        "|mixture",
        "gaussian:50-5",
        "salt-pepper:200",
        "jpeg:0",
        "",
        "x*gaussian:5",
        "0*gaussian:5",
        "-1*gaussian:5",
        "nan*gaussian:5",
        "*gaussian:5",
    ],
)
def test_bad_specs_are_one_sentence(spec):
    with pytest.raises(UserError, match="degradation"):
        parse_degradation(spec)


def test_every_kind_works_at_both_ends_of_its_range():
    for name, kind in KINDS.items():
        for strength in (kind.minimum, kind.maximum):
            degraded = parse_degradation(f"{name}:{strength}")(CLEAN, rng())
            assert np.isfinite(degraded).all(), (name, strength)
