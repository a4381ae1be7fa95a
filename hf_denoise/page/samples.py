"""The example pictures of the page, which travel in the package."""

import filecmp
from dataclasses import dataclass
from pathlib import Path

EXAMPLE_FOLDER = Path(__file__).resolve().parent / "examples"


@dataclass(frozen=True)
class Example:
    """A picture in `examples/`: noisy, clean, and where there is a defect its mask."""

    name: str
    caption: str

    @property
    def noisy(self) -> str:
        return str(EXAMPLE_FOLDER / f"{self.name}-noisy.png")

    @property
    def clean(self) -> str:
        return str(EXAMPLE_FOLDER / f"{self.name}-clean.jpg")

    @property
    def mask(self) -> str | None:
        path = EXAMPLE_FOLDER / f"{self.name}-mask.png"
        return str(path) if path.exists() else None


EXAMPLES = [
    Example("wall", "Inspection, with a mask"),
    Example("night", "Night photo"),
    Example("scan", "Scanned page"),
    Example("tissue", "Microscope"),
]


def example_of(path: str) -> Example | None:
    """The example that a file is a copy of, so that it is measured against its own clean picture."""
    return next((example for example in EXAMPLES if filecmp.cmp(example.noisy, path, shallow=False)), None)
