"""What was measured as paragraphs of Markdown."""

from collections.abc import Sequence
from typing import Any

from benchmarks.shared import machine

DEFECT_COLUMNS = ("ideal, kept", "ideal, removed", "hf_denoise, kept", "hf_denoise, removed")


def cell(numbers: dict[str, float]) -> str:
    """Median, lowest and highest."""
    return f"{numbers['median']:.2f} ({numbers['lowest']:.2f} to {numbers['highest']:.2f})"


def paragraphs(results: dict[str, Any], sigmas: Sequence[float]) -> list[str]:
    """All tables; `sigmas` are the columns of the denoisers."""
    return [
        "# Structure in what was removed",
        machine.sentence(results["machine"]),
        f"`hf_denoise.metrics.structure.structure` on {results['photographs']} photographs: 0 is noise alone, 1 is "
        "structure alone, at the place where that is most. A cell is the median and, in brackets, the lowest and the "
        f"highest of all photographs. One megapixel in colour takes {results['seconds_per_megapixel']:.2f} s.",
        "![The number against the share of a defect that was removed, with examples](structure.webp)",
        "## True noise",
        "Noisy minus clean: the answer is 0. Noise that is cut off at black or white has no zero mean there.",
        machine.table(
            ("noise", "median", "highest", "photographs above 0.01"),
            [
                (row["noise"], f"{row['median']:.4f}", f"{row['highest']:.4f}", str(row["above_0.01"]))
                for row in results["noises"]
            ],
        ),
        "## Denoisers",
        "Noisy minus denoised, Gaussian noise. Non-local means are told sigma.",
        machine.table(
            ("method", *(f"sigma {sigma:g}" for sigma in sigmas)),
            [(row["method"], *(cell(row[f"sigma {sigma:g}"]) for sigma in sigmas)) for row in results["methods"]],
        ),
        "## A defect, kept and removed on purpose",
        "A dark line of 60 x 1.5 pixels or a dark pit of 6 pixels across, at a bright place of the photograph. "
        '"Ideal" takes away the noise and nothing else. "Removed" is the result for the same picture and noise '
        "without the defect: what comes out as if the defect had never been there.",
        machine.table(
            ("defect", "sigma", "contrast of 255", *DEFECT_COLUMNS),
            [
                (
                    row["defect"],
                    f"{row['sigma']:g}",
                    f"{row['contrast']:g}",
                    *(cell(row[name]) for name in DEFECT_COLUMNS),
                )
                for row in results["defects"]
            ],
        ),
    ]
