"""TIFF files that Pillow cannot hold, by tifffile: of 16 bits, of floats, with samples beside colour and alpha.

imagecodecs is what tifffile itself needs for LZW and most other compressed TIFFs, so that 16-bit colour PNG, see
`deep_png`, costs no further dependency. Both are imported where they are used: most images have 8 bits.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from hf_denoise.errors import UserError
from hf_denoise.imaging.extra_samples import ALPHA, COLOURS, PREMULTIPLIED, UNSPECIFIED, ExtraSamples, kinds_of
from hf_denoise.imaging.file_checks import check_directories, check_segments, check_tiff_size

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_XMP = 700
_LARGEST_VALUE = (281, 341)  # MaxSampleValue, SMaxSampleValue
# What describes the picture; every other tag of a TIFF says how the file is laid out.
_DESCRIPTIVE_TAGS = (270, 271, 272, 274, 305, 306, 315, 33432, _EXIF_IFD, _GPS_IFD)
_LAYOUTS = {"MINISBLACK": "L", "RGB": "RGB", "SEPARATED": "CMYK"}
# The others need decoders that few files use and few people have tested.
_COMPRESSIONS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits"}
_LARGEST_SPARE_TILE = 2**22  # pixels; a tile may be larger than the picture, within reason
_DEPTHS = ("uint16", "float16", "float32", "float64")
# Some of those that tifffile knows: which others can be set differs between its versions.
_DIALECTS = ("eer", "lsm", "ndpi", "scanimage")
_PHOTOMETRIC = {"L": "minisblack", "LA": "minisblack", "RGB": "rgb", "RGBA": "rgb", "CMYK": "separated"}


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


def _opened(file: BinaryIO) -> Any:
    """A `tifffile.TiffFile` that reads pages the standard way: the formats of microscopes, which change it, are off."""
    import tifffile

    file.seek(0)
    no_dialects: dict[str, Any] = {f"is_{dialect}": False for dialect in _DIALECTS}
    return tifffile.TiffFile(file, **no_dialects)


def _full_pages(tiff: Any) -> list[Any]:
    """The pages, without the thumbnails of reduced resolution that cameras put beside the picture."""
    return [page for page in tiff.pages if not page.is_reduced]


def read_tiff_header(file: BinaryIO, name: str) -> TiffHeader:
    """Read the header of a TIFF.

    Raises:
        UserError: several pages, or more than 8 bits in a layout other than grey, RGB or CMYK of 16-bit or float, or
            in a compression other than LZW, deflate and PackBits.
        ValueError: the header is damaged.
    """
    import tifffile

    check_directories(file)
    with _opened(file) as tiff:
        pages: list[Any] = _full_pages(tiff)
        if not pages:
            raise ValueError("it has no page")
        if len(pages) > 1:
            raise UserError(f"'{name}' holds {len(pages)} pages; extract the one to denoise into a file of its own")
        page = pages[0]
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
                    f"'{name}' is a TIFF of {page.samplesperpixel} x {page.dtype or page.bitspersample} {layout} "
                    "samples, which is not supported; convert it to 8-bit, 16-bit or float32 grey or RGB"
                )
            if page.compression not in _COMPRESSIONS:
                raise UserError(
                    f"'{name}' is a TIFF of {page.bitspersample} bits that is compressed in a way that is not "
                    f"supported ({page.compression}); save it with LZW or deflate compression, or with none"
                )
        samples = page.samplesperpixel if page.photometric != tifffile.PHOTOMETRIC.YCBCR else 1  # chroma may be coarser
        check_tiff_size(page.imagewidth * page.imagelength * samples * page.bitspersample // 8, file, page.compression)
        return TiffHeader(page.imagewidth, page.imagelength, mode, page.dtype, page.compression != 1, extra)


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


def read_tiff(file: BinaryIO) -> tuple[np.ndarray, dict[str, Any]]:
    """Decode the one picture of a TIFF that `read_tiff_header` accepted.

    Returns:
        (H, W) or (H, W, C) array in the file's own dtype, and what it has of `Picture.metadata` but `exif`.

    Raises:
        ValueError: the pixels are damaged; many other types too.
    """
    import tifffile

    metadata: dict[str, Any] = {}
    with _opened(file) as tiff:
        page = _full_pages(tiff)[0]
        _check_pixels(page, file)
        pixels = page.asarray()
        if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = np.moveaxis(pixels, 0, -1)
        for tag, name in ((34675, "icc_profile"), (_XMP, "xmp")):
            if tag in page.tags:
                metadata[name] = bytes(page.tags[tag].value)
        if top := _largest_said(page):
            metadata["max_sample_value"] = top
        if 282 in page.tags and 283 in page.tags and page.resolutionunit > 1:
            dpi = page.get_resolution("INCH")
            if is_resolution(dpi):
                metadata["dpi"] = dpi
    return pixels, {key: value for key, value in metadata.items() if value}


def _largest_said(page: Any) -> float | None:
    """The largest of the values that a page says its samples can have: one for each of a pixel."""
    for tag in _LARGEST_VALUE:
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


def read_tiff_exif(file: BinaryIO) -> bytes | None:
    """The tags of a TIFF that describe the picture (camera, date, orientation, EXIF, GPS), as an EXIF block."""
    file.seek(0)
    head = file.read(16)  # Image.Exif itself knows no BigTIFF
    stored, kept = _directory(file, head, None), Image.Exif()
    for tag in _DESCRIPTIVE_TAGS:
        if tag not in stored:
            continue
        if tag in (_EXIF_IFD, _GPS_IFD):
            if ifd := dict(_directory(file, head, stored[tag])):
                kept[tag] = ifd
        else:
            kept[tag] = stored[tag]
    return keep_text(kept).tobytes() if len(kept) else None


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


def write_tiff(
    file: BinaryIO,
    pixels: np.ndarray,
    mode: str,
    metadata: dict[str, Any],
    compressed: bool,
    extra: ExtraSamples | None = None,
) -> None:
    """Encode (H, W) or (H, W, C) pixels of any dtype into `file`, which is open for writing and reading.

    With `extra`, the pixels are what its `joined` gives.
    """
    import tifffile

    exif = Image.Exif()
    exif.load(metadata.get("exif", b""))
    subs = {tag: exif.get_ifd(tag) for tag in (_EXIF_IFD, _GPS_IFD) if tag in exif}
    tags: list[tuple[int, int, int, Any, bool]] = []
    for tag, value in exif.items():
        if tag in subs:
            tags.append((tag - 1, 4, 1, 0, True))  # tifffile drops the tag itself; the place is filled in below
        elif tag in _DESCRIPTIVE_TAGS:
            tags.append((tag, 3, 1, value, True) if isinstance(value, int) else (tag, 2, 0, _as_text(value), True))
    if xmp := metadata.get("xmp"):
        tags.append((_XMP, 1, len(xmp), xmp, True))
    if (top := metadata.get("max_sample_value")) and float(top).is_integer() and top < 2**16:
        samples = 1 if pixels.ndim == 2 else pixels.shape[2]
        tags.append((_LARGEST_VALUE[0], 3, samples, (int(top),) * samples if samples > 1 else int(top), True))
    dpi = metadata.get("dpi")
    with tifffile.TiffWriter(file) as tiff:
        tiff.write(
            pixels,
            photometric=_PHOTOMETRIC[mode],
            planarconfig="contig" if pixels.ndim == 3 else None,
            extrasamples=extra.kinds if extra else [ALPHA] if mode in ("LA", "RGBA") else None,
            compression="adobe_deflate" if compressed else None,
            predictor=compressed,
            iccprofile=metadata.get("icc_profile"),
            resolution=tuple(dpi) if dpi else None,
            resolutionunit="INCH" if dpi else None,
            extratags=tags,
            software=False,
            metadata=None,
        )
    for tag, values in subs.items():
        _append_ifd(file, tag, values)


def _as_text(value: Any) -> bytes:
    return str(value).encode("latin-1", "replace")  # as Pillow has read it


def _append_ifd(file: BinaryIO, tag: int, values: dict[int, Any]) -> None:
    """Write an IFD at the end of a TIFF and point `tag` of the first page at it: tifffile has no way to."""
    import tifffile

    ifd = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II" if struct.pack("=H", 1) == b"\1\0" else b"MM")
    for key, value in values.items():
        ifd[key] = value
    offset = file.seek(0, 2)
    offset += file.write(b"\0" * (offset % 2))
    file.write(ifd.tobytes(offset))
    file.flush()
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages[0]
        place = page.tags[tag - 1]
        place.overwrite(offset)
        file.seek(place.offset)
        file.write(struct.pack(f"{tiff.byteorder}H", tag))
