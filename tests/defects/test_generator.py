"""Defects are drawn where the mask says, and nowhere else."""

import numpy as np
import pytest
from skimage import data
from skimage.measure import label, regionprops

from hf_denoise.defects.drawing import shade
from hf_denoise.defects.foreground import EDGE, foreground
from hf_denoise.defects.generator import DEFECT_KINDS, SMALLEST_SIDE, draw_defects
from hf_denoise.errors import UserError


def photo() -> np.ndarray:
    return data.astronaut()[:200, 100:340].astype(np.float32) / np.float32(255)


def flat(level: float, height: int = 64, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), level, np.float32)


def change(image: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """The largest change of a pixel, in levels of 255, after rounding to 8 bits."""
    return np.abs(np.rint(image * 255) - np.rint(clean * 255)).max(axis=2)


@pytest.mark.parametrize("kind", DEFECT_KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_the_mask_is_exact(kind, seed):
    clean = photo()
    before = clean.copy()
    image, mask = draw_defects(clean, kind, np.random.default_rng(seed))
    assert np.array_equal(clean, before)
    assert image.shape == clean.shape and image.dtype == np.float32 and mask.dtype == bool
    assert image.min() >= 0 and image.max() <= 1
    assert np.array_equal(image[~mask], clean[~mask])
    assert change(image, clean)[mask].min() >= 2
    assert 0 < mask.mean() < 0.15  # small: most of the photograph is as it was


@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_the_generator_decides(kind):
    clean = photo()
    first, again, other = (draw_defects(clean, kind, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_a_grey_picture_stays_grey(kind):
    grey = photo().mean(axis=2, keepdims=True).repeat(3, axis=2)
    for seed in range(5):
        image, _ = draw_defects(grey, kind, np.random.default_rng(seed))
        assert (np.ptp(image, axis=2) == 0).all()


@pytest.mark.parametrize("kind", DEFECT_KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 7), (8, 8), (9, 61), (120, 8), (31, 33)])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_any_size_and_ground(kind, shape, level):
    for seed in range(3):
        clean = flat(level, *shape)
        image, mask = draw_defects(clean, kind, np.random.default_rng(seed))
        assert mask.any() == (min(shape) >= SMALLEST_SIDE)
        assert np.array_equal(image[~mask], clean[~mask])
        assert (change(image, clean)[mask] >= 2).all()


@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_from_faint_to_strong(kind):
    strongest = [change(*pair).max() for pair in drawn(kind, 40, 0.5)]
    assert min(strongest) < 40
    assert max(strongest) > (35 if kind == "stain" else 80)


def drawn(kind: str, count: int, level: float) -> list[tuple[np.ndarray, np.ndarray]]:
    clean = flat(level, 160, 200)
    return [(draw_defects(clean, kind, np.random.default_rng(seed))[0], clean) for seed in range(count)]


def median_of_largest(kind: str, measure) -> float:
    """A measure of the largest region of the mask, over many drawings."""
    values = []
    for image, clean in drawn(kind, 21, 0.5):
        regions = regionprops(label(change(image, clean) >= 2, connectivity=2))
        values.append(measure(max(regions, key=lambda region: region.area)))
    return float(np.median(values))


@pytest.mark.slow
def test_kinds_look_different():
    def slender(region):
        return region.axis_major_length / max(region.axis_minor_length, 1)

    def jagged(region):  # how much of its convex hull a line leaves empty: none where it is straight
        return 1 - region.solidity

    assert median_of_largest("scratch", slender) > 8
    assert median_of_largest("pit", slender) < 3
    assert median_of_largest("stain", slender) < 3
    assert median_of_largest("crack", jagged) > 0.5 > median_of_largest("pit", jagged)
    assert median_of_largest("stain", lambda r: r.area) > 4 * median_of_largest("pit", lambda r: r.area)


def test_dead_rows_are_rows_or_columns():
    directions = set()
    for image, clean in drawn("dead-row", 20, 0.5):
        for region in regionprops(label(change(image, clean) >= 2, connectivity=1)):
            height, width = np.subtract(region.bbox[2:], region.bbox[:2])
            if region.area == height * width:  # not a crossing of two
                assert min(height, width) <= 4 and max(height, width) >= 30
                directions.add(height > width)
    assert directions == {True, False}


def test_cracks_and_pits_are_dark_on_a_bright_ground():
    for kind in ("crack", "pit"):
        for image, clean in drawn(kind, 10, 0.6):
            assert (image - clean).sum() < 0


def test_texture_stays_visible_below_a_stain():
    clean = flat(0.5, 160, 200)
    clean += np.random.default_rng(0).normal(0, 0.02, clean.shape[:2]).astype(np.float32)[..., None]
    for seed in range(10):
        image, mask = draw_defects(clean, "stain", np.random.default_rng(seed))
        below = np.diff(clean, axis=1)[mask[:, 1:] & mask[:, :-1]].ravel()
        above = np.diff(image, axis=1)[mask[:, 1:] & mask[:, :-1]].ravel()
        assert np.corrcoef(below, above)[0, 1] > 0.5


def test_stains_may_tint_a_colour_photograph():
    clean = photo()
    tints = []
    for seed in range(12):
        image, mask = draw_defects(clean, "stain", np.random.default_rng(seed))
        share = image[mask].mean(axis=0) / clean[mask].mean(axis=0)
        tints.append(np.ptp(share))
    assert max(tints) > 0.03


def two_objects(height: int = 150, width: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bright ground with a dark square and a dark stripe, and where they are."""
    square, stripe = np.zeros((2, height, width), bool)
    square[30:120, 20:110] = True
    stripe[20:130, 140:170] = True
    image = np.where((square | stripe)[..., None], 0.35, 0.9)
    image = image + np.random.default_rng(0).normal(0, 0.01, (height, width, 1))
    return image.repeat(3, axis=2).astype(np.float32), square, stripe


@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_a_defect_stays_on_the_surface_it_began_on_and_a_dead_row_does_not(kind):
    clean, square, stripe = two_objects()
    places = {"square": 0, "stripe": 0, "ground": 0}
    for seed in range(12):
        _, mask = draw_defects(clean, kind, np.random.default_rng(seed), inside=square | stripe)
        for name, region in (("square", square), ("stripe", stripe), ("ground", ~(square | stripe))):
            places[name] += bool((mask & region).any())
    assert (places["ground"] > 0) == (kind == "dead-row")
    assert places["square"] > 3 and places["stripe"] > 0


def test_objects_are_found_on_a_plain_ground_and_what_fills_the_picture_is_all_surface():
    image, square, stripe = two_objects()
    found, objects = foreground(image), square | stripe
    assert not (found & ~objects).any()
    assert found[30 + EDGE + 1 : 120 - EDGE - 1, 20 + EDGE + 1 : 110 - EDGE - 1].all()
    patches = np.kron(np.random.default_rng(0).random((20, 24, 3)), np.ones((8, 8, 1))).astype(np.float32)
    for everywhere in (patches, flat(0.5), image[40:110, 25:100], flat(0.5, 8, 8)):
        assert foreground(everywhere).all()


@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_contrast_is_what_was_asked_for(kind):
    clean = photo()
    strengths = []
    for seed in range(10):
        image, mask = draw_defects(clean, kind, np.random.default_rng(seed), contrast=(40, 80))
        levels = np.abs((image - clean).mean(axis=2)[mask]) * 255
        strengths.append(np.percentile(levels, 95))
        assert image.min() >= 0 and image.max() <= 1 and np.array_equal(image[~mask], clean[~mask])
    assert min(strengths) > 30 and max(strengths) < 110  # of up to three defects together, which may cross
    assert np.ptp(strengths) > 10


def test_strength_follows_the_texture_along_a_defect():
    """A stain that lies half on smooth and half on rough ground is stronger on the rough half."""
    clean = flat(0.5, 120, 160)
    clean[:, 80:] += np.random.default_rng(0).choice([-0.12, 0.12], (120, 80, 1)).astype(np.float32)
    core = np.zeros((120, 160), np.float32)
    core[40:80, 40:120] = 1
    shaded = shade(clean, core, np.zeros_like(core), 0.05, True)
    share = 1 - (shaded / clean).mean(axis=2)
    assert share[40:80, 40:60].mean() == pytest.approx(0.1, abs=0.01)
    assert share[40:80, 100:120].mean() > 3 * share[40:80, 40:60].mean()


def test_an_unknown_kind_is_refused():
    with pytest.raises(UserError, match=r"'dent'.*scratch"):
        draw_defects(photo(), "dent", np.random.default_rng(0))
