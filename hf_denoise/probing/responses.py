"""Responses of a denoiser to probes: how much of a small defect is left of it, place by place."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_denoise.arrays import FloatImage, Mask, full_scale
from hf_denoise.defects.probes import BOX, LARGE_BOX, PROBE_KINDS
from hf_denoise.imaging.crops import Box
from hf_denoise.metrics.quality import noise_level
from hf_denoise.probing.places import grey, grid, parts

Rng = np.random.Generator
Plane = NDArray[np.generic]
PlaneDenoiser = Callable[[FloatImage], FloatImage]
"""(H, W) or (H, W, 3) float32, black 0 and white 1, noise outside -> the same shape."""
Progress = Callable[[int, int], None]

LEAST_NOISE = 2.0  # grey levels: fainter defects than half of that cannot be seen even where there is no noise
FACTORS = 0.25, 8.0  # times the noise: the contrasts that are tried
CONTRASTS = 6
MOST_CONTRAST = 160.0  # grey levels: few places have room for more
PLACES = 24  # wanted for each kind at each contrast
PIXELS = 3_600_000  # that pass through a denoiser: about five seconds of two cores for the packaged network
MOST_PASSES = 28  # over the same places of a small picture
LEAST_SHARE = 0.6  # of the energy of a probe that must lie inside the range
KINDS_OF = {box: [n for n, kind in enumerate(PROBE_KINDS) if kind.box == box] for box in (BOX, LARGE_BOX)}


@dataclass(frozen=True, eq=False)
class Responses:
    """What came through, a row per probe.

    Attributes:
        kind: index in `PROBE_KINDS`.
        level: index in `contrasts`.
        bright: whether light was added.
        place: (N, 2) row and column in the picture.
        value: the response: 1 all of the probe, 0 none, beyond 1 it was made stronger.
        contrasts: grey levels, ascending.
        noise: grey levels, standard deviation as estimated.
        shape: height and width of the picture.
        parts: those of the picture that were probed.
    """

    kind: NDArray[np.int64]
    level: NDArray[np.int64]
    bright: NDArray[np.bool_]
    place: NDArray[np.int64]
    value: NDArray[np.float64]
    contrasts: NDArray[np.float64]
    noise: float
    shape: tuple[int, int]
    parts: tuple[Box, ...]

    @property
    def contrast(self) -> NDArray[np.float64]:
        """Of each probe, grey levels."""
        return self.contrasts[self.level]


def measure_responses(
    plane: Plane,
    denoise: PlaneDenoiser,
    *,
    contrasts: Sequence[float] | None = None,
    pixels: int = PIXELS,
    visible: Mask | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Responses:
    """Put probes into a picture, many at once, and measure how much of each a denoiser leaves.

    The response to a probe `p` of contrast `a` is `<D(noisy + a p) - D(noisy), p> / (a <p, p>)`. In one pass all probes
    have one contrast, and kind, direction and sign by chance. Where a probe would leave the range of the picture it
    turns its sign, or is left out; single pixels that are cut off do not count. On colour it is alike in all channels.

    Args:
        plane: (H, W) or (H, W, 3), uint8, uint16 or float.
        denoise: called some hundred times on parts of 176 pixels a side, or on the whole of a small picture.
        contrasts: grey levels to try, ascending; by default 1/4 to 8 times the noise.
        pixels: that may pass through the denoiser; fewer give fewer places, and wider intervals.
        visible: (H, W); where a picture is hidden no probe is put. None where all is visible.
        seed: of all that is left to chance.
        progress: called with (done, all) steps.
    """
    rng = np.random.default_rng(seed)
    full = np.float32(full_scale(plane.dtype))
    boxes = parts(plane, rng, visible)
    noisy = [plane[box].astype(np.float32) / full for box in boxes]
    tried = CONTRASTS if contrasts is None else len(contrasts)
    passes = _passes(noisy, tried, pixels)
    total, done = len(noisy) * (1 + len(passes) * tried), 0

    def run(part: FloatImage) -> FloatImage:
        nonlocal done
        result = denoise(part)
        done += 1
        if progress:
            progress(done, total)
        return result

    clean = [run(part) for part in noisy]
    noise = float(np.median([noise_removed(*both) for both in zip(noisy, clean, strict=True)]))
    levels = np.asarray(contrast_ladder(noise) if contrasts is None else contrasts, dtype=np.float64)
    pairs = list(zip(boxes, noisy, clean, strict=True))
    rows = [row for row in _all_passes(pairs, run, levels, passes, rng) if visible is None or visible[row[3], row[4]]]
    if progress and done < total:
        progress(total, total)  # no place had room for the strongest
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Responses(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        table[:, 2] > 0,
        table[:, 3:5].astype(np.int64),
        table[:, 5],
        levels,
        noise,
        (plane.shape[0], plane.shape[1]),
        tuple(boxes),
    )


def _all_passes(
    pairs: Sequence[tuple[Box, FloatImage, FloatImage]],
    denoise: PlaneDenoiser,
    levels: NDArray[np.float64],
    passes: Sequence[int],
    rng: Rng,
) -> Iterator[tuple[int, int, bool, int, int, float]]:
    """Kind, level, sign, row and column in the picture, and response of every probe.

    `pairs` holds the parts of the picture, where they lie, as they are and denoised.
    """
    decks = {(size, level): _deck(kinds, rng) for size, kinds in KINDS_OF.items() for level in range(len(levels))}
    for number, size in enumerate(passes):
        second = passes[:number].count(size) % 2 == 1
        for level, contrast in enumerate(levels / 255):
            for box, noisy, clean in pairs:
                places = grid(noisy.shape, size, second, rng)
                found = _one_pass(
                    noisy, clean, denoise, float(contrast), zip(places, decks[size, level], strict=False), rng
                )
                for kind, bright, row, column, value in found:
                    yield kind, level, bright, row + box[0].start, column + box[1].start, value


def contrast_ladder(noise: float) -> NDArray[np.float64]:
    """The contrasts to try at a level of noise, grey levels."""
    noise = max(noise, LEAST_NOISE)
    return np.geomspace(FACTORS[0] * noise, min(FACTORS[1] * noise, MOST_CONTRAST), CONTRASTS)


def noise_removed(noisy: FloatImage, clean: FloatImage) -> float:
    """The noise of a picture, of which `clean` was made.

    Args:
        noisy, clean: (H, W) or (H, W, 3) in [0, 1].

    Returns:
        Standard deviation, grey levels: by wavelets, or of what was removed where that is more, as with grain.
    """
    by_wavelets = noise_level(noisy if noisy.ndim == 3 else noisy[..., None])
    return max(by_wavelets, 255 * float(np.median(np.abs(noisy - clean))) / 0.6745)


def _passes(noisy: Sequence[FloatImage], levels: int, budget: int) -> list[int]:
    """The size of the probes in each pass, until there are enough places of all kinds, or the work is enough."""
    rng = np.random.default_rng(0)
    pixels = sum(part.shape[0] * part.shape[1] for part in noisy)
    allowed = max(int((budget / pixels - 1) / levels), 3)
    wanted = {}
    for size, kinds in KINDS_OF.items():
        places = sum(len(list(grid(part.shape, size, False, rng))) for part in noisy)
        wanted[size] = min(PLACES * len(kinds) / places, MOST_PASSES) if places else 0.0
    share = min(1.0, allowed / max(sum(wanted.values()), 1e-9))
    return [size for size, passes in wanted.items() if passes for _ in range(max(round(share * passes), 1))]


def _one_pass(
    noisy: FloatImage,
    clean: FloatImage,
    denoise: PlaneDenoiser,
    contrast: float,
    places: Iterable[tuple[tuple[int, int], int]],
    rng: Rng,
) -> list[tuple[int, bool, int, int, float]]:
    """Kind, sign, row, column and response of the probes of one denoised picture; `places` says where which kind is."""
    low, high = min(float(noisy.min()), 0.0), max(float(noisy.max()), 1.0)
    probed = noisy.copy()
    probes = []
    for (row, column), kind in places:
        shape = PROBE_KINDS[kind].draw(rng)
        half = len(shape) // 2
        box = slice(row - half, row + half + 1), slice(column - half, column + half + 1)
        first = bool(rng.random() < 0.5)
        for bright in (first, not first):
            added = shape * np.float32(contrast if bright else -contrast)
            inside = _inside(noisy[box], added, low, high) & _inside(clean[box], added, 0, 1)
            energy = float((shape**2 * inside).sum())
            if energy >= LEAST_SHARE * float((shape**2).sum()):
                probed[box] = (noisy[box] + _like(added, noisy)).clip(low, high)
                probes.append((kind, bright, row, column, box, added * inside, contrast**2 * energy))
                break
    if not probes:
        return []
    change = grey(denoise(probed) - clean)
    return [
        (kind, bright, row, column, float((change[box] * weight).sum()) / energy)
        for kind, bright, row, column, box, weight, energy in probes
    ]


def _deck(kinds: Sequence[int], rng: Rng) -> Iterator[int]:
    """The kinds in random order, each as often as every other."""
    while True:
        yield from (int(kind) for kind in rng.permutation(kinds))


def _inside(values: FloatImage, added: FloatImage, low: float, high: float) -> NDArray[np.bool_]:
    """Where a picture with a probe stays in its range, in all channels."""
    changed = values + _like(added, values)
    kept = (changed >= low) & (changed <= high)
    return kept if kept.ndim == 2 else np.asarray(kept.all(axis=2))


def _like(added: FloatImage, picture: FloatImage) -> FloatImage:
    return added if picture.ndim == 2 else added[..., None]
