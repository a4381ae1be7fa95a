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
from torch import Tensor

Array = NDArray[np.float32]
Rng = np.random.Generator

GAMMA = 2.2
# 5x5 demosaicing filters at a pixel of the Bayer mosaic: the colours that were not measured there. Bilinear, and
# Malvar et al., 2004 (doi:10.1109/ICASSP.2004.1326587), which corrects with the gradient of the measured colour.
# Green at red or blue; red and blue from the left and right, from above and below, and from the diagonals.
BILINEAR = torch.tensor(
    [
        [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 2, 0, 2, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0], [0, 0, 2, 0, 0], [0, 0, 0, 0, 0], [0, 0, 2, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]],
    ]
)
MALVAR = torch.tensor(
    [
        [[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]],
        [[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2], [0, -2, 0, -2, 0], [0, 0, 1, 0, 0]],
        [[0, 0, -2, 0, 0], [0, -2, 8, -2, 0], [1, 0, 10, 0, 1], [0, -2, 8, -2, 0], [0, 0, -2, 0, 0]],
        [[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]],
    ]
)
FILTERS = {"bilinear": BILINEAR[:, None] / 4.0, "malvar": MALVAR[:, None] / 16.0}
LUMA = torch.tensor([0.299, 0.587, 0.114])


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
    matrix: Tensor
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
    matrix = -torch.tensor(
        [[0, red_green, red_blue], [green_red, 0, green_blue], [blue_red, blue_green, 0]], dtype=torch.float32
    )
    matrix += torch.diag(1 - matrix.sum(dim=1))
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
    clean_raw = expose(_tensor(clean), camera)
    raw = clean_raw if image is clean else expose(_tensor(image), camera)
    variance = (sigma / 255) ** 2 * (raw.clamp(0, 1) + camera.read_noise**2)
    noise = variance.sqrt() * torch.from_numpy(rng.standard_normal(raw.shape, dtype=np.float32))
    target = develop(clean_raw, camera)
    noisy = target + smooth(develop(raw + noise, camera) - target, *camera.smoothing)
    saved, wanted = _array(resize(noisy, size)), _array(resize(target, size))
    if camera.quality is None:
        return eight_bits(saved), wanted
    return (
        jpeg(saved, camera.quality, camera.subsampling),
        wanted if camera.subsampling == 0 else jpeg(wanted, 100, camera.subsampling),
    )


def expose(picture: Tensor, camera: Camera) -> Tensor:
    """Picture (3, H, W) in [0, 1] -> linear values of the sensor under its Bayer mosaic, (1, H', W')."""
    linear = picture.clamp(0, 1)
    if camera.tone:
        linear = 0.5 - torch.sin(torch.asin(1 - 2 * linear) / 3)
    linear = linear**GAMMA
    linear = torch.einsum("ij,jhw->ihw", torch.linalg.inv(camera.matrix), linear).clamp(0, 1)
    linear = linear / torch.tensor(camera.gains)[:, None, None]
    height, width = (max(round(side * camera.scale), 3) for side in linear.shape[1:])
    linear = blur(resize(linear, (height, width)), camera.optics)
    return _bayer(linear)[None]


def develop(raw: Tensor, camera: Camera) -> Tensor:
    """Sensor values (1, H, W) -> picture (3, H, W) in [0, 1]: demosaicing, white balance, colours, tone curve."""
    linear = demosaic(raw, FILTERS[camera.demosaic]) * torch.tensor(camera.gains)[:, None, None]
    linear = torch.einsum("ij,jhw->ihw", camera.matrix, linear).clamp(0, 1)
    picture = linear ** (1 / GAMMA)
    return picture * picture * (3 - 2 * picture) if camera.tone else picture


def _bayer(planes: Tensor) -> Tensor:
    """The measured values of an RGGB mosaic: (3, H, W) -> (H, W)."""
    mosaic = planes[1].clone()
    mosaic[0::2, 0::2] = planes[0, 0::2, 0::2]
    mosaic[1::2, 1::2] = planes[2, 1::2, 1::2]
    return mosaic


def demosaic(raw: Tensor, filters: Tensor) -> Tensor:
    """RGGB mosaic (1, H, W) -> (3, H, W) by linear 5x5 filters, see `FILTERS`."""
    green, across, down, diagonal = F.conv2d(F.pad(raw[None], (2, 2, 2, 2), mode="reflect"), filters)[0]
    picture = torch.stack([across, raw[0], down])  # right in the rows of red where green was measured
    picture[1, 0::2, 0::2], picture[1, 1::2, 1::2] = green[0::2, 0::2], green[1::2, 1::2]
    picture[0, 0::2, 0::2], picture[2, 1::2, 1::2] = raw[0, 0::2, 0::2], raw[0, 1::2, 1::2]
    picture[0, 1::2, 0::2], picture[2, 1::2, 0::2] = down[1::2, 0::2], across[1::2, 0::2]
    picture[0, 1::2, 1::2], picture[2, 0::2, 0::2] = diagonal[1::2, 1::2], diagonal[0::2, 0::2]
    return picture


def blur(planes: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (C, H, W), standard deviation in pixels; mirrored borders."""
    return torch.from_numpy(
        gaussian_filter(planes.numpy(), sigma, mode="mirror", radius=math.ceil(3 * sigma), axes=(1, 2))
    )


def smooth(noise: Tensor, luma: float, chroma: float) -> Tensor:
    """Noise reduction that spares the picture: blur the noise (3, H, W), its colour more than its brightness."""
    grey = torch.einsum("j,jhw->hw", LUMA, noise)[None]
    return blur(grey, luma) + blur(noise - grey, chroma)


def resize(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic resampling of (C, H, W), with the low pass that making smaller needs."""
    if planes.shape[1:] == size:
        return planes
    return F.interpolate(planes[None], size, mode="bicubic", antialias=True)[0]


def eight_bits(picture: Array) -> Array:
    """(H, W, 3) in [0, 1] -> the same, rounded to what an 8-bit file holds."""
    return (np.rint(picture * 255) / 255).astype(np.float32)


def jpeg(picture: Array, quality: int, subsampling: int) -> Array:
    """(H, W, 3) in [0, 1] -> the same after JPEG compression."""
    buffer = io.BytesIO()
    pixels = np.rint(picture * 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(buffer), dtype=np.float32) / np.float32(255)


def _tensor(picture: Array) -> Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).copy())


def _array(planes: Tensor) -> Array:
    return planes.clamp(0, 1).permute(1, 2, 0).contiguous().numpy()
