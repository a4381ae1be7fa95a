"""The picture of the structure number: its curve over what was removed of a defect, with examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_denoise.inference.removed import removed_view


@dataclass(frozen=True)
class Example:
    """Crops (H, W, 3) around a defect of which a share was removed, and the number of the whole photograph."""

    share: float
    number: float
    noisy: NDArray[np.floating]
    output: NDArray[np.floating]
    removed: NDArray[np.floating]


COLORS = {20: "#fdba74", 40: "#f97316", 80: "#9a3412"}


def draw(curves: Sequence[Mapping[str, Any]], examples: Sequence[Example], sigma: float, path: Path) -> None:
    """Curves on the left, crops on the right. 1200 pixels wide."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(10, 4.8), dpi=120)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01)
    grid = figure.add_gridspec(1, 2, width_ratios=(1.1, 1))
    left, right = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    axes = left.subplots()
    lowest_free = 0.0
    for curve in sorted(curves, key=lambda curve: curve["median"][-1]):
        shares = [100 * share for share in curve["shares"]]
        color, dashed = COLORS[curve["contrast"]], curve["defect"] == "pit"
        axes.fill_between(shares, curve["lowest"], curve["highest"], color=color, alpha=0.15, linewidth=0)
        axes.plot(shares, curve["median"], color=color, linewidth=2, linestyle="--" if dashed else "-")
        height = max(curve["median"][-1], lowest_free)
        lowest_free = height + 0.05  # a line of text
        axes.annotate(
            f"{curve['defect']}, {curve['contrast']:g}",
            (100, height),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            color=color,
            annotation_clip=False,
        )
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 1)
    axes.set_xlabel("of the defect removed with the noise, %", fontsize=11)
    axes.set_ylabel("structure: 0 is noise alone", fontsize=11)
    axes.set_title(
        f"A small dark defect in a photograph, noise of sigma {sigma:g}\n(with its contrast of 255; median and range)",
        fontsize=11,
        loc="left",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e2e8f0", linewidth=0.8)
    axes.set_axisbelow(True)

    rows = right.subplots(len(examples), 3)
    for row, example in zip(rows, examples, strict=True):
        for place, pixels in zip(row, (example.noisy, example.output, removed_view(example.removed)), strict=True):
            place.imshow(pixels.clip(0, 1), interpolation="nearest")
            place.set_xticks([])
            place.set_yticks([])
            for spine in place.spines.values():
                spine.set_visible(False)
        row[0].set_ylabel(f"{100 * example.share:.0f} % removed", fontsize=10)
        row[2].set_xlabel(f"structure {example.number:.2f}", fontsize=10, weight="bold", labelpad=3)
    for place, title in zip(rows[0], ("noisy", "output", "removed, x 4"), strict=True):
        place.set_title(title, fontsize=10)
    figure.savefig(path, pil_kwargs={"quality": 80, "method": 6})  # noise as PNG takes five times as much
    pyplot.close(figure)
