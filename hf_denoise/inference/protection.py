"""Denoise no further than a defect of a given contrast survives: one strength for a picture, or places left alone.

Mixed with the input at a share `s`, a denoiser that keeps `r` of a defect keeps `1 - s (1 - r)` of it. So the probe of
a picture, see `hf_denoise.probing`, says the largest share at which enough is kept.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter

from hf_denoise.arrays import ByteImage, Mask, full_scale, to_8_bits
from hf_denoise.errors import UserError
from hf_denoise.imaging.balance import PLAIN, Balance
from hf_denoise.imaging.blending import check_strength, mix
from hf_denoise.imaging.images import read_image
from hf_denoise.imaging.picture import Picture
from hf_denoise.inference.tensors import numpy_of
from hf_denoise.probing.places import BLOCK, grey
from hf_denoise.probing.report import ProbeReport
from hf_denoise.probing.survival import KEPT

Plane = NDArray[np.generic]
Strength = float | Literal["auto"]
AUTO = "auto"

KEPT_INSIDE = 0.97  # share kept of a defect in a protected place; a real one must keep 0.95, and is no probe
AROUND = 4  # pixels around a mask that are protected, too: a network smears a defect over its surroundings
FEATHER = 1.5  # pixels, standard deviation of the transition outside that
FULL = 255  # of the steps from untouched to fully denoised
TINT = np.array((37, 99, 235), np.float32) / 255
STRIP = 256  # rows at a time


@dataclass(frozen=True, eq=False)
class Protection:
    """Where a picture was denoised less than elsewhere.

    Attributes:
        shares: (H, W) uint8: of the correction that is mixed in, 255 is all of it.
        strength: of the correction elsewhere, 0 to 1.
        noise: of the picture, grey levels; None where it was not estimated.
    """

    shares: ByteImage
    strength: float
    noise: float | None

    @property
    def area(self) -> float:
        """Share of the picture that is protected: where less than nine tenths of the correction is mixed in."""
        return float((self.shares < 0.9 * FULL).mean())

    @property
    def noise_left(self) -> float | None:
        """Noise that stays where most of it does, grey levels; None where nothing is protected or known."""
        if self.noise is None or not self.area:
            return None
        return self.noise * (1 - self.strength * float(self.shares.min()) / FULL)

    def sentence(self) -> str:
        """What was protected, in words."""
        if not self.area:
            return "nothing had to be protected"
        left = self.noise_left
        said = f"{100 * self.area:.3g} % of the picture is protected"
        return said if left is None else f"{said}; noise of up to {left:.2g} grey levels stays there"

    def picture(self, plane: Plane) -> ByteImage:
        """The picture (H, W) or (H, W, 3) in grey, blue where it was protected: (H, W, 3) uint8."""
        view = np.empty((*plane.shape[:2], 3), np.uint8)
        for top in range(0, len(view), STRIP):
            rows = slice(top, top + STRIP)
            amount = 0.6 * (1 - self.shares[rows, :, None].astype(np.float32) / FULL)
            view[rows] = to_8_bits(grey(plane[rows])[..., None].clip(0, 1) * (1 - amount) + TINT * amount)
        return view

    def apply(self, noisy: Plane, clean: Plane) -> None:
        """Take part of the correction back, in place in `clean`: arrays of one shape and dtype."""
        full = full_scale(clean.dtype)
        limit = full if clean.max(initial=0) <= full else None  # floats may be brighter than white
        for top in range(0, len(clean), STRIP):
            rows = slice(top, top + STRIP)
            share = self.shares[rows].astype(np.float32) / FULL
            mixed = mix(noisy[rows], clean[rows], share if clean.ndim == 2 else share[..., None])
            clean[rows] = mixed.clip(0, limit)


def largest_share(kept: NDArray[np.float64] | float, wanted: float) -> NDArray[np.float64]:
    """The largest share of a correction at which `wanted` of a defect is kept, where all of it keeps `kept`."""
    lost = 1 - np.minimum(np.asarray(kept, dtype=float), 1)
    return np.minimum((1 - wanted) / np.maximum(lost, 1e-6), 1)


def auto_strength(report: ProbeReport, keep: float) -> float:
    """The strongest strength at which a scratch 2 px wide of the contrast `keep`, grey levels, keeps 80 %."""
    return float(largest_share(float(report.curve().at(keep)), KEPT))


def protect_places(
    plane: Plane, protect: Mask | None, keep: float | None, report: ProbeReport | None, strength: float
) -> Protection:
    """What is protected in a picture.

    Args:
        plane: the picture, (H, W) or (H, W, 3).
        protect: (H, W) bool, the places; None: those that the report finds.
        keep: contrast in grey levels that must stay; None: in the places of a mask nothing is changed.
        report: of the picture; needed where `keep` is given.
        strength: of the correction elsewhere.
    """
    shape = plane.shape[:2]
    noise = report.noise if report else None
    if report is None or keep is None:
        inside: NDArray[np.float32] | float = 0.0
    else:
        kept = report.curve().at(keep * 2.0 ** -report.shifts.astype(np.float64))
        wanted = largest_share(kept, KEPT_INSIDE)
        if protect is None:  # where enough survives, nothing is protected
            wanted = np.where(1 - strength * (1 - kept) < KEPT - 1e-6, wanted, 1.0)
        inside = _enlarged(np.minimum(wanted / max(strength, 1e-6), 1), shape)
    if protect is None:
        return Protection(np.rint(np.broadcast_to(inside, shape) * FULL).astype(np.uint8), strength, noise)
    wide = maximum_filter(protect, 2 * AROUND + 1)
    weight = np.minimum(2 * gaussian_filter(wide.astype(np.float32), FEATHER), 1)
    return Protection(np.rint(FULL * (1 - weight * (1 - inside))).astype(np.uint8), strength, noise)


def _enlarged(values: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float32]:
    """From squares of 32 pixels to pixels."""
    rows, columns = values.shape
    image = Image.fromarray(values.astype(np.float32))
    fine = image.resize((columns * BLOCK, rows * BLOCK), Image.Resampling.BILINEAR)
    return np.asarray(fine)[: shape[0], : shape[1]]


def read_mask(protect: Any, shape: tuple[int, ...]) -> Mask:
    """A mask from whatever was given: an array, a tensor, a Pillow image or a path, white or True inside.

    Raises:
        UserError: it cannot be read, or has not the size of the picture, `shape` (height, width).
    """
    if isinstance(protect, np.ma.MaskedArray):
        raise UserError("the mask to protect is a masked array, of which some is unknown; give its .mask, or filled()")
    if isinstance(protect, torch.Tensor):
        protect = numpy_of(protect)
        protect = np.moveaxis(protect, 0, -1) if protect.ndim == 3 else protect
    if isinstance(protect, Image.Image):
        mask = np.asarray(protect.convert("L")) > 127
    elif isinstance(protect, str | os.PathLike):
        plane = read_image(protect).upright().planes[0]
        mask = grey(plane) > 0.5
    elif isinstance(protect, np.ndarray):
        flat = protect if protect.ndim == 2 else protect.squeeze()
        mask = flat if flat.dtype == bool else grey(flat) > 0.5
    else:
        raise UserError(f"protect must be 'auto', a mask, or a path of one, not a {type(protect).__name__}")
    if mask.shape != shape:
        raise UserError(
            f"the mask to protect has {'x'.join(map(str, mask.shape[::-1]))} pixels and the picture "
            f"{shape[1]}x{shape[0]}; give one of the same size"
        )
    return mask


@dataclass(frozen=True, eq=False)
class Treatment:
    """How far a picture is denoised, as the options of `Denoiser` of these names say; `balance` is three of them.

    Raises:
        UserError: "auto" without a contrast to keep, a contrast without anything that heeds it, or a number out of
            range.
    """

    strength: Strength = 1.0
    keep: float | None = None
    protect: Any = None
    balance: Balance = PLAIN

    def __post_init__(self) -> None:
        strength, keep, protect = self.strength, self.keep, self.protect
        if not isinstance(strength, str):
            check_strength(strength)
        elif strength != AUTO:
            raise UserError(f"strength must be a number from 0 to 1, or 'auto', got '{strength}'")
        automatic = "strength" if strength == AUTO else "protect" if _is_auto(protect) else ""
        if keep is None and automatic:
            raise UserError(
                f"{automatic} 'auto' needs keep, the contrast in grey levels of the faintest defect that must survive"
            )
        if keep is not None and not 0 < keep <= 255:
            raise UserError(f"keep must be a contrast over 0 and up to 255 grey levels, got {keep:g}")
        if keep is not None and not automatic and protect is None:
            raise UserError("keep does nothing alone; give strength 'auto', or protect: a mask or 'auto'")

    def for_each(self, count: int) -> list["Treatment"]:
        """The same for each of so many pictures, with a mask of its own where there are as many.

        Raises:
            UserError: there are some, but not as many.
        """
        masks = self.protect
        if isinstance(masks, torch.Tensor | np.ndarray):
            several = masks.ndim == 4 or (masks.ndim == 3 and len(masks) == count)
        else:
            several = isinstance(masks, list | tuple)
        if not several:
            return [self] * count
        if len(masks) != count:
            raise UserError(f"there are {len(masks)} masks to protect for {count} pictures; give one for each, or one")
        return [replace(self, protect=mask) for mask in masks]

    def in_stored_order(self, picture: Picture) -> "Treatment":
        """The same with a mask, which is as the picture shows, turned as the picture is stored."""
        if self.protect is None or _is_auto(self.protect):
            return self
        height, width = picture.planes[0].shape[:2]
        shown = (width, height) if picture.orientation >= 5 else (height, width)
        return replace(self, protect=picture.as_stored(read_mask(self.protect, shown)))

    def decide(self, plane: Plane, probe: Callable[[], ProbeReport]) -> tuple[float, Protection | None]:
        """The strength for a picture and what is protected in it; `probe` is called where it takes one."""
        mask = None if self.protect is None or _is_auto(self.protect) else read_mask(self.protect, plane.shape[:2])
        report = probe() if self.keep is not None else None
        if isinstance(self.strength, str):
            assert report is not None and self.keep is not None
            strength = auto_strength(report, self.keep)
        else:
            strength = self.strength
        if self.protect is None:
            return strength, None
        return strength, protect_places(plane, mask, self.keep, report, strength)


def _is_auto(protect: Any) -> bool:
    return isinstance(protect, str) and protect == AUTO
