"""The pictures of the survival benchmark."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.survival.methods import OURS
from benchmarks.survival.real_defects import RealDefect
from hf_denoise.probing.pictures import COLOURS, MUTED, draw_curves
from hf_denoise.probing.report import REFERENCE, ProbeReport
from hf_denoise.probing.survival import LOST

SHOWN = (OURS, f"{OURS}, strength 0.5", "BM3D", "non-local means", "wavelets", "Gaussian blur")


def curves_plot(curves: dict[int, dict[str, ProbeReport]], path: Path) -> None:
    """Share kept of the reference scratch over its contrast, a panel for each sigma."""
    figure = Figure(figsize=(3.6 * len(curves), 3.4), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for place, (axes, (sigma, reports)) in enumerate(zip(panels, curves.items(), strict=True)):
        shown = {name: reports[name].curves[REFERENCE] for name in SHOWN if name in reports}
        draw_curves(axes, shown, bands=False)
        axes.lines[0].set_linewidth(2.6)
        axes.set_title(f"noise of {sigma} grey levels", fontsize=10)
        if place:
            axes.set_ylabel("")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=8.5
    )
    figure.savefig(path, facecolor="white")


def scatter_plot(defects: Sequence[RealDefect], path: Path) -> None:
    """Share kept of real defects over the share that the probe of their picture says."""
    figure = Figure(figsize=(4.6, 4.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    for colour, sigma in zip(COLOURS[2:], sorted({defect.sigma for defect in defects}), strict=False):
        own = [defect for defect in defects if defect.sigma == sigma]
        kept = [min(max(defect.kept, -0.2), 1.3) for defect in own]
        axes.plot(
            [defect.expected for defect in own], kept, "o", color=colour, ms=4, alpha=0.7, label=f"sigma {sigma:g}"
        )
    axes.plot((0, 1), (0, 1), color=MUTED, lw=0.9, zorder=0)
    axes.axhline(LOST, color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=0)
    axes.axvline(LOST, color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=0)
    axes.set_xlabel("share that the probe expects")
    axes.set_ylabel("contrast that the real defect keeps")
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, facecolor="white")
