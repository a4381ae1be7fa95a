"""One file denoised into another, and what there is to say about it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hf_denoise.imaging.formats import check_target
from hf_denoise.imaging.images import read_image
from hf_denoise.imaging.picture import Picture
from hf_denoise.inference.protection import Protection, Treatment
from hf_denoise.inference.removed import difference, view_header, view_picture
from hf_denoise.metrics.structure import structure

Progress = Callable[[int, int], None]
Run = Callable[[Picture, Treatment, Progress | None], tuple[Picture, float, Protection | None]]


@dataclass(frozen=True, eq=False)
class FileReport:
    """What was done to a file.

    Attributes:
        strength: of the correction, 0 to 1; what "auto" chose.
        protection: what was protected, in the stored order of the pixels; None where nothing was asked for.
        structure: how much structure what was taken away holds, see `hf_denoise.metrics.structure.structure`; None
            where it was not asked for.
        assumed: a sentence on what the file does not say for sure and was taken for granted, such as the value of white
            of 12 bits in samples of 16; None where nothing was.
    """

    strength: float
    protection: Protection | None = None
    structure: float | None = None
    assumed: str | None = None


def denoise_file(
    run: Run,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    options: Treatment,
    progress: Progress | None,
    removed: str | os.PathLike[str] | None,
    white_level: float | None = None,
) -> FileReport:
    """`Denoiser.file`, with `run` to denoise a decoded file."""
    noisy = read_image(source, white_level=white_level)
    assumed = None
    if noisy.white_why is not None:
        assumed = f"white is taken to be {noisy.white:g}, as {noisy.white_why}; another can be given"
    check_target(noisy.header, Path(target))
    options = options.in_stored_order(noisy)
    if removed is None:
        noisy, strength, protection = run(noisy, options, progress)  # the noisy pixels are freed before it is encoded
        noisy.save(target)
        return FileReport(strength, protection, assumed=assumed)
    check_target(view_header(noisy), Path(removed))
    clean, strength, protection = run(noisy, options, progress)
    clean.save(target)
    change = difference(noisy, clean)
    view_picture(change, noisy).save(removed)
    return FileReport(strength, protection, structure(change), assumed)
