import math

import numpy as np
import pytest
import skimage.data

from hf_denoise.errors import UserError
from hf_denoise.metrics.quality import psnr
from hf_denoise.noise.degradations import MIXTURE, NOISE_KINDS, parse_degradation

CLEAN = skimage.data.astronaut()[:128, :128].astype(np.float32) / 255
SPECS = [
    "gaussian:25",
    "poisson-gaussian:25",
    "speckle:25",
    "salt-pepper:5",
    "jpeg:30",
    "camera:12",
    "grain:12",
    "identity:85-98",
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
    assert psnr(first, CLEAN) > 10


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


def test_only_a_camera_and_a_file_change_the_target():
    for spec in SPECS:
        if not any(name in spec for name in ("camera", "jpeg", "identity", "mixture")):
            assert parse_degradation(spec).pair(CLEAN, rng())[1] is CLEAN
    pairs = [parse_degradation("camera:5+gaussian:5").pair(CLEAN, rng(seed)) for seed in range(10)]
    assert np.mean([psnr(degraded, target) - psnr(degraded, CLEAN) for degraded, target in pairs]) > 1


def test_grain_has_its_strength_and_grows_with_the_signal():
    grey = np.full((160, 160, 3), 0.5, np.float32)
    spreads = [255 * float((parse_degradation("grain:8")(grey, rng(seed)) - grey).std()) for seed in range(60)]
    # 8 * ((1 - b) + 1.4 b sqrt(0.5)) with b from 0 to 1 lies between 8 and 7.92 at this brightness
    assert np.mean(spreads) == pytest.approx(7.96, rel=0.04)
    halves = np.concatenate([np.full((160, 80, 3), 0.16, np.float32), np.full((160, 80, 3), 0.81, np.float32)], axis=1)
    ratios = []
    for seed in range(60):
        noise = parse_degradation("grain:8")(halves, rng(seed)) - halves
        ratios.append(noise[:, 80:].std() / noise[:, :80].std())
    expected = [(1 - b + 1.4 * b * 0.9) / (1 - b + 1.4 * b * 0.4) for b in np.linspace(0, 1, 100)]
    assert np.mean(ratios) == pytest.approx(np.mean(expected), rel=0.1)
    assert min(ratios) < 1.2 and max(ratios) > 1.8  # b is drawn anew for every picture


def test_grain_is_correlated_in_space_and_between_channels_as_drawn_anew():
    grey = np.full((128, 128, 3), 0.5, np.float32)
    neighbours, channels = [], []
    for seed in range(80):
        noise = parse_degradation("grain:20")(grey, rng(seed)) - grey
        neighbours.append(np.corrcoef(noise[:, 1:, 0].ravel(), noise[:, :-1, 0].ravel())[0, 1])
        channels.append(np.corrcoef(noise[..., 0].ravel(), noise[..., 2].ravel())[0, 1])
    # White noise under a Gaussian of sigma s has the correlation exp(-1 / 4 s^2) between neighbours.
    assert min(neighbours) < 0.15 and max(neighbours) == pytest.approx(math.exp(-1 / (4 * 1.4**2)), abs=0.08)
    assert np.mean(channels) == pytest.approx(0.5, abs=0.1) and min(channels) < 0.1 and max(channels) > 0.9


def test_strengths_of_grain_are_drawn_by_ratio():
    grey = np.full((48, 48, 3), 0.5, np.float32)
    spreads = [255 * float((parse_degradation("grain:1-25")(grey, rng(seed)) - grey).std()) for seed in range(300)]
    assert np.median(spreads) == pytest.approx(5, rel=0.25)  # the geometric mean; uniformly drawn it would be 13


def test_grain_and_jpeg_are_what_8_bits_hold():
    for spec in ("grain:12", "grain:12+jpeg:80", "jpeg:90"):
        noisy = parse_degradation(spec)(CLEAN, rng()) * 255
        assert np.allclose(noisy, np.round(noisy), atol=1e-3) and noisy.min() >= 0 and noisy.max() <= 255


def test_the_target_of_a_jpeg_keeps_the_colour_that_the_file_can_hold():
    stripes = np.zeros((64, 64, 3), np.float32)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 1  # red and blue in turn: 4:2:0 knows only their mean
    subsampled = 0
    for seed in range(60):
        degraded, target = parse_degradation("jpeg:95").pair(stripes, rng(seed))
        if target is stripes:
            assert psnr(degraded, stripes) > 25
        else:
            subsampled += 1
            assert abs(target[..., 0].mean() - 0.5) < 0.1 and target[16:48, 16:48, 0].std() < 0.3
            assert psnr(degraded, target) > psnr(degraded, stripes) + 10
    assert 30 < subsampled < 54  # 70 % of files
    grey = CLEAN.mean(axis=2, keepdims=True)
    assert parse_degradation("jpeg:80").pair(grey, rng())[1] is grey  # a grey file has no colour to lose


def test_identity_comes_back_as_it_is():
    untouched = 0
    for seed in range(60):
        degraded, target = parse_degradation("identity:85-98").pair(CLEAN, rng(seed))
        assert degraded is target
        untouched += degraded is CLEAN
        assert psnr(degraded, CLEAN) > 25
    assert 18 < untouched < 42


@pytest.mark.parametrize("spec", SPECS)
def test_a_grey_picture_of_one_channel_gets_noise_of_one(spec):
    grey = CLEAN.mean(axis=2, keepdims=True)
    for seed in range(5):
        degraded, target = parse_degradation(spec).pair(grey, rng(seed))
        assert degraded.shape == target.shape == grey.shape and degraded.dtype == np.float32


def test_the_mixture_draws_its_kinds_by_their_weights():
    drawn = parse_degradation("mixture")
    shares = dict.fromkeys(NOISE_KINDS, 0.0)
    for chain, weight in zip(drawn.alternatives, drawn.weights, strict=True):
        for kind, _, _ in chain:
            shares[kind] += weight / sum(drawn.weights)
    assert shares["identity"] == pytest.approx(4 / 89) and shares["grain"] == pytest.approx(8 / 89)
    assert shares["camera"] == pytest.approx(16 / 89) and shares["jpeg"] == pytest.approx(16 / 89)


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
        "grain:0-5",
        "identity",
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
    for name, kind in NOISE_KINDS.items():
        for strength in (kind.minimum, kind.maximum):
            degraded = parse_degradation(f"{name}:{strength}")(CLEAN, rng())
            assert np.isfinite(degraded).all(), (name, strength)
