"""TIFF files, by tifffile: their pages, and the pixels of those that Pillow cannot hold.

Those are of 16 bits, of floats, or have samples beside colour and alpha. imagecodecs is what tifffile itself needs for
LZW and most other compressed TIFFs, so that 16-bit colour PNG, see `deep_png`, costs no further dependency. Both are
imported where they are used: most images are no TIFF.
"""

import io
import math
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from hf_denoise.errors import UserError
from hf_denoise.imaging.extra_samples import ALPHA, COLOURS, PREMULTIPLIED, UNSPECIFIED, kinds_of
from hf_denoise.imaging.file_checks import check_directories, check_segments, check_tiff_size

EXIF_IFD, GPS_IFD, XMP = 0x8769, 0x8825, 700
LARGEST_VALUE = (281, 341)  # MaxSampleValue, SMaxSampleValue
# What describes the picture; every other tag of a TIFF says how the file is laid out.
# 18246 and 18249 are stars, 0x9C9B to 0x9C9F title, comment, author, keywords and subject as Windows writes them.
DESCRIPTIVE_TAGS = (270, 271, 272, 274, 305, 306, 315, 18246, 18249, 33432, *range(0x9C9B, 0x9CA0), EXIF_IFD, GPS_IFD)
_LAYOUTS = {"MINISBLACK": "L", "RGB": "RGB", "SEPARATED": "CMYK"}
# The others need decoders that few files use and few people have tested.
_COMPRESSIONS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits"}
_LARGEST_SPARE_TILE = 2**22  # pixels; a tile may be larger than the picture, within reason
_DEPTHS = ("uint16", "float16", "float32", "float64")
# Some of those that tifffile knows: which others can be set differs between its versions.
_DIALECTS = ("eer", "lsm", "ndpi", "scanimage")


@dataclass(frozen=True)
class TiffHeader:
    """What a TIFF says about itself before its pixels are decoded.

    `mode` is None where Pillow can hold the picture: with 8 bits, and no other samples beside colour than alpha.
    `extra` are the kinds of those, see `extra_samples`, where there is more to them than a plain alpha.
    """

    width: int
    height: int
    mode: str | None
    dtype: np.dtype | None
    compressed: bool
    extra: tuple[int, ...] = ()


def is_tiff(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a TIFF or BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class TiffPages:
    """A TIFF that is open, and its pages, without the thumbnails of reduced resolution that cameras put beside them.

    Raises:
        ValueError: there is no page, or the list of pages is damaged.
    """

    def __init__(self, file: BinaryIO, name: str):
        import tifffile

        check_directories(file, whole=True)
        self.file, self.name = file, name
        file.seek(0)
        # The formats of microscopes, which change the standard way to read pages, are off.
        no_dialects: dict[str, Any] = {f"is_{dialect}": False for dialect in _DIALECTS}
        self._tiff = tifffile.TiffFile(file, **no_dialects)
        pages: list[Any] = list(self._tiff.pages)
        self._pages = [page for page in pages if not page.is_reduced]
        if not self._pages:
            raise ValueError("it has no page")

    def __len__(self) -> int:
        return len(self._pages)

    def header(self, number: int) -> TiffHeader:
        """What a page says about itself.

        Raises:
            UserError: more than 8 bits in a layout other than grey, RGB or CMYK of 16-bit or float, or in a compression
                other than LZW, deflate and PackBits.
            ValueError: the header is damaged.
        """
        import tifffile

        page = self._pages[number]
        numbers = (page.imagewidth, page.imagelength, page.samplesperpixel, page.compression)
        if not all(isinstance(number, int) and number > 0 for number in numbers):
            raise ValueError("its size is no number")
        mode = None
        layout = getattr(page.photometric, "name", str(page.photometric))
        colours = _LAYOUTS.get(layout, "")
        extra = kinds_of(page.samplesperpixel - COLOURS.get(colours, 1), page.extrasamples)
        if extra == (ALPHA,) and colours != "CMYK":
            extra = ()  # nothing more to say than the mode does
        special = bool(colours and extra) and page.bitspersample == 8
        if not isinstance(page.bitspersample, int) or page.bitspersample > 8 or special:
            mode = mode_of(colours, extra or (ALPHA,) * (page.samplesperpixel - COLOURS.get(colours, 1)))
            known = page.dtype is not None and page.bitspersample == 8 * page.dtype.itemsize
            deep = str(page.dtype) in _DEPTHS or (special and str(page.dtype) == "uint8")
            if mode is None or not known or not deep or page.imagedepth != 1:
                raise UserError(
                    f"'{self.name}' is a TIFF of {page.samplesperpixel} x {page.dtype or page.bitspersample} {layout} "
                    "samples, which is not supported; convert it to 8-bit, 16-bit or float32 grey or RGB"
                )
            if page.compression not in _COMPRESSIONS:
                raise UserError(
                    f"'{self.name}' is a TIFF of {page.bitspersample} bits that is compressed in a way that is not "
                    f"supported ({page.compression}); save it with LZW or deflate compression, or with none"
                )
        chroma_is_coarser = page.photometric == tifffile.PHOTOMETRIC.YCBCR
        samples = 1 if chroma_is_coarser else page.samplesperpixel
        size = page.imagewidth * page.imagelength * samples * page.bitspersample // 8
        check_tiff_size(size, self.file, page.compression)
        return TiffHeader(page.imagewidth, page.imagelength, mode, page.dtype, page.compression != 1, extra)

    def pixels(self, number: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Decode a page that `header` gives a mode.

        Returns:
            (H, W) or (H, W, C) array in the file's own dtype, and what it has of `Picture.metadata` but `exif`.

        Raises:
            ValueError: the pixels are damaged; many other types too.
        """
        import tifffile

        page = self._pages[number]
        _check_pixels(page, self.file)
        pixels = page.asarray()
        if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = np.moveaxis(pixels, 0, -1)
        metadata: dict[str, Any] = {}
        for tag, name in ((34675, "icc_profile"), (XMP, "xmp")):
            if tag in page.tags:
                metadata[name] = bytes(page.tags[tag].value)
        if top := _largest_said(page):
            metadata["max_sample_value"] = top
        if 282 in page.tags and 283 in page.tags and page.resolutionunit > 1:
            dpi = page.get_resolution("INCH")
            if is_resolution(dpi):
                metadata["dpi"] = dpi
        return pixels, {key: value for key, value in metadata.items() if value}

    def exif(self, number: int) -> bytes | None:
        """The tags of a page that describe the picture (camera, date, orientation, EXIF, GPS), as an EXIF block."""
        return read_tiff_exif(self.file, self._pages[number].offset)

    def alone(self, number: int) -> BinaryIO:
        """The file as if a page were its first: Pillow reads the others one after another, and each of them."""
        head = bytearray(_head(self.file))
        order, big = self._tiff.byteorder, head[2:4] in (b"+\0", b"\0+")
        place = struct.pack(f"{order}Q", self._pages[number].offset)
        if big:
            head[8:16] = place
        else:
            head[4:8] = struct.pack(f"{order}I", self._pages[number].offset)
        return _Headed(self.file, bytes(head))


class _Headed(io.RawIOBase, BinaryIO):
    """A file with other first bytes. Its descriptor, by which libtiff reads strips, stays that of the file."""

    def __init__(self, file: BinaryIO, head: bytes):
        self._file, self._head, self._place = file, head, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = self._file.seek(offset) if whence == 0 else self._file.seek(self._moved(offset, whence))
        return self._place

    def _moved(self, offset: int, whence: int) -> int:
        return self._place + offset if whence == 1 else self._file.seek(0, 2) + offset

    def tell(self) -> int:
        return self._place

    def fileno(self) -> int:
        return self._file.fileno()

    def read(self, size: int = -1) -> bytes:
        self._file.seek(self._place)
        data = self._file.read(size)
        start = self._head[self._place : self._place + len(data)]
        self._place += len(data)
        return start + data[len(start) :]


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(16)  # Image.Exif itself knows no BigTIFF


def read_tiff_exif(file: BinaryIO, place: int | None = None) -> bytes | None:
    """The describing tags of the directory at a place in a TIFF, of its first page by default, as an EXIF block."""
    head = _head(file)
    stored, kept = _directory(file, head, place), Image.Exif()
    for tag in DESCRIPTIVE_TAGS:
        if tag not in stored:
            continue
        if tag in (EXIF_IFD, GPS_IFD):
            if ifd := dict(_directory(file, head, stored[tag])):
                kept[tag] = ifd
        else:
            kept[tag] = stored[tag]
    return keep_text(kept).tobytes() if len(kept) else None


def mode_of(colours: str, extra: tuple[int, ...]) -> str | None:
    """Pillow's mode for the samples of a pixel: "L", "RGB" or "CMYK" and those beside; None where nobody can say.

    Beside ink, alpha is carried as any other band: no mode has both. Many bands beside one of grey are no picture in
    grey, but something else, such as a spectrum.
    """
    alphas = sum(kind != UNSPECIFIED for kind in extra)
    if colours == "CMYK":
        return None if PREMULTIPLIED in extra else colours
    if alphas > 1 or (colours == "L" and len(extra) - alphas > 1):
        return None
    return {"L": "LA", "RGB": "RGBA"}.get(colours) if alphas else colours or None


def _largest_said(page: Any) -> float | None:
    """The largest of the values that a page says its samples can have: one for each of a pixel."""
    for tag in LARGEST_VALUE:
        if tag in page.tags:
            said = np.atleast_1d(np.asarray(page.tags[tag].value))
            if said.dtype.kind in "uif" and said.size and np.isfinite(said).all() and said.max() > 0:
                return float(said.max())
    return None


def _check_pixels(page: Any, file: BinaryIO) -> None:
    """Whether what the header says about strips and tiles can be believed."""
    rows, columns = page.chunks[:2] if page.planarconfig == 1 else page.chunks[-2:]
    if rows * columns > max(4 * page.imagewidth * page.imagelength, _LARGEST_SPARE_TILE):
        raise ValueError(f"its tiles are {columns} x {rows} pixels")
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    size = page.dtype.itemsize
    check_segments(segments, file, int(page.compression), math.prod(page.chunks) * size, math.prod(page.shape) * size)


def keep_text(exif: Image.Exif) -> Image.Exif:
    """The same block with its text as bytes where it is not ASCII: Pillow, which reads it as Latin-1, writes "?"."""
    for tag, value in list(exif.items()):
        if isinstance(value, str) and not value.isascii():
            exif[tag] = value.encode("latin-1", "replace")
    return exif


def is_resolution(dpi: tuple[float, ...]) -> bool:
    """Whether a resolution can be written: some files have 0/0, which is none."""
    return all(math.isfinite(value) and value > 0 for value in dpi)


def _directory(file: BinaryIO, head: bytes, place: int | None) -> TiffImagePlugin.ImageFileDirectory_v2:
    """The tags at a place in a TIFF that begins with `head`; None is its first page."""
    directory = TiffImagePlugin.ImageFileDirectory_v2(head[: 16 if head[2:4] in (b"+\0", b"\0+") else 8])
    file.seek(directory.next if place is None else place)
    directory.load(file)
    return directory
