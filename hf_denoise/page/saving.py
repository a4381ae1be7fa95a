"""The format and quality of the file that is downloaded."""

from dataclasses import replace
from pathlib import Path

from hf_denoise.errors import UserError
from hf_denoise.imaging.picture import Picture
from hf_denoise.page.results import extension

FORMATS = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "WebP": ".webp"}
QUALITY = 95  # of a JPEG
_STEPS = 3688  # sum of the luminance table of the JPEG standard, which is that of quality 50


def save_as(picture: Picture, image: str, folder: Path, format: str = "", quality: float = QUALITY) -> Path:
    """Save a result in a folder, under the name of the picture that was given.

    Args:
        picture: the result, as stored.
        image: path of the picture that was given.
        folder: where to.
        format: one of `FORMATS`; empty keeps that of the picture, and the compression of a JPEG.
        quality: of a JPEG, 1 to 100; one that was a JPEG is never made coarser than it came.

    Raises:
        UserError: an unknown format or quality, or the format cannot hold the picture.
    """
    if format and format not in FORMATS:
        raise UserError(f"format must be one of {', '.join(FORMATS)}, or empty: as it came; got '{format[:20]}'")
    if not 1 <= quality <= 100:
        raise UserError(f"quality must be from 1 to 100, got {quality:g}")
    path = folder / f"{Path(image).stem}-denoised{FORMATS[format] if format else extension(image, picture)}"
    if format == "JPEG":
        own = quality_of(picture)
        if own is None or quality > own:
            header = replace(picture.header, format="JPEG")
            picture = replace(picture, header=header, encoding={"quality": round(quality), "subsampling": 0})
    picture.save(path)
    return path


def quality_of(picture: Picture) -> int | None:
    """About the quality that a picture was compressed with as JPEG, 1 to 100; None where it was not."""
    tables = picture.encoding.get("qtables")
    if picture.header.format != "JPEG" or not tables:
        return None
    percent = 100 * sum(tables[0]) / _STEPS
    return min(max(round(100 - percent / 2 if percent <= 100 else 5000 / percent), 1), 100)
