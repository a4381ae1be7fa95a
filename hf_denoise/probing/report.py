"""What a probe of a picture says: curves, limits, a sentence, a table, the single hits, and a map."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hf_denoise.arrays import Mask
from hf_denoise.defects.probes import PROBE_KINDS
from hf_denoise.errors import UserError
from hf_denoise.probing.detection import HIT, Detection, detection
from hf_denoise.probing.maps import Map, limit_shifts
from hf_denoise.probing.responses import PIXELS, Plane, PlaneDenoiser, Progress, Responses, measure_responses
from hf_denoise.probing.survival import KEPT, LOST, Limit, SurvivalCurve, survival_curves

REFERENCE = "scratch 2 px"  # the kind that sentences, maps and options are about where none is named
MOST_SQUARES = 4096  # of a map that is written as JSON
HIT_FIELDS = ("kind", "contrast", "bright", "row", "column", "response", "hit")


@dataclass(frozen=True, eq=False)
class ProbeReport:
    """Which small defects a denoiser would keep in one picture.

    Attributes:
        responses: the single probes.
        curves: of each kind by name, see `SurvivalCurve`.
        shifts: (rows, columns) of squares of 32 pixels: octaves by which a defect must be stronger there.
    """

    responses: Responses
    curves: dict[str, SurvivalCurve]
    shifts: Map

    @property
    def noise(self) -> float:
        """Estimated standard deviation of the noise, grey levels (0 to 255)."""
        return self.responses.noise

    def curve(self, kind: str = REFERENCE) -> SurvivalCurve:
        """The curve of a kind.

        Raises:
            UserError: no such kind, or the picture has too few places for it.
        """
        if kind in self.curves:
            return self.curves[kind]
        names = [known.name for known in PROBE_KINDS]
        if kind not in names:
            raise UserError(f"unknown kind of probe '{kind}'; choose from {', '.join(names)}")
        raise UserError(f"the picture has too few places for probes of the kind '{kind}'; take a larger part of it")

    def limit_map(self, kind: str = REFERENCE, share: float = KEPT) -> Map:
        """The faintest contrast of which `share` is kept, place by place.

        Returns:
            (rows, columns) float32, grey levels, for squares of 32 pixels; inf where nothing that was tried is kept.
        """
        return (self.curve(kind).limit(share).value * 2.0**self.shifts).astype(np.float32)

    @cached_property
    def detections(self) -> dict[str, Detection]:
        """The probability of detection of each kind by name.

        Raises:
            UserError: statsmodels is not installed.
        """
        return {name: detection(self.responses, name) for name in self.curves}

    def at_strength(self, strength: float, plane: Plane) -> "ProbeReport":
        """The same for the result mixed with the input at `strength`, 0 to 1; `plane` is the picture.

        What is left is mixed with all of what was put in, so that no denoiser has to run again.
        """
        if strength == 1:
            return self
        responses = replace(self.responses, value=1 - strength * (1 - self.responses.value))
        curves = survival_curves(responses)
        return ProbeReport(responses, curves, limit_shifts(responses, curves, plane))

    def sentence(self, kind: str = REFERENCE) -> str:
        """The limits of one kind in words."""
        curve = self.curve(kind)
        kept, lost = curve.limit(KEPT), curve.limit(LOST)
        name = curve.kind.plural[0].upper() + curve.kind.plural[1:]
        most = f"{100 * KEPT:.0f} %"
        if kept.where == "below":
            return f"{name} keep {most} or more from {kept.levels} grey levels on, the faintest that were tried."
        tail = ""
        if lost.where == "at":
            tail = f"; under {lost.levels} more than half of them is lost"
        elif lost.where == "above":
            tail = "; more than half of them is lost at every contrast"
        if kept.where == "above":
            return f"{name} lose more than {100 - 100 * KEPT:.0f} % up to {kept.levels} grey levels{tail}."
        return f"{name} keep {most} from {kept.levels} grey levels on{tail}."

    def table(self) -> list[dict[str, Any]]:
        """A row for each kind: its name, both limits as text, how many probes, and the floor of its curve."""
        return [
            {
                "kind": name,
                "keeps 80 % from": str(curve.limit(KEPT)),
                "keeps 50 % from": str(curve.limit(LOST)),
                "faintest keep": f"{curve.rising[0]:.2f}",
                "probes": int(curve.places.sum()),
            }
            for name, curve in self.curves.items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """All of it but the single probes, for JSON. Limits beyond what was tried are null."""

        def number(limit: Limit) -> dict[str, Any]:
            return {"grey_levels": round(limit.contrast, 3), "where": limit.where}

        small = self.shifts.size <= MOST_SQUARES
        return {
            "noise": round(self.noise, 3),
            "probes": len(self.responses.value),
            "parts": [[part.start, part.stop, across.start, across.stop] for part, across in self.responses.parts],
            "kinds": {
                name: {
                    "contrasts": [round(float(value), 3) for value in curve.contrasts],
                    "share": [round(float(value), 4) for value in curve.share],
                    "low": [round(float(value), 4) for value in curve.low],
                    "high": [round(float(value), 4) for value in curve.high],
                    "places": [int(value) for value in curve.places],
                    "limit_80": number(curve.limit(KEPT)),
                    "limit_50": number(curve.limit(LOST)),
                }
                for name, curve in self.curves.items()
            },
            "map_octaves": self.shifts.round(2).tolist() if small else None,
        }

    def hits_csv(self) -> str:
        """Every single probe as CSV: kind, contrast in grey levels, sign, place, response, and whether it is a hit."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(HIT_FIELDS)
        found = self.responses
        for kind, contrast, bright, (row, column), value in zip(
            found.kind, found.contrast, found.bright, found.place, found.value, strict=True
        ):
            cells = (f"{contrast:.3f}", int(bright), row, column, f"{value:.4f}", int(value >= HIT))
            writer.writerow((PROBE_KINDS[kind].name, *cells))
        return buffer.getvalue()


def probe_plane(
    plane: Plane,
    denoise: PlaneDenoiser,
    *,
    contrasts: Sequence[float] | None = None,
    pixels: int = PIXELS,
    visible: Mask | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> ProbeReport:
    """Ask which small defects a denoiser would keep in a picture: any denoiser, any picture.

    Args:
        plane: (H, W) or (H, W, 3), uint8, uint16 or float; noise may lie outside [0, 1].
        denoise: a function of (H, W) or (H, W, 3) float32 that gives the same shape; for example
            `lambda noisy: skimage.restoration.denoise_nl_means(noisy, channel_axis=-1)`.
        contrasts: grey levels to try, ascending; by default 1/4 to 8 times the noise of the picture.
        pixels: that may pass through the denoiser; a slow one takes as long as these take it.
        visible: (H, W); where a picture is hidden no probe is put. None where all is visible.
        seed: of all that is left to chance: the same seed gives the same report.
        progress: called with (done, all) steps.

    Raises:
        UserError: the picture is too small for a single probe.
    """
    responses = measure_responses(
        plane, denoise, contrasts=contrasts, pixels=pixels, visible=visible, seed=seed, progress=progress
    )
    curves = survival_curves(responses)
    if not curves:
        height, width = plane.shape[:2]
        raise UserError(f"a picture of {width} x {height} pixels has too few places for probes; give a larger one")
    return ProbeReport(responses, curves, limit_shifts(responses, curves, plane))
