"""What image files hold beside their pixels, and how they were compressed."""

from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin

from hf_denoise.imaging.file_checks import sound_exif
from hf_denoise.imaging.formats import Header
from hf_denoise.imaging.heif import encoding_of_heif
from hf_denoise.imaging.png_chunks import read_chunks
from hf_denoise.imaging.tiff_reading import is_resolution


def pillow_metadata(image: Image.Image) -> dict[str, Any]:
    """What a Pillow image has beside its pixels, of what `Picture.metadata` holds."""
    metadata = {key: image.info[key] for key in ("icc_profile", "exif", "xmp") if image.info.get(key)}
    if "exif" in metadata and not sound_exif(metadata["exif"]):
        del metadata["exif"]  # the pixels are good all the same
    dpi = tuple(float(value) for value in image.info.get("dpi", ()))
    if dpi and is_resolution(dpi):
        metadata["dpi"] = dpi
    return metadata


def png_metadata(file: BinaryIO) -> dict[str, Any]:
    """What a PNG says about its colours, and its XMP, which Pillow gives as text or not at all."""
    chunks, xmp = read_chunks(file)
    return {name: value for name, value in (("chunks", chunks), ("xmp", xmp)) if value}


def encoding_of(header: Header, image: Image.Image | None, file: BinaryIO, compressed: bool) -> dict[str, Any]:
    """How the file was compressed, as far as `Picture.save` keeps it."""
    if header.format == "TIFF":
        return {"compressed": compressed}
    if header.format == "WEBP":
        return {"lossy": _is_lossy_webp(file)}
    if image is not None and header.format in ("HEIF", "AVIF"):
        return encoding_of_heif(image, file)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        sampling = JpegImagePlugin.get_sampling(image)
        return {
            "qtables": image.quantization,
            "subsampling": max(sampling, 0),  # -1 is a layout that Pillow cannot write; 0 keeps all chroma
            "progressive": bool(image.info.get("progressive")),
        }
    return {}


def _is_lossy_webp(file: BinaryIO) -> bool:
    """Whether the pixels of a WebP are a lossy `VP8 ` chunk. Pillow does not say."""
    position = 12
    while True:
        file.seek(position)
        chunk = file.read(8)
        if len(chunk) < 8 or chunk[:4] in (b"VP8 ", b"VP8L"):
            return chunk[:4] == b"VP8 "
        length = int.from_bytes(chunk[4:], "little")
        position += 8 + length + length % 2
