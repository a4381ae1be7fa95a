"""The learning curves of a training run as PNG."""

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

# On white, so that they can be read on a dark page too.
COLOURS = {"ink": "#24292f", "muted": "#6e7781", "rule": "#dfe3e8", "loss": "#1f6feb", "defect": "#c2410c"}
SMOOTHED_OVER = 25  # the loss is averaged over a window of a 25th of the run


def learning_curves(log: NDArray[np.void]) -> bytes:
    """Loss, validation PSNR and defect PSNR, the limit where it was measured, and learning rate of a run.

    Args:
        log: as `hf_denoise.training.log.read_log` gives it.

    Returns:
        A PNG of 1200 x 1050 pixels, or 1275 with the limit, with a white background; the same log gives the same bytes.
    """
    colours = COLOURS
    probed = bool(np.isfinite(log["limit_80"]).any())
    figure = Figure(figsize=(8, 8.5 if probed else 7), dpi=150, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.1)  # type: ignore[union-attr, call-arg]
    heights = (3, 3, 1.4, 1.4) if probed else (3, 3, 1.4)
    loss, quality, *limits, rate = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    labels = ((loss, "mean training loss"), (quality, "validation, dB"), (rate, "learning rate"))
    for axes, label in (*labels, *((axes, "limit, grey levels") for axes in limits)):
        axes.set_ylabel(label, color=colours["ink"], fontsize=11)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(colours["muted"])
        axes.tick_params(which="both", colors=colours["muted"], labelcolor=colours["ink"], labelsize=10, length=3)
        axes.tick_params(axis="y", which="both", length=0)
        axes.grid(color=colours["rule"], linewidth=0.8)
        axes.set_axisbelow(True)
    steps = log["step"]
    _line(loss, steps, log["loss"], colours["loss"], alpha=0.25, linewidth=0.8)
    there = np.isfinite(log["loss"])
    window = max(1, there.sum() // SMOOTHED_OVER)
    _line(loss, steps[there], uniform_filter1d(log["loss"][there], window, mode="nearest"), colours["loss"])
    if (log["loss"][there] > 0).any():
        loss.set_yscale("log")
    for column, name, colour in (("psnr", "PSNR", colours["loss"]), ("defect_psnr", "defect PSNR", colours["defect"])):
        if np.isfinite(log[column]).any():
            _line(quality, steps, log[column], colour, marker="o", markersize=3, label=name)
    best = kept_row(log)
    if best is not None:
        for axes in (loss, quality, *limits, rate):
            axes.axvline(steps[best], color=colours["muted"], linewidth=1, linestyle=(0, (3, 3)), zorder=0)
        quality.set_title(
            f"best and kept: PSNR {log['psnr'][best]:.2f} dB at step {steps[best]:,.0f}",
            loc="left",
            fontsize=10,
            color=colours["ink"],
        )
        quality.legend(
            frameon=False, fontsize=10, labelcolor=colours["ink"], ncols=2, loc="lower right", bbox_to_anchor=(1, 0.98)
        )
    for axes in limits:
        _line(axes, steps, log["limit_80"], colours["defect"], marker="o", markersize=3)
        axes.set_ylim(bottom=0)
        axes.set_title("fainter scratches 2 px wide lose over 20 %", loc="left", fontsize=10, color=colours["ink"])
    _line(rate, steps, log["learning_rate"], colours["ink"], linewidth=1.2)
    rate.set_ylim(bottom=0)
    rate.set_xlabel("step", color=colours["ink"], fontsize=11)
    rate.xaxis.set_major_formatter("{x:,.0f}")
    figure.align_ylabels()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def kept_row(log: NDArray[np.void]) -> int | None:
    """The row of the evaluation whose weights are in `best/`, if there was one; those of step 0 are not kept."""
    evaluated = np.isfinite(log["psnr"]) & (log["step"] > 0)
    return int(np.argmax(np.where(evaluated, log["psnr"], -np.inf))) if evaluated.any() else None


def _line(axes: Axes, steps: NDArray[Any], values: NDArray[Any], colour: str, **style: Any) -> None:
    """A line through the finite values."""
    there = np.isfinite(values)
    axes.plot(steps[there], values[there], color=colour, **{"linewidth": 1.8, **style})
