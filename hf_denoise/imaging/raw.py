"""Raw files of cameras, developed by LibRaw (the package rawpy, an extra).

Developed means: demosaicked, with the white balance that the camera noted, in proportion to light, and nothing else; no
curve, no brightening, no sharpening. A raw file is read and never written: its result is a TIFF of 16 bits.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePath
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image

from hf_denoise.errors import UserError
from hf_denoise.imaging.file_checks import check_directories, sound_exif
from hf_denoise.imaging.formats import RAW, Header
from hf_denoise.imaging.linear_light import linear_profile, srgb_from_linear
from hf_denoise.imaging.picture import Picture
from hf_denoise.imaging.tiff_reading import is_tiff, read_tiff_exif

PIP = "pip install 'hf_denoise[raw]'"
WHITE = 65535.0


def is_raw(name: str) -> bool:
    """Whether a file is a camera's, by its name: most begin as a TIFF does."""
    return PurePath(name).suffix.lower() in RAW


def check_raw(name: str) -> None:
    """Raise a `UserError` with the command that installs LibRaw, where that is not there."""
    try:
        import rawpy  # noqa: F401
    except ImportError as error:
        raise UserError(f"cannot read '{name}': raw files need rawpy; {PIP}") from error


def read_raw_header(file: BinaryIO, name: str) -> Header:
    """What a raw file says about the picture that it holds, without the pixels.

    Raises:
        UserError: rawpy is not installed.
        ValueError: it is no raw file that LibRaw knows, or damaged.
    """
    check_raw(name)
    with _opened(file) as raw:
        return Header("RAW", "RGB", np.dtype("uint16"), (raw.sizes.width, raw.sizes.height))


def develop(file: BinaryIO, header: Header) -> Picture:
    """The picture, in stored order where its EXIF says how to turn it, else upright.

    Its planes are in the curve of sRGB; `stored` gives linear values again.

    Raises:
        ValueError: the file is damaged.
    """
    _check_whole(file)
    exif = _exif(file)
    with _opened(file) as raw:
        exif = exif or _exif_of_preview(raw)
        turned = exif is not None and _orientation(exif) != 1
        linear = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            gamma=(1, 1),
            output_bps=16,
            user_flip=0 if turned else None,
        )
    height, width = linear.shape[:2]
    metadata: dict[str, Any] = {"icc_profile": linear_profile()}
    if exif is not None:
        metadata["exif"] = exif
    planes = (srgb_from_linear(linear, WHITE),)
    return Picture(
        replace(header, size=(width, height)),
        planes,
        metadata=metadata,
        encoding={"compressed": True},
        white=WHITE,
        linear=True,
    )


@contextmanager
def _opened(file: BinaryIO) -> Iterator[Any]:
    import rawpy

    file.seek(0)
    try:
        with rawpy.imread(file) as raw:
            yield raw
    except rawpy.LibRawError as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"LibRaw says: {reason.lower()}") from error


def _check_whole(file: BinaryIO) -> None:
    """Raise a `ValueError` where a file that is a TIFF ends before its pixels do: LibRaw makes up what is missing."""
    file.seek(0)
    if not is_tiff(file.read(4)):
        return
    import tifffile

    end = file.seek(0, 2)
    try:
        check_directories(file)
        with tifffile.TiffFile(file) as tiff:
            pages: list[Any] = [part for page in tiff.pages for part in (page, *(getattr(page, "pages", None) or ()))]
            ends = [sum(place) for page in pages for place in zip(page.dataoffsets, page.databytecounts, strict=False)]
    except Exception:  # a maker's own kind of TIFF, which LibRaw may know
        return
    if max(ends, default=0) > end:
        raise ValueError("the file ends before its pixels do")


def _exif(file: BinaryIO) -> bytes | None:
    """The EXIF of a raw file that begins as a TIFF does."""
    file.seek(0)
    if not is_tiff(file.read(4)):
        return None
    try:
        check_directories(file)
        block = read_tiff_exif(file)
    except Exception:  # Pillow raises any of a dozen types here, and the pixels are good all the same
        return None
    return block if block and sound_exif(block) else None


def _exif_of_preview(raw: Any) -> bytes | None:
    """The EXIF of the JPEG that cameras put beside the raw values."""
    import rawpy

    try:
        preview = raw.extract_thumb()
    except rawpy.LibRawError:
        return None
    if preview.format != rawpy.ThumbFormat.JPEG:
        return None
    block: bytes | None = Image.open(io.BytesIO(preview.data), formats=("JPEG",)).info.get("exif")
    return block if block and sound_exif(block) else None


def _orientation(block: bytes) -> int:
    exif = Image.Exif()
    exif.load(block)
    return int(exif.get(ExifTags.Base.Orientation, 1))
