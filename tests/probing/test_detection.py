"""Probability of detection: simulated inspections of which the truth is known."""

import builtins
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hf_denoise.defects.probes import PROBE_KINDS
from hf_denoise.errors import UserError
from hf_denoise.probing.detection import fit_detection

KIND = PROBE_KINDS[1]
MIDDLE, SLOPE = np.log(20), 3.0


def inspection(seed: int, places: int = 144, floor: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Trials at six contrasts; the probability of a hit is a logistic curve over a floor."""
    rng = np.random.default_rng(seed)
    contrast = np.repeat(np.geomspace(4, 128, 6), places // 6)
    chance = floor + (1 - floor) / (1 + np.exp(-SLOPE * (np.log(contrast) - MIDDLE)))
    return contrast, rng.random(len(contrast)) < chance


def true_a90(floor: float) -> float:
    wanted = (0.9 - floor) / (1 - floor)
    return float(np.exp(MIDDLE + np.log(wanted / (1 - wanted)) / SLOPE))


@pytest.mark.slow
@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_the_bound_holds_as_often_as_it_says(floor: float) -> None:
    fits = [fit_detection(*inspection(seed, floor=floor), KIND) for seed in range(30)]
    bounds = [fit.a90_95 for fit in fits if fit.a90_95 is not None]
    assert len(bounds) >= 25
    held = np.mean([bound >= true_a90(floor) for bound in bounds])
    assert held >= 0.9  # 95 %, of thirty
    assert np.median([fit.a90 for fit in fits if fit.a90]) == pytest.approx(true_a90(floor), rel=0.12)
    assert all(fit.a90_95 >= fit.a90 for fit in fits if fit.a90_95 and fit.a90)


def test_a_floor_is_found_where_there_is_one() -> None:
    with_floor = fit_detection(*inspection(0, 600, floor=0.4), KIND)
    without = fit_detection(*inspection(0, 600), KIND)
    assert with_floor.floor == pytest.approx(0.4, abs=0.12)
    assert without.floor <= 0.1
    assert float(with_floor.probability(1.0)) == pytest.approx(with_floor.floor, abs=0.02)


def test_more_places_bring_the_bound_nearer() -> None:
    few, many = (fit_detection(*inspection(1, places), KIND) for places in (120, 1200))
    assert few.a90_95 and many.a90_95
    assert true_a90(0) < many.a90_95 < few.a90_95


def test_what_cannot_be_said_is_said() -> None:
    few = fit_detection(*inspection(2, 48), KIND)
    assert few.a90_95 is None
    assert "48 places are too few" in few.note
    contrast, _ = inspection(0)
    assert fit_detection(contrast, np.ones(len(contrast), bool), KIND).note == "all were kept, from 4 grey levels on"
    assert fit_detection(contrast, np.zeros(len(contrast), bool), KIND).note == "none was kept"
    assert "no interval" in fit_detection(contrast, contrast > 30, KIND).note
    falling = fit_detection(contrast, np.random.default_rng(0).random(len(contrast)) < 20 / contrast, KIND)
    assert falling.a90_95 is None and falling.note


def test_without_statsmodels_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def missing(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("statsmodels"):
            raise ImportError(name)
        return found(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r"pip install 'hf_denoise\[pod\]'"):
        fit_detection(*inspection(0), KIND)
