"""Denoised pictures: kept for a while, so that another strength or another view runs no network, and shown."""

import base64
import io
import os
import shutil
import tempfile
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from numpy.typing import NDArray
from PIL import Image

from hf_denoise.arrays import ByteImage, FloatImage, full_scale, to_8_bits
from hf_denoise.imaging.formats import FORMATS
from hf_denoise.imaging.images import read_image
from hf_denoise.imaging.picture import Picture
from hf_denoise.page.models import fully_denoised, probed
from hf_denoise.page.stop import held
from hf_denoise.probing.report import ProbeReport

# Pixels, about 10 GB in memory: a larger picture could end the process, and with it the page for all others.
LARGEST_UPLOAD = 100_000_000
PREVIEW_SIDE = 2048  # pixels; of what the API gives to look at, the download has all
PAGE_SIDE = 1280  # pixels; of what the page shows, which asks for the others where somebody looks closely
KEPT_RESULTS = 4
BLOCKS = 24  # along the longer side, among which the noisiest is looked for
KEPT_PIXELS = 120_000_000  # of all results that are kept together
Box = tuple[slice, slice]
WHOLE: Box = (slice(None), slice(None))


@dataclass(eq=False)
class Result:
    """A picture and what the network made of it, both upright."""

    before: Picture
    after: Picture  # at strength 1
    stored: tuple[Picture, Picture]  # the same as in the file, before they were turned upright
    best: bool = False  # by the self-ensemble
    report: ProbeReport | None = None  # at strength 1, once somebody has asked
    probing: threading.Lock = field(default_factory=threading.Lock)
    measured: dict[Any, float] = field(default_factory=dict)  # figures of `before`, see `measuring`
    _small: dict[int, tuple[FloatImage, FloatImage]] = field(default_factory=dict)

    def small(self, side: int) -> tuple[FloatImage, FloatImage]:
        """Both, (h, w, 3) of at most `side` pixels a side. Half precision is finer than a screen."""
        if side not in self._small:
            with ThreadPoolExecutor(2) as at_once:
                before, after = at_once.map(
                    lambda picture: shrink(picture.rgb, side).astype(np.float16), (self.before, self.after)
                )
            self._small[side] = before, after
        return self._small[side]

    @cached_property
    def noisiest(self) -> tuple[int, int]:
        """Where most noise was removed, (x, y) in pixels."""
        return noisiest_place(self.before, self.after)


# Path (or another name of a picture), model, best: Gradio's folder of an upload is named by its contents.
_Key = tuple[str, str | None, bool]
_results: dict[_Key, Result] = {}
_lock = threading.Lock()
_at_work: WeakValueDictionary[_Key, threading.Lock] = WeakValueDictionary()


def read_picture(path: str | Path) -> Picture:
    """An uploaded picture.

    Raises:
        UserError: as `read_image`, or it is too large for a server.
    """
    return read_image(path, LARGEST_UPLOAD)


def kept_result(path: str, model: str | None = None, best: bool = False) -> Result | None:
    """A result that is still in memory."""
    with _lock:
        kept = _results.pop((path, model, best), None)
        if kept:
            _results[path, model, best] = kept  # the last to go
    return kept


def keep_result(result: Result, path: str, model: str | None = None, best: bool = False) -> None:
    """Keep a result in memory, in the place of those that were not asked for the longest where they are too many."""
    with _lock:
        _results[path, model, best] = result
        while len(_results) > 1 and (len(_results) > KEPT_RESULTS or _pixels_kept() > KEPT_PIXELS):
            del _results[next(iter(_results))]


def result_of(path: str, model: str | None, progress: gr.Progress, best: bool = False) -> Result:
    """The denoised picture, `best` by the self-ensemble; one that is still kept does not run the network again.

    Raises:
        UserError: as `read_image` and `denoiser`.
        Stopped: nobody waits for it any more.
    """
    keep_file(path)
    with _lock:
        at_work = _at_work.setdefault((path, model, best), threading.Lock())
    with held(at_work):  # who asks for the same meanwhile gets the same result, or goes on where the first was stopped
        if kept := kept_result(path, model, best):
            return kept
        before = read_picture(path)
        after = fully_denoised(before, model, progress, best=best)
        result = Result(before.upright(), after.upright(), (before, after), best)
        keep_result(result, path, model, best)
        return result


def report_of(result: Result, model: str | None, progress: gr.Progress) -> ProbeReport:
    """Which defects survive in a result at strength 1; asked again it does not run the network again.

    Raises:
        UserError: the picture is too small, or as `denoiser`.
        Stopped: nobody waits for it any more.
    """
    with held(result.probing):
        result.report = result.report or probed(result.before, model, progress, result.best)
        return result.report


def _pixels_kept() -> int:
    sizes = (result.before.header.size for result in _results.values())
    return sum(width * height for width, height in sizes)


def keep_file(path: str) -> None:
    """Touch an upload that is used, so that the hour after which it is deleted starts again."""
    if Path(get_upload_folder()) in Path(path).parents:
        with suppress(OSError):
            os.utime(path)


@contextmanager
def new_folder() -> Iterator[Path]:
    """An empty folder where Gradio serves files from, and deletes them later. On failure it is deleted at once."""
    Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=get_upload_folder()))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def extension(path: str, picture: Picture) -> str:
    """The file name extension of the result: that of the upload, unless its contents say otherwise."""
    suffix = Path(path).suffix
    if picture.header.format == "RAW":
        return ".tif"
    if FORMATS.get(suffix.lower()) == picture.header.format:
        return suffix
    return next(suffix for suffix, format in FORMATS.items() if format == picture.header.format)


def shrink(pixels: FloatImage, side: int = PREVIEW_SIDE) -> FloatImage:
    """(H, W, 3) floats, scaled down where a side is longer."""
    height, width = pixels.shape[:2]
    if max(height, width) <= side:
        return pixels

    def channel(index: int) -> NDArray[Any]:
        image = Image.fromarray(np.ascontiguousarray(pixels[..., index]))
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        return np.asarray(image)

    return np.dstack([channel(index) for index in range(3)])


@dataclass(frozen=True, eq=False)
class Preview:
    """A picture for the page: (h, w, 3 or 4) bytes."""

    pixels: ByteImage
    icc_profile: bytes | None = None


def in_its_colours(picture: Picture, pixels: FloatImage, box: Box = WHOLE) -> Preview:
    """Pixels of a part of a picture, (h, w, 3) in [0, 1], with its opacity there, in the colours its profile says."""
    header, alpha = picture.header, picture.alpha
    # A profile of grey or ink does not fit the RGB that is shown.
    own = header.layout in ("RGB", "RGBA", "P") and not picture.linear
    shown = to_8_bits(pixels)
    if alpha is not None:
        image = Image.fromarray(np.rint(alpha[box] * (255 / full_scale(alpha.dtype))).astype(np.uint8))
        opacity = np.asarray(image.resize((shown.shape[1], shown.shape[0]), Image.Resampling.LANCZOS))
        shown = np.dstack([shown, opacity])
    return Preview(shown, picture.metadata.get("icc_profile") if own else None)


def save_previews(previews: dict[str, Preview], folder: Path, *, lossy: bool = False) -> dict[str, str]:
    """Save them all as PNGs, which every browser shows: the path of each.

    Args:
        previews: by name.
        folder: where to.
        lossy: those without opacity as JPEGs, which take a tenth of the time.
    """

    def save(name: str) -> str:
        pixels, profile = previews[name].pixels, previews[name].icc_profile
        if lossy and pixels.shape[2] == 3:
            path = folder / f"{name}.jpg"
            Image.fromarray(pixels).save(path, quality=95, subsampling=0, icc_profile=profile)
        else:
            path = folder / f"{name}.png"
            # Of noise little more can be gained, in any time, than by its runs and the frequencies of its bytes.
            Image.fromarray(pixels).save(path, compress_type=zlib.Z_RLE, icc_profile=profile)
        return str(path)

    with ThreadPoolExecutor(len(previews)) as at_once:  # zlib lets go of the interpreter
        return dict(zip(previews, at_once.map(save, previews), strict=True))


def noisiest_place(before: Picture, after: Picture) -> tuple[int, int]:
    """The middle of the block of a picture, (x, y) in pixels, where most noise was removed.

    What is transparent does not count. Samples of rows and columns tell it: 24 megapixels take some milliseconds.
    """
    height, width = before.planes[0].shape[:2]
    side = max(1, max(height, width) // BLOCKS)
    step = max(1, side // 32)
    best, place = -1.0, (width // 2, height // 2)
    for top, left in product(range(0, height - side + 1, side), range(0, width - side + 1, side)):
        box = slice(top, top + side, step), slice(left, left + side, step)
        removed = np.square(before.planes[0][box].astype(np.float32) - after.planes[0][box])
        if before.alpha is not None:
            removed *= (before.alpha[box] > 0).reshape(*removed.shape[:2], *[1] * (removed.ndim - 2))
        if (found := float(removed.mean())) > best:
            best, place = found, (left + side // 2, top + side // 2)
    return place


def grown(box: Box, reach: int, size: tuple[int, int]) -> Box:
    """A box with so many pixels around it, as far as there are."""
    down, across = (
        slice(max(side.start - reach, 0), min(side.stop + reach, length))
        for side, length in zip(box, size, strict=True)
    )
    return down, across


def within(box: Box, near: Box) -> Box:
    """The same box, of what is left of a picture when a larger one is cut out."""
    down, across = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, near, strict=True))
    return down, across


def part_of(picture: Picture, box: Box) -> Picture:
    """The pixels of a box of a picture, as a picture."""
    return picture.with_planes(tuple(plane[box] for plane in picture.planes))


def as_url(preview: Preview, *, lossy: bool = False) -> str:
    """A small picture as a PNG, or where it is to be small as WebP, in a data URL: no file that is to be deleted."""
    file = io.BytesIO()
    image, profile = Image.fromarray(preview.pixels), preview.icc_profile
    if lossy:
        image.save(file, "WEBP", quality=80, method=2, icc_profile=profile)
    else:
        image.save(file, "PNG", compress_level=1, icc_profile=profile)
    return f"data:image/{'webp' if lossy else 'png'};base64," + base64.b64encode(file.getvalue()).decode()
