"""The scalars of a training run as a CSV file in its folder, also across a resume."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.tracking import GeneralTracker
from numpy.typing import NDArray

from hf_denoise.files import unwritable, written_beside

COLUMNS = (
    *("step", "megapixels", "loss", "learning_rate", "images_per_second", "waiting_for_data"),
    *("psnr", "ssim", "defect_psnr"),
    "limit_80",  # contrast in grey levels from which on 80 % of a scratch 2 px wide is kept, inf beyond all tried
)
EARLIER = COLUMNS[:-1]  # of a run that began before the limit was logged
HEAD, EARLIER_HEAD = (",".join(columns) + "\n" for columns in (COLUMNS, EARLIER))


class TrainingLog(GeneralTracker):
    """A tracker for `Accelerator(log_with=...)`, which calls it on the main process alone.

    A row is on disk when `log` returns. Rows are only ever appended: a resumed run writes again what a killed sitting
    wrote after its last checkpoint, and `read_log` takes what was written last.

    Args:
        path: the CSV file, created with the first row.
    """

    name = "csv"
    requires_logging_directory = False

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self._begun = False

    @property
    def tracker(self) -> Path:
        """What Accelerate hands out as the tracker's own object."""
        return self.path

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Append a row of scalars, named as in `COLUMNS` with or without a leading "validation/".

        Raises:
            ValueError: there is no such column.
            UserError: the file cannot be written.
        """
        values = {name.removeprefix("validation/"): value for name, value in values.items()}
        unknown = values.keys() - set(COLUMNS)
        if unknown or step is None:
            raise ValueError(f"the training log has no column {', '.join(sorted(unknown)) or 'without a step'}")
        # Nine digits tell any two float32 apart: the best evaluation of the log is the one whose weights were kept.
        cells = (f"{values[name]:.9g}" if name in values else "" for name in COLUMNS[1:])
        try:
            if not self._begun:
                self._begin()
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(",".join([str(step), *cells]) + "\n")
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _begin(self) -> None:
        """Start the file, or a line of its own behind one that a kill cut short."""
        there = self.path.read_bytes() if self.path.exists() else b""
        if there.startswith(EARLIER_HEAD.encode()):
            there = self._add_column(there.decode())
        if not there.startswith(HEAD.encode()):  # not there, or that of a version with other columns
            self.path.write_text(HEAD, encoding="utf-8")
        elif not there.endswith(b"\n"):
            with open(self.path, "a", encoding="utf-8") as file:
                file.write("\n")
        self._begun = True

    def _add_column(self, text: str) -> bytes:
        """Give every whole row of a log from before the limit an empty cell for it; a row cut short is left out."""
        rows = [line for line in text.splitlines()[1:] if line.count(",") == len(EARLIER) - 1]
        written = (HEAD + "".join(f"{row},\n" for row in rows)).encode()
        with written_beside(self.path) as file:
            file.write(written)
        return written


def read_log(path: Path) -> NDArray[np.void] | None:
    """The rows of a training log as a structured array with the fields `COLUMNS`, NaN where there is no figure.

    One row for each step, in their order. A row replaces all that was written earlier for later steps, and what was
    written earlier for the same figure of its step.

    Returns:
        None where there is no such file, it is not a training log, or it has no row.
    """
    rows: dict[float, dict[str, float]] = {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            columns = {HEAD: COLUMNS, EARLIER_HEAD: EARLIER}.get(file.readline())
            if columns is None:
                return None
            for cells in csv.reader(file):
                if len(cells) != len(columns):  # cut short by a kill
                    continue
                row = {name: float(cell) for name, cell in zip(columns, cells, strict=True) if cell}
                rows = {step: earlier for step, earlier in rows.items() if step <= row["step"]}
                rows[row["step"]] = {**rows.get(row["step"], {}), **row}
    except (OSError, ValueError, KeyError):
        return None
    table = [tuple(row.get(name, math.nan) for name in COLUMNS) for row in rows.values()]
    return np.array(table, dtype=[(name, float) for name in COLUMNS]) if table else None
