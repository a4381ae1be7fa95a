"""What the page says of the picture that was given, while the network is at work on it."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hf_denoise.errors import UserError
from hf_denoise.imaging.picture import Picture
from hf_denoise.page.links import link_to
from hf_denoise.page.measuring import noise_of
from hf_denoise.page.results import PAGE_SIDE, as_url, in_its_colours, read_picture, shrink
from hf_denoise.page.samples import EXAMPLES, example_of

SIDE = 144  # pixels of the thumbnail
KINDS = {"L": "grey", "LA": "grey", "RGB": "colour", "RGBA": "colour", "P": "palette", "CMYK": "CMYK"}


def facts_of(image: str | None) -> dict[str, Any] | None:
    """What `components.PictureFacts` shows: a thumbnail, a name, and sentences. None where it cannot be read."""
    path = image or EXAMPLES[0].noisy
    try:
        picture = read_picture(path).upright()
    except (UserError, OSError, MemoryError):
        return None  # why is said where its result would be
    width, height = picture.header.size
    pixels = shrink(picture.rgb, PAGE_SIDE)
    small = in_its_colours(picture, pixels)
    thumbnail = Image.fromarray(small.pixels)
    thumbnail.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    example = example_of(path)
    return {
        "name": f"Example: {example.caption}" if example else Path(path).name,
        "thumbnail": as_url(type(small)(np.asarray(thumbnail), small.icc_profile)),
        "size": f"{width} x {height} pixels",
        "kind": kind_of(picture),
        "link": link_to(path),
        "noise": f"noise {noise_of(picture):.1f} of 255",
    }


def kind_of(picture: Picture) -> str:
    """Such as "TIFF, grey, 16 bits"."""
    header = picture.header
    depth = {"u": f"{8 * header.dtype.itemsize} bits", "f": f"{8 * header.dtype.itemsize}-bit floats"}
    said = [header.format or "", KINDS.get(header.layout, header.layout), depth.get(header.dtype.kind, "")]
    if picture.alpha is not None:
        said.append("transparent")
    return ", ".join(filter(None, said))
