"""`hf-denoise make-triplets`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class MakeTriplets:
    """Draw defects with exact masks into clean images: a dataset to train on or to upload to the Hub."""

    clean: Annotated[Positional[str], arg(metavar="CLEAN")]
    """Images without defects: a folder in a known layout, or the id of a dataset on the Hub."""
    output: Annotated[Positional[Path], arg(metavar="OUT")]
    """Folder for the dataset, its card and contact sheets; new or empty."""
    seed: int = 0
    """Seed of the split, the defects and the noise; the same one gives the same pixels."""
    per_image: int = 1
    """Variants of each image, all in one split, each with one to three defects of one kind."""
    kinds: tuple[Literal["scratch", "crack", "pit", "stain", "dead-row"], ...] = (
        "scratch",
        "crack",
        "pit",
        "stain",
        "dead-row",
    )
    """Kinds of defects; the variants of an image take turns."""
    degradation: str = "gaussian:25"
    """Noise of the degraded images, such as camera:1-16 or mixture; none: no degraded images, new noise in training."""
    inside: str | None = None
    """Masks of surfaces, which defects do not leave: a folder with the names of the images, 255 inside; or auto, which
    finds objects on a plain ground. Dead rows go across."""
    contrast: tuple[float, float] | None = None
    """How much defects change the picture, LOW HIGH in grey levels, such as 40 120 for what is plain to see. Default:
    from what is hardly seen on."""
    columns: tuple[str, ...] = ()
    """Names of the roles in CLEAN, where they are not the usual ones, such as `clean=GT mask=M`; `"clean=*"`: all are
    clean."""
    skip_bad: bool = False
    """Leave out files that cannot be used instead of stopping."""

    def run(self) -> None:
        from hf_denoise.data.making import make_triplets
        from hf_denoise.data.roles import parse_columns

        counts = make_triplets(
            self.clean,
            self.output,
            seed=self.seed,
            per_image=self.per_image,
            kinds=self.kinds,
            degradation=self.degradation,
            inside=self.inside,
            contrast=self.contrast,
            skip_bad=self.skip_bad,
            columns=parse_columns(self.columns),
        )
        images = ", ".join(f"{sum(count.values())} {split}" for split, count in counts.items())
        sheet = self.output / "contact-sheet.jpg"
        print(f"{self.output}: {images}; look at {sheet} and, for each class, {sheet.with_suffix('')}-*.jpg")
