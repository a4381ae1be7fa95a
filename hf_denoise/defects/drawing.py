"""How defects are drawn: lines, edges, smooth noise, and light that is taken away or added."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d, zoom
from scipy.spatial import KDTree
from scipy.special import erf

from hf_denoise.arrays import FloatImage, Mask

Array = NDArray[Any]
Rng = np.random.Generator
Shape = tuple[int, int]

TEXTURE = 2  # times the mean difference of neighbouring pixels: the least contrast that shows on them
BLUR = 0.5  # of the optics, standard deviation in pixels: no photograph has sharper edges
AROUND = 6  # standard deviation in pixels of what counts as around a pixel
STEP = 0.5  # between the points of a line, pixels


def shade(
    image: FloatImage,
    core: Array,
    rim: Array,
    contrast: float,
    dark: bool,
    tint: Array | None = None,
    largest_share: float = 0.98,
) -> FloatImage:
    """Take light away where `core` (H, W, 0..1) is and add some where `rim` is, or the other way round.

    `contrast` is that of a full core on the ground around it, of the range. Wherever the texture is stronger and would
    hide it, it is raised to that; its sign is turned on ground too dark or too bright to show it. At most
    `largest_share` of the light is taken or added.
    """
    touched = np.nonzero(np.maximum(core, rim))
    if not touched[0].size:
        return image
    box = tuple(slice(int(places.min()), int(places.max()) + 1) for places in touched)
    core, rim, ground = core[box], rim[box], image[box]
    brightness = ground.mean(axis=2)
    level = float(np.median(brightness[core >= core.max() / 2]))
    raised = np.maximum(contrast, TEXTURE * local_texture(brightness))
    dark = level > (0.06 if dark else 0.94)
    less = np.minimum(raised / max(level, 0.01), largest_share)
    more = np.minimum(raised / max(1 - level, 0.01), largest_share)
    rim = rim * (1 - core)
    shadow, shine = (core * less, rim * more) if dark else (rim * less, core * more)
    kept = 1 - shadow[..., None] * (np.ones(3) if tint is None else tint)
    shaded = ground * kept.astype(np.float32)
    result = image.copy()
    result[box] = shaded + (1 - shaded) * shine[..., None].astype(np.float32)
    return result


def local_texture(brightness: Array) -> Array:
    """(H, W) mean difference of neighbouring pixels around each pixel, across and down."""
    across, down = (np.abs(np.diff(brightness, axis=axis, append=brightness.take([-1], axis))) for axis in (1, 0))
    return gaussian_filter((across + down) / 2, AROUND, mode="nearest")


def draw_line(canvas: Array, points: Array, width: Array, force: Array, shift: Array | float = 0.0) -> None:
    """Draw a line of varying width and force, a bar blurred by the optics, where it is stronger than the canvas.

    `points` (N, 2) are row and column; `shift` moves the line sideways, in pixels.
    """
    length = canvas.shape[1]
    shift = np.broadcast_to(shift, len(points))
    reach = int(np.ceil((width / 2 + np.abs(shift)).max() + 3 * BLUR))
    around = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    nearest = np.unique(np.rint(points).astype(int), axis=0)
    nearest = nearest[((nearest > -reach) & (nearest < np.array(canvas.shape) + reach)).all(axis=1)]
    pixels = (nearest[:, None] + around).reshape(-1, 2)
    pixels = pixels[((pixels >= 0) & (pixels < canvas.shape)).all(axis=1)]
    if not len(pixels):
        return
    flat = np.unique(pixels[:, 0] * length + pixels[:, 1])
    pixels = np.stack(np.divmod(flat, length), axis=1)
    point = KDTree(points).query(pixels)[1]
    tangent = np.gradient(points, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    (down, right), (ahead_down, ahead_right) = (pixels - points[point]).T, tangent[point].T
    beyond = np.maximum(np.abs(down * ahead_down + right * ahead_right) - STEP, 0)  # of the ends
    distance = np.hypot(down * ahead_right - right * ahead_down - shift[point], beyond)
    half = width[point] / 2
    cover = (erf((half - distance) / (np.sqrt(2) * BLUR)) + erf((half + distance) / (np.sqrt(2) * BLUR))) / 2
    canvas.flat[flat] = np.maximum(canvas.flat[flat], cover * force[point])


def smooth_place(image: FloatImage, rng: Rng, inside: Mask | None = None) -> Array:
    """Row and column of a random place: of three, the one on the smoothest ground, where a defect shows best.

    Args:
        image: (H, W, 3).
        rng: draws them.
        inside: (H, W), with some pixel; the places lie there. None: anywhere.
    """
    if inside is None:
        places = rng.uniform(0, image.shape[:2], (3, 2))
    else:
        places = np.stack(np.divmod(rng.choice(np.flatnonzero(inside), 3), inside.shape[1]), axis=1) + 0.5
    around = [image[window_around(image.shape[:2], at, 16)[0]] for at in places]
    return places[np.argmin([float(np.abs(np.diff(part.mean(axis=2), axis=1)).mean()) for part in around])]


def empty_maps(shape: Shape) -> tuple[Array, Array]:
    return np.zeros(shape, np.float32), np.zeros(shape, np.float32)


def width_unit(image: Array) -> float:
    """Widths grow with the image, but slower: a scratch in a large photograph is still a hairline."""
    return float(np.clip(np.sqrt(min(image.shape[:2]) / 400), 0.6, 3))


def window_around(shape: Shape, at: Array, reach: float) -> tuple[tuple[slice, slice], Array, Array]:
    """The part of an image within `reach` of a place, and how far down and right of it its pixels are."""
    low = np.clip(np.floor(at - reach), 0, shape).astype(int)
    high = np.clip(np.ceil(at + reach) + 1, 0, shape).astype(int)
    down, right = np.mgrid[low[0] : high[0], low[1] : high[1]].astype(float)
    return (slice(low[0], high[0]), slice(low[1], high[1])), down - at[0], right - at[1]


def walk(heading: Array) -> Array:
    """Points (N, 2), row and column, one STEP apart, centred on the origin."""
    points = STEP * np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0)
    return points - points.mean(axis=0)


def point_count(length: float) -> int:
    return max(int(length / STEP), 8)


def noise_1d(count: int, scale: float, rng: Rng) -> Array:
    """Smooth noise, mean 0 and standard deviation 1."""
    noise = gaussian_filter1d(rng.standard_normal(count), max(scale, 0.5))
    return (noise - noise.mean()) / (noise.std() + 1e-9)


def noise_2d(shape: Shape, scale: float, rng: Rng) -> Array:
    """Noise of several octaves, each half as coarse and weaker, the coarsest `scale` pixels; deviation near 1."""
    total = np.zeros(shape)
    weight = 0.8
    while weight > 0.04:
        knots = [max(int(np.ceil(side / max(scale, 1))) + 3, 4) for side in shape]
        factor = [side / (knot - 2) for side, knot in zip(shape, knots, strict=True)]
        fine = zoom(rng.standard_normal(knots), np.maximum(factor, 1), order=3)
        total += weight * fine[: shape[0], : shape[1]]
        if scale < 1.5:
            break
        scale, weight = scale / 2, weight / 2.1
    return total


def taper(count: int, first: float, last: float) -> Array:
    """1 along a line, falling to 0 over a share of it at either end."""
    t = np.linspace(0, 1, count)
    rise = np.clip(t / max(first, 1e-3), 0, 1) * np.clip((1 - t) / max(last, 1e-3), 0, 1)
    return np.sqrt(rise)


def soft_edge(inward: Array, softness: float) -> Array:
    """From 0 outside to 1 inside, where `inward` is the distance to the outline in pixels."""
    return np.clip(0.5 + inward / (2 * softness), 0, 1)


def direction(rng: Rng) -> Array:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(angle), np.cos(angle)])


def log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
