"""The probe: what comes back of known small defects, from denoisers of which it is known what they keep."""

import csv
import io
from itertools import product

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage import data

from hf_denoise.defects.probes import BOX, LARGE_BOX, PROBE_KINDS
from hf_denoise.errors import UserError
from hf_denoise.probing.pictures import curves_picture, draw_curves, map_picture
from hf_denoise.probing.places import grid, parts
from hf_denoise.probing.report import ProbeReport, probe_plane
from hf_denoise.probing.responses import PIXELS, contrast_ladder, measure_responses
from hf_denoise.probing.survival import SurvivalCurve

Floats = NDArray[np.floating]


def noisy_picture(sigma: float = 20, shape: tuple[int, ...] = (200, 220), level: float = 0.5) -> NDArray[np.float32]:
    noise = np.random.default_rng(5).normal(0, sigma / 255, shape)
    return (level + noise).astype(np.float32)


def blurred(picture: Floats, width: float = 1.5) -> Floats:
    return gaussian_filter(picture, (width, width, 0)[: picture.ndim])


def test_what_is_left_alone_is_kept_and_what_is_flattened_is_lost() -> None:
    for picture in (noisy_picture(), noisy_picture(shape=(160, 180, 3))):
        kept = probe_plane(picture, lambda part: part, contrasts=[8, 30, 90])
        assert all(np.allclose(curve.share, 1, atol=1e-4) for curve in kept.curves.values())
        lost = probe_plane(picture, lambda part: np.full_like(part, 0.5), contrasts=[8, 30, 90])
        assert all(np.abs(curve.share).max() < 1e-4 for curve in lost.curves.values())
        assert list(kept.curves) == [kind.name for kind in PROBE_KINDS]


def test_a_linear_filter_keeps_what_its_kernel_says() -> None:
    report = probe_plane(noisy_picture(), blurred)
    rng = np.random.default_rng(1)
    for kind in PROBE_KINDS:
        expected = []
        for _ in range(50):
            shape = np.pad(kind.draw(rng), 12)
            expected.append(float((blurred(shape) * shape).sum() / (shape**2).sum()))
        # The same at every contrast; a neighbour's blurred edge adds a little.
        assert report.curve(kind.name).share == pytest.approx(np.median(expected), abs=0.05)


def test_a_wider_and_a_stronger_defect_survives_where_weak_signals_are_cut_off() -> None:
    def soft_threshold(part: Floats) -> Floats:
        smooth = blurred(part, 8)
        detail = blurred(part, 0.8) - smooth
        return smooth + np.sign(detail) * np.maximum(np.abs(detail) - 0.1, 0)

    report = probe_plane(noisy_picture(10), soft_threshold, contrasts=[10, 20, 40, 80, 120])
    for name in ("scratch 2 px", "pit 4 px", "crack"):
        share = report.curve(name).share
        assert share[0] < 0.15
        assert share[-1] > share[-2] + 0.05 > share[0] + 0.1
    limits = [report.curve(f"scratch {width} px").limit(0.3).value for width in (1, 2, 3)]
    assert limits == sorted(limits, reverse=True)
    assert report.curve("pit 2 px").limit(0.3).value > report.curve("pit 8 px").limit(0.3).value


def test_probes_are_small_centred_and_of_unit_contrast() -> None:
    rng = np.random.default_rng(0)
    for kind in PROBE_KINDS:
        for _ in range(40):
            shape = kind.draw(rng)
            assert shape.shape == (kind.box, kind.box)
            assert (shape.min(), shape.max()) == (0, 1)
            edge = np.concatenate([shape[0], shape[-1], shape[:, 0], shape[:, -1]])
            assert edge.max() < 0.1
            weight = shape / shape.sum()
            middle = (weight * np.indices(shape.shape)).sum(axis=(1, 2))
            assert np.abs(middle - kind.box // 2).max() < 0.15 * kind.box
    widths = {kind.name: np.mean([(kind.draw(rng) > 0.5).sum() for _ in range(30)]) for kind in PROBE_KINDS}
    assert widths["scratch 1 px"] < widths["scratch 2 px"] < widths["scratch 3 px"]
    assert widths["pit 2 px"] == pytest.approx(np.pi, rel=0.5)
    assert widths["pit 8 px"] == pytest.approx(np.pi * 16, rel=0.15)
    assert widths["stain 14 px"] == pytest.approx(np.pi * 49, rel=0.35)


@pytest.mark.parametrize("level", [0.03, 0.97])
def test_near_black_and_white_nothing_is_cut_off(level: float) -> None:
    """A bright defect has no room on white: it is dark there, and what clips does not count."""
    picture = noisy_picture(6, level=level).clip(0, 1)
    responses = measure_responses(picture, lambda part: part.clip(0, 1), contrasts=[10, 40, 80])
    assert np.allclose(responses.value, 1, atol=1e-4)
    strong = responses.contrast == 80
    assert (responses.bright[strong] == (level < 0.5)).all()
    weak = responses.bright[responses.contrast == 10]
    assert weak.any() and not weak.all()


def test_the_same_seed_gives_the_same_report() -> None:
    first, again, other = (
        measure_responses(noisy_picture(), blurred, seed=seed, contrasts=[20, 40]) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.value, again.value)
    assert np.array_equal(first.place, again.place)
    assert not np.array_equal(first.value[: len(other.value)], other.value[: len(first.value)])


def test_probes_do_not_touch_and_lie_inside() -> None:
    for seed, second, box in product(range(20), (False, True), (BOX, LARGE_BOX)):
        places = np.array(list(grid((300, 260), box, second, np.random.default_rng(seed))))
        assert (places >= box // 2).all()
        assert (places <= np.array((300, 260)) - 1 - box // 2).all()
        apart = np.abs(places[:, None] - places[None]).max(axis=2) + 1000 * np.eye(len(places))
        assert apart.min() > box


def test_of_a_large_picture_parts_of_all_its_brightnesses_are_probed() -> None:
    rng = np.random.default_rng(0)
    picture = np.empty((1200, 1600), np.uint8)
    picture[:, :800] = rng.normal(60, 4, (1200, 800)).clip(0, 255)
    picture[:, 800:] = rng.normal(180, 4, (1200, 800)).clip(0, 255)
    picture[:600] = (picture[:600] + rng.normal(0, 25, (600, 1600))).clip(0, 255)
    seen = [0]

    def count(part: Floats) -> Floats:
        seen[0] += part.size
        return part

    report = probe_plane(picture, count)
    assert seen[0] <= 1.15 * PIXELS
    means = [picture[box].mean() for box in report.responses.parts]
    spreads = [picture[box].std() for box in report.responses.parts]
    assert min(means) < 90 and max(means) > 150
    assert min(spreads) < 10 and max(spreads) > 20
    assert report.shifts.shape == (38, 50)


def test_steps_are_counted_to_the_last() -> None:
    steps: list[tuple[int, int]] = []
    probe_plane(
        noisy_picture(shape=(120, 120)), lambda part: part, progress=lambda done, total: steps.append((done, total))
    )
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert steps[-1] == (steps[0][1], steps[0][1])


def test_the_map_shows_where_less_is_kept() -> None:
    picture = noisy_picture(shape=(320, 320))

    def blurs_left(part: Floats) -> Floats:
        """Takes what is fainter than 40 grey levels away on the left, and than 10 on the right."""
        threshold = np.where(np.arange(part.shape[1]) < part.shape[1] // 2, 40, 10) / 255
        detail = part - 0.5
        return 0.5 + np.sign(detail) * np.maximum(np.abs(detail) - threshold, 0)

    report = probe_plane(picture, blurs_left)
    left, right = report.shifts[:, :4].mean(), report.shifts[:, 6:].mean()
    assert left > right + 0.4
    limits = report.limit_map(share=0.5)
    assert np.median(limits[:, :4]) > 1.3 * np.median(limits[:, 6:])
    view = map_picture(report, picture).astype(float)
    redness = view[..., 0] - view[..., 2]
    assert redness[:, :120].mean() > redness[:, 200:].mean() + 5


def test_limits_are_read_off_the_curve() -> None:
    kind = PROBE_KINDS[1]
    contrasts = np.array([5.0, 10, 20, 40, 80])
    share = np.array([0.1, 0.3, 0.2, 0.6, 1.0])  # it dips by chance
    curve = SurvivalCurve(kind, contrasts, share, share, share, np.full(5, 20))
    assert curve.rising.tolist() == pytest.approx([0.1, 0.25, 0.25, 0.6, 1.0])
    assert curve.limit(0.8).where == "at"
    assert curve.limit(0.8).contrast == pytest.approx(40 * 2**0.5)
    assert curve.limit(0.05).where == "below"
    faint = SurvivalCurve(kind, contrasts, share / 2, share, share, np.full(5, 20))
    assert (faint.limit(0.8).where, faint.limit(0.8).value) == ("above", float("inf"))
    assert float(curve.at(40)) == pytest.approx(0.6)


def test_sentences_say_what_is_known() -> None:
    def said(denoise: object, **options: object) -> str:
        return probe_plane(noisy_picture(), denoise, **options).sentence()  # type: ignore[arg-type]

    assert said(lambda part: part) == (
        "Scratches 2 px wide and 17 px long keep 80 % or more from 5.0 grey levels on, the faintest that were tried."
    )
    gone = said(lambda part: np.full_like(part, 0.5), contrasts=[8, 16, 32])
    assert gone.startswith(
        "Scratches 2 px wide and 17 px long lose more than 20 % up to 32 grey levels; more than half"
    )


def test_hits_are_listed_one_by_one() -> None:
    report = probe_plane(noisy_picture(), blurred, contrasts=[10, 40])
    rows = list(csv.DictReader(io.StringIO(report.hits_csv())))
    assert len(rows) == len(report.responses.value)
    for row in rows:
        assert row["hit"] == str(int(float(row["response"]) >= 0.5)) or abs(float(row["response"]) - 0.5) < 1e-3
    assert {row["kind"] for row in rows} == {kind.name for kind in PROBE_KINDS}
    assert {float(row["contrast"]) for row in rows} == {10, 40}


def test_a_picture_without_room_is_refused() -> None:
    with pytest.raises(UserError, match=r"40 x 24 pixels has too few places"):
        probe_plane(noisy_picture(shape=(24, 40)), lambda part: part)
    with pytest.raises(UserError, match=r"unknown kind of probe 'dent'; choose from scratch 1 px"):
        probe_plane(noisy_picture(), lambda part: part).curve("dent")


def test_contrasts_follow_the_noise() -> None:
    assert contrast_ladder(20)[[0, -1]] == pytest.approx([5, 160])
    assert contrast_ladder(0)[[0, -1]] == pytest.approx([0.5, 16])  # what nobody sees is not tried
    assert contrast_ladder(60)[-1] == pytest.approx(160)  # and neither is what has no room
    report = probe_plane(noisy_picture(12), lambda part: part)
    assert report.noise == pytest.approx(12, rel=0.1)


def test_small_pictures_and_photographs_have_places_of_every_kind() -> None:
    photograph = data.astronaut()[:128, :128]
    report: ProbeReport = probe_plane(photograph, lambda part: part)
    assert len(report.curves) == len(PROBE_KINDS)
    assert all((curve.places >= 5).all() for curve in report.curves.values())
    assert parts(photograph, np.random.default_rng(0)) == [(slice(0, 128), slice(0, 128))]


def test_every_kind_is_drawn_in_a_colour_of_its_own() -> None:
    report = probe_plane(noisy_picture(), blurred, contrasts=[10, 40])
    axes = Figure().subplots()
    draw_curves(axes, report.curves, bands=False)
    lines = {
        str(line.get_label()): line.get_color() for line in axes.lines if not str(line.get_label()).startswith("_")
    }
    assert list(lines) == [kind.name for kind in PROBE_KINDS]
    assert len(set(lines.values())) == len(lines)


def test_pictures_of_a_probe_can_be_drawn() -> None:
    report = probe_plane(noisy_picture(), blurred)
    assert curves_picture(report).size[0] > 600
    assert map_picture(report, noisy_picture()).shape == (200, 220, 3)
    for narrow in (False, True):
        drawn = np.asarray(curves_picture(report, narrow))
        assert (drawn[:, [0, 1, -2, -1]] == 255).all()  # no letter is cut off at the sides
