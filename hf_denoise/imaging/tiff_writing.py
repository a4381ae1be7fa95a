"""TIFF files written by tifffile, page by page, so that a long one never lies in memory as a whole."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from hf_denoise.imaging.extra_samples import ALPHA, ExtraSamples
from hf_denoise.imaging.tiff_reading import DESCRIPTIVE_TAGS, EXIF_IFD, GPS_IFD, LARGEST_VALUE, XMP

_PHOTOMETRIC = {
    "1": "minisblack",
    "L": "minisblack",
    "LA": "minisblack",
    "P": "palette",
    "RGB": "rgb",
    "RGBA": "rgb",
    "CMYK": "separated",
}
LARGEST_CLASSIC = 2**32 - 2**25
"""Bytes; a larger one must be a BigTIFF, whose places have 64 bits."""


class TiffWriter:
    """A TIFF that is being written."""

    def __init__(self, tiff: Any, big: bool):
        self._tiff, self._big = tiff, big
        self.directories: list[dict[int, dict[int, Any]]] = []  # of each page, to be written behind the last

    def add(
        self,
        pixels: np.ndarray,
        mode: str,
        metadata: dict[str, Any],
        compressed: bool,
        extra: ExtraSamples | None = None,
        palette: np.ndarray | None = None,
    ) -> None:
        """Write a page.

        Args:
            pixels: (H, W) or (H, W, C), of any dtype; with `extra`, what its `joined` gives; True and False of mode
                "1"; indices of mode "P".
            mode: Pillow's.
            metadata: as `Picture` has it.
            compressed: by deflate, or not at all.
            extra: the samples beside colour, where there is more to say than an alpha.
            palette: (N, 3 or more) uint8, of mode "P".
        """
        exif = Image.Exif()
        exif.load(metadata.get("exif", b""))
        subs = {tag: exif.get_ifd(tag) for tag in (EXIF_IFD, GPS_IFD) if tag in exif}
        self.directories.append(subs)
        tags: list[tuple[int, int, int, Any, bool]] = []
        for tag, value in exif.items():
            if tag in subs:
                # tifffile drops the tag itself; the place is filled in at the end
                tags.append((tag - 1, 16 if self._big else 4, 1, 0, True))
            elif tag in DESCRIPTIVE_TAGS:
                tags.append(_tag(tag, value))
        if xmp := metadata.get("xmp"):
            tags.append((XMP, 1, len(xmp), xmp, True))
        if (top := metadata.get("max_sample_value")) and float(top).is_integer() and top < 2**16:
            samples = 1 if pixels.ndim == 2 else pixels.shape[2]
            tags.append((LARGEST_VALUE[0], 3, samples, (int(top),) * samples if samples > 1 else int(top), True))
        dpi = metadata.get("dpi")
        self._tiff.write(
            pixels,
            photometric=_PHOTOMETRIC[mode],
            planarconfig="contig" if pixels.ndim == 3 else None,
            extrasamples=extra.kinds if extra else [ALPHA] if mode in ("LA", "RGBA") else None,
            colormap=_colormap(palette) if palette is not None else None,
            compression="adobe_deflate" if compressed else None,
            predictor=compressed and mode not in ("1", "P"),
            iccprofile=metadata.get("icc_profile"),
            resolution=tuple(dpi) if dpi else None,
            resolutionunit="INCH" if dpi else None,
            extratags=tags,
            software=False,
            metadata=None,
        )


@contextmanager
def tiff_writer(file: BinaryIO, size: int) -> Iterator[TiffWriter]:
    """Write a TIFF into `file`, which is open for writing and reading; `size` is that of all its pixels in bytes."""
    import tifffile

    big = size > LARGEST_CLASSIC
    with tifffile.TiffWriter(file, bigtiff=big) as tiff:
        writer = TiffWriter(tiff, big)
        yield writer
    if any(writer.directories):
        _append_directories(file, writer.directories)


def _tag(tag: int, value: Any) -> tuple[int, int, int, Any, bool]:
    if isinstance(value, int):
        return tag, 3, 1, value, True
    if isinstance(value, tuple):
        value = bytes(value)  # of small numbers, as Windows writes its text
    if isinstance(value, bytes):
        return tag, 1, len(value), value, True
    return tag, 2, 0, str(value).encode("latin-1", "replace"), True  # as Pillow has read it


def _colormap(palette: np.ndarray) -> np.ndarray:
    """A palette as a TIFF has it: (3, 256) uint16."""
    colours = np.zeros((3, 256), np.uint16)
    colours[:, : len(palette)] = palette[:, :3].T.astype(np.uint16) * 257
    return colours


def _append_directories(file: BinaryIO, pages: list[dict[int, dict[int, Any]]]) -> None:
    """Write EXIF and GPS behind the pages and point their tags there: tifffile has no way to."""
    import tifffile

    file.flush()
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        order = b"II" if tiff.byteorder == "<" else b"MM"
        kind, room = (43, 12) if tiff.is_bigtiff else (42, 4)
        head = order + struct.pack(f"{tiff.byteorder}H", kind) + bytes(room)
        for number, subs in enumerate(pages):
            for tag, values in subs.items():
                ifd = TiffImagePlugin.ImageFileDirectory_v2(head)
                for key, value in values.items():
                    ifd[key] = value
                offset = file.seek(0, 2)
                offset += file.write(b"\0" * (offset % 2))
                file.write(ifd.tobytes(offset))
                page: Any = tiff.pages[number]
                place = page.tags[tag - 1]
                place.overwrite(offset)
                file.seek(place.offset)
                file.write(struct.pack(f"{tiff.byteorder}H", tag))
