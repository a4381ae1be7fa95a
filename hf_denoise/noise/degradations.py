"""Noise models: a clean image in, a degraded one out. Every random number comes from the generator passed in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product

import numpy as np
import torch
from numpy.typing import NDArray

from hf_denoise.errors import UserError
from hf_denoise.noise import camera

Array = NDArray[np.float32]
Rng = np.random.Generator


def gaussian(clean: Array, sigma: float, rng: Rng) -> Array:
    """Additive white Gaussian noise; `sigma` on the 0..255 scale. Not clipped, not quantised."""
    noisy = normal(clean.shape, rng)
    noisy *= np.float32(sigma / 255)
    noisy += clean
    return noisy


def normal(shape: tuple[int, ...], rng: Rng) -> Array:
    """Standard normal numbers, float32; PyTorch makes them in a third of NumPy's time."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return torch.randn(shape, generator=generator).numpy()


def poisson_gaussian(clean: Array, sigma: float, rng: Rng) -> Array:
    """Sensor noise (Foi et al., 2008, doi:10.1109/TIP.2008.2001399): variance grows with the signal.

    `sigma` is the shot noise at full white on the 0..255 scale; a quarter of it is signal-independent read noise.
    """
    gain = (sigma / 255) ** 2
    if gain == 0:
        return clean
    shot = rng.poisson(clean.clip(0, 1) / gain) * gain
    return gaussian(shot.astype(np.float32), sigma / 4, rng)


def speckle(clean: Array, sigma: float, rng: Rng) -> Array:
    """Multiplicative Gaussian noise; `sigma` is its standard deviation at full white on the 0..255 scale."""
    return clean * (1 + np.float32(sigma / 255) * normal(clean.shape, rng))


def salt_and_pepper(clean: Array, percent: float, rng: Rng) -> Array:
    """Black or white pixels in equal parts; `percent` of all pixels, every channel of a pixel alike."""
    draw = rng.random(clean.shape[:2])
    share = percent / 100
    noisy = clean.copy()
    noisy[draw < share] = 0
    noisy[draw < share / 2] = 1
    return noisy


def jpeg(clean: Array, quality: float, rng: Rng) -> Array:
    """JPEG compression at `quality` 1..100, colour at half the resolution; clips and quantises to 8 bits."""
    return camera.jpeg(clean.clip(0, 1), round(quality), subsampling=2)


Pair = tuple[Array, Array]


@dataclass(frozen=True)
class Kind:
    """A noise model with the meaning and the range of its one strength.

    `apply` takes (degraded so far, clean, strength, generator) and gives the new pair: a camera changes both.
    """

    apply: Callable[[Array, Array, float, Rng], Pair]
    unit: str
    minimum: float
    maximum: float


def _noise(model: Callable[[Array, float, Rng], Array]) -> Callable[[Array, Array, float, Rng], Pair]:
    return lambda degraded, clean, strength, rng: (model(degraded, strength, rng), clean)


KINDS = {
    "gaussian": Kind(_noise(gaussian), "sigma, 0..255 scale", 0, 255),
    "poisson-gaussian": Kind(_noise(poisson_gaussian), "sigma at white, 0..255 scale", 0, 255),
    "speckle": Kind(_noise(speckle), "sigma at white, 0..255 scale", 0, 255),
    "salt-pepper": Kind(_noise(salt_and_pepper), "percent of pixels", 0, 100),
    "camera": Kind(camera.photograph, "sigma of the sensor at white, 0..255 scale", 0, 255),
    "jpeg": Kind(_noise(jpeg), "quality", 1, 100),
}
MIXTURE = (
    "gaussian:0-55|camera:1-16|poisson-gaussian:5-50|speckle:5-50|salt-pepper:0.5-10|jpeg:20-90|"
    "poisson-gaussian:5-30+jpeg:50-95"
)


Step = tuple[str, float, float]  # kind, lowest and highest strength
Chain = tuple[Step, ...]


@dataclass(frozen=True)
class Degradation:
    """Alternatives, one drawn per image by weight; each a chain of steps in order."""

    alternatives: tuple[Chain, ...]
    weights: tuple[float, ...]

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        """Cumulative shares: a draw from them takes a fifth of the time of `rng.choice`."""
        shares = np.cumsum(self.weights)
        return shares / shares[-1]

    def __call__(self, clean: Array, rng: Rng) -> Array:
        """Degrade (H, W, 3) float32 in [0, 1]; gives float32 of the same shape, which may leave [0, 1]."""
        return self.pair(clean, rng)[0]

    def pair(self, clean: Array, rng: Rng) -> Pair:
        """(degraded, target): the target is `clean`, or what a camera would have made of it without noise."""
        degraded = target = clean
        drawn = np.searchsorted(self._shares, rng.random(), side="right")
        for kind, low, high in self.alternatives[drawn]:
            degraded, target = KINDS[kind].apply(degraded, target, rng.uniform(low, high), rng)
        return degraded, target


def parse_degradation(spec: str) -> Degradation:
    """Read a degradation from text.

    `kind:strength` or `kind:low-high` (drawn uniformly per image); `a+b` applies one after another; `a|b` draws one
    per image, `3*a|b` three times out of four the first; `mixture` is a ready-made draw over all kinds, and stands
    wherever a kind does. Example: "2*gaussian:0-55|poisson-gaussian:10+jpeg:50-95".

    Raises:
        UserError: an unknown kind, or a weight or strength outside its range.
    """
    ways: list[Chain] = []
    weights: list[float] = []
    for way in spec.split("|"):
        weight, star, text = way.rpartition("*")
        chains = _parse_chain(text, spec)
        ways += chains
        weights += [(_parse_weight(weight, spec) if star else 1.0) / len(chains)] * len(chains)
    return Degradation(tuple(ways), tuple(weights))


def _parse_chain(text: str, spec: str) -> list[Chain]:
    """The one chain that `a+b` stands for, or with a `mixture` among its steps one for each of its alternatives."""
    steps: list[Sequence[Chain]] = [
        parse_degradation(MIXTURE).alternatives if step.strip() == "mixture" else [(_parse_step(step, spec),)]
        for step in text.split("+")
    ]
    return [tuple(chain.from_iterable(parts)) for parts in product(*steps)]


def _parse_weight(text: str, spec: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise UserError(f"degradation '{spec}': the weight before '*' must be a number above 0, got '{text}'")
    return weight


def _parse_step(step: str, spec: str) -> Step:
    name, _, strength = step.strip().partition(":")
    if name == "mixture":
        raise UserError(f"degradation '{spec}': mixture has its own strengths; write it without one")
    kind = KINDS.get(name)
    if kind is None:
        raise UserError(f"degradation '{spec}': unknown kind '{name}'; choose from {', '.join(KINDS)}, mixture")
    low, _, high = strength.partition("-")
    try:
        bounds = float(low), float(high or low)
    except ValueError:
        raise UserError(f"degradation '{spec}': write '{name}' as {name}:STRENGTH or {name}:LOW-HIGH") from None
    if not kind.minimum <= bounds[0] <= bounds[1] <= kind.maximum:
        raise UserError(
            f"degradation '{spec}': the strength of '{name}' ({kind.unit}) must lie in {kind.minimum}..{kind.maximum}, "
            "lower bound first"
        )
    return name, *bounds
