"""Means, medians, intervals and the gallery of the worst and best."""

import json
import math
import re

import numpy as np
import pytest
from report_rows import plate

from hf_denoise.evaluation.cases import CRITERIA, LARGEST_CROP, PICKS, Case, Gallery, crop_box, make_case
from hf_denoise.evaluation.report import best_methods
from hf_denoise.evaluation.summary import (
    INPUT,
    MODEL,
    Row,
    bootstrap_interval,
    jsonable,
    mean,
    measure_image,
    summarise,
    summarise_classes,
)
from hf_denoise.hub import tables
from hf_denoise.noise.degradations import parse_degradation


def row(image: str, method: str, **numbers: float) -> Row:
    nothing = dict.fromkeys(("psnr", "ssim", "defect_psnr", "contrast_kept", "structure", "clean_contrast"), math.nan)
    return Row(image=image, defect=None, degradation="", method=method, **{**nothing, **numbers})


def test_contrast_kept_is_summarised_by_the_median_and_counts_the_faded():
    kept = [1.0, 0.9, 0.95, 0.1, math.nan]
    rows = [row(str(n), method, psnr=20, contrast_kept=k) for n, k in enumerate(kept) for method in (INPUT, MODEL)]
    summary = summarise(rows)
    assert summary["contrast_kept"] == pytest.approx(0.925)
    assert (summary["faded"], summary["counts"]["contrast_kept"]) == (1, 4)
    assert summary["defect_psnr"] is None and summary["intervals"]["defect_psnr"] is None


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    for metric in ("psnr", "contrast_kept"):
        bounds = [bootstrap_interval(rng.normal(30, 2, 30).tolist(), metric) for _ in range(200)]
        assert None not in bounds
        assert 0.88 <= np.mean([low <= 30 <= high for low, high in filter(None, bounds)]) <= 0.99


def test_intervals_are_seeded_and_need_three_finite_values():
    assert bootstrap_interval([1.0, 2.0, 4.0], "psnr") == bootstrap_interval([1.0, 2.0, 4.0], "psnr")
    assert bootstrap_interval([5.0, 5.0, 5.0, math.nan], "psnr") == [5, 5]
    assert bootstrap_interval([1.0, 2.0, math.nan], "psnr") is None
    assert bootstrap_interval([1.0, 2.0, math.inf], "psnr") is None


def test_infinite_numbers_have_their_sign_and_the_largest_is_best():
    assert [tables.number(value, 1) for value in (math.inf, -math.inf, math.nan, 2.0)] == ["∞", "-∞", "-", "2.0"]
    peers = {name: {"psnr": value, "intervals": {}} for name, value in (("copy", math.inf), ("other", 40.0))}
    summary = {"psnr": 50.0, "intervals": {}, "peers": peers}
    assert best_methods(summary, [INPUT, MODEL, "copy", "other"], "psnr") == ["copy"]


def test_images_without_a_class_are_in_none():
    assert summarise_classes([row("a", method) for method in (INPUT, MODEL)]) == {}


def test_numbers_that_json_cannot_hold_become_null():
    clean = jsonable({"a": [math.inf, 1.0, {"b": math.nan}], "c": "inf"})
    assert json.dumps(clean, allow_nan=False) == '{"a": [null, 1.0, {"b": null}], "c": "inf"}'


def gallery_of(kept: list[float]) -> Gallery:
    """Images whose discs keep these shares of their contrast."""
    gallery = Gallery()
    for number, share in enumerate(kept):
        output, clean, mask = plate(share, seed=number)
        noisy = parse_degradation("gaussian:25")(clean, np.random.default_rng(number))
        outputs = {INPUT: noisy, MODEL: output}
        rows = {
            name: measure_image(picture, noisy, clean, mask, image=str(number)) for name, picture in outputs.items()
        }
        gallery.add(make_case(outputs, clean, mask, rows))
    return gallery


def test_the_worst_case_is_the_faded_defect_and_says_so():
    kept = [*np.linspace(0.8, 0.99, 9), 0.05, *np.linspace(0.81, 0.98, 9)]
    worst, best = gallery_of(kept).picks()
    assert (len(worst), len(best)) == (PICKS, PICKS)
    assert worst[0].case.rows[MODEL].image == "9"
    assert re.match(r"Lowest contrast kept: 0\.0\d \(median of all: 0\.[89]\d?\)", worst[0].reasons[0])
    assert best[0].case.rows[MODEL].image == "8"
    images = [pick.case.rows[MODEL].image for pick in (*worst, *best)]
    assert len(set(images)) == len(images)


def test_the_gallery_holds_few_pictures_and_still_finds_the_extremes():
    rng = np.random.default_rng(0)
    gallery = Gallery()
    numbers = rng.random((200, 5))
    for number, (kept, inside, removed, overall, similar) in enumerate(numbers):
        rows = {
            INPUT: row(str(number), INPUT, psnr=20, ssim=0.2, defect_psnr=20, contrast_kept=1),
            MODEL: row(
                str(number),
                MODEL,
                psnr=25 + 5 * overall,
                ssim=similar,
                defect_psnr=25 + 5 * inside,
                contrast_kept=kept,
                structure=removed,
            ),
        }
        gallery.add(Case(rows, {}, 1.0))
    assert len(gallery.cases) <= len(CRITERIA) * 2 * 2 * PICKS < 200
    for picks, extremes in zip(gallery.picks(), (numbers.argmin(axis=0), numbers.argmax(axis=0)), strict=True):
        assert picks[0].case.rows[MODEL].image == str(extremes[0]), "contrast kept"
        assert picks[1].case.rows[MODEL].image == str(extremes[1]), "gain in defect PSNR"
    assert gallery.picks()[0][2].case.rows[MODEL].image == str(numbers[:, 2].argmax()), "structure removed"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_images_are_shown_once(count):
    worst, best = gallery_of([0.9, 0.7, 0.5][:count]).picks()
    assert len(worst) + len(best) == count


def test_crops_show_the_largest_defect_or_else_the_largest_error():
    mask = np.zeros((600, 800), bool)
    mask[10:14, 10:14] = True
    mask[300:340, 500:530] = True
    rows, columns = crop_box(mask, np.zeros(mask.shape))
    assert rows.start <= 300 and rows.stop >= 340 and columns.start <= 500 and columns.stop >= 530
    error = np.zeros(mask.shape)
    error[590:, 790:] = 1
    rows, columns = crop_box(np.zeros_like(mask), error)
    assert rows.stop == 600 and columns.stop == 800
    rows, columns = crop_box(np.ones_like(mask), error)
    assert rows.stop - rows.start == columns.stop - columns.start == LARGEST_CROP


def test_mean_skips_what_is_not_there():
    assert mean([1.0, math.nan, 3.0]) == 2
    assert mean([math.nan]) is None
    assert mean([math.inf, 30.0]) == math.inf
