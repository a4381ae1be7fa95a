"""Pictures of a probe: the survival curves, and the map of the limit over the picture."""

import io
from collections.abc import Mapping
from functools import partial
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from hf_denoise.arrays import ByteImage, to_8_bits
from hf_denoise.probing.places import BLOCK, grey
from hf_denoise.probing.report import REFERENCE, ProbeReport
from hf_denoise.probing.survival import KEPT, LOST, SurvivalCurve

COLOURS = [
    "#2563eb",
    "#0891b2",
    "#16a34a",
    "#d97706",
    "#dc2626",
    "#7c3aed",
    "#111827",
    "#db2777",
    "#65a30d",
    "#92400e",
    "#64748b",
]
INK, MUTED, RULE = "#111827", "#6b7280", "#e5e7eb"
WORST = (220, 38, 38)  # the colour of places that keep less
OCTAVES = 2.0  # of the limit above the usual one that get it in full
MAP_SIDE = 1024  # pixels
WIDE, NARROW = ((6.3, 3.5), 120), ((3.8, 4.1), 220)  # inches, and dots per inch


def draw_curves(axes: Axes, curves: Mapping[str, SurvivalCurve], bands: bool = True) -> None:
    """Draw survival curves, share kept over contrast, by the name in the legend."""
    for colour, (name, curve) in zip(cycle(COLOURS), curves.items(), strict=False):
        axes.plot(curve.contrasts, curve.share.clip(-0.05, 1.15), "o-", color=colour, ms=3.5, lw=1.6, label=name)
        if bands:
            axes.fill_between(
                curve.contrasts, curve.low.clip(-0.05), curve.high.clip(None, 1.15), color=colour, alpha=0.1, lw=0
            )
    for level in (KEPT, LOST):
        axes.axhline(level, color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=0)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(-0.05, 1.15)
    axes.set_yticks(np.arange(0, 1.1, 0.2))
    axes.grid(color=RULE, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9)
    axes.set_xlabel("contrast of the defect, grey levels", color=INK, fontsize=9.5)
    axes.set_ylabel("share that is kept", color=INK, fontsize=9.5)


def curves_picture(report: ProbeReport, narrow: bool = False) -> Image.Image:
    """The curves of all kinds as an RGB picture; a narrow one has the legend below, and letters for a phone."""
    size, resolution = NARROW if narrow else WIDE
    figure = Figure(figsize=size, dpi=resolution, layout="constrained")
    axes = figure.subplots()
    draw_curves(axes, report.curves, bands=False)
    reference = report.curves.get(REFERENCE)
    if reference is not None:
        place = list(report.curves).index(REFERENCE)
        axes.fill_between(
            reference.contrasts, reference.low, reference.high, color=COLOURS[place], alpha=0.12, lw=0,
            label=f"{REFERENCE}, 80 % of places",
        )  # fmt: skip
    axes.axvline(max(report.noise, 1e-3), color=MUTED, lw=0.9, ls=(0, (1, 2)), zorder=0)
    axes.annotate(
        "noise", (max(report.noise, 1e-3), 1.1), color=MUTED, fontsize=8, ha="center", va="center",
        bbox={"fc": "white", "ec": "none", "pad": 1},
    )  # fmt: skip
    legend = partial(figure.legend, fontsize=8, frameon=False, labelcolor=INK)
    if narrow:
        legend(loc="outside lower center", ncols=2, columnspacing=1.2)
    else:
        legend(loc="outside right upper")
    return figure_picture(figure)


def figure_picture(figure: Figure) -> Image.Image:
    """A Matplotlib figure as an RGB picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return Image.open(buffer).convert("RGB")


def map_picture(report: ProbeReport, plane: NDArray[np.generic]) -> ByteImage:
    """The picture in grey, red where defects must be stronger to be kept: full red from four times the usual contrast.

    Returns:
        (h, w, 3) uint8, at most 1024 pixels a side.
    """
    height, width = plane.shape[:2]
    step = -(-max(height, width) // MAP_SIDE)
    ground = grey(plane[::step, ::step])[..., None] * np.ones(3, np.float32)
    shift = Image.fromarray(report.shifts.clip(0, OCTAVES) / OCTAVES)
    rows, columns = report.shifts.shape
    fine = shift.resize((columns * BLOCK // step or 1, rows * BLOCK // step or 1), Image.Resampling.BILINEAR)
    strength = np.asarray(fine)[: ground.shape[0], : ground.shape[1]]
    missing = [(0, ground.shape[axis] - strength.shape[axis]) for axis in (0, 1)]
    strength = 0.65 * np.pad(strength, missing, mode="edge")[..., None]
    red = np.array(WORST, np.float32) / 255
    return to_8_bits(ground.clip(0, 1) * (1 - strength) + red * strength)
