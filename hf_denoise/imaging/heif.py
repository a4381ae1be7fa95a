"""HEIC and AVIF: what Pillow does not say about them, and HEIC with more than 8 bits, which it cannot hold.

Pillow reads and writes AVIF itself, since 11.3. HEIC takes pillow-heif, an extra of this package: its codecs have a
licence of their own. AVIF of 10 and 12 bits is decoded by imagecodecs, which writes no EXIF and no profile, so that a
result of as many bits goes into another format.
"""

import io
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, features

from hf_denoise.errors import UserError

QUALITY = {"HEIF": 85, "AVIF": 90}
"""Of a picture that came in that format: what a second encoding loses is far below the noise that went."""
FIRST_QUALITY = {"HEIF": 90, "AVIF": 95}
"""Of one that came in another, with all its chroma."""
PIP = {"HEIF": "pip install 'hf_denoise[heif]'", "AVIF": "pip install -U pillow"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_LARGEST_PART = 16_000_000  # bytes; libde265, which most programs decode HEIC with, gives up on more in one piece
_BOXES = 2**18  # bytes in which the boxes that describe the picture lie
_DESCRIPTIVE = (
    "nclx_profile",
    "content_light_level",
    "mastering_display_colour_volume",
    "ambient_viewing_environment",
    "nominal_diffuse_white_luminance",
    "pixel_aspect_ratio",
)

Samples = np.ndarray[Any, Any]


def format_of(head: bytes) -> str | None:
    """ "HEIF" or "AVIF" for a file that begins with these bytes (32 at least), else None."""
    if head[4:8] != b"ftyp":
        return None
    length = int.from_bytes(head[:4], "big")
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)) - 3, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def can_use(format: str) -> bool:
    """Whether a format can be read and written here; HEIF is made known to Pillow."""
    if format == "AVIF":
        return bool(features.check("avif"))
    if format == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            return False
        pillow_heif.register_heif_opener()
    return True


def check_usable(format: str, doing: str) -> None:
    """Raise a `UserError` with the command that installs what a format takes, where that is not there.

    Args:
        format: Pillow's name.
        doing: such as "read 'a.heic'".
    """
    if not can_use(format):
        raise UserError(f"cannot {doing}: {'HEIC' if format == 'HEIF' else format} needs {PIP[format]}")


def depth_of(image: Image.Image, file: BinaryIO) -> int:
    """Bits of a sample: 8, 10 or 12."""
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    configuration = _box(file, b"av1C")
    if len(configuration) < 3 or not configuration[2] & 0x40:
        return 8
    return 12 if configuration[2] & 0x20 else 10


def read_deep(file: BinaryIO, format: str, depth: int) -> Samples:
    """Decode a HEIC or AVIF of more than 8 bits: (H, W) or (H, W, C) uint16 that span their full range.

    A HEIC is turned upright, as Pillow's plugin does it.
    """
    file.seek(0)
    if format == "AVIF":
        import imagecodecs

        samples = imagecodecs.avif_decode(file.read())
    else:
        import pillow_heif

        samples = np.asarray(pillow_heif.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=False))
    samples = samples.astype(np.uint16)
    return samples << (16 - depth) | samples >> (2 * depth - 16)


def encoding_of_heif(image: Image.Image, file: BinaryIO) -> dict[str, Any]:
    """What `Picture.encoding` keeps of a HEIC or AVIF."""
    depth = depth_of(image, file)
    if image.format == "HEIF":
        described = {key: image.info[key] for key in _DESCRIPTIVE if image.info.get(key) is not None}
        return {"depth": depth, "chroma": image.info.get("chroma", 420), "described": described}
    configuration = _box(file, b"av1C")
    sampling = configuration[2] & 0x0C if len(configuration) > 2 else 0x0C
    colours = _box(file, b"colr")
    return {
        "depth": depth,
        "subsampling": {0x0C: "4:2:0", 0x08: "4:2:2"}.get(sampling, "4:4:4"),
        "colours": colours[4:8] if colours[:4] == b"nclx" else b"",
    }


def write_heif(file: BinaryIO, pixels: Samples, metadata: dict[str, Any], encoding: dict[str, Any] | None) -> None:
    """Encode (H, W) or (H, W, C) uint8 or uint16 as HEIC; `encoding` of one that was a HEIC, None of another."""
    import pillow_heif

    samples = np.atleast_3d(pixels)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[samples.shape[2]]
    depth = (encoding or {}).get("depth", 10)
    if samples.dtype == np.uint16:
        mode += f";{depth}"
        samples = samples >> (16 - depth)
    options: dict[str, Any] = {"quality": FIRST_QUALITY["HEIF"], "chroma": 444}
    if encoding is not None:
        options = {"quality": QUALITY["HEIF"], "chroma": encoding["chroma"], **encoding["described"]}
    data = np.ascontiguousarray(samples).tobytes()
    image = pillow_heif.from_bytes(mode, (samples.shape[1], samples.shape[0]), data)
    encoded = io.BytesIO()
    image.save(encoded, **options, **metadata)
    if encoded.tell() > _LARGEST_PART:
        raise ValueError("HEIC of more than 16 MB cannot be read again")
    file.write(encoded.getbuffer())


def avif_options(encoding: dict[str, Any] | None, mode: str) -> dict[str, Any]:
    """Pillow's options for an AVIF of a mode; `encoding` of one that was an AVIF, None of another."""
    sampling = {} if mode == "L" else {"subsampling": encoding["subsampling"] if encoding else "4:4:4"}
    return {"quality": (QUALITY if encoding else FIRST_QUALITY)["AVIF"], **sampling}


def with_colours(encoded: bytes, colours: bytes) -> bytes:
    """An AVIF with the primaries and the transfer function that it had: Pillow writes those of sRGB."""
    place = encoded.find(b"colrnclx", 0, _BOXES)
    if place < 0 or len(colours) != 4:
        return encoded
    return encoded[: place + 8] + colours + encoded[place + 12 :]


def _box(file: BinaryIO, name: bytes) -> bytes:
    """The first bytes of the first box of that name, empty where there is none."""
    file.seek(0)
    head = file.read(_BOXES)
    place = head.find(name)
    return head[place + 4 : place + 16] if place >= 0 else b""
