"""Pictures encoded as files: one of them, the pages of a TIFF, or the frames of an animation."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from hf_denoise.files import written_beside
from hf_denoise.imaging import deep_png
from hf_denoise.imaging.animations import Timing, write_animation
from hf_denoise.imaging.deep_pnm import write_deep_pnm
from hf_denoise.imaging.formats import FORMATS, MAX_JPEG_XMP, METADATA, Header, check_target
from hf_denoise.imaging.heif import avif_options, with_colours, write_heif
from hf_denoise.imaging.png_chunks import with_chunks
from hf_denoise.imaging.tiff_writing import TiffWriter, tiff_writer

if TYPE_CHECKING:
    from hf_denoise.imaging.picture import Picture


def write_picture(picture: "Picture", target: Path) -> None:
    """Write a picture in the format of the target's extension, beside it and then renamed; see `Picture.save`."""
    format, mode = check_target(picture.header, target)
    # Where the orientation cannot be noted, the pixels themselves are turned.
    picture = (picture if "exif" in METADATA[format] else picture.upright()).stored
    metadata = _held_metadata(picture, format)
    with written_beside(target) as file:
        if format == "TIFF":
            with tiff_writer(file, bytes_of(picture.header)) as tiff:
                _add_page(tiff, picture, mode, metadata)
        elif format == "HEIF":
            own = picture.encoding if picture.header.format == "HEIF" else None
            write_heif(file, picture.samples(mode), metadata, own)
        elif picture.header.dtype == np.uint8:
            _write_by_pillow(picture, file, format, mode, metadata)
        elif format == "PPM":
            write_deep_pnm(file, picture.samples(mode), metadata.get("max_sample_value"))
        else:
            deep_png.write_deep_png(file, picture.samples(mode), metadata, picture.color_key)


def write_pictures(pictures: Iterable["Picture"], target: Path, size: int, timing: Timing) -> None:
    """Write several pictures into one file, which `check_target` must have accepted for each of them.

    Args:
        pictures: the pages of a TIFF, which are written as they come; or the frames of an animation, which are kept
            until the last.
        target: the file.
        size: of all pixels of the pages, in bytes.
        timing: of the animation; filled in until the last frame has come.
    """
    with written_beside(target) as file:
        if FORMATS[target.suffix.lower()] == "TIFF":
            with tiff_writer(file, size) as tiff:
                for picture in pictures:
                    format, mode = check_target(picture.header, target)
                    _add_page(tiff, picture.stored, mode, _held_metadata(picture, format))
            return
        frames: list[Image.Image] = []
        for picture in pictures:
            format, mode = check_target(picture.header, target)
            frames.append(picture.encoded(mode))
            if len(frames) == 1:
                first, options = picture, _options(picture, format, mode)
        metadata, colours = _held_metadata(first, format), first.encoding.get("colours", b"")
        write_animation(file, format, frames, timing, options, metadata, colours)


def bytes_of(header: Header) -> int:
    """At most as many as the pixels of a picture take without compression, in the widest mode."""
    return header.size[0] * header.size[1] * header.dtype.itemsize * (4 + len(header.extra))


def _held_metadata(picture: "Picture", format: str) -> dict[str, Any]:
    """What a picture has beside its pixels, of what the format has room for."""
    return {key: picture.metadata[key] for key in METADATA[format] if key in picture.metadata}


def _add_page(tiff: TiffWriter, picture: "Picture", mode: str, metadata: dict[str, Any]) -> None:
    compressed = picture.encoding.get("compressed", False)
    pixels = np.asarray(picture.encoded(mode)) if mode in ("1", "P") else picture.samples(mode)
    if picture.extra is not None:
        pixels = picture.extra.joined(pixels)
    tiff.add(pixels, mode, metadata, compressed, picture.extra, picture.palette if mode == "P" else None)


def _write_by_pillow(picture: "Picture", file: BinaryIO, format: str, mode: str, metadata: dict[str, Any]) -> None:
    image, options = picture.encoded(mode), _options(picture, format, mode)
    xmp = metadata.get("xmp")
    metadata.pop("max_sample_value", None)
    if format == "JPEG" and xmp and len(xmp) > MAX_JPEG_XMP:
        del metadata["xmp"]
    if format == "PNG" and (xmp or "chunks" in metadata):
        encoded = io.BytesIO()
        image.save(encoded, format, **options, **metadata)
        for piece in with_chunks(encoded.getbuffer(), metadata):
            file.write(piece)
    elif format == "AVIF":
        encoded = io.BytesIO()
        image.save(encoded, format, **options, **metadata)
        file.write(with_colours(encoded.getvalue(), picture.encoding.get("colours", b"")))
    else:
        image.save(_WithoutDescriptor(file), format, **options, **metadata)


def _options(picture: "Picture", format: str, mode: str) -> dict[str, Any]:
    """Pillow's options for the compression of `format`."""
    if format == "JPEG":
        return picture.encoding if picture.header.format == "JPEG" else {"quality": 95, "subsampling": 0}
    if format == "WEBP":
        return {"exact": True, **({"quality": 95} if picture.encoding.get("lossy") else {"lossless": True})}
    if format == "AVIF":
        return avif_options(picture.encoding if picture.header.format == "AVIF" else None, mode)
    if format == "PNG":
        return {"compress_level": 4}  # less than half of the time of 6, and 2 % more bytes of a photograph
    return {}


class _WithoutDescriptor(io.BufferedIOBase, BinaryIO):
    """Hides the descriptor of a file: Pillow would write to it in C, and not report a full disk."""

    def __init__(self, file: BinaryIO):
        self.read, self.write, self.seek, self.tell = file.read, file.write, file.seek, file.tell  # type: ignore
