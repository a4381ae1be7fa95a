"""Samples of a TIFF beside its colour: alpha, also premultiplied, and bands of which nothing says what they are.

Premultiplied alpha, which TIFF calls associated, means that the colour is stored times the opacity. As such it is no
colour: half transparent white is grey. So it is divided before denoising and multiplied again afterwards. What a
division cannot bring back, such as light that shines where the picture is transparent, is kept aside and added again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_denoise.arrays import full_scale

UNSPECIFIED, PREMULTIPLIED, ALPHA = 0, 1, 2
"""Kinds, as the tag ExtraSamples says them."""
COLOURS = {"L": 1, "LA": 1, "RGB": 3, "RGBA": 3, "CMYK": 4}
"""Samples of colour in a pixel, by Pillow's mode."""

_STRIP = 256  # rows at a time
_FAINT = 0.5  # opacity under which a float brighter than white is not a bright colour, but light that was added

Samples = NDArray[Any]


def kinds_of(count: int, said: Sequence[int]) -> tuple[int, ...]:
    """Kinds of the `count` samples beside colour, from what the tag says: many files have one and no tag, for alpha."""
    kinds = tuple(int(kind) if kind in (PREMULTIPLIED, ALPHA) else UNSPECIFIED for kind in said)
    if not kinds and count == 1:
        return (ALPHA,)
    return (kinds + (UNSPECIFIED,) * count)[: max(count, 0)]


def alpha_place(kinds: Sequence[int], layout: str) -> int | None:
    """Which of the samples beside colour is the alpha of a picture; of one in inks, none is."""
    places = [place for place, kind in enumerate(kinds) if kind != UNSPECIFIED]
    return places[0] if places and layout in ("LA", "RGBA") else None


def unnamed_bands(kinds: Sequence[int], layout: str) -> int:
    """How many samples beside colour are not its alpha: only TIFF has room for them."""
    return len(kinds) - (alpha_place(kinds, layout) is not None)


@dataclass(frozen=True, eq=False)
class ExtraSamples:
    """What was read beside colour.

    Attributes:
        kinds: of all samples beside colour, in the order of the file.
        place: of alpha among them, or None.
        bands: (H, W, N), the samples other than alpha; never changed.
        beyond: (H, W, C), what the stored colour has beyond its opacity; None where there is nothing.
    """

    kinds: tuple[int, ...]
    place: int | None
    bands: Samples
    beyond: Samples | None

    @classmethod
    def split(
        cls, pixels: Samples, kinds: tuple[int, ...], layout: str
    ) -> "tuple[Samples, Samples | None, ExtraSamples]":
        """The samples of a TIFF, (H, W, C), as colour without premultiplication, alpha, and the rest."""
        colours = COLOURS[layout]
        place = alpha_place(kinds, layout)
        colour = np.ascontiguousarray(pixels[..., 0] if colours == 1 else pixels[..., :colours])
        others = [colours + number for number in range(len(kinds)) if number != place]
        alpha, beyond = None, None
        if place is not None:
            alpha = np.ascontiguousarray(pixels[..., colours + place])
            if kinds[place] == PREMULTIPLIED:
                beyond = _divide(colour, alpha)
        return colour, alpha, cls(kinds, place, np.ascontiguousarray(pixels[..., others]), beyond)

    def joined(self, pixels: Samples) -> Samples:
        """(H, W) or (H, W, C) colour with alpha last, as it is stored: alpha in its place, bands and all."""
        pixels = np.atleast_3d(pixels)
        if self.place is None:
            return np.dstack([pixels, self.bands])
        colour, alpha = pixels[..., :-1].copy(), pixels[..., -1]
        if self.kinds[self.place] == PREMULTIPLIED:
            _multiply(colour, alpha, self.beyond)
        samples = list(np.moveaxis(self.bands, -1, 0))
        samples.insert(self.place, alpha)
        return np.dstack([colour, *samples])

    def turned(self, turn: Callable[[Samples], Samples]) -> "ExtraSamples":
        """The same of a picture that was turned."""
        beyond = None if self.beyond is None else np.ascontiguousarray(turn(self.beyond))
        return ExtraSamples(self.kinds, self.place, np.ascontiguousarray(turn(self.bands)), beyond)


def _divide(colour: Samples, alpha: Samples) -> Samples | None:
    """Divide (H, W) or (H, W, C) premultiplied colour by its opacity, in place; returns what that cannot bring back.

    Whole numbers come back exactly when they are multiplied again: the division makes them finer.
    """
    full = full_scale(colour.dtype)
    beyond: Samples | None = None
    for top in range(0, len(colour), _STRIP):
        rows = slice(top, top + _STRIP)
        stored = colour[rows].astype(np.float64)
        opacity = _opacity(alpha[rows], stored)
        held = np.minimum(stored, opacity * full)
        if colour.dtype.kind == "f":
            held = np.where(opacity >= _FAINT, stored, held.clip(0))
        rest = (stored - held).astype(colour.dtype)
        if rest.any():
            beyond = np.zeros_like(colour) if beyond is None else beyond
            beyond[rows] = rest
        whole = np.divide(held, opacity, out=np.zeros_like(held), where=opacity > 0)
        colour[rows] = np.rint(whole) if colour.dtype.kind == "u" else whole
    return beyond


def _multiply(colour: Samples, alpha: Samples, beyond: Samples | None) -> None:
    """The way back from `_divide`, in place; (H, W, C)."""
    for top in range(0, len(colour), _STRIP):
        rows = slice(top, top + _STRIP)
        whole = colour[rows].astype(np.float64)
        stored = whole * _opacity(alpha[rows], whole)
        stored = np.rint(stored) if colour.dtype.kind == "u" else stored
        if beyond is not None:
            stored += beyond[rows].reshape(stored.shape)
        colour[rows] = stored.clip(0, full_scale(colour.dtype)) if colour.dtype.kind == "u" else stored


def _opacity(alpha: Samples, like: Samples) -> Samples:
    """(H, W) alpha as 0 to 1, of the shape of colour."""
    opacity = (alpha.astype(np.float64) / full_scale(alpha.dtype)).clip(0, 1)
    return np.broadcast_to(opacity[..., None] if like.ndim == 3 else opacity, like.shape)
