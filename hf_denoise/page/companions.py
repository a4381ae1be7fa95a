"""The clean reference and the defect mask that belong to a picture."""

from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from scipy.ndimage import find_objects

from hf_denoise.arrays import FloatImage, Mask
from hf_denoise.errors import UserError
from hf_denoise.imaging.picture import Picture
from hf_denoise.page.results import Result, keep_file, read_picture, shrink
from hf_denoise.page.samples import EXAMPLES, example_of


@dataclass(eq=False)
class Companions:
    """What belongs to an upright picture, upright and of its size.

    Attributes:
        reference, mask: the files, or none.
        clean: the reference.
        inside: (H, W), where the mask is white.
    """

    reference: str | None = None
    mask: str | None = None
    clean: Picture | None = None
    inside: Mask | None = None
    _small: dict[int, FloatImage] = field(default_factory=dict)

    def small(self, side: int) -> FloatImage | None:
        """The reference as small as `Result.small`."""
        if self.clean is not None and side not in self._small:
            self._small[side] = shrink(self.clean.rgb.clip(0, 1), side)
        return self._small.get(side)

    @cached_property
    def box(self) -> tuple[slice, slice] | None:
        """What the mask spans; None where it is empty."""
        found = [] if self.inside is None else find_objects(self.inside.view(np.uint8))
        return found[0] if found else None


_last: WeakKeyDictionary[Result, Companions] = WeakKeyDictionary()


def with_defaults(image: str | None, reference: str | None, mask: str | None) -> tuple[str, str | None, str | None]:
    """The first example where there is no picture, and what belongs to an example."""
    image = image or EXAMPLES[0].noisy
    example = example_of(image)
    if example:
        reference, mask = reference or example.clean, mask or example.mask
    return image, reference, mask


def companions_of(result: Result, reference: str | None, mask: str | None) -> Companions:
    """What belongs to a result; asked again for the same, nothing is read.

    Raises:
        UserError: as `read_companions`.
    """
    kept = _last.get(result)
    if kept and (reference, mask) == (kept.reference, kept.mask):
        return kept
    return keep_companions(result, read_companions(reference, mask, result.before.header.size))


def mask_of(result: Result, mask: str) -> Mask:
    """Where a mask that belongs to a result is white; one that is kept is not read again.

    Raises:
        UserError: as `read_companions`.
    """
    kept = _last.get(result)
    companions = kept if kept and kept.mask == mask else read_companions(None, mask, result.before.header.size)
    assert companions.inside is not None
    return companions.inside


def keep_companions(result: Result, companions: Companions) -> Companions:
    """Keep these with the result until others are asked for."""
    _last[result] = companions
    return companions


def read_companions(reference: str | None, mask: str | None, size: tuple[int, int]) -> Companions:
    """Read what belongs to an upright picture of this width and height.

    Raises:
        UserError: a file cannot be read, or has another size than the picture.
    """
    clean = _read_beside(reference, size, "clean reference") if reference else None
    inside = _read_beside(mask, size, "mask").rgb.clip(0, 1).mean(axis=2) > 0.5 if mask else None
    return Companions(reference, mask, clean, inside)


def _read_beside(path: str, size: tuple[int, int], role: str) -> Picture:
    """A file that belongs to a picture, upright."""
    keep_file(path)
    other = read_picture(path).upright()
    if other.header.size != size:
        sizes = ["{} x {}".format(*each) for each in (other.header.size, size)]
        raise UserError(
            f"the {role} '{path}' has {sizes[0]} pixels and the picture {sizes[1]}; give one of the same size"
        )
    return other
