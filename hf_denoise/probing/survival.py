"""Survival curves: the share of a small defect that is kept, over its contrast, and the limits read off them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from hf_denoise.defects.probes import PROBE_KINDS, ProbeKind
from hf_denoise.probing.responses import Responses

KEPT, LOST = 0.8, 0.5  # shares: from the first on a defect is called kept, under the second lost
SPREAD = 10, 90  # percentiles over places
FEWEST = 5  # places for a point of a curve


@dataclass(frozen=True)
class Limit:
    """The faintest contrast of which some share is kept.

    Attributes:
        contrast: grey levels; the end of what was tried, where the limit lies beyond it.
        where: "at" that contrast, or "below" or "above" all that were tried.
    """

    contrast: float
    where: Literal["at", "below", "above"]

    @property
    def value(self) -> float:
        """As a number that compares: infinite where nothing that was tried is kept."""
        return float("inf") if self.where == "above" else self.contrast

    @property
    def levels(self) -> str:
        """The contrast as it is said: with one decimal under 10."""
        return f"{self.contrast:.0f}" if self.contrast >= 9.95 else f"{self.contrast:.1f}"

    def __str__(self) -> str:
        return {"at": "", "below": "≤ ", "above": "> "}[self.where] + self.levels


@dataclass(frozen=True, eq=False)
class SurvivalCurve:
    """What is kept of one kind of defect.

    Attributes:
        kind: of the probes.
        contrasts: grey levels, ascending.
        share: median response over the places, at each contrast.
        low, high: the 10th and the 90th percentile over the places: parts of the picture differ.
        places: how many, at each contrast.
    """

    kind: ProbeKind
    contrasts: NDArray[np.float64]
    share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    places: NDArray[np.int64]

    @property
    def rising(self) -> NDArray[np.float64]:
        """`share` made to rise with the contrast, as it does but for chance (isotonic regression)."""
        return np.asarray(isotonic_regression(self.share, weights=self.places.astype(float)).x)

    def at(self, contrast: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """The share kept of a contrast in grey levels, level beyond those that were tried."""
        return np.interp(np.log2(np.maximum(contrast, 1e-6)), np.log2(self.contrasts), self.rising)

    def limit(self, share: float = KEPT) -> Limit:
        """The faintest contrast from which on at least `share` is kept."""
        rising = self.rising
        if rising[0] >= share:
            return Limit(float(self.contrasts[0]), "below")
        if rising[-1] < share:
            return Limit(float(self.contrasts[-1]), "above")
        after = int(np.argmax(rising >= share))
        between = slice(after - 1, after + 1)
        return Limit(float(2 ** np.interp(share, rising[between], np.log2(self.contrasts[between]))), "at")


def survival_curves(responses: Responses) -> dict[str, SurvivalCurve]:
    """A curve for each kind by name; kinds and contrasts with fewer than five places are left out."""
    curves = {}
    for index, kind in enumerate(PROBE_KINDS):
        values = [
            responses.value[(responses.kind == index) & (responses.level == level)]
            for level in range(len(responses.contrasts))
        ]
        kept = [level for level, found in enumerate(values) if len(found) >= FEWEST]
        if not kept:
            continue
        low, share, high = np.array([np.percentile(values[level], (SPREAD[0], 50, SPREAD[1])) for level in kept]).T
        places = np.array([len(values[level]) for level in kept])
        curves[kind.name] = SurvivalCurve(kind, responses.contrasts[kept], share, low, high, places)
    return curves
