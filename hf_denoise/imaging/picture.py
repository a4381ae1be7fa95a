"""A decoded image, with all that is needed to write the same kind of file again."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from hf_denoise.errors import UserError
from hf_denoise.files import written_beside
from hf_denoise.imaging import deep_images

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gif": "GIF",
}

# Beyond this no noise explains a floating-point value: the image is on another scale than 0 to 1.
_MAX_FLOAT = 8.0

_HOLDS: dict[str, set[str]] = {
    "PNG": {"1", "L", "LA", "P", "RGB", "RGBA"},
    "JPEG": {"L", "RGB", "CMYK"},
    "WEBP": {"RGB", "RGBA"},
    "BMP": {"1", "L", "P", "RGB"},
    "TIFF": {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK"},
    "GIF": {"L", "P"},
}
_DTYPES = {"PNG": ("uint8", "uint16"), "TIFF": ("uint8", "uint16", "float16", "float32", "float64")}
_METADATA = {
    "PNG": ("icc_profile", "exif", "dpi"),
    "JPEG": ("icc_profile", "exif", "dpi", "xmp"),
    "WEBP": ("icc_profile", "exif", "xmp"),
    "TIFF": ("icc_profile", "exif", "dpi"),
    "BMP": ("dpi",),
    "GIF": (),
}
_MAX_SIDE = {"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535}
# Nothing is lost by these; what cannot be reached through them, the format cannot hold.
_WIDER = {"1": ("L", "RGB"), "L": ("RGB",), "LA": ("RGBA",), "P": ("RGB", "RGBA")}
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "P": "RGBA"}
DEEP_GREY = {"I;16", "I;16L", "I;16B", "I", "F"}
"""Pillow's modes of grey with more than 8 bits."""
MODES = {*_HOLDS["TIFF"], *DEEP_GREY}
"""Those of Pillow that a picture can have."""


@dataclass(frozen=True)
class Header:
    """What a file says about itself before its pixels are decoded.

    Attributes:
        format: Pillow's name, such as "PNG"; None for a picture that is not from a file.
        mode: Pillow's mode of the pixels; 16-bit and float colour, which Pillow has no name for, by its 8-bit name.
        dtype: of the samples: uint8, uint16 or a float.
        size: (width, height) in pixels.
        transparent: a palette with transparent entries, or a colour that stands for transparency.
    """

    format: str | None
    mode: str
    dtype: np.dtype
    size: tuple[int, int]
    transparent: bool = False

    @property
    def layout(self) -> str:
        """The mode without its bit depth: "L" for every grey image."""
        return "L" if self.mode in DEEP_GREY else self.mode


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image, with all that is needed to write the same kind of image back.

    Attributes:
        header: format, mode, depth and size.
        planes: what is denoised, each (H, W) or (H, W, 3) in the file's own dtype; integers span their full range,
            floats are 0 to 1. One array of grey or RGB; of a CMYK image two, cyan-magenta-yellow inverted (as if it
            were RGB) and black, since the way back from RGB to four inks is not unique.
        alpha: (H, W), or None. Never changed.
        palette: (N, 4) uint8 RGBA, or None.
        color_key: the colour that stands for transparency, or None.
        metadata: those present of `icc_profile`, `exif`, `xmp` (bytes, verbatim) and `dpi` (pair of floats).
        encoding: how the file was compressed, where that is to be kept.
    """

    header: Header
    planes: tuple[np.ndarray, ...]
    alpha: np.ndarray | None = None
    palette: Any = None
    color_key: tuple[int, ...] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    encoding: dict[str, Any] = field(default_factory=dict)

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
        exif = Image.Exif()
        exif.load(self.metadata.get("exif", b""))
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        if orientation not in _TURNS:
            return self
        del exif[ExifTags.Base.Orientation]
        block = deep_images.keep_text(exif).tobytes()
        return replace(self.turned(orientation), metadata={**self.metadata, "exif": block})

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
        )

    def to_pil(self) -> Image.Image:
        """As a Pillow image of the original mode; 16-bit and float colour, which Pillow has not, with 8 bits."""
        mode = self.header.mode
        if mode == "F":
            image = Image.fromarray(self._array("L").astype(np.float32))
        elif mode == "I":
            image = Image.fromarray(self._array("L").astype(np.int32))
        elif mode in DEEP_GREY:
            samples = self._array("L").astype(">u2" if mode == "I;16B" else "<u2")
            image = Image.frombytes(mode, self.header.size, samples.tobytes())
        elif self.header.transparent and self.header.dtype != np.uint8:
            image = self._encode(_WITH_ALPHA[mode])
        else:
            image = self._encode(mode)
        image.info.update(self.metadata)
        return image

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture in the format of the path's extension, beside it and then renamed.

        A JPEG that was a JPEG keeps its quantisation tables and chroma subsampling; one that was not gets quality
        95 without subsampling. WebP is lossless unless the picture was a lossy WebP.

        Raises:
            UserError: the format cannot hold the picture, or the file cannot be written. Nothing is left behind.
        """
        target = Path(path)
        format, mode = check_target(self.header, target)
        # Where the orientation cannot be noted, the pixels themselves are turned.
        picture = self if "exif" in _METADATA[format] else self.upright()
        metadata = {key: picture.metadata[key] for key in _METADATA[format] if key in picture.metadata}
        if format == "TIFF" and self.header.dtype == np.uint8 and "exif" in metadata:  # Pillow takes the block apart
            exif = Image.Exif()
            exif.load(metadata["exif"])
            metadata["exif"] = deep_images.keep_text(exif)
        with written_beside(target) as file:
            if self.header.dtype == np.uint8:
                picture._encode(mode).save(_WithoutDescriptor(file), format, **picture._options(format), **metadata)
            elif format == "TIFF":
                compressed = self.encoding.get("compressed", False)
                deep_images.write_tiff(file, picture._array(mode), mode, metadata, compressed)
            else:
                deep_images.write_deep_png(file, picture._array(mode), metadata, picture.color_key)

    def _options(self, format: str) -> dict[str, Any]:
        """Pillow's options for the compression of `format`."""
        if format == "JPEG":
            return self.encoding if self.header.format == "JPEG" else {"quality": 95, "subsampling": 0}
        if format == "WEBP":
            return {"exact": True, **({"quality": 95} if self.encoding.get("lossy") else {"lossless": True})}
        if format == "PNG":
            return {"compress_level": 4}  # less than half of the time of 6, and 2 % more bytes of a photograph
        if format == "TIFF" and self.encoding.get("compressed"):
            return {"compression": "tiff_adobe_deflate"}
        return {}

    def _array(self, layout: str) -> np.ndarray:
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

    def _encode(self, mode: str) -> Image.Image:
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
        pixels = self._array(mode)
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


def full_scale(dtype: np.dtype) -> int:
    """The value of white: 255, 65535, or 1 for floats."""
    return int(np.iinfo(dtype).max) if dtype.kind == "u" else 1


def to_8_bits(pixels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Floats in [0, 1], what lies outside clipped, as uint8, rounded."""
    return np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)


def check_floats(pixels: np.ndarray, name: str) -> None:
    """Raise a `UserError` that names `name` where floats are NaN, infinite, or far from the range 0 to 1."""
    if pixels.dtype.kind != "f":
        return
    low, high = float(pixels.min(initial=0)), float(pixels.max(initial=0))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(f"{name} holds NaN or infinite values; replace them before denoising")
    if max(-low, high) > _MAX_FLOAT:
        raise UserError(f"{name} holds values from {low:.4g} to {high:.4g}; scale floating-point images to 0 to 1")


def check_target(header: Header, path: Path) -> tuple[str, str]:
    """Whether the format of a path's extension can hold an image, before any work.

    Returns:
        Pillow's names of the format and of the mode to write: the image's own, or one that loses nothing.

    Raises:
        UserError: unknown extension, or the format lacks the depth, the alpha, the inks or the size.
    """
    format = FORMATS.get(path.suffix.lower())
    if format is None:
        raise UserError(f"cannot write '{path}': the name must end in one of {', '.join(FORMATS)}")
    if str(header.dtype) not in _DTYPES.get(format, ("uint8",)):
        depth = "floating-point" if header.dtype.kind == "f" else "16-bit"
        fitting = "TIFF" if header.dtype.kind == "f" else "PNG or TIFF"
        raise UserError(f"cannot write '{path}': {format} has no {depth} samples; write {fitting} instead")
    if format == "GIF" and header.format != "GIF":
        raise UserError(f"cannot write '{path}': only a GIF is written as GIF, its 256 colours are too few; write PNG")
    if max(header.size) > _MAX_SIDE.get(format, 2**31):
        raise UserError(f"cannot write '{path}': {format} ends at {_MAX_SIDE[format]} pixels a side; write PNG or TIFF")
    mode = header.layout
    if header.transparent and format not in ("PNG", "GIF"):
        mode = _WITH_ALPHA[mode]
    for candidate in (mode, *_WIDER.get(mode, ())):
        if candidate in _HOLDS[format] and not (header.transparent and mode != header.layout and candidate == "RGB"):
            return format, candidate
    kind = "CMYK" if mode == "CMYK" else "transparency"
    raise UserError(
        f"cannot write '{path}': {format} has no {kind}; write {'TIFF' if kind == 'CMYK' else 'PNG'} instead"
    )


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


class _WithoutDescriptor(io.BufferedIOBase, BinaryIO):
    """Hides the descriptor of a file: given it, Pillow writes in C and takes no notice of a full disk."""

    def __init__(self, file: BinaryIO):
        self.read, self.write, self.seek, self.tell = file.read, file.write, file.seek, file.tell  # type: ignore
