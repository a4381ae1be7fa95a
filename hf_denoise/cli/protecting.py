"""How far `hf-denoise denoise` goes: the strength, what is protected, and which masks belong to which images."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hf_denoise.cli.inputs import Job
from hf_denoise.errors import UserError

if TYPE_CHECKING:
    from hf_denoise.imaging.picture import Picture
    from hf_denoise.inference.protection import Protection

AUTO = "auto"


def check_treatment(
    strength: float | Literal["auto"], keep: float | None, protect: str | None, balance: tuple[float, float, float]
) -> None:
    """Refuse options that do not go together, or are out of range, in the names that they have here.

    `balance` is luminance, color and grain.

    Raises:
        UserError: one of them.
    """
    from hf_denoise.imaging.balance import Balance
    from hf_denoise.inference.protection import Treatment

    try:
        Treatment(strength, keep, protect, Balance(*balance))
    except UserError as error:
        raise UserError(re.sub(r"\b(strength|keep|protect|luminance|color|grain)\b", r"--\1", str(error))) from error


def find_masks(protect: Path, jobs: Sequence[Job], output: Path, count: int, bad: list[str]) -> dict[Path, Path]:
    """Which mask belongs to which image.

    Args:
        protect: one mask, for one image; or a folder of masks with the names of the images, below it as the results
            are below `output`, or all at its top.
        jobs: the images and where their results go.
        output: folder of the results, or the file of a single one.
        count: of all images that were named, also those that are not worked on.
        bad: what is wrong with a mask, or that an image has none, is added here.

    Returns:
        The mask of each image that has one.

    Raises:
        UserError: there is no such file or folder, or it is one mask for several images.
    """
    from hf_denoise.imaging.images import read_header

    if protect.is_dir():
        known = _in_folder(protect)
    elif not protect.exists():
        raise UserError(f"--protect '{protect}' does not exist; give a mask, a folder of masks, or auto")
    elif count > 1:
        raise UserError(
            f"--protect '{protect}' is one mask for {count} images; give a folder of masks with their names, or auto"
        )
    else:
        known = {Path(source.stem): protect for source, _ in jobs}
    found = {}
    for source, target in jobs:
        below = target.relative_to(output).with_suffix("") if target != output else Path(source.stem)
        mask = known.get(below) or known.get(Path(source.stem))
        try:
            if mask is None:
                raise UserError(f"'{protect}' holds no mask for '{source}'; add '{below}.png', or leave that image out")
            read_header(mask)
            found[source] = mask
        except UserError as error:
            bad.append(str(error))
    return found


def _in_folder(folder: Path) -> dict[Path, Path]:
    """The masks in a folder by their paths below it, without the extension."""
    from hf_denoise.data.walking import visible_files
    from hf_denoise.imaging.formats import FORMATS

    known: dict[Path, Path] = {}
    for file in visible_files(folder, FORMATS):
        name = file.relative_to(folder).with_suffix("")
        if name in known:
            raise UserError(f"--protect: '{known[name]}' and '{file}' are masks of one name; keep one of them")
        known[name] = file
    return known


def protected_view(noisy: "Picture", protection: "Protection") -> "Picture":
    """What was protected in a decoded file as an 8-bit picture, upright."""
    import numpy as np

    from hf_denoise.imaging.formats import Header
    from hf_denoise.imaging.picture import Picture

    view = protection.picture(noisy.planes[0])
    header = Header("PNG", "RGB", np.dtype("uint8"), noisy.header.size)
    return Picture(header, (view,)).turned(noisy.orientation)
