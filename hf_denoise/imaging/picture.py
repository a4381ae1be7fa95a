"""A decoded image, with all that is needed to write the same kind of file again."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from hf_denoise.arrays import full_scale
from hf_denoise.imaging.extra_samples import ExtraSamples
from hf_denoise.imaging.formats import DEEP_GREY, METADATA, WITH_ALPHA, Header
from hf_denoise.imaging.linear_light import linear_from_srgb
from hf_denoise.imaging.tiff_reading import keep_text
from hf_denoise.imaging.writing import write_picture


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image, with all that is needed to write the same kind of image back.

    Attributes:
        header: format, mode, depth and size.
        planes: what is denoised, each (H, W) or (H, W, 3) in the file's own dtype; integers span their full range,
            white is 1 in floats. One array of grey or RGB; of a CMYK image two, cyan-magenta-yellow inverted (as if it
            were RGB) and black, since the way back from RGB to four inks is not unique.
        alpha: (H, W), or None. Never changed.
        palette: (N, 4) uint8 RGBA, or None.
        color_key: the colour that stands for transparency, or None.
        metadata: those present of `icc_profile`, `exif`, `xmp` (bytes, verbatim), `dpi` (pair of floats), `chunks` of a
            PNG that say what its colours mean (pairs of name and content), and `max_sample_value` of a TIFF (number).
        encoding: how the file was compressed, where that is to be kept.
        extra: the other samples of a TIFF, and how its alpha was stored; None where there is nothing to say.
        white: the value of white in the file, where that is not the usual one. Planes are then floats.
        white_why: in words, how that was found out; None where it was given.
        linear: the values of the file are in proportion to light; the planes are floats in the curve of sRGB.
    """

    header: Header
    planes: tuple[np.ndarray, ...]
    alpha: np.ndarray | None = None
    palette: Any = None
    color_key: tuple[int, ...] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    encoding: dict[str, Any] = field(default_factory=dict)
    extra: ExtraSamples | None = None
    white: float | None = None
    white_why: str | None = None
    linear: bool = False

    def with_planes(self, planes: tuple[np.ndarray, ...]) -> "Picture":
        """The same picture with other pixels: `planes` of the same shapes and dtypes."""
        return replace(self, planes=planes)

    @property
    def rgb(self) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1], pixels in stored order, without alpha."""
        if self.header.layout == "CMYK":
            inverted_cmy, black = (plane.astype(np.float32) / full_scale(plane.dtype) for plane in self.planes)
            return inverted_cmy * (1 - black[..., None])
        plane = self.planes[0].astype(np.float32) / np.float32(full_scale(self.planes[0].dtype))
        return np.dstack([plane] * 3) if plane.ndim == 2 else plane

    def upright(self) -> "Picture":
        """The picture turned as its EXIF orientation says, and without that tag."""
        orientation = self.orientation
        if orientation not in _TURNS:
            return self
        exif = Image.Exif()
        exif.load(self.metadata["exif"])
        del exif[ExifTags.Base.Orientation]
        block = keep_text(exif).tobytes()
        return replace(self.turned(orientation), metadata={**self.metadata, "exif": block})

    @property
    def orientation(self) -> int:
        """As EXIF says: 1 where the pixels are stored as they show."""
        exif = Image.Exif()
        exif.load(self.metadata.get("exif", b""))
        return int(exif.get(ExifTags.Base.Orientation, 1))

    def as_stored(self, shown: np.ndarray) -> np.ndarray:
        """Pixels of the upright picture, such as a mask drawn on it, in the stored order."""
        back = {6: 8, 8: 6}.get(self.orientation, self.orientation)
        return np.ascontiguousarray(_TURNS[back](shown)) if back in _TURNS else shown

    def turned(self, orientation: int) -> "Picture":
        """All pixels moved as an EXIF orientation asks for; as they are where it is 1, or none."""
        if orientation not in _TURNS:
            return self
        turn = _TURNS[orientation]
        planes = tuple(np.ascontiguousarray(turn(plane)) for plane in self.planes)
        height, width = planes[0].shape[:2]
        return replace(
            self,
            header=replace(self.header, size=(width, height)),
            planes=planes,
            alpha=None if self.alpha is None else np.ascontiguousarray(turn(self.alpha)),
            extra=None if self.extra is None else self.extra.turned(turn),
        )

    @property
    def stored(self) -> "Picture":
        """The same with planes as they are in the file."""
        if self.white is None:
            return self
        linear = replace(self, planes=tuple(map(linear_from_srgb, self.planes))) if self.linear else self
        return linear._times(self.white)

    def _times(self, white: float) -> "Picture":
        planes = []
        for plane in self.planes:
            values = np.multiply(plane, plane.dtype.type(white))
            if self.header.dtype.kind == "u":
                values = np.rint(values, out=values).clip(0, full_scale(self.header.dtype), out=values)
            planes.append(values.astype(self.header.dtype, copy=False))
        return replace(self, planes=tuple(planes), white=None, white_why=None, linear=False)

    def as_srgb(self) -> "Picture":
        """The same where it is not linear; else one that is not, for eyes that know no profiles."""
        if not self.linear:
            return self
        metadata = {key: value for key, value in self.metadata.items() if key != "icc_profile"}
        return replace(self._times(full_scale(self.header.dtype)), metadata=metadata)

    def to_pil(self) -> Image.Image:
        """As a Pillow image of the original mode; 16-bit and float colour, which Pillow has not, with 8 bits."""
        if self.white is not None:  # 8 bits span their full range, whatever the 16 of the file did
            deep = self.header.dtype != np.uint8 and self.header.mode not in DEEP_GREY
            if self.linear:
                return self.as_srgb().to_pil()
            return (self._times(full_scale(self.header.dtype)) if deep else self.stored).to_pil()
        mode = self.header.mode
        if mode == "F":
            image = Image.fromarray(self.samples("L").astype(np.float32))
        elif mode == "I":
            image = Image.fromarray(self.samples("L").astype(np.int32))
        elif mode in DEEP_GREY:
            samples = self.samples("L").astype(">u2" if mode == "I;16B" else "<u2")
            image = Image.frombytes(mode, self.header.size, samples.tobytes())
        elif self.header.transparent and self.header.dtype != np.uint8:
            image = self.encoded(WITH_ALPHA[mode])
        else:
            image = self.encoded(mode)
        image.info.update({key: self.metadata[key] for key in METADATA["JPEG"] if key in self.metadata})
        return image

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture in the format of the path's extension, beside it and then renamed.

        A JPEG that was a JPEG keeps its quantisation tables and chroma subsampling; one that was not gets quality
        95 without subsampling. WebP is lossless unless the picture was a lossy WebP. AVIF and HEIC keep their
        subsampling, depth (HEIC) and colour space.

        Raises:
            UserError: the format cannot hold the picture, or the file cannot be written. Nothing is left behind.
        """
        write_picture(self, Path(path))

    def samples(self, layout: str) -> np.ndarray:
        """All samples of a pixel side by side, alpha last: (H, W) or (H, W, C), in the file's own dtype."""
        pixels = self.planes[0]
        if layout == "CMYK":
            return np.dstack([full_scale(pixels.dtype) - pixels, self.planes[1]])
        if self.color_key is not None and layout == self.header.layout:
            return _keep_color_key(pixels, self.alpha, self.color_key)
        if self.alpha is None:
            return pixels
        if layout == "RGBA" and pixels.ndim == 2:
            pixels = np.dstack([pixels] * 3)
        return np.dstack([pixels, self.alpha])

    def encoded(self, mode: str) -> Image.Image:
        """As an 8-bit Pillow image of `mode`: the header's own, or a wider one."""
        if mode == "P":
            image = _from_buffer("P", _nearest_entries(self.planes[0], self.alpha, self.palette))
            image.putpalette(self.palette[:, :3].tobytes(), "RGB")
            if self.header.transparent:
                opacity = self.palette[:, 3]
                # GIF has one transparent entry, PNG an opacity for each.
                single = self.header.format == "GIF"
                image.info["transparency"] = int(np.argmin(opacity)) if single else opacity.tobytes()
            return image
        pixels = self.samples(mode)
        if pixels.dtype != np.uint8:
            full = full_scale(pixels.dtype)
            pixels = np.rint(pixels.astype(np.float32).clip(0, full) * (255 / full)).astype(np.uint8)
        native = {1: "L", 2: "LA", 3: "RGB", 4: "CMYK" if mode == "CMYK" else "RGBA"}[np.atleast_3d(pixels).shape[2]]
        image = _from_buffer(native, pixels)
        if self.color_key is not None and mode == self.header.layout:
            image.info["transparency"] = self.color_key if len(self.color_key) == 3 else self.color_key[0]
        return image if mode == native else image.convert(mode, dither=Image.Dither.NONE)


_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}


def _from_buffer(mode: str, pixels: np.ndarray) -> Image.Image:
    height, width = pixels.shape[:2]
    return Image.frombuffer(mode, (width, height), np.ascontiguousarray(pixels), "raw", mode, 0, 1)


def _nearest_entries(pixels: np.ndarray, alpha: np.ndarray | None, palette: np.ndarray) -> np.ndarray:
    """(H, W) uint8 indices of the palette entries of the same opacity that are nearest in RGB. No dithering: noise."""
    from scipy.spatial import cKDTree

    entries = np.zeros(pixels.shape[:2], np.uint8)
    for opacity in np.unique(palette[:, 3]):
        where = np.flatnonzero(palette[:, 3] == opacity)
        chosen = slice(None) if alpha is None else alpha == opacity
        # Far fewer colours than pixels are looked up.
        codes, inverse = np.unique(pixels[chosen].reshape(-1, 3) @ np.array([65536, 256, 1]), return_inverse=True)
        colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
        if len(colors):
            nearest = where[cKDTree(palette[where, :3]).query(colors)[1]].astype(np.uint8)
            entries[chosen] = nearest[inverse].reshape(entries[chosen].shape)
    return entries


def _keep_color_key(pixels: np.ndarray, alpha: Any, key: tuple[int, ...]) -> np.ndarray:
    """Give transparent pixels the colour that says so, and take it from opaque ones that came to have it."""
    samples = np.array(np.atleast_3d(pixels))
    clash = (samples == np.array(key, samples.dtype)).all(axis=2) & (alpha > 0)
    samples[clash, -1] ^= 1
    samples[alpha == 0] = key
    return samples.reshape(pixels.shape)
