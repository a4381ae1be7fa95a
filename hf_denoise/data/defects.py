"""Synthetic surface defects with exact masks: a clean photograph in, the same photograph with a defect out.

What a defect does to a pixel is optics, not paint: it takes a share of the light away, or adds a share of what is
missing to white. So the texture below stays, colours stay colours, grey stays grey, and nothing leaves [0, 1].
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, zoom
from scipy.spatial import KDTree
from scipy.special import erf, expit

from hf_denoise.errors import UserError

Picture = NDArray[np.float32]
Array = NDArray[Any]
Mask = NDArray[np.bool_]
Rng = np.random.Generator
Shape = tuple[int, int]

SMALLEST_SIDE = 8  # pixels; a smaller image has no room for a defect that leaves most of it as it was
VISIBLE = 2  # levels of 255 that a pixel must change by to belong to the mask
TEXTURE = 2  # times the mean difference of neighbouring pixels: the least contrast that shows on them
BLUR = 0.5  # of the optics, standard deviation in pixels: no photograph has sharper edges
STEP = 0.5  # between the points of a line, pixels
ATTEMPTS = 10
# How much of the darkening each of red, green and blue takes: soot, coffee or rust, oil, ink.
TINTS = ((1.0, 1.0, 1.0), (0.45, 0.8, 1.0), (0.6, 0.75, 1.0), (1.0, 0.85, 0.6))


def draw_defects(clean: Picture, kind: str, rng: Rng) -> tuple[Picture, Mask]:
    """Draw one to three defects of one kind, at random places, from faint to strong.

    Args:
        clean: (H, W, 3) float32 in [0, 1]. A grey picture, with three equal channels, stays grey.
        kind: one of `KINDS`.
        rng: the source of every random choice.

    Returns:
        The picture with the defects, and the mask (H, W) of their pixels. Outside the mask the picture is `clean`, bit
        for bit; inside, every pixel differs by at least two levels in some channel after rounding to 8 bits. The mask
        is empty where the image is less than 8 pixels high or wide, and only there.

    Raises:
        UserError: an unknown kind.
    """
    if kind not in KINDS:
        raise UserError(f"unknown kind of defect '{kind}'; choose from {', '.join(KINDS)}")
    draw = KINDS[kind]
    mask = np.zeros(clean.shape[:2], dtype=bool)
    if min(mask.shape) < SMALLEST_SIDE:
        return clean.copy(), mask
    # A place can hide a defect, such as a dark one in a shadow; then it is drawn elsewhere.
    for _ in range(ATTEMPTS):
        image = clean
        for _ in range(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])):
            image = draw(image, rng)
        mask = (np.abs(np.rint(image * 255) - np.rint(clean * 255)) >= VISIBLE).any(axis=2)
        if np.count_nonzero(mask) >= VISIBLE:
            break
    return np.where(mask[..., None], image, clean), mask


def scratch(image: Picture, rng: Rng) -> Picture:
    """A bundle of long, thin, slightly curved lines, some with a bright burr beside the groove."""
    shape, unit = image.shape[:2], _unit(image)
    length = min(shape) * _log_uniform(rng, 0.12, 0.9)
    count = _points(length)
    heading = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.25) * np.linspace(-0.5, 0.5, count)
    heading += 0.02 * _noise_1d(count, count / 6, rng)
    path = _walk(heading) + _place(image, rng)
    normal = np.stack([np.cos(heading), -np.sin(heading)], axis=1)

    width = _log_uniform(rng, 0.6, 2.4) * unit
    core, rim = _maps(shape)
    burr = rng.uniform(0.3, 0.9) if rng.random() < 0.5 else 0.0
    interrupted = rng.random() < 0.35
    offset = 0.0
    for line in range(rng.choice([1, 2, 3, 4, 5], p=[0.5, 0.2, 0.15, 0.1, 0.05])):
        first, last = np.sort(rng.uniform(0, 1, 2)) * [0.5, 0.5] + [0, 0.5] if line else (0.0, 1.0)
        part = slice(int(first * count), max(int(last * count), int(first * count) + 4))
        points = path[part] + offset * normal[part]
        offset += rng.choice([-1, 1]) * rng.uniform(1.5, 7) * unit
        own_width = np.full(len(points), width * (rng.uniform(0.5, 1) if line else 1))
        own_width *= 1 + 0.2 * _noise_1d(len(points), 12 / STEP, rng)
        force = (rng.uniform(0.35, 1) if line else 1) * np.clip(
            0.8 + 0.25 * _noise_1d(len(points), length / 8 / STEP, rng) + 0.08 * _noise_1d(len(points), 2, rng), 0.25, 1
        )
        force *= _taper(len(points), rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3))
        if interrupted:
            force *= expit((_noise_1d(len(points), length / 25 / STEP, rng) + rng.uniform(0.2, 1)) / 0.25)
        _line(core, points, np.maximum(own_width, 0.3), force)
        if burr:
            _line(rim, points, np.maximum(own_width * 0.7, 0.3), force * burr, shift=own_width * 0.85)
    return _shade(image, core, rim, _log_uniform(rng, 0.04, 0.7), rng.random() < 0.5)


def crack(image: Picture, rng: Rng) -> Picture:
    """A dark, jagged, branching line that opens and closes along its length."""
    shape, unit = image.shape[:2], _unit(image)
    core, rim = _maps(shape)
    lit, light = rng.choice([0.0, rng.uniform(0.15, 0.6)]), rng.uniform(0, 2 * np.pi)
    length = min(shape) * _log_uniform(rng, 0.15, 0.7)
    jag = rng.uniform(0.25, 0.6)
    # Where, heading, length, width, and whether it is the trunk, which has a tip at both ends.
    open_ends = [(_place(image, rng), rng.uniform(0, 2 * np.pi), length, _log_uniform(rng, 1, 3.2) * unit, True)]
    while open_ends:
        start, towards, length, width, trunk = open_ends.pop()
        count = _points(length)
        kinks = max(int(length / (_log_uniform(rng, 2.5, 7) * unit)), 2)
        turns = towards + jag * rng.standard_normal(kinks) + np.cumsum(rng.normal(0, 0.12, kinks))
        heading = turns[np.minimum(np.arange(count) * kinks // count, kinks - 1)]
        heading = heading + 0.25 * _noise_1d(count, 1.5 / STEP, rng)
        points = _walk(heading)
        points += start - (points[count // 2] if trunk else points[0])
        opening = width * np.clip(0.8 + 0.35 * _noise_1d(count, 5 * unit / STEP, rng), 0.15, 1.6)
        opening *= _taper(count, rng.uniform(0.2, 0.6) if trunk else 0.0, rng.uniform(0.4, 0.9))
        opening = np.maximum(opening, 0.25)
        force = np.clip(opening / width * 1.6, 0.45, 1)
        _line(core, points, opening, force)
        if lit:  # the edge that faces the light, seen where the crack runs across it
            facing = np.clip(np.cos(heading - light) * np.clip(0.7 + 0.5 * _noise_1d(count, 8, rng), 0, 1), 0, 1)
            _line(rim, points, np.full(count, 0.8), force * lit * facing, shift=opening / 2 + 0.5)
        if width > 0.5 * unit:
            for at in rng.integers(count // 10, count, rng.poisson(min(length / (45 * unit), 4))):
                side = rng.choice([-1, 1]) * rng.uniform(0.4, 1.2)
                share = rng.uniform(0.12, 0.45)
                open_ends.append(
                    (points[at], heading[at] + side, length * share, width * rng.uniform(0.35, 0.7), False)
                )
    return _shade(image, core, rim, _log_uniform(rng, 0.08, 0.8), True)


def pit(image: Picture, rng: Rng) -> Picture:
    """A cluster of small holes: the wall towards the light lies in shadow, the rim opposite is lit."""
    shape, unit = image.shape[:2], _unit(image)
    core, rim = _maps(shape)
    light = rng.uniform(0, 2 * np.pi)
    towards_light = np.array([np.sin(light), np.cos(light)])
    centre = _place(image, rng)
    spread = min(shape) * rng.uniform(0.015, 0.06)
    size = _log_uniform(rng, 1.2, 4) * unit
    lit = rng.uniform(0.1, 0.7)
    for number in range(1 + rng.poisson(rng.choice([0.3, 3, 9], p=[0.4, 0.4, 0.2]))):
        radius = float(np.clip(size * rng.lognormal(0, 0.4) * (1 if number == 0 else 0.7), 0.8, 8 * unit))
        at = np.clip(centre + (spread * rng.standard_normal(2) if number else 0), 0, np.array(shape) - 1)
        window, down, right = _window(shape, at, 2.2 * radius + 3)
        distance, angle = np.hypot(down, right), np.arctan2(down, right)
        stretch, tilt = rng.uniform(0.6, 1), rng.uniform(0, np.pi)
        outline = radius / np.sqrt(np.cos(angle - tilt) ** 2 + (np.sin(angle - tilt) / stretch) ** 2)
        for wave in (2, 3, 5):
            outline *= 1 + rng.normal(0, 0.22 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
        facing = (down * towards_light[0] + right * towards_light[1]) / np.maximum(distance, radius)
        inside = _edge(outline - distance, BLUR + 0.1 * radius)
        np.maximum(core[window], inside * np.clip(0.72 + 0.4 * facing, 0, 1), out=core[window])
        ring = np.exp(-(((distance - outline) / (0.6 + 0.15 * radius) - 0.7) ** 2)) * np.clip(-facing, 0, 1)
        np.maximum(rim[window], lit * ring * (1 - inside), out=rim[window])
    return _shade(image, core, rim, _log_uniform(rng, 0.06, 0.6), True)


def stain(image: Picture, rng: Rng) -> Picture:
    """A patch of low contrast with a ragged outline, which darkens or tints what stays visible below it."""
    shape = image.shape[:2]
    core, rim = _maps(shape)
    centre = _place(image, rng)
    radius = max(min(shape) * _log_uniform(rng, 0.04, 0.13), 2.5)
    softness, ragged = _log_uniform(rng, 0.8, 4), rng.uniform(0.25, 0.6)
    tide = rng.uniform(0.2, 0.6) if rng.random() < 0.5 else 0.0
    sizes = [radius, *(radius * rng.uniform(0.06, 0.3, rng.poisson(rng.choice([0, 4]))))]
    for own_radius in sizes:
        own_radius = max(own_radius, 1.5)
        at = centre if own_radius == radius else centre + radius * rng.uniform(0.9, 1.8) * _direction(rng)
        window, down, right = _window(shape, at, 1.8 * own_radius + 3)
        if not core[window].size:
            continue
        stretch, tilt = rng.uniform(0.55, 1), rng.uniform(0, np.pi)
        along, across = down * np.sin(tilt) + right * np.cos(tilt), down * np.cos(tilt) - right * np.sin(tilt)
        inward = own_radius - np.hypot(along, across / stretch)
        inward += own_radius * ragged * _noise_2d(inward.shape, 0.9 * own_radius, rng)
        depth = np.clip(0.8 + 0.13 * _noise_2d(inward.shape, 0.5 * own_radius, rng), 0.55, 1)
        depth += tide * np.exp(-((inward / (1.2 + 0.06 * own_radius) - 1.2) ** 2))
        np.maximum(core[window], _edge(inward, softness) * depth, out=core[window])
    grey = bool((image[..., :1] == image).all())
    tint = np.ones(3) if grey else np.clip(rng.choice(TINTS) + rng.normal(0, 0.08, 3), 0.3, 1)
    return _shade(image, core / (1 + tide), rim, _log_uniform(rng, 0.04, 0.22), rng.random() < 0.8, tint, 0.45)


def dead_row(image: Picture, rng: Rng) -> Picture:
    """A row or column of a sensor, whole or in part, that is stuck at a value or off by one."""
    turned = bool(rng.integers(2))
    result = image.copy()
    lines = result.transpose(1, 0, 2) if turned else result  # a view: (lines, pixels of a line, channels)
    count, length = lines.shape[:2]
    first = int(rng.integers(count))
    rows = slice(first, first + rng.choice([1, 2], p=[0.85, 0.15]))
    # Read out towards one end, a column is broken from some pixel on; a cluster of pixels breaks a stretch of it.
    start, stop = rng.choice([0.0, rng.uniform(0, 0.8)]), rng.choice([1.0, rng.uniform(0.2, 1)])
    columns = slice(int(min(start, stop - 0.2) * length), int(np.ceil(stop * length)))
    part = lines[rows, columns]
    level = float(np.median(part))
    if rng.random() < 0.35:
        stuck = rng.choice([0.0, 1.0, rng.uniform(0, 1)])
        part[:] = stuck if abs(stuck - level) > 0.1 else 1 - np.round(level)
    else:
        contrast = _log_uniform(rng, 0.03, 0.5) * (1 + 0.1 * rng.standard_normal((1, part.shape[1], 1)))
        sign = -1 if rng.random() < np.clip(2 * level - 0.5, 0, 1) else 1  # away from the nearer end of the range
        part += np.float32(sign) * contrast.astype(np.float32)
    return result.clip(0, 1)


KINDS: dict[str, Callable[[Picture, Rng], Picture]] = {
    "scratch": scratch,
    "crack": crack,
    "pit": pit,
    "stain": stain,
    "dead-row": dead_row,
}


def _shade(
    image: Picture,
    core: Array,
    rim: Array,
    contrast: float,
    dark: bool,
    tint: Array | None = None,
    largest_share: float = 0.98,
) -> Picture:
    """Take light away where `core` (H, W, 0..1) is and add some where `rim` is, or the other way round.

    `contrast` is that of a full core on the ground around it, of the range. It is raised to that of the texture there,
    which would hide it, and its sign is turned on ground too dark or too bright to show it. At most `largest_share` of
    the light is taken or added.
    """
    touched = np.nonzero(np.maximum(core, rim))
    if not touched[0].size:
        return image
    box = tuple(slice(int(places.min()), int(places.max()) + 1) for places in touched)
    core, rim, ground = core[box], rim[box], image[box]
    brightness = ground.mean(axis=2)
    level = float(np.median(brightness[core >= core.max() / 2]))
    texture = float(np.abs(np.diff(brightness, axis=1)).mean()) if ground.shape[1] > 1 else 0.0
    contrast = max(contrast, TEXTURE * texture)
    dark = level > (0.06 if dark else 0.94)
    less = min(contrast / max(level, 0.01), largest_share)
    more = min(contrast / max(1 - level, 0.01), largest_share)
    rim = rim * (1 - core)
    shadow, shine = (core * less, rim * more) if dark else (rim * less, core * more)
    kept = 1 - shadow[..., None] * (np.ones(3) if tint is None else tint)
    shaded = ground * kept.astype(np.float32)
    result = image.copy()
    result[box] = shaded + (1 - shaded) * shine[..., None].astype(np.float32)
    return result


def _line(canvas: Array, points: Array, width: Array, force: Array, shift: Array | float = 0.0) -> None:
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


def _place(image: Picture, rng: Rng) -> Array:
    """Row and column of a random place: of three, the one on the smoothest ground, where a defect shows best."""
    places = rng.uniform(0, image.shape[:2], (3, 2))
    around = [image[_window(image.shape[:2], at, 16)[0]] for at in places]
    return places[np.argmin([float(np.abs(np.diff(part.mean(axis=2), axis=1)).mean()) for part in around])]


def _maps(shape: Shape) -> tuple[Array, Array]:
    return np.zeros(shape, np.float32), np.zeros(shape, np.float32)


def _unit(image: Array) -> float:
    """Widths grow with the image, but slower: a scratch in a large photograph is still a hairline."""
    return float(np.clip(np.sqrt(min(image.shape[:2]) / 400), 0.6, 3))


def _window(shape: Shape, at: Array, reach: float) -> tuple[tuple[slice, slice], Array, Array]:
    """The part of an image within `reach` of a place, and how far down and right of it its pixels are."""
    low = np.clip(np.floor(at - reach), 0, shape).astype(int)
    high = np.clip(np.ceil(at + reach) + 1, 0, shape).astype(int)
    down, right = np.mgrid[low[0] : high[0], low[1] : high[1]].astype(float)
    return (slice(low[0], high[0]), slice(low[1], high[1])), down - at[0], right - at[1]


def _walk(heading: Array) -> Array:
    """Points (N, 2), row and column, one STEP apart, centred on the origin."""
    points = STEP * np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0)
    return points - points.mean(axis=0)


def _points(length: float) -> int:
    return max(int(length / STEP), 8)


def _noise_1d(count: int, scale: float, rng: Rng) -> Array:
    """Smooth noise, mean 0 and standard deviation 1."""
    noise = gaussian_filter1d(rng.standard_normal(count), max(scale, 0.5))
    return (noise - noise.mean()) / (noise.std() + 1e-9)


def _noise_2d(shape: Shape, scale: float, rng: Rng) -> Array:
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


def _taper(count: int, first: float, last: float) -> Array:
    """1 along a line, falling to 0 over a share of it at either end."""
    t = np.linspace(0, 1, count)
    rise = np.clip(t / max(first, 1e-3), 0, 1) * np.clip((1 - t) / max(last, 1e-3), 0, 1)
    return np.sqrt(rise)


def _edge(inward: Array, softness: float) -> Array:
    """From 0 outside to 1 inside, where `inward` is the distance to the outline in pixels."""
    return np.clip(0.5 + inward / (2 * softness), 0, 1)


def _direction(rng: Rng) -> Array:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(angle), np.cos(angle)])


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
