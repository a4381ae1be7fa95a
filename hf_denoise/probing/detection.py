"""Probability of detection: the survival of defects in the form that quality engineers ask for.

A probe of which at least half is kept is a hit. The probability of a hit over the logarithm of the contrast is a
generalised linear model with a logit link (ASTM E2862; MIL-HDBK-1823A), and the figure to quote is a90/95: the contrast
that is kept with a probability of 90 %, at a confidence of 95 %. Faint probes go through the linear part of a denoiser,
so that the curve may level off above zero: then the link has a lower asymptote.
"""

import importlib.util
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_denoise.defects.probes import PROBE_KINDS, ProbeKind
from hf_denoise.errors import UserError
from hf_denoise.probing.responses import Responses
from hf_denoise.probing.survival import LOST

HIT = LOST  # share kept from which on a probe is a hit
PROBABILITY, CONFIDENCE = 0.9, 0.95
FEWEST_PLACES = 60  # trials for an interval, as MIL-HDBK-1823A asks for hit/miss data
FLOORS = np.arange(0, 0.96, 0.05)  # lower asymptotes that are tried
HALF_LIKELIHOOD = 1.92  # below the largest: the floors that the data cannot tell from the best (chi-square, 95 %)
NEEDED = "needs statsmodels; install it with `pip install 'hf_denoise[pod]'`"


@dataclass(frozen=True)
class Detection:
    """The fitted probability that a defect of one kind is kept.

    Attributes:
        kind: of the probes.
        trials, hits: how many were put in, and how many kept.
        floor: the lower asymptote.
        slope, intercept: of the logit over the natural logarithm of the contrast in grey levels.
        a90: contrast kept with a probability of 0.9, grey levels; None where the model has none.
        a90_95: its upper bound at 95 % confidence; None where there is none, see `note`.
        note: why a figure is missing; "" where none is.
    """

    kind: ProbeKind
    trials: int
    hits: int
    floor: float = 0.0
    slope: float = float("nan")
    intercept: float = float("nan")
    a90: float | None = None
    a90_95: float | None = None
    note: str = ""

    def probability(self, contrast: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Of a hit, at a contrast in grey levels."""
        logit = self.intercept + self.slope * np.log(contrast)
        return self.floor + (1 - self.floor) / (1 + np.exp(-logit))


def has_statsmodels() -> bool:
    """Whether the library that fits the model is installed."""
    return importlib.util.find_spec("statsmodels") is not None


def detection(responses: Responses, kind: str) -> Detection:
    """Fit the probability that probes of one kind are kept.

    Args:
        responses: of a picture; or of several with the same contrasts.
        kind: name of one of `PROBE_KINDS`.

    Raises:
        UserError: an unknown kind, or statsmodels is not installed.
    """
    names = [known.name for known in PROBE_KINDS]
    if kind not in names:
        raise UserError(f"unknown kind of probe '{kind}'; choose from {', '.join(names)}")
    found = PROBE_KINDS[names.index(kind)]
    own = responses.kind == names.index(kind)
    return fit_detection(responses.contrast[own], responses.value[own] >= HIT, found)


def fit_detection(contrast: NDArray[np.float64], hit: NDArray[np.bool_], kind: ProbeKind) -> Detection:
    """`detection` of single trials: their contrasts in grey levels, and which were kept."""
    trials, hits = len(hit), int(hit.sum())
    if hits == trials or hits == 0:
        least = float(contrast.min(initial=np.inf))
        note = f"all were kept, from {least:.3g} grey levels on" if hits and trials else "none was kept"
        return Detection(kind, trials, hits, note=note if trials else "no place was probed")
    if contrast[hit].min() > contrast[~hit].max():
        note = f"all over {contrast[~hit].max():.3g} grey levels were kept and none under: no interval can be fitted"
        return Detection(kind, trials, hits, note=note)
    fits = [fit for floor in FLOORS if (fit := _fit(contrast, hit, float(floor))) is not None]
    if not fits:
        return Detection(kind, trials, hits, note="no model could be fitted to so few misses")
    best = max(fits, key=lambda fit: fit[0])
    floor, result = best[1], best[2]
    intercept, slope = (float(number) for number in result.params)
    fitted = Detection(kind, trials, hits, floor, slope, intercept)
    a90 = _quantile(floor, result, 0.0)
    if slope <= 0 or a90 is None:
        return replace(fitted, note="the share of hits does not rise with the contrast")
    if trials < FEWEST_PLACES:
        return replace(fitted, a90=a90, note=f"{trials} places are too few for an interval; it takes {FEWEST_PLACES}")
    bounds = [_quantile(floor, fit, 1.645) for likelihood, floor, fit in fits if likelihood > best[0] - HALF_LIKELIHOOD]
    if any(bound is None for bound in bounds):
        return replace(fitted, a90=a90, note="the bound lies beyond all contrasts: more places are needed")
    return replace(fitted, a90=a90, a90_95=max(bound for bound in bounds if bound is not None))


def _fit(contrast: NDArray[np.float64], hit: NDArray[np.bool_], floor: float) -> tuple[float, float, Any] | None:
    """Log-likelihood, floor and result of the model with this floor; None where it does not converge."""
    try:
        import statsmodels.api as sm
        from statsmodels.genmod.families.links import Logit
    except ImportError as error:
        raise UserError(f"the probability of detection {NEEDED}") from error

    class FloorLogit(Logit):
        """A logit that falls to `floor` instead of to 0: p = floor + (1 - floor) / (1 + exp(-z))."""

        def _scaled(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.clip((p - floor) / (1 - floor), 1e-9, 1 - 1e-9)

        def __call__(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
            scaled = self._scaled(p)
            return np.log(scaled / (1 - scaled))

        def inverse(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
            return floor + (1 - floor) / (1 + np.exp(-np.clip(z, -30, 30)))

        def deriv(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
            scaled = self._scaled(p)
            return 1 / (scaled * (1 - scaled) * (1 - floor))

    design = sm.add_constant(np.log(contrast))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = sm.GLM(hit.astype(float), design, family=sm.families.Binomial(link=FloorLogit()))
            result = model.fit(start_params=[-np.log(np.median(contrast)), 1.0], maxiter=100)
        except (ValueError, np.linalg.LinAlgError):
            return None
    usable = result.converged and np.isfinite(result.params).all() and np.isfinite(result.cov_params()).all()
    return (float(result.llf), floor, result) if usable else None


def _quantile(floor: float, result: Any, deviations: float) -> float | None:
    """The contrast where the lower bound of the fitted probability reaches 0.9, so many deviations below the fit."""
    grid = np.geomspace(0.1, 2000, 4000)
    design = np.stack([np.ones_like(grid), np.log(grid)], axis=1)
    variance = np.einsum("ij,jk,ik->i", design, result.cov_params(), design)
    logit = design @ result.params - deviations * np.sqrt(np.maximum(variance, 0))
    enough = floor + (1 - floor) / (1 + np.exp(-np.clip(logit, -60, 60))) >= PROBABILITY
    return float(grid[int(np.argmax(enough))]) if enough.any() else None
