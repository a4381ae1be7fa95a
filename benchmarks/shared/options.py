"""What every benchmark is told."""

from dataclasses import dataclass
from pathlib import Path

# Where each kind of data lies in the folder of --data; the first place that is there counts.
PLACES = {
    "photos": ("cbsd68", "CBSD68", "photos/validation", "photos"),
    "pairs": ("real/validation", "real", "pairs"),
    "tiles": ("tiles",),
}


@dataclass(frozen=True)
class Options:
    """What every benchmark is told; the data are folders, None where they are not at hand.

    Attributes:
        output: folder for the results, which is there.
        quick: run a small version that shows that the benchmark works; its numbers mean little.
        model: folder of a saved model, or its id on the Hub; None is the model in the package.
        images: pictures of a folder to measure at most; None leaves it to the benchmark.
        photos: clean photographs.
        pairs: real photographs, noisy and clean, of the same names in `degraded` and `clean`.
        tiles: clean images with defect masks, in any layout that `hf-denoise evaluate` takes.
    """

    output: Path
    quick: bool = False
    model: str | None = None
    images: int | None = None
    photos: Path | None = None
    pairs: Path | None = None
    tiles: Path | None = None

    @property
    def model_name(self) -> str:
        """The model as results call it: a name, not a path of one machine."""
        return Path(self.model).name if self.model else "packaged"


def place(data: Path | None, kind: str) -> Path | None:
    """Where a kind of data lies in the folder of --data; None where it is not there."""
    return next((folder for name in PLACES[kind] if data and (folder := data / name).is_dir()), None)
