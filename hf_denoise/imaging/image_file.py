"""An image file that is open: one picture, pages, or frames."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from hf_denoise.arrays import check_floats
from hf_denoise.errors import UserError
from hf_denoise.imaging import animations, deep_png, deep_pnm, heif, raw
from hf_denoise.imaging.bit_depth import with_white
from hf_denoise.imaging.conversion import from_pil, from_samples, from_tiff_samples, pillow_header
from hf_denoise.imaging.file_checks import check_pixels
from hf_denoise.imaging.formats import FORMATS, Header
from hf_denoise.imaging.metadata import encoding_of, pillow_metadata, png_metadata
from hf_denoise.imaging.picture import Picture
from hf_denoise.imaging.pillow_limit import without_pillow_limit
from hf_denoise.imaging.tiff_reading import TiffPages, is_tiff

MAX_PIXELS = 250_000_000
"""Larger images are refused by their header, before they can fill the memory."""
MAX_SIDE = 300_000
"""The network sees at least 32 pixels across: a line of 250 megapixels would take it as long as 8 gigapixels."""


class ImageFile:
    """An image file that is open, and its pictures: one, the pages of a TIFF, or the frames of an animation.

    Attributes:
        name: for messages.
        count: of the pictures; for an animation whose frames were not counted 2.
        animated: the pictures are frames.
    """

    def __init__(self, file: BinaryIO, name: str, max_pixels: int, counted: bool):
        self._file, self.name, self._max_pixels = file, name, max_pixels
        self._head = _first_bytes(file, name)
        self._tiff = TiffPages(file, name) if is_tiff(self._head) and not raw.is_raw(name) else None
        self._pillow: Image.Image | None = None
        self._loaded: dict[int, Header] = {}
        self.animated = False
        self.count = 1 if self._tiff is None else len(self._tiff)
        first = self.header(0)
        # Phones put a preview or a gain map behind the photograph, in the same JPEG: the photograph is the first.
        if self._pillow is not None and self._pillow.format not in ("MPO", "TIFF"):
            self.animated = bool(getattr(self._pillow, "is_animated", False))
            # To count the frames of a GIF takes as long as it has frames.
            self.count = 1 if not self.animated else getattr(self._pillow, "n_frames", 1) if counted else 2
        self._check_animation(first)

    @property
    def what(self) -> str:
        """What there are several of."""
        if not self.animated:
            return "pages"
        return "pictures" if self.header(0).format == "HEIF" else "frames"

    def place(self, page: int | None) -> int:
        """The number, from 0, of a page or frame that a user chose, from 1.

        Raises:
            UserError: there is no such page, or none was chosen of several.
        """
        if page is None and self.count > 1:
            held = {"frames": "is an animation", "pictures": "holds several pictures"}.get(self.what)
            held = held or f"holds {self.count} pages"
            raise UserError(f"'{self.name}' {held}; extract the one to denoise into a file of its own")
        if page is not None and not 1 <= page <= self.count:
            held = f"{self.count} {self.what}" if self.count > 1 else "one picture"
            raise UserError(f"'{self.name}' has no page {page}: it holds {held}; choose one from 1 to {self.count}")
        return (page or 1) - 1

    def header(self, number: int) -> Header:
        """What a page says about itself, without its pixels."""
        if number not in self._loaded:
            with damage_named(self.name):
                self._loaded[number] = self._inspect(number)
        return replace(self._loaded[number], pages=self.count)

    def read(self, number: int, white_level: float | None = None, timing: animations.Timing | None = None) -> Picture:
        """Decode a page or frame, of an animation as it is seen, and note how long that is shown."""
        header = replace(self.header(number), pages=1)
        with damage_named(self.name):
            picture = self._decode(number, header, timing)
            if any(plane.shape[1::-1] != picture.header.size for plane in picture.planes):
                raise ValueError("its header gives another size than its pixels")
        picture = with_white(picture, white_level, self.name)
        for plane in picture.planes:
            check_floats(plane, f"'{self.name}'")
        return picture

    def _decode(self, number: int, header: Header, timing: animations.Timing | None) -> Picture:
        if header.format == "RAW":
            return raw.develop(self._file, header)
        compressed, tags = False, {}
        if self._tiff is not None:
            page = self._tiff.header(number)
            compressed = page.compressed
            if exif := self._tiff.exif(number):
                tags["exif"] = exif
            if page.mode is not None:
                pixels, metadata = self._tiff.pixels(number)
                picture = from_tiff_samples(header, pixels)
                return replace(picture, metadata=metadata | tags, encoding={"compressed": compressed})
        if header.format == "PPM" and self._pillow is None:
            metadata = {"max_sample_value": float(deep_pnm.largest_of(self._file))}
            return replace(from_samples(header, deep_pnm.read_deep_pnm(self._file), None), metadata=metadata)
        image = self._image(number)
        if self.animated:
            with without_pillow_limit():
                picture = from_pil(animations.load_frame(image, number))
            if timing is not None:
                animations.note_timing(image, timing)
            picture = replace(picture, header=replace(picture.header, format=header.format))
            metadata = pillow_metadata(image)
        elif header.dtype == np.uint8:
            with without_pillow_limit():
                image.load()
                picture = replace(from_pil(image), header=header)
            metadata = {**pillow_metadata(image), **tags}
            if header.format == "TIFF":
                picture = _in_stored_order(picture, metadata)
        elif header.format in ("HEIF", "AVIF"):
            metadata, depth = pillow_metadata(image), heif.depth_of(image, self._file)
            picture = from_samples(header, heif.read_deep(self._file, header.format, depth), None)
        else:
            metadata = pillow_metadata(image)
            picture = from_samples(header, deep_png.read_deep_png(self._file), image.info.get("transparency"))
        if header.format == "PNG":
            metadata.pop("xmp", None)
            metadata |= png_metadata(self._file)
        return replace(picture, metadata=metadata, encoding=encoding_of(header, image, self._file, compressed))

    def _image(self, number: int) -> Image.Image:
        """By Pillow, not decoded."""
        if self._pillow is None or self._tiff is not None:
            file = self._file if self._tiff is None else self._tiff.alone(number)
            self._pillow = _open_by_pillow(file, self._head, self.name)
        return self._pillow

    def _inspect(self, number: int) -> Header:
        """The header of a page; opens it by Pillow, not decoded, unless tifffile or this package has to read it."""
        if raw.is_raw(self.name):
            header = raw.read_raw_header(self._file, self.name)
            self._check_size(*header.size)
            return header
        if self._head[:8] == b"\x89PNG\r\n\x1a\n":
            if self._head[12:16] != b"IHDR":
                raise ValueError("it does not begin with its header")
            self._check_size(int.from_bytes(self._head[16:20], "big"), int.from_bytes(self._head[20:24], "big"))
        size = None
        if self._tiff is not None:
            tiff = self._tiff.header(number)
            self._check_size(tiff.width, tiff.height)
            if tiff.mode is not None and tiff.dtype is not None:
                mode = tiff.mode
                if mode == "L" and tiff.dtype != np.uint8:
                    mode = "F" if tiff.dtype.kind == "f" else "I;16"
                return Header("TIFF", mode, tiff.dtype, (tiff.width, tiff.height), extra=tiff.extra)
            size = (tiff.width, tiff.height)  # Pillow swaps them where orientation says so
        if pnm := deep_pnm.read_pnm_header(self._file):
            self._check_size(pnm.width, pnm.height)
            mode = "RGB" if pnm.channels == 3 else "I;16"
            return Header("PPM", mode, np.dtype("uint16"), (pnm.width, pnm.height))
        if self.animated:
            return self._loaded[0]
        image = self._image(number)
        self._check_size(*image.size)
        header = pillow_header(image, f"'{self.name}'")
        header = replace(header, format="JPEG" if image.format == "MPO" else image.format)
        check_pixels(image, self._file)
        deep = deep_png.deep_png_mode(self._head)
        if image.format in ("HEIF", "AVIF") and heif.depth_of(image, self._file) > 8:
            deep = "I;16" if image.mode == "L" else image.mode
        if deep:
            header = replace(header, mode=deep, dtype=np.dtype("uint16"))
        return replace(header, size=size) if size else header

    def _check_size(self, width: int, height: int) -> None:
        said = f"'{self.name}' says it has {width} x {height} pixels, above the limit of"
        if width * height > self._max_pixels:
            raise UserError(f"{said} {self._max_pixels // 10**6} megapixels; cut it into pieces")
        if max(width, height) > MAX_SIDE:
            raise UserError(f"{said} {MAX_SIDE} pixels a side; cut it into pieces")

    def _check_animation(self, header: Header) -> None:
        """Whether the frames can be kept together."""
        if not self.animated:
            return
        if header.dtype != np.uint8:
            raise UserError(f"'{self.name}' is an animation of more than 8 bits; extract its pictures into files")
        megapixels = self.count * header.size[0] * header.size[1] // 10**6
        if megapixels > animations.MAX_PIXELS // 10**6:
            raise UserError(
                f"'{self.name}' is an animation of {self.count} frames, {megapixels} megapixels in all, above the "
                f"limit of {animations.MAX_PIXELS // 10**6}; cut it into pieces"
            )


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """A decoder that meets damaged data raises any of a dozen types; each means the same to the reader."""
    try:
        yield
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"'{name}' does not fit in memory; cut it into pieces") from error
    except Exception as error:
        reason = " ".join(str(error).split())
        # What is no sentence ("40965", "unpack requires a buffer of 8 bytes") tells the reader nothing.
        shown = isinstance(error, OSError | ValueError) and " " in reason and len(reason) < 100 and "/" not in reason
        raise UserError(
            f"'{name}' is damaged or cut short{f' ({reason})' if shown else ''}; get a whole copy of it"
        ) from error


def _in_stored_order(picture: Picture, metadata: dict[str, Any]) -> Picture:
    """Turn back what Pillow has turned upright: it does so for TIFF, and for no other format."""
    exif = Image.Exif()
    exif.load(metadata.get("exif", b""))
    orientation: int = exif.get(ExifTags.Base.Orientation, 1)
    return picture.turned({6: 8, 8: 6}.get(orientation, orientation))


def _first_bytes(file: BinaryIO, name: str) -> bytes:
    try:
        head = file.read(32)
        file.seek(0)
    except OSError as error:
        raise UserError(f"'{name}' cannot be read ({error.strerror})") from error
    if not head:
        raise UserError(f"'{name}' is empty (0 bytes); get a whole copy of it")
    return head


def _open_by_pillow(file: BinaryIO, head: bytes, name: str) -> Image.Image:
    """The Pillow image of a file that begins with `head`, not decoded."""
    boxed = heif.format_of(head)
    if boxed:
        heif.check_usable(boxed, f"read '{name}'")
    formats = [boxed] if boxed else [format for format in FORMATS.values() if format not in ("HEIF", "AVIF")]
    try:
        file.seek(0)
        with without_pillow_limit():
            return Image.open(file, formats=tuple(dict.fromkeys(formats)))
    except UnidentifiedImageError as error:
        if boxed:
            raise ValueError("its boxes hold no picture") from error
        known = "PNG, JPEG, WebP, AVIF, HEIC, BMP, TIFF, GIF or PPM"
        raise UserError(f"'{name}' is not a {known} image; convert it to one") from error
