"""The picture of quality over speed."""

from collections.abc import Mapping
from pathlib import Path


def draw(places: Mapping[str, tuple[float, float]], sigma: float, path: Path) -> None:
    """PSNR over speed, every point with its name beside it, ours in colour. 1600 pixels wide, to be shown at 800."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    figure, axes = pyplot.subplots(figsize=(8, 4.5), dpi=200, layout="constrained")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    for name, (speed, quality) in places.items():
        mine = name.startswith("hf_denoise")
        axes.scatter(speed, quality, s=90 if mine else 50, color="#c2410c" if mine else "#64748b", zorder=3)
    speeds, qualities = zip(*places.values(), strict=True)
    axes.set_xlim(min(speeds) / 2, max(speeds) * 16)  # room for a label to the right of the fastest
    margin = 0.15 * (max(qualities) - min(qualities)) + 0.2
    axes.set_ylim(min(qualities) - margin, max(qualities) + margin)
    axes.set_xlabel("megapixels per second on the CPU, logarithmic: right is faster", fontsize=11)
    axes.set_ylabel("PSNR, dB: up is cleaner", fontsize=11)
    axes.set_title(f"Noise of sigma {sigma:g}, which all but hf_denoise are told", fontsize=12, pad=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e2e8f0", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.canvas.draw()  # the layout is settled, so that labels can be measured in pixels
    sides = (
        *(((9, 0), "left", "center"), ((-9, 0), "right", "center"), ((0, 9), "center", "bottom")),
        *(((0, -9), "center", "top"), ((7, 7), "left", "bottom"), ((-7, -7), "right", "top")),
    )
    frame = axes.get_window_extent()
    taken = [Bbox.from_bounds(x - 14, y - 14, 28, 28) for x, y in axes.transData.transform(list(places.values()))]
    for name, (speed, quality) in places.items():
        mine = name.startswith("hf_denoise")
        for offset, horizontal, vertical in sides:
            label = axes.annotate(
                name,
                (speed, quality),
                xytext=offset,
                textcoords="offset points",
                ha=horizontal,
                va=vertical,
                fontsize=11,
                color="#c2410c" if mine else "#334155",
                weight="bold" if mine else "normal",
                path_effects=[withStroke(linewidth=4, foreground="white")],  # the grid does not cross the letters
            )
            box = label.get_window_extent()
            inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                break
            if offset != sides[-1][0]:  # the last place is taken as it is
                label.remove()
        taken.append(box)
    figure.savefig(path)
    pyplot.close(figure)
