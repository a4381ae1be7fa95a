"""How one photograph becomes triplets: its variants, each with defects of one kind."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hf_denoise.arrays import ByteImage, to_8_bits
from hf_denoise.data.reading import Pixels, to_float
from hf_denoise.data.surfaces import Surfaces
from hf_denoise.defects.generator import DEFECT_KINDS, VISIBLE_LEVELS, draw_defects
from hf_denoise.errors import UserError
from hf_denoise.noise.degradations import parse_degradation

NO_DEGRADATION = "none"


@dataclass(frozen=True)
class TripletRecipe:
    """How triplets are made from photographs; see `make_triplets`."""

    seed: int
    per_image: int
    kinds: tuple[str, ...]
    degradation: str
    surfaces: Surfaces
    contrast: tuple[float, float] | None

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in DEFECT_KINDS]
        if unknown or not self.kinds:
            raise UserError(f"--kinds is '{' '.join(unknown)}': choose from {', '.join(DEFECT_KINDS)}")
        if self.per_image < 1 or self.seed < 0:
            raise UserError(f"--per-image is {self.per_image} and --seed {self.seed}: use at least 1 and at least 0")
        if self.contrast and not VISIBLE_LEVELS <= self.contrast[0] <= self.contrast[1] <= 255:
            low, high = self.contrast
            raise UserError(f"--contrast is {low:g} {high:g}: use {VISIBLE_LEVELS} to 255, the lower one first")
        if self.degrades:
            parse_degradation(self.degradation)

    @property
    def degrades(self) -> bool:
        return self.degradation != NO_DEGRADATION

    def variants(self, name: str, photo: Pixels) -> Iterator[dict[str, Any]]:
        """The rows of one photograph, as in `Triplet`. Only the seed, its name and pixels and the variant decide."""
        image = int.from_bytes(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
        clean = to_8_bits(to_float(photo))
        grey = not np.ptp(clean, axis=2).any()
        inside = self.surfaces.of(name, unit_range(clean))
        order = np.random.default_rng([self.seed, image]).permutation(len(self.kinds))
        for variant in range(self.per_image):
            kind = self.kinds[order[variant % len(order)]]
            # The same defects, whatever the noise.
            drawing, noise = (np.random.default_rng([self.seed, image, variant, use]) for use in (0, 1))
            target, mask = draw_defects(unit_range(clean), kind, drawing, inside=inside, contrast=self.contrast)
            row = {"name": f"{name}_{variant}", "mask": Image.fromarray(mask.astype(np.uint8) * 255), "defect": kind}
            if self.degrades:
                pair = parse_degradation(self.degradation).pair(unit_range(to_8_bits(target)), noise)
                if grey:  # the noise of one channel, as in training
                    pair = (pair[0][..., 1:2].repeat(3, axis=2), pair[1][..., 1:2].repeat(3, axis=2))
                degraded, target = pair
                row["degraded"] = to_picture(to_8_bits(degraded), grey)
            yield {**row, "clean": to_picture(to_8_bits(target), grey)}


def unit_range(picture: ByteImage) -> NDArray[np.float32]:
    return picture.astype(np.float32) / np.float32(255)


def to_picture(picture: ByteImage, grey: bool) -> Image.Image:
    return Image.fromarray(picture[..., 0] if grey else picture)
