"""Measured rows as sections of Markdown, one string per paragraph."""

from collections.abc import Sequence
from typing import Any

from machine import table


def quality_tables(rows: Sequence[dict[str, Any]], told: Sequence[str], ours: str, noisy: str) -> list[str]:
    """Quality and speed of all methods; `told` are told sigma, `ours` and `noisy` are the names of rows."""
    sigmas = [quality["sigma"] for quality in rows[0]["quality"]]
    quality = table(
        (
            "method",
            "told sigma",
            "images",
            *(f"sigma {sigma:g}: PSNR, dB / SSIM" for sigma in sigmas),
            *(f"sigma {sigma:g}: ours - it, dB, same images" for sigma in sigmas),
        ),
        [
            (
                f"**{row['method']}**" if row["method"] == ours else row["method"],
                "" if row["method"] == noisy else "yes" if row["method"] in told else "no, blind",
                str(row["images"]),
                *(f"{cell['psnr']:.2f} / {cell['ssim']:.3f}" for cell in row["quality"]),
                *(
                    "" if row["method"] == ours else f"{round(cell['ours_minus_it_db'], 2) + 0:+.2f}"
                    for cell in row["quality"]
                ),
            )
            for row in rows
        ],
    )
    speed = table(
        ("method", "images", "Mpx/s", "time relative to ours"),
        [
            (row["method"], str(row["images"]), f"{row['mpx_per_s']:.3g}", f"{row['time_to_ours']:.3g}")
            for row in rows
            if "mpx_per_s" in row
        ],
    )
    return [
        "## Quality",
        f"Additive white Gaussian noise, neither clipped nor quantised, except for OpenCV, which takes 8 bits only. "
        f'Results are clipped to [0, 1]. "Ours" is {ours}: one set of weights that is not told the noise level. '
        "The other methods are told the true sigma. The difference is between means over the images that the method "
        "of the row has done.",
        quality,
        "## Speed on these images",
        "Median wall time per megapixel over images and sigmas, every method in turn on each image, every library with "
        "its own default number of threads. The ratio is the median of the ratios on the same image.",
        speed,
    ]


def gate_tables(row: dict[str, Any], ours_row: dict[str, Any], network_rows: Sequence[dict[str, Any]]) -> list[str]:
    """Local gates against global ones; `row` is that of the latter, `ours_row` that of the former."""
    gates = next(network for network in network_rows if "global" in network["name"])
    times = [
        (f"network, {speed['precision']}, {speed['side']} x {speed['side']}", f"{1 / speed['time_to_ours']:.3f}")
        for speed in gates["speed"]
    ]
    return [
        "## Local gates against global ones",
        "The same weights with the channel gates averaging over a local window, as configured, and over the whole "
        "image (`gate_window` 0).",
        table(
            ("sigma", "global: PSNR, dB / SSIM", "local: PSNR, dB / SSIM", "local - global, dB", "SSIM"),
            [
                (
                    f"{theirs['sigma']:g}",
                    f"{theirs['psnr']:.2f} / {theirs['ssim']:.4f}",
                    f"{mine['psnr']:.2f} / {mine['ssim']:.4f}",
                    f"{theirs['ours_minus_it_db']:+.3f}",
                    f"{theirs['ours_minus_it_ssim']:+.4f}",
                )
                for mine, theirs in zip(ours_row["quality"], row["quality"], strict=True)
            ],
        ),
        table(("time", "local / global"), [("the images above", f"{1 / row['time_to_ours']:.3f}"), *times]),
    ]


def network_tables(network_rows: Sequence[dict[str, Any]], step_rows: Sequence[dict[str, Any]]) -> list[str]:
    """Networks beside each other, and the steps of ours."""
    settings = [(speed["precision"], speed["side"]) for speed in network_rows[0]["speed"]]
    sides = [speed["side"] for speed in step_rows[0]["speed"]]
    return [
        "## Networks alone",
        "One tile, channels_last, inference mode, the same allocator setting for all, in turn. The weights of the "
        "others are random, which does not change their speed; nothing is said about their quality. Ours runs as "
        "`Denoiser` runs it, with BatchNorm folded. FFDNet has its published shape: twelve 3 x 3 convolutions of 96 "
        "channels at half resolution. A cell is Mpx/s, and the time relative to ours, the median of the ratios within "
        "a round.",
        table(
            ("network", "kMAC per pixel", "parameters, M", *(f"{p}, {side} x {side}" for p, side in settings)),
            [
                (
                    row["name"],
                    f"{row['kmac_per_pixel']:.1f}",
                    f"{row['million_parameters']:.2f}",
                    *(f"{speed['mpx_per_s']:.3g} ({speed['time_to_ours']:.2f} x)" for speed in row["speed"]),
                )
                for row in network_rows
            ],
        ),
        "## What each step gave",
        "Our network, each step on top of those above. A cell is Mpx/s, and the speed relative to the row above and to "
        "the first row, medians of the ratios within a round.",
        table(
            ("step", *(f"{side} x {side}" for side in sides)),
            [
                (
                    row["name"],
                    *(
                        f"{speed['mpx_per_s']:.3g} ({speed['gain']:.2f} x, {speed['total']:.2f} x)"
                        for speed in row["speed"]
                    ),
                )
                for row in step_rows
            ],
        ),
    ]
