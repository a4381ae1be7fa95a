"""Synthetic surface defects with exact masks: a clean photograph in, the same photograph with a defect out.

What a defect does to a pixel is optics, not paint: it takes a share of the light away, or adds a share of what is
missing to white. So the texture below stays, colours stay colours, grey stays grey, and nothing leaves [0, 1].
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hf_denoise.arrays import FloatImage, Mask
from hf_denoise.defects.drawing import (
    BLUR,
    STEP,
    Rng,
    direction,
    draw_line,
    empty_maps,
    log_uniform,
    noise_1d,
    noise_2d,
    point_count,
    shade,
    smooth_place,
    soft_edge,
    taper,
    walk,
    width_unit,
    window_around,
)
from hf_denoise.defects.foreground import one_surface
from hf_denoise.errors import UserError

SMALLEST_SIDE = 8  # pixels; a smaller image has no room for a defect that leaves most of it as it was
VISIBLE_LEVELS = 2  # levels of 255 that a pixel must change by to belong to the mask
ATTEMPTS = 10
MARGIN, MOST_CUT = 0.01, 0.2  # share of its pixels that black and white may cut: below them no texture is left
TOLERANCE = 1.1  # by which the contrast of a defect may miss what was wanted
# How much of the darkening each of red, green and blue takes: soot, coffee or rust, oil, ink.
TINTS = ((1.0, 1.0, 1.0), (0.45, 0.8, 1.0), (0.6, 0.75, 1.0), (1.0, 0.85, 0.6))


def draw_defects(
    clean: FloatImage,
    kind: str,
    rng: Rng,
    *,
    inside: Mask | None = None,
    contrast: tuple[float, float] | None = None,
) -> tuple[FloatImage, Mask]:
    """Draw one to three defects of one kind, at random places, from faint to strong.

    Args:
        clean: (H, W, 3) float32 in [0, 1]. A grey picture, with three equal channels, stays grey.
        kind: one of `DEFECT_KINDS`.
        rng: the source of every random choice.
        inside: (H, W), where surfaces are: each defect lies on one connected part of it and ends with that. Dead rows
            are the sensor's and end nowhere. None, or a mask without a pixel: anywhere.
        contrast: from and to, in levels of 255, drawn by ratio: how much the strongest pixels of each defect change in
            brightness, the 95th percentile of those that visibly do, as far as there is a place where they can. None:
            as the kind has it, down to what is hardly seen.

    Returns:
        The picture with the defects, and the mask (H, W) of their pixels. Outside the mask the picture is `clean`, bit
        for bit; inside, every pixel differs by at least two levels in some channel after rounding to 8 bits. The mask
        is empty where the image is less than 8 pixels high or wide, and where no defect shows `inside`.

    Raises:
        UserError: an unknown kind.
    """
    if kind not in DEFECT_KINDS:
        raise UserError(f"unknown kind of defect '{kind}'; choose from {', '.join(DEFECT_KINDS)}")
    mask = np.zeros(clean.shape[:2], dtype=bool)
    if min(mask.shape) < SMALLEST_SIDE:
        return clean.copy(), mask
    bounded = inside if inside is not None and inside.any() and kind != "dead-row" else None
    # A place can hide a defect, such as a dark one in a shadow; then it is drawn elsewhere.
    for _ in range(ATTEMPTS):
        image, shown = clean, True
        for _ in range(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])):
            image, strong = _draw_one(image, kind, rng, bounded, contrast)
            shown &= strong
        mask = changed(image, clean) >= VISIBLE_LEVELS
        if shown and np.count_nonzero(mask) >= VISIBLE_LEVELS:
            break
    return np.where(mask[..., None], image, clean), mask


def _draw_one(
    image: FloatImage, kind: str, rng: Rng, inside: Mask | None, contrast: tuple[float, float] | None
) -> tuple[FloatImage, bool]:
    """One defect, and whether it has the contrast that is wanted."""
    surface = None if inside is None else one_surface(inside, rng)
    drawn = DEFECT_KINDS[kind](image, rng, surface)
    if surface is not None:
        drawn = np.where(surface[..., None], drawn, image)
    if contrast is None:
        return drawn, True
    wanted = log_uniform(rng, *contrast)
    # Twice: what grows also becomes visible at its rim, and what black and white cut off weighs less.
    for _ in range(2):
        scaled = image + (drawn - image) * np.float32(wanted / max(drawn_contrast(drawn, image), 1e-3))
        drawn = scaled.clip(0, 1)
    cut = np.abs(scaled - drawn).max(axis=2)[changed(drawn, image) >= VISIBLE_LEVELS] > MARGIN
    fits = contrast[0] / TOLERANCE <= drawn_contrast(drawn, image) <= contrast[1] * TOLERANCE
    return drawn, bool(fits and cut.size and cut.mean() < MOST_CUT)


def changed(image: FloatImage, clean: FloatImage) -> NDArray[np.float32]:
    """(H, W) the largest change of each pixel, in levels of 255, after rounding to 8 bits."""
    levels: NDArray[np.float32] = np.abs(np.rint(image * 255) - np.rint(clean * 255)).max(axis=2)
    return levels


def drawn_contrast(image: FloatImage, clean: FloatImage) -> float:
    """How much the brightness of the strongest pixels of a defect changes, in levels of 255: the 95th percentile."""
    levels = np.abs((image - clean).mean(axis=2)) * 255
    levels = levels[levels >= min(VISIBLE_LEVELS, levels.max())]
    return float(np.percentile(levels, 95)) if levels.max() > 0 else 0.0


def scratch(image: FloatImage, rng: Rng, inside: Mask | None = None) -> FloatImage:
    """A bundle of long, thin, slightly curved lines, some with a bright burr beside the groove."""
    shape, unit = image.shape[:2], width_unit(image)
    length = min(shape) * log_uniform(rng, 0.12, 0.9)
    count = point_count(length)
    heading = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.25) * np.linspace(-0.5, 0.5, count)
    heading += 0.02 * noise_1d(count, count / 6, rng)
    path = walk(heading) + smooth_place(image, rng, inside)
    normal = np.stack([np.cos(heading), -np.sin(heading)], axis=1)

    width = log_uniform(rng, 0.6, 2.4) * unit
    core, rim = empty_maps(shape)
    burr = rng.uniform(0.3, 0.9) if rng.random() < 0.5 else 0.0
    interrupted = rng.random() < 0.35
    offset = 0.0
    for line in range(rng.choice([1, 2, 3, 4, 5], p=[0.5, 0.2, 0.15, 0.1, 0.05])):
        first, last = np.sort(rng.uniform(0, 1, 2)) * [0.5, 0.5] + [0, 0.5] if line else (0.0, 1.0)
        part = slice(int(first * count), max(int(last * count), int(first * count) + 4))
        points = path[part] + offset * normal[part]
        offset += rng.choice([-1, 1]) * rng.uniform(1.5, 7) * unit
        own_width = np.full(len(points), width * (rng.uniform(0.5, 1) if line else 1))
        own_width *= 1 + 0.2 * noise_1d(len(points), 12 / STEP, rng)
        force = (rng.uniform(0.35, 1) if line else 1) * np.clip(
            0.8 + 0.25 * noise_1d(len(points), length / 8 / STEP, rng) + 0.08 * noise_1d(len(points), 2, rng), 0.25, 1
        )
        force *= taper(len(points), rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3))
        if interrupted:
            force *= expit((noise_1d(len(points), length / 25 / STEP, rng) + rng.uniform(0.2, 1)) / 0.25)
        draw_line(core, points, np.maximum(own_width, 0.3), force)
        if burr:
            draw_line(rim, points, np.maximum(own_width * 0.7, 0.3), force * burr, shift=own_width * 0.85)
    return shade(image, core, rim, log_uniform(rng, 0.04, 0.7), rng.random() < 0.5)


def crack(image: FloatImage, rng: Rng, inside: Mask | None = None) -> FloatImage:
    """A dark, jagged, branching line that opens and closes along its length."""
    shape, unit = image.shape[:2], width_unit(image)
    core, rim = empty_maps(shape)
    lit, light = rng.choice([0.0, rng.uniform(0.15, 0.6)]), rng.uniform(0, 2 * np.pi)
    length = min(shape) * log_uniform(rng, 0.15, 0.7)
    jag = rng.uniform(0.25, 0.6)
    # Where, heading, length, width, and whether it is the trunk, which has a tip at both ends.
    open_ends = [
        (smooth_place(image, rng, inside), rng.uniform(0, 2 * np.pi), length, log_uniform(rng, 1, 3.2) * unit, True)
    ]
    while open_ends:
        start, towards, length, width, trunk = open_ends.pop()
        count = point_count(length)
        kinks = max(int(length / (log_uniform(rng, 2.5, 7) * unit)), 2)
        turns = towards + jag * rng.standard_normal(kinks) + np.cumsum(rng.normal(0, 0.12, kinks))
        heading = turns[np.minimum(np.arange(count) * kinks // count, kinks - 1)]
        heading = heading + 0.25 * noise_1d(count, 1.5 / STEP, rng)
        points = walk(heading)
        points += start - (points[count // 2] if trunk else points[0])
        opening = width * np.clip(0.8 + 0.35 * noise_1d(count, 5 * unit / STEP, rng), 0.15, 1.6)
        opening *= taper(count, rng.uniform(0.2, 0.6) if trunk else 0.0, rng.uniform(0.4, 0.9))
        opening = np.maximum(opening, 0.25)
        force = np.clip(opening / width * 1.6, 0.45, 1)
        draw_line(core, points, opening, force)
        if lit:  # the edge that faces the light, seen where the crack runs across it
            facing = np.clip(np.cos(heading - light) * np.clip(0.7 + 0.5 * noise_1d(count, 8, rng), 0, 1), 0, 1)
            draw_line(rim, points, np.full(count, 0.8), force * lit * facing, shift=opening / 2 + 0.5)
        if width > 0.5 * unit:
            for at in rng.integers(count // 10, count, rng.poisson(min(length / (45 * unit), 4))):
                side = rng.choice([-1, 1]) * rng.uniform(0.4, 1.2)
                share = rng.uniform(0.12, 0.45)
                open_ends.append(
                    (points[at], heading[at] + side, length * share, width * rng.uniform(0.35, 0.7), False)
                )
    return shade(image, core, rim, log_uniform(rng, 0.08, 0.8), True)


def pit(image: FloatImage, rng: Rng, inside: Mask | None = None) -> FloatImage:
    """A cluster of small holes: the wall towards the light lies in shadow, the rim opposite is lit."""
    shape, unit = image.shape[:2], width_unit(image)
    core, rim = empty_maps(shape)
    light = rng.uniform(0, 2 * np.pi)
    towards_light = np.array([np.sin(light), np.cos(light)])
    centre = smooth_place(image, rng, inside)
    spread = min(shape) * rng.uniform(0.015, 0.06)
    size = log_uniform(rng, 1.2, 4) * unit
    lit = rng.uniform(0.1, 0.7)
    for number in range(1 + rng.poisson(rng.choice([0.3, 3, 9], p=[0.4, 0.4, 0.2]))):
        radius = float(np.clip(size * rng.lognormal(0, 0.4) * (1 if number == 0 else 0.7), 0.8, 8 * unit))
        at = np.clip(centre + (spread * rng.standard_normal(2) if number else 0), 0, np.array(shape) - 1)
        window, down, right = window_around(shape, at, 2.2 * radius + 3)
        distance, angle = np.hypot(down, right), np.arctan2(down, right)
        stretch, tilt = rng.uniform(0.6, 1), rng.uniform(0, np.pi)
        outline = radius / np.sqrt(np.cos(angle - tilt) ** 2 + (np.sin(angle - tilt) / stretch) ** 2)
        for wave in (2, 3, 5):
            outline *= 1 + rng.normal(0, 0.22 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
        facing = (down * towards_light[0] + right * towards_light[1]) / np.maximum(distance, radius)
        inside = soft_edge(outline - distance, BLUR + 0.1 * radius)
        np.maximum(core[window], inside * np.clip(0.72 + 0.4 * facing, 0, 1), out=core[window])
        ring = np.exp(-(((distance - outline) / (0.6 + 0.15 * radius) - 0.7) ** 2)) * np.clip(-facing, 0, 1)
        np.maximum(rim[window], lit * ring * (1 - inside), out=rim[window])
    return shade(image, core, rim, log_uniform(rng, 0.06, 0.6), True)


def stain(image: FloatImage, rng: Rng, inside: Mask | None = None) -> FloatImage:
    """A patch of low contrast with a ragged outline, which darkens or tints what stays visible below it."""
    shape = image.shape[:2]
    core, rim = empty_maps(shape)
    centre = smooth_place(image, rng, inside)
    radius = max(min(shape) * log_uniform(rng, 0.04, 0.13), 2.5)
    softness, ragged = log_uniform(rng, 0.8, 4), rng.uniform(0.25, 0.6)
    tide = rng.uniform(0.2, 0.6) if rng.random() < 0.5 else 0.0
    sizes = [radius, *(radius * rng.uniform(0.06, 0.3, rng.poisson(rng.choice([0, 4]))))]
    for own_radius in sizes:
        own_radius = max(own_radius, 1.5)
        at = centre if own_radius == radius else centre + radius * rng.uniform(0.9, 1.8) * direction(rng)
        window, down, right = window_around(shape, at, 1.8 * own_radius + 3)
        if not core[window].size:
            continue
        stretch, tilt = rng.uniform(0.55, 1), rng.uniform(0, np.pi)
        along, across = down * np.sin(tilt) + right * np.cos(tilt), down * np.cos(tilt) - right * np.sin(tilt)
        inward = own_radius - np.hypot(along, across / stretch)
        inward += own_radius * ragged * noise_2d(inward.shape, 0.9 * own_radius, rng)
        depth = np.clip(0.8 + 0.13 * noise_2d(inward.shape, 0.5 * own_radius, rng), 0.55, 1)
        depth += tide * np.exp(-((inward / (1.2 + 0.06 * own_radius) - 1.2) ** 2))
        np.maximum(core[window], soft_edge(inward, softness) * depth, out=core[window])
    grey = bool((image[..., :1] == image).all())
    tint = np.ones(3) if grey else np.clip(rng.choice(TINTS) + rng.normal(0, 0.08, 3), 0.3, 1)
    return shade(image, core / (1 + tide), rim, log_uniform(rng, 0.04, 0.22), rng.random() < 0.8, tint, 0.45)


def dead_row(image: FloatImage, rng: Rng, inside: Mask | None = None) -> FloatImage:
    """A row or column of a sensor, whole or in part, that is stuck at a value or off by one; objects do not end it."""
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
        contrast = log_uniform(rng, 0.03, 0.5) * (1 + 0.1 * rng.standard_normal((1, part.shape[1], 1)))
        sign = -1 if rng.random() < np.clip(2 * level - 0.5, 0, 1) else 1  # away from the nearer end of the range
        part += np.float32(sign) * contrast.astype(np.float32)
    return result.clip(0, 1)


DEFECT_KINDS: dict[str, Callable[[FloatImage, Rng, Mask | None], FloatImage]] = {
    "scratch": scratch,
    "crack": crack,
    "pit": pit,
    "stain": stain,
    "dead-row": dead_row,
}
