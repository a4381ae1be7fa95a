"""Measuring the images of a split one by one: a row of numbers per method, and the crops that a report may show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hf_denoise.arrays import FloatImage
from hf_denoise.data.decoded import Decoded
from hf_denoise.data.loader import SampleMaker, TripletDataset
from hf_denoise.evaluation.cases import Case, make_case
from hf_denoise.evaluation.grid import GRID_ROWS, Crops, crops_of
from hf_denoise.evaluation.peers import PeerDenoiser
from hf_denoise.evaluation.summary import INPUT, MODEL, measure_image
from hf_denoise.evaluation.survival import noise_in, spread
from hf_denoise.hub.card import AS_IN_DATA
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.metrics.quality import noise_level
from hf_denoise.noise.degradations import parse_degradation
from hf_denoise.probing.responses import Responses, measure_responses


@dataclass(frozen=True)
class Measured:
    """One image: its case, for the first of a split its crops for the grid, and of those to be probed their noise."""

    case: Case
    crops: Crops | None
    noise: float | None

    def without_pictures(self) -> "Measured":
        """The same with its numbers alone, where a report shows other images."""
        return replace(self, case=Case(self.case.rows, {}, 0))


class SplitMeasurer:
    """Degrades, denoises and measures images of a split.

    Args:
        denoiser, triplets, degradation, peers, seed: as in `evaluate`.

    Attributes:
        degradation: what the result is called: the degradation, or that it is as in the data.
        sigma: what the peers are told of the noise, on the 0..255 scale; None where it is estimated for each image.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        triplets: Any,
        degradation: str,
        peers: Mapping[str, PeerDenoiser] | None,
        seed: int,
    ):
        self.denoiser, self.peers, self.seed = denoiser, peers or {}, seed
        self.samples = TripletDataset(Decoded(triplets), SampleMaker(parse_degradation(degradation)), seed)
        own = "degraded" in triplets.column_names
        self.degradation = AS_IN_DATA if own else degradation
        self.sigma = None if own else gaussian_sigma(degradation)
        self.images = triplets["name"]
        self.defects = triplets["defect"] if "defect" in triplets.column_names else [None] * len(triplets)

        self.probed = spread(len(self.samples))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def methods(self) -> list[str]:
        """What is measured: the model first."""
        return [MODEL, *self.peers]

    def __call__(self, index: int) -> Measured:
        """Measure one image."""
        sample = self.samples[index]
        noisy, clean = (sample[key].permute(1, 2, 0).numpy() for key in ("degraded", "clean"))
        mask = sample["mask"][0].numpy() > 0
        sigma = self._told(noisy)
        outputs = {INPUT: noisy, **{method: self._run(method, noisy, sigma) for method in self.methods}}
        rows = {
            method: measure_image(
                output,
                noisy,
                clean,
                mask,
                image=self.images[index],
                defect=self.defects[index],
                degradation=self.degradation,
                method=method,
            )
            for method, output in outputs.items()
        }
        crops = crops_of(noisy, outputs[MODEL], clean, mask) if index < GRID_ROWS else None
        noise = noise_in(noisy, outputs[MODEL]) if index in self.probed else None
        return Measured(make_case(outputs, clean, mask, rows), crops, noise)

    def probe(self, index: int, method: str, contrasts: Sequence[float]) -> Responses:
        """Put small defects into one degraded image, the same for every method, and measure what is left of them."""
        noisy = self.samples[index]["degraded"].permute(1, 2, 0).numpy()
        sigma = self._told(noisy)
        return measure_responses(
            noisy, lambda part: self._run(method, part, sigma), contrasts=contrasts, seed=self.seed + index
        )

    def _told(self, noisy: FloatImage) -> float | None:
        """What the peers are told of the noise of an image; None where there are none."""
        if not self.peers:
            return None
        return noise_level(noisy) if self.sigma is None else self.sigma

    def _run(self, method: str, noisy: FloatImage, sigma: float | None) -> FloatImage:
        """What a method makes of an image, or of a part of it."""
        if method == MODEL:
            return self.denoiser(noisy)
        assert sigma is not None
        return self.peers[method](noisy, sigma).clip(0, 1)


def gaussian_sigma(degradation: str) -> float | None:
    """The standard deviation, 0..255 scale, of a degradation that is Gaussian noise of one strength; else None."""
    match parse_degradation(degradation).alternatives:
        case ((("gaussian", low, high),),) if low == high:
            return low
    return None
