"""One file denoised into another, which may have several pages or frames, and what there is to say about it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hf_denoise.errors import UserError
from hf_denoise.imaging.animations import Timing
from hf_denoise.imaging.formats import check_target
from hf_denoise.imaging.image_file import ImageFile
from hf_denoise.imaging.images import open_image
from hf_denoise.imaging.picture import Picture
from hf_denoise.imaging.writing import bytes_of, write_pictures
from hf_denoise.inference.protection import Protection, Treatment
from hf_denoise.inference.removed import difference, view_header, view_picture
from hf_denoise.metrics.structure import structure

Progress = Callable[[int, int], None]
Run = Callable[[Picture, Treatment, Progress | None], tuple[Picture, float, Protection | None]]


@dataclass(frozen=True, eq=False)
class FileReport:
    """What was done to a file.

    Attributes:
        strength: of the correction, 0 to 1; what "auto" chose, of several pages the least.
        protection: what was protected, in the stored order of the pixels; None where nothing was asked for.
        structure: how much structure what was taken away holds, see `hf_denoise.metrics.structure.structure`; None
            where it was not asked for.
        assumed: a sentence on what the file does not say for sure and was taken for granted, such as the value of white
            of 12 bits in samples of 16; None where nothing was.
        pages: how many pages or frames were denoised.
    """

    strength: float
    protection: Protection | None = None
    structure: float | None = None
    assumed: str | None = None
    pages: int = 1


def denoise_file(
    run: Run,
    tiles: Callable[[int, int], int],
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    options: Treatment,
    progress: Progress | None,
    removed: str | os.PathLike[str] | None,
    white_level: float | None = None,
    page: int | None = None,
) -> FileReport:
    """`Denoiser.file`, with `run` to denoise a decoded picture, and the tiles that one of a size takes."""
    with open_image(source) as file:
        if file.count > 1 and page is None:
            if removed is not None or options.protect is not None:
                raise UserError(
                    f"'{source}' holds {file.count} {file.what}; what is removed or protected is shown for one: "
                    "choose it with --page"
                )
            return _denoise_pages(run, tiles, file, Path(target), options, progress, white_level)
        noisy = file.read(file.place(page), white_level)
    check_target(noisy.header, Path(target))
    assumed = _assumed(noisy)
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


def _denoise_pages(
    run: Run,
    tiles: Callable[[int, int], int],
    file: ImageFile,
    target: Path,
    options: Treatment,
    progress: Progress | None,
    white_level: float | None,
) -> FileReport:
    """All pages or frames of a file, one after another: no more than one is in memory, as pixels."""
    headers = [file.header(number) for number in range(file.count)]
    for header in headers:
        check_target(header, target)
    work = [tiles(*header.size) for header in headers]
    timing = Timing()
    strengths: list[float] = []
    said: list[str] = []

    def denoised() -> Iterator[Picture]:
        for number in range(file.count):
            done = sum(work[:number])

            def advance(tiles_done: int, _: int, before: int = done) -> None:
                if progress:
                    progress(before + tiles_done, sum(work))

            noisy = file.read(number, white_level, timing)
            said.extend(filter(None, [_assumed(noisy)]))
            clean, strength, _ = run(noisy, options, advance)
            strengths.append(strength)
            yield replace(clean, header=replace(clean.header, pages=file.count))

    write_pictures(denoised(), target, sum(map(bytes_of, headers)), timing)
    return FileReport(min(strengths), assumed=said[0] if said else None, pages=file.count)


def _assumed(noisy: Picture) -> str | None:
    if noisy.white_why is None:
        return None
    return f"white is taken to be {noisy.white:g}, as {noisy.white_why}; another can be given"
