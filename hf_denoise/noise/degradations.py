"""Noise models: a clean image in, a degraded one out. Every random number comes from the generator passed in."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

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
    return torch.randn(shape, generator=generator, dtype=torch.float32).numpy()


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


def grain(clean: Array, strength: float, rng: Rng) -> Array:
    """Grain of film, of scans and of developed shots: spots of some size, alike in all channels to some degree.

    The deviation of a pixel is `strength * ((1 - b) + 1.4 b sqrt(signal))`, rounded to 8 bits as a file holds it. Drawn
    anew for every image: b from 0 to 1, the standard deviation of the Gaussian kernel that makes spots of white noise
    from 0.3 to 1.4 pixels, and the share of the variance that all channels have in common from 0 to 1.

    `strength` is on the 0..255 scale.
    """
    mixing, spot, common = rng.uniform(0, 1), rng.uniform(0.3, 1.4), rng.uniform(0, 1)
    height, width, channels = clean.shape
    white = normal((1 + channels, height, width), rng)
    radius = math.ceil(3 * spot)
    kernel = gaussian_filter1d(np.eye(1, 2 * radius + 1, radius)[0], spot, radius=radius, mode="constant")
    spots = gaussian_filter(white, spot, radius=radius, axes=(1, 2), mode="wrap") / (kernel**2).sum()
    noise = math.sqrt(common) * spots[:1] + math.sqrt(1 - common) * spots[1:]
    deviation = strength / 255 * ((1 - mixing) + 1.4 * mixing * np.sqrt(clean.clip(0, 1)))
    noisy = clean + deviation * noise.transpose(1, 2, 0)
    return camera.eight_bits(noisy.clip(0, 1))


Pair = tuple[Array, Array]

SUBSAMPLED = 0.7  # share of JPEG files that hold colour at half the resolution (4:2:0); the others hold all of it


def jpeg(degraded: Array, target: Array, quality: float, rng: Rng) -> Pair:
    """JPEG compression at `quality` 1..100; clips and rounds to 8 bits.

    The target keeps what the file cannot hold: the resolution of colour that it has after the same subsampling, at
    quality 100. A target of full resolution would teach to sharpen colour, at the expense of clean pictures.
    """
    subsampling = 2 if rng.random() < SUBSAMPLED else 0
    compressed = camera.jpeg(degraded.clip(0, 1), round(quality), subsampling)
    if subsampling and target.shape[2] == 3:
        target = camera.jpeg(target.clip(0, 1), 100, subsampling)
    return compressed, target


def identity(degraded: Array, target: Array, quality: float, rng: Rng) -> Pair:
    """What shall come back as it is: half of the time the picture itself, else after JPEG of that quality."""
    kept = degraded if rng.random() < 0.5 else jpeg(degraded, target, quality, rng)[0]
    return kept, kept


def photograph(degraded: Array, target: Array, sigma: float, rng: Rng) -> Pair:
    """A raw shot, developed, see `camera.photograph`; of one channel, the green one of a shot of the grey picture."""
    if degraded.shape[2] == 3:
        return camera.photograph(degraded, target, sigma, rng)
    same = degraded is target
    colour = np.repeat(degraded, 3, axis=2)
    shot, clean = camera.photograph(colour, colour if same else np.repeat(target, 3, axis=2), sigma, rng)
    return shot[..., 1:2], clean[..., 1:2]


@dataclass(frozen=True)
class Kind:
    """A noise model with the meaning and the range of its one strength.

    `apply` takes (degraded so far, target so far, strength, generator) and gives the new pair: a camera changes both.
    """

    apply: Callable[[Array, Array, float, Rng], Pair]
    unit: str
    minimum: float
    maximum: float
    by_ratio: bool = False  # a strength of a range is drawn log-uniformly: weak noise as often as strong

    def draw(self, low: float, high: float, rng: Rng) -> float:
        """A random strength of a range."""
        return math.exp(rng.uniform(math.log(low), math.log(high))) if self.by_ratio else rng.uniform(low, high)


def _noise(model: Callable[[Array, float, Rng], Array]) -> Callable[[Array, Array, float, Rng], Pair]:
    return lambda degraded, clean, strength, rng: (model(degraded, strength, rng), clean)


NOISE_KINDS = {
    "gaussian": Kind(_noise(gaussian), "sigma, 0..255 scale", 0, 255),
    "poisson-gaussian": Kind(_noise(poisson_gaussian), "sigma at white, 0..255 scale", 0, 255),
    "speckle": Kind(_noise(speckle), "sigma at white, 0..255 scale", 0, 255),
    "salt-pepper": Kind(_noise(salt_and_pepper), "percent of pixels", 0, 100),
    "camera": Kind(photograph, "sigma of the sensor at white, 0..255 scale", 0, 255),
    "grain": Kind(_noise(grain), "sigma, 0..255 scale", 0.01, 255, by_ratio=True),
    "jpeg": Kind(jpeg, "quality", 1, 100),
    "identity": Kind(identity, "quality", 1, 100),
}
# What `recipes/packaged.yaml` trains on where the data bring no noise. Other shares only move decibels from one kind of
# picture to another.
MIXTURE = (
    "36*gaussian:0-55|8*gaussian:0-10|10*camera:1-16|6*camera:0-4|5*poisson-gaussian:2-40|"
    "4*grain:1-25|4*grain:1-25+jpeg:55-98|8*gaussian:0-55+jpeg:55-98|4*poisson-gaussian:2-40+jpeg:55-98|"
    "4*identity:85-98"
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
        """Degrade (H, W, 1 or 3) float32 in [0, 1]; gives float32 of the same shape, which may leave [0, 1]."""
        return self.pair(clean, rng)[0]

    def pair(self, clean: Array, rng: Rng) -> Pair:
        """(degraded, target): the target is `clean`, or what a camera or a file would have made of it without noise."""
        degraded = target = clean
        drawn = np.searchsorted(self._shares, rng.random(), side="right")
        for kind, low, high in self.alternatives[drawn]:
            strength = NOISE_KINDS[kind].draw(low, high, rng)
            degraded, target = NOISE_KINDS[kind].apply(degraded, target, strength, rng)
        return degraded, target


def parse_degradation(spec: str) -> Degradation:
    """Read a degradation from text.

    `kind:strength` or `kind:low-high` (drawn uniformly per image); `a+b` applies one after another; `a|b` draws one
    per image, `3*a|b` three times out of four the first; `mixture` is what the packaged weights were trained on, and
    stands wherever a kind does. Example: "2*gaussian:0-55|poisson-gaussian:10+jpeg:50-95".

    Raises:
        UserError: an unknown kind, or a weight or strength outside its range.
    """
    ways: list[Chain] = []
    weights: list[float] = []
    for way in spec.split("|"):
        weight, star, text = way.rpartition("*")
        total = _parse_weight(weight, spec) if star else 1.0
        for share, steps in _parse_chain(text, spec):
            ways.append(steps)
            weights.append(total * share)
    return Degradation(tuple(ways), tuple(weights))


def _parse_chain(text: str, spec: str) -> list[tuple[float, Chain]]:
    """The chain that `a+b` stands for, with share 1; with a `mixture` among its steps, all of its alternatives."""
    steps: list[Sequence[tuple[float, Chain]]] = []
    for step in text.split("+"):
        if step.strip() == "mixture":
            mixture = parse_degradation(MIXTURE)
            shares = np.divide(mixture.weights, sum(mixture.weights)).tolist()
            steps.append(list(zip(shares, mixture.alternatives, strict=True)))
        else:
            steps.append([(1.0, (_parse_step(step, spec),))])
    return [
        (math.prod(share for share, _ in parts), tuple(chain.from_iterable(way for _, way in parts)))
        for parts in product(*steps)
    ]


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
    kind = NOISE_KINDS.get(name)
    if kind is None:
        raise UserError(f"degradation '{spec}': unknown kind '{name}'; choose from {', '.join(NOISE_KINDS)}, mixture")
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
