"""Camera noise: what a photograph would look like had a noisier camera taken it, and what it would be without noise.

A photograph is turned back into linear sensor values, gets the noise of a sensor there, and is developed again, as in
Brooks et al., 2019 (arXiv:1811.11127) and CBDNet (Guo et al., 2019, arXiv:1807.04686). Demosaicing, the colour matrix,
noise reduction, resizing and JPEG correlate the noise between pixels and channels, so that it looks like texture to a
network that has seen white noise alone.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float32]
Rng = np.random.Generator

GAMMA = 2.2
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# 5x5 demosaicing filters at a pixel of the Bayer mosaic: the colours that were not measured there. Bilinear, and
# Malvar et al., 2004 (doi:10.1109/ICASSP.2004.1326587), which corrects with the gradient of the measured colour.
# Green at red or blue; red and blue from the left and right, from above and below, and from the diagonals.
BILINEAR = np.array(
    [
        [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 2, 0, 2, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0], [0, 0, 2, 0, 0], [0, 0, 0, 0, 0], [0, 0, 2, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]],
    ]
)
MALVAR = np.array(
    [
        [[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]],
        [[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2], [0, -2, 0, -2, 0], [0, 0, 1, 0, 0]],
        [[0, 0, -2, 0, 0], [0, -2, 8, -2, 0], [1, 0, 10, 0, 1], [0, -2, 8, -2, 0], [0, 0, -2, 0, 0]],
        [[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]],
    ]
)


def mosaic_filters(demosaicing: NDArray[np.int64], divisor: int) -> Array:
    """`BILINEAR` or `MALVAR` as filters between images of half the size, one for each place in a cell of the mosaic.

    So every output is a colour that is wanted, where the 5x5 filters at every pixel give four and most are thrown away.

    Returns:
        (3 colours, 4 places in the picture, 4 places in the mosaic, 3, 3); places count along the rows of a cell.
    """
    measured = np.zeros((5, 5), np.int64)
    measured[2, 2] = divisor
    green, across, down, diagonal = demosaicing
    by_place = (  # red, green and blue at the places of red, green, green and blue
        (measured, green, diagonal),
        (across, measured, down),
        (down, measured, across),
        (diagonal, green, measured),
    )
    filters = np.zeros((3, 4, 4, 3, 3), np.float32)
    for place, colours in enumerate(by_place):
        for colour, taps in enumerate(colours):
            for (row, column), tap in np.ndenumerate(taps):
                y, x = place // 2 + row - 2, place % 2 + column - 2  # seen from the corner of the cell
                filters[colour, place, y % 2 * 2 + x % 2, y // 2 + 1, x // 2 + 1] = tap / divisor
    return filters


FILTERS = {"bilinear": mosaic_filters(BILINEAR, 4), "malvar": mosaic_filters(MALVAR, 16)}


@dataclass(frozen=True)
class Camera:
    """One camera with its settings.

    Attributes:
        optics: blur before the sensor, standard deviation in pixels.
        scale: pixels of the sensor per pixel of the picture: above 1 the picture was made smaller afterwards.
        gains: white balance, for red, green and blue.
        matrix: colour matrix from the sensor's to the picture's linear RGB, 3 x 3, rows sum to 1.
        tone: whether an S-shaped tone curve follows the gamma curve.
        demosaic: a name in `FILTERS`.
        read_noise: noise at black as a share of that at white.
        smoothing: noise reduction, standard deviations in pixels for luma and chroma.
        quality: of the JPEG file; None where the picture is kept in 8 bits without loss.
        subsampling: of the colour in the JPEG file, as Pillow counts: 0 is 4:4:4, 2 is 4:2:0.
    """

    optics: float
    scale: float
    gains: tuple[float, float, float]
    matrix: Array
    tone: bool
    demosaic: str
    read_noise: float
    smoothing: tuple[float, float]
    quality: int | None
    subsampling: int


def draw_camera(rng: Rng) -> Camera:
    """A random camera; the ranges are those of consumer cameras (Brooks et al., 2019)."""
    mixing = rng.uniform([0.2, 0.0, 0.1, 0.1, 0.0, 0.2], [0.9, 0.2, 0.4, 0.6, 0.2, 0.8])
    red_green, red_blue, green_red, green_blue, blue_red, blue_green = (float(value) for value in mixing)
    matrix = np.array(
        [
            [1 + red_green + red_blue, -red_green, -red_blue],
            [-green_red, 1 + green_red + green_blue, -green_blue],
            [-blue_red, -blue_green, 1 + blue_red + blue_green],
        ],
        np.float32,
    )
    reduces_noise = rng.random() < 0.5
    return Camera(
        optics=float(rng.uniform(0.3, 1.1)),
        scale=float(rng.uniform(0.7, 1.5)) if rng.random() < 0.5 else 1.0,
        gains=(float(rng.uniform(1.2, 2.4)), 1.0, float(rng.uniform(1.2, 2.0))),
        matrix=matrix,
        tone=bool(rng.random() < 0.5),
        demosaic="malvar" if rng.random() < 0.6 else "bilinear",
        read_noise=float(rng.uniform(0.02, 0.2)),
        smoothing=(float(rng.uniform(0, 0.8)), float(rng.uniform(0, 2))) if reduces_noise else (0.0, 0.0),
        quality=int(rng.integers(85, 99)) if rng.random() < 0.7 else None,
        subsampling=2 if rng.random() < 0.5 else 0,
    )


def photograph(image: Array, clean: Array, sigma: float, rng: Rng) -> tuple[Array, Array]:
    """Take both pictures with the same random camera, the first one with sensor noise.

    The clean picture goes through the same optics, demosaicing, resizing and colour subsampling: a network that is
    to give back the untouched photograph learns to sharpen, and makes real photographs worse.

    Args:
        image: (H, W, 3) in [0, 1], what the noisy picture shows.
        clean: (H, W, 3) in [0, 1], what the clean picture shows.
        sigma: shot noise of the raw sensor values at white, on the 0..255 scale.
        rng: source of all randomness.

    Returns:
        The noisy picture, in 8 bits and perhaps through JPEG, and the clean picture, without what JPEG adds.
    """
    camera = draw_camera(rng)
    size = clean.shape[:2]
    clean_raw = expose(clean, camera)
    raw = clean_raw if image is clean else expose(image, camera)
    deviation = np.sqrt((raw.clip(0, 1) + np.float32(camera.read_noise**2)) * np.float32((sigma / 255) ** 2))
    noise = deviation * rng.standard_normal((1, *raw.shape), dtype=np.float32)[0]
    pictures = develop(np.stack([raw + noise, clean_raw]), camera)
    if camera.smoothing != (0.0, 0.0):
        pictures[0] = pictures[1] + smooth(pictures[0] - pictures[1], *camera.smoothing)
    noisy, target = resize(pictures, size).clip(0, 1).transpose(0, 2, 3, 1)
    if camera.quality is None:
        return eight_bits(noisy), np.ascontiguousarray(target)
    return (
        jpeg(noisy, camera.quality, camera.subsampling),
        np.ascontiguousarray(target) if camera.subsampling == 0 else jpeg(target, 100, camera.subsampling),
    )


# Powers and sines of one patch take NumPy half of PyTorch's time.


def expose(picture: Array, camera: Camera) -> Array:
    """Picture (H, W, 3) in [0, 1] -> linear values of the sensor under its Bayer mosaic, (H', W')."""
    linear = picture.transpose(2, 0, 1).clip(0, 1)
    if camera.tone:
        linear = np.float32(0.5) - np.sin(np.arcsin(1 - 2 * linear) / 3)
    np.power(linear, np.float32(GAMMA), out=linear)
    colours = np.linalg.inv(camera.matrix) @ linear.reshape(3, -1)
    np.clip(colours, 0, 1, out=colours)
    colours /= np.array(camera.gains, np.float32)[:, None]
    height, width = (max(round(side * camera.scale), 4) for side in linear.shape[1:])
    return _bayer(blur(resize(colours.reshape(linear.shape)[None], (height, width))[0], camera.optics))


def develop(raw: Array, camera: Camera) -> Array:
    """Sensor values (B, H, W) -> pictures (B, 3, H, W) in [0, 1]: demosaicing, white balance, colours, tone curve."""
    colours = camera.matrix * np.array(camera.gains, np.float32)
    picture = demosaic(raw, FILTERS[camera.demosaic], colours).clip(0, 1)
    np.power(picture, np.float32(1 / GAMMA), out=picture)
    if camera.tone:
        curve = picture * -2
        curve += 3
        picture *= picture
        picture *= curve
    return picture


def _bayer(planes: Array) -> Array:
    """The measured values of an RGGB mosaic: (3, H, W) -> (H, W)."""
    mosaic = planes[1].copy()
    mosaic[0::2, 0::2] = planes[0, 0::2, 0::2]
    mosaic[1::2, 1::2] = planes[2, 1::2, 1::2]
    return mosaic


def demosaic(raw: Array, filters: Array, colours: Array) -> Array:
    """RGGB mosaics (B, H, W) -> (B, 3, H, W) by linear filters, see `FILTERS`.

    Args:
        raw: at least 4 pixels high and wide.
        filters: of `FILTERS`.
        colours: 3 x 3, by which red, green and blue are mixed in the end.
    """
    height, width = raw.shape[1:]
    mixed = torch.from_numpy((colours @ filters.reshape(3, -1)).reshape(12, 4, 3, 3))
    # To an even size, and by one cell on every side; a mirrored mosaic has its colours in the same places.
    mosaic = F.pad(torch.from_numpy(raw)[:, None], (2, 2 + width % 2, 2, 2 + height % 2), mode="reflect")
    places = F.conv2d(F.pixel_unshuffle(mosaic, 2), mixed).numpy()
    picture = np.empty((len(raw), 3, 2 * places.shape[2], 2 * places.shape[3]), np.float32)
    for place in range(4):
        picture[..., place // 2 :: 2, place % 2 :: 2] = places[:, place::4]
    return picture[..., :height, :width]


def blur(planes: Array, sigma: float) -> Array:
    """Gaussian blur of (C, H, W), standard deviation in pixels; mirrored borders."""
    blurred: Array = gaussian_filter(planes, sigma, mode="mirror", radius=math.ceil(3 * sigma), axes=(1, 2))
    return blurred


def smooth(noise: Array, luma: float, chroma: float) -> Array:
    """Noise reduction that spares the picture: blur the noise (3, H, W), its colour more than its brightness."""
    grey = (LUMA @ noise.reshape(3, -1)).reshape(1, *noise.shape[1:])
    return blur(grey, luma) + blur(noise - grey, chroma)


def resize(pictures: Array, size: tuple[int, int]) -> Array:
    """Bicubic resampling of (B, C, H, W), with the low pass that making smaller needs."""
    if pictures.shape[2:] == size:
        return pictures
    return F.interpolate(torch.from_numpy(pictures), size, mode="bicubic", antialias=True).numpy()


def eight_bits(picture: Array) -> Array:
    """(H, W, 1 or 3) in [0, 1] -> the same, rounded to what an 8-bit file holds."""
    return (np.rint(picture * 255) / 255).astype(np.float32)


def jpeg(picture: Array, quality: int, subsampling: int) -> Array:
    """(H, W, 3), or (H, W, 1) as a grey file, in [0, 1] -> the same after JPEG compression."""
    buffer = io.BytesIO()
    pixels = np.rint(picture * 255).astype(np.uint8)
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(
        buffer, "JPEG", quality=quality, subsampling=subsampling
    )
    return np.asarray(Image.open(buffer), dtype=np.float32).reshape(picture.shape) / np.float32(255)
