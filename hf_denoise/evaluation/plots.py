"""Plots of an evaluation as SVG for a page, with colours and font from its style sheet."""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator

from hf_denoise.evaluation.summary import INPUT, MODEL, Row, look_up
from hf_denoise.hub.tables import finite, plain
from hf_denoise.probing.survival import KEPT, LOST

# Colours that stand for the page's variables, so that one plot serves the light and the dark theme.
VARIABLES = {
    "#0000a0": "--ink",
    "#0000a1": "--muted",
    "#0000a2": "--rule",
    "#0000b0": "--input",
    "#0000b1": "--model",
    "#0000b2": "--peer-1",
    "#0000b3": "--peer-2",
}
INK, MUTED, RULE, *METHOD_COLOURS = VARIABLES
METHOD_VARIABLES = [VARIABLES[colour] for colour in METHOD_COLOURS]
MARKERS = ("s", "o", "^", "D")
DASHES = ("-", (0, (4, 2)))  # of the kinds of defects
SHARES = -0.1, 1.2  # of a defect that a plot shows; beyond, a line runs along its edge
WIDTH = 360  # of the view box: a phone shows its 10-pixel letters at about that size
MOST_POINTS = 400  # images in a scatter plot
LONGEST_LABEL = 18  # letters of a class


def interval_plot(
    groups: dict[str, dict[str, Any]],
    metric: str,
    methods: dict[str, str],
    *,
    label: str,
    alt: str,
    reference: float | None = None,
) -> str:
    """A point with its confidence interval per group and method, groups from top to bottom.

    Args:
        groups: name and what `summary.summarise` gave for it.
        metric: which of the metrics.
        methods: of the summaries, and what they are called.
        label: of the axis.
        alt: what the plot shows, for those who do not see it.
        reference: value to mark by a line.

    Returns:
        An SVG element.
    """
    spread = 0.72
    height = 64 + len(groups) * (9 * len(methods) + 7)
    figure, axes = _axes(height)
    for place, (method, name) in enumerate(methods.items()):
        colour, marker = _style(place)
        offset = spread * (place - (len(methods) - 1) / 2) / max(len(methods), 1)
        for row, summary in enumerate(groups.values()):
            value, bounds = look_up(summary, method, metric)
            if value is None or not finite(value):
                continue
            if bounds:
                axes.plot(bounds, [row + offset] * 2, color=colour, linewidth=1.6, solid_capstyle="round")
            inside = colour if bounds else "none"
            axes.plot(value, row + offset, marker, color=colour, markerfacecolor=inside, markersize=4.6)
        axes.plot([], [], marker, color=colour, markersize=4.6, label=name)
    if reference is not None:
        axes.axvline(reference, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=0)
    axes.set_yticks(range(len(groups)), [_short(name) for name in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    for row in range(1, len(groups)):
        axes.axhline(row - 0.5, color=RULE, linewidth=0.8, zorder=0)
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    axes.set_xlabel(label)
    return _svg(figure, alt)


def scatter_plot(
    points: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    methods: dict[str, str],
    *,
    labels: tuple[str, str],
    alt: str,
    reference: float,
    logarithmic: bool = False,
    limits: tuple[float, float] | None = None,
) -> str:
    """A point per image and method.

    Args:
        points: for some of the methods the places (x, y); nan and infinite ones are left out.
        methods: all methods in order, so that colours agree between plots, and what they are called.
        labels: of the two axes.
        alt: what the plot shows, for those who do not see it.
        reference: y to mark by a line.
        logarithmic: the x axis.
        limits: of y; points beyond are drawn at the edge.

    Returns:
        An SVG element.
    """
    figure, axes = _axes(270)
    for place, method in enumerate(methods):
        if method not in points:
            continue
        x, y = (np.asarray(column[:MOST_POINTS], dtype=float) for column in points[method])
        there = np.isfinite(x) & np.isfinite(y)
        colour, marker = _style(place)
        y = y.clip(*limits) if limits else y
        order = 2.5 if method == MODEL else 2  # ours on top
        axes.plot(
            x[there], y[there], marker, color=colour, markersize=4.2, alpha=0.75, zorder=order, label=methods[method]
        )
    axes.axhline(reference, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=0)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    return _svg(figure, alt)


def gain_plot(rows: Sequence[Row], metric: str, methods: dict[str, str], *, label: str, alt: str) -> str:
    """Gain in `metric` over the noisy input against its value there, a point per image and method."""
    before = {row.image: getattr(row, metric) for row in rows if row.method == INPUT}
    points = {}
    for method in methods:
        if method != INPUT:
            after = {row.image: getattr(row, metric) for row in rows if row.method == method}
            points[method] = list(before.values()), [after[image] - value for image, value in before.items()]
    return scatter_plot(
        points, methods, labels=(f"{label} of the noisy input, dB", "gain over it, dB"), alt=alt, reference=0
    )


def contrast_plot(rows: Sequence[Row], methods: dict[str, str], *, alt: str) -> str:
    """Contrast kept against contrast in the clean image, a point per image and method: do faint defects go first?"""
    points = {}
    for method in methods:
        own = [row for row in rows if row.method == method]
        points[method] = [abs(row.clean_contrast) for row in own], [row.contrast_kept for row in own]
    return scatter_plot(
        points,
        methods,
        labels=("contrast in the clean image, grey levels", "contrast kept"),
        alt=alt,
        reference=1,
        logarithmic=True,
        limits=(-0.25, 1.75),
    )


def survival_plot(
    survival: dict[str, dict[str, dict[str, Any]]], kinds: Sequence[str], methods: dict[str, str], *, alt: str
) -> str:
    """The share kept of small defects over their contrast: a line per method and kind.

    Args:
        survival: what `survival.measure_survival` gave.
        kinds: which of the kinds; each has a dash of its own.
        methods: all methods in order, so that colours agree between plots, and what they are called.
        alt: what the plot shows, for those who do not see it.

    Returns:
        An SVG element.
    """
    figure, axes = _axes(290)
    for place, method in enumerate(methods):
        colour, marker = _style(place)
        own = [(dash, survival[method][kind]) for dash, kind in zip(DASHES, kinds, strict=False)
               if kind in survival.get(method, {})]  # fmt: skip
        for dash, found in own:
            axes.plot(
                *(found["contrasts"], np.clip(found["share"], *SHARES)), marker, color=colour, linestyle=dash,
                linewidth=1.6, markersize=4, zorder=2.5 if method == MODEL else 2,
            )  # fmt: skip
        if own:
            axes.plot([], [], marker, color=colour, markersize=4.6, label=methods[method])
    for dash, kind in zip(DASHES, kinds, strict=False):
        axes.plot([], [], color=INK, linestyle=dash, linewidth=1.4, label=f"  {kind}")
    for share in (KEPT, LOST):
        axes.axhline(share, color=MUTED, linewidth=1, linestyle=(0, (1, 3)), zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_ylim(*SHARES)
    axes.set_yticks([0, 0.2, 0.5, 0.8, 1])
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_xlabel("contrast of the defect, grey levels")
    axes.set_ylabel("share that is kept")
    return _svg(figure, alt)


def _style(place: int) -> tuple[str, str]:
    return METHOD_COLOURS[place % len(METHOD_COLOURS)], MARKERS[place % len(MARKERS)]


def _short(name: str) -> str:
    name = plain(name)
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"


def _axes(height: float) -> tuple[Figure, Axes]:
    """An empty plot of WIDTH x `height` units."""
    figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=3)
    axes.tick_params(which="minor", colors=MUTED, length=2)
    axes.xaxis.label.set(color=INK, fontsize=9)
    axes.yaxis.label.set(color=INK, fontsize=9)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, alt: str) -> str:
    """The figure with its legend as an SVG element that can stand in a page."""
    figure.legend(
        loc="outside upper left", ncols=4, frameon=False, fontsize=9, labelcolor=INK, handletextpad=0.1, columnspacing=1
    )
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class may be called "$"
    buffer = io.StringIO()
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": alt,  # ids differ between the plots of a page and not between two runs
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser has its own fonts
        no_links = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_links)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the same in every plot
    svg = re.sub(
        r'<svg[^>]*?viewBox="([^"]*)"[^>]*>',
        lambda match: f'<svg class="plot" viewBox="{match[1]}" role="img" aria-label="{escape(alt)}">',
        svg,
        count=1,
    )
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return re.sub(r"\s*\n\s*", "\n", svg)
