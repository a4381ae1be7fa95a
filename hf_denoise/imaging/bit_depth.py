"""Which value is white, where that is not the largest that the samples of a file can hold.

Cameras and scanners put 10, 12 or 14 bits into samples of 16. Taken for 16, such a picture is nearly black, its noise
next to nothing. So white is looked for: in what the file says, and else in its values.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from hf_denoise.arrays import full_scale
from hf_denoise.errors import UserError
from hf_denoise.imaging.picture import Picture

_DEPTHS = (10, 12, 14)  # bits that sensors and their converters give
_DARKEST = 256  # a picture whose values all lie below may be of any depth, or none, such as numbered regions
_LOW_BITS = 1e-3  # least share of odd values: what was shifted up into 16 bits has none
_LAYOUTS = ("L", "LA", "RGB", "RGBA")


def with_white(picture: Picture, white_level: float | None, name: str) -> Picture:
    """The same with its values divided by the value of white.

    Args:
        picture: as it was decoded.
        white_level: the value of white; None looks for it in pictures of 16 bits.
        name: of the picture, in messages.

    Raises:
        UserError: a white level that the picture cannot have.
    """
    if white_level is None:
        found = _found(picture)
        return picture if found is None else _scaled(picture, found[0], found[1])
    if not (np.isfinite(white_level) and white_level > 0):
        raise UserError(f"the white level must be a number over 0, got {white_level:g}")
    if picture.header.layout not in _LAYOUTS or picture.color_key is not None:
        raise UserError(f"'{name}' has no white level: it is {_kind(picture)}; leave --white-level out")
    full = full_scale(picture.header.dtype)
    if picture.header.dtype.kind == "u" and white_level > full:
        raise UserError(f"'{name}' has values up to {full}, so that --white-level cannot be {white_level:g}")
    return picture if white_level == full else _scaled(picture, float(white_level), None)


def _kind(picture: Picture) -> str:
    if picture.color_key is not None:
        return "a picture with a colour that stands for transparency"
    return {"CMYK": "a picture in inks", "P": "a picture with a palette"}.get(picture.header.layout, "black and white")


def _found(picture: Picture) -> tuple[float, str] | None:
    """The value of white of a picture of 16 bits that has fewer, and how that is known."""
    plane = picture.planes[0]
    if plane.dtype != np.uint16 or picture.header.layout not in _LAYOUTS or picture.color_key is not None:
        return None
    top = int(plane.max(initial=0))
    said = picture.metadata.get("max_sample_value")
    if said and top <= said < 65535:
        return said, "the file says so (MaxSampleValue)" if picture.header.format == "TIFF" else "the file says so"
    if top >= 2 ** max(_DEPTHS) or float((plane & 1).mean()) < _LOW_BITS:
        return None
    significant = _significant_bits(picture.metadata)
    if significant is not None and top < 2**significant:
        return 2.0**significant - 1, f"its chunk sBIT says {significant} bits"
    if top < _DARKEST:
        return None
    depth = next(depth for depth in _DEPTHS if top < 2**depth)
    return 2.0**depth - 1, f"all its values lie below {2**depth}"


def _significant_bits(metadata: dict[str, Any]) -> int | None:
    """As the chunk sBIT of a PNG says; 16 says nothing."""
    said = next((content for name, content in metadata.get("chunks", ()) if name == b"sBIT"), b"")
    bits = max(said[:3], default=16)
    return bits if 8 <= bits < 16 else None


def _scaled(picture: Picture, white: float, why: str | None) -> Picture:
    dtype = np.dtype(np.float32) if picture.header.dtype.kind == "u" else picture.header.dtype
    planes = tuple(np.divide(plane, dtype.type(white), dtype=dtype) for plane in picture.planes)
    return replace(picture, planes=planes, white=white, white_why=why)
