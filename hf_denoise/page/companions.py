"""The clean reference and the defect mask that belong to a picture."""

from hf_denoise.arrays import FloatImage, Mask
from hf_denoise.errors import UserError
from hf_denoise.imaging.picture import Picture
from hf_denoise.page.results import keep_file, read_picture
from hf_denoise.page.samples import EXAMPLES, example_of


def with_defaults(image: str | None, reference: str | None, mask: str | None) -> tuple[str, str | None, str | None]:
    """The first example where there is no picture, and what belongs to an example."""
    image = image or EXAMPLES[0].noisy
    example = example_of(image)
    if example:
        reference, mask = reference or example.clean, mask or example.mask
    return image, reference, mask


def read_companions(reference: str | None, mask: str | None, picture: Picture) -> tuple[FloatImage | None, Mask | None]:
    """The clean pixels, and where the mask is white, of files that belong to an upright picture.

    Raises:
        UserError: one of them cannot be read, or has another size than the picture.
    """
    clean = _read_beside(reference, picture, "clean reference") if reference else None
    return clean, _read_beside(mask, picture, "mask").mean(axis=2) > 0.5 if mask else None


def _read_beside(path: str, picture: Picture, role: str) -> FloatImage:
    """The (H, W, 3) pixels of a file that belongs to a picture, upright, in [0, 1]."""
    keep_file(path)
    other = read_picture(path).upright()
    if other.header.size != picture.header.size:
        sizes = ["{} x {}".format(*each.header.size) for each in (other, picture)]
        raise UserError(
            f"the {role} '{path}' has {sizes[0]} pixels and the picture {sizes[1]}; give one of the same size"
        )
    return other.rgb.clip(0, 1)
