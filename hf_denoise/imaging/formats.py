"""What image files can hold, and what a file says about itself."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hf_denoise.errors import UserError
from hf_denoise.imaging.extra_samples import unnamed_bands
from hf_denoise.imaging.heif import check_usable

FORMATS = {
    ".png": "PNG",
    ".apng": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gif": "GIF",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".jfif": "JPEG",
    ".jpe": "JPEG",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".pnm": "PPM",
}

RAW = frozenset({".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"})
"""Ends of the names of cameras' raw files, which are read and never written."""
READ = {*FORMATS, *RAW}
"""Ends of the names of all files that are read."""
_SEVERAL = {"TIFF": ("TIFF",), "animation": ("GIF", "PNG", "WEBP", "AVIF")}

_HOLDS: dict[str, set[str]] = {
    "PNG": {"1", "L", "LA", "P", "RGB", "RGBA"},
    "JPEG": {"L", "RGB", "CMYK"},
    "WEBP": {"RGB", "RGBA"},
    "BMP": {"1", "L", "P", "RGB"},
    "TIFF": {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK"},
    "GIF": {"L", "P", "RGB", "RGBA"},
    "AVIF": {"L", "RGB", "RGBA"},
    "HEIF": {"L", "RGB", "RGBA"},
    "PPM": {"1", "L", "RGB"},
}
_DTYPES = {
    "PNG": ("uint8", "uint16"),
    "PPM": ("uint8", "uint16"),
    "TIFF": ("uint8", "uint16", "float16", "float32", "float64"),
}
METADATA = {
    "PNG": ("icc_profile", "exif", "dpi", "xmp", "chunks"),
    "JPEG": ("icc_profile", "exif", "dpi", "xmp"),
    "WEBP": ("icc_profile", "exif", "xmp"),
    "TIFF": ("icc_profile", "exif", "dpi", "xmp", "max_sample_value"),
    "AVIF": ("icc_profile", "exif", "xmp"),
    "HEIF": ("icc_profile", "exif", "xmp"),
    "BMP": ("dpi",),
    "PPM": ("max_sample_value",),
    "GIF": (),
}
MAX_JPEG_XMP = 65_504
"""Bytes in one segment."""
_MAX_SIDE = {"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535, "AVIF": 65_535, "HEIF": 16_383}
# Nothing is lost by these; what cannot be reached through them, the format cannot hold.
_WIDER = {"1": ("L", "RGB"), "L": ("RGB",), "LA": ("RGBA",), "P": ("RGB", "RGBA")}
WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "P": "RGBA"}
DEEP_GREY = {"I;16", "I;16L", "I;16B", "I", "F"}
"""Pillow's modes of grey with more than 8 bits."""
MODES = {*_HOLDS["TIFF"], *DEEP_GREY}
"""Those of Pillow that a picture can have."""


@dataclass(frozen=True)
class Header:
    """What a file says about itself before its pixels are decoded.

    Attributes:
        format: Pillow's name, such as "PNG"; None for a picture that is not from a file.
        mode: Pillow's mode of the pixels; 16-bit and float colour, which Pillow has no name for, by its 8-bit name.
        dtype: of the samples: uint8, uint16 or a float.
        size: (width, height) in pixels.
        transparent: a palette with transparent entries, or a colour that stands for transparency.
        extra: kinds of the samples of a TIFF beside colour, see `hf_denoise.imaging.extra_samples`; empty where that
            is a plain alpha at most.
        pages: how many pictures the file holds: pages, or frames of an animation.
    """

    format: str | None
    mode: str
    dtype: np.dtype
    size: tuple[int, int]
    transparent: bool = False
    extra: tuple[int, ...] = ()
    pages: int = 1

    @property
    def layout(self) -> str:
        """The mode without its bit depth: "L" for every grey image."""
        return "L" if self.mode in DEEP_GREY else self.mode


def check_target(header: Header, path: Path) -> tuple[str, str]:
    """Whether the format of a path's extension can hold an image, before any work.

    Returns:
        Pillow's names of the format and of the mode to write: the image's own, or one that loses nothing.

    Raises:
        UserError: unknown extension, or the format lacks the depth, the alpha, the inks, the size or the pages.
    """
    format = FORMATS.get(path.suffix.lower())
    if format is None:
        raise UserError(f"cannot write '{path}': the name must end in one of {', '.join(FORMATS)}")
    check_usable(format, f"write '{path}'")
    if header.pages > 1:
        _check_several(header, format, path)
    depths = ("uint8", "uint16") if header.format == format == "HEIF" else _DTYPES.get(format, ("uint8",))
    if str(header.dtype) not in depths:
        depth = "floating-point" if header.dtype.kind == "f" else "16-bit"
        fitting = "TIFF" if header.dtype.kind == "f" else "PNG or TIFF"
        raise UserError(f"cannot write '{path}': {format} has no {depth} samples; write {fitting} instead")
    if format != "TIFF" and (bands := unnamed_bands(header.extra, header.layout)):
        raise UserError(
            f"cannot write '{path}': {format} keeps no bands beside colour and alpha, it has {bands}; write TIFF"
        )
    if format == "GIF" and header.format != "GIF":
        raise UserError(f"cannot write '{path}': only a GIF is written as GIF, its 256 colours are too few; write PNG")
    if max(header.size) > _MAX_SIDE.get(format, 2**31):
        raise UserError(f"cannot write '{path}': {format} ends at {_MAX_SIDE[format]} pixels a side; write PNG or TIFF")
    if (path.suffix.lower() == ".pbm" and header.mode != "1") or (
        path.suffix.lower() == ".pgm" and "RGB" in header.mode
    ):
        raise UserError(f"cannot write '{path}': it would hold more than its name says; call it .pnm")
    mode = header.layout
    if header.transparent and format not in ("PNG", "GIF"):
        mode = WITH_ALPHA[mode]
    for candidate in (mode, *_WIDER.get(mode, ())):
        if candidate in _HOLDS[format] and not (header.transparent and mode != header.layout and candidate == "RGB"):
            return format, candidate
    kind = "CMYK" if mode == "CMYK" else "transparency"
    raise UserError(
        f"cannot write '{path}': {format} has no {kind}; write {'TIFF' if kind == 'CMYK' else 'PNG'} instead"
    )


def _check_several(header: Header, format: str, path: Path) -> None:
    kind = "TIFF" if header.format == "TIFF" else "animation"
    if format not in _SEVERAL[kind]:
        held = f"the {header.pages} pages" if kind == "TIFF" else f"the {header.pages} frames of an animation"
        fitting = "TIFF" if kind == "TIFF" else "PNG or WebP"
        raise UserError(
            f"cannot write '{path}': {format} does not hold {held}; write {fitting}, or choose one with --page"
        )
