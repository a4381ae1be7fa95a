"""What was measured as paragraphs of Markdown."""

from collections.abc import Sequence
from typing import Any

from benchmarks.quality.cases import CLEAN
from benchmarks.quality.methods import ALONE, OURS
from benchmarks.shared.machine import sentence, table


def paragraphs(results: dict[str, Any], methods: Sequence[str]) -> list[str]:
    """All tables; `methods` are the columns, the noisy input first."""
    cells = {(row["case"], row["method"]): row for row in results["quality"]}
    cases = list(dict.fromkeys(row["case"] for row in results["quality"]))
    noisy = [case for case in cases if case not in CLEAN]
    return [
        "# Quality and speed beside other denoisers",
        sentence(results["machine"]),
        f"Weights: {results['model']}, in {results['precision']}. Photographs: {results['photos']}, noise of seed "
        f"{results['seed']}. Numbers of one run compare with each other; those of two machines do not.",
        *results["left_out"],
        "## PSNR, dB",
        f"Means over the pictures. {OURS} is one set of weights that is told nothing. The others are told the sigma of "
        "Gaussian noise, and an estimate of it under any other noise. In brackets: how far hf_denoise is ahead of the "
        "method on the very pictures that the method has done, since a slow one does fewer. Gaussian noise is neither "
        "clipped nor quantised; a camera's is, and a JPEG's target is what its file can hold. Real pairs are "
        "photographs of the same scene, once and averaged over many.",
        table(("noise", "pictures", *methods), [_psnr_row(cells, case, methods) for case in noisy]),
        "## SSIM",
        table(
            ("noise", *methods),
            [(case, *(f"{cells[case, method]['ssim']:.3f}" for method in methods)) for case in noisy],
        ),
        "## Pictures without noise",
        "PSNR to themselves, mean and lowest, in dB; 90 stand for no difference at all.",
        table(
            ("picture", *methods[1:]),
            [(case, *(_to_itself(cells[case, method]) for method in methods[1:])) for case in cases if case in CLEAN],
        ),
        "## The worst picture",
        "How the PSNR of the picture that gained least changed, in dB, and how many pictures came back with a lower "
        "PSNR, from the network alone and from `Denoiser`, which averages the channels of grey pictures and puts back "
        "what noise does not explain.",
        table(
            ("noise", f"worst, {ALONE}", f"worst, {OURS}", "worse, network / Denoiser"),
            [_worst_row(cells[case, ALONE], cells[case, OURS]) for case in noisy],
        ),
        "## Speed",
        "Median wall time per megapixel over all pictures, every method in turn on each, every library with its own "
        "default number of threads. The ratio is the median of those on the same picture.",
        table(
            ("method", "Mpx/s", "time relative to ours"),
            [(row["method"], f"{row['mpx_per_s']:.3g}", f"{row['time_to_ours']:.3g}") for row in results["speed"]],
        ),
        "![PSNR over speed](quality_speed.png)",
    ]


def _psnr_row(cells: dict[tuple[str, str], Any], case: str, methods: Sequence[str]) -> tuple[str, ...]:
    shown = [case, str(cells[case, OURS]["images"])]
    for method in methods:
        row = cells[case, method]
        lead = f" ({round(row['ours_minus_it_db'], 2) + 0:+.2f})" if method not in (OURS, methods[0]) else ""
        shown.append(f"**{row['psnr']:.2f}**" if method == OURS else f"{row['psnr']:.2f}{lead}")
    return tuple(shown)


def _to_itself(row: dict[str, Any]) -> str:
    return f"{row['psnr']:.2f} ({row['lowest_psnr']:.2f})"


def _worst_row(alone: dict[str, Any], ours: dict[str, Any]) -> tuple[str, ...]:
    worse = f"{alone['worse_than_input']} / {ours['worse_than_input']}"
    return alone["case"], f"{alone['worst_gain_db']:+.2f}", f"{ours['worst_gain_db']:+.2f}", worse
