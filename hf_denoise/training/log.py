"""The scalars of a training run as a CSV file in its folder: one row per logged step, also across a resume."""

from pathlib import Path
from typing import Any

import numpy as np
from accelerate.tracking import GeneralTracker
from numpy.typing import NDArray

from hf_denoise.files import unwritable

COLUMNS = ("step", "loss", "learning_rate", "images_per_second", "waiting_for_data", "psnr", "ssim", "defect_psnr")
HEAD = ",".join(COLUMNS) + "\n"


class TrainingLog(GeneralTracker):
    """A tracker for `Accelerator(log_with=...)`, which calls it on the main process alone.

    A row is on disk when `log` returns. Scalars of one step that come one after another share a row. What an earlier,
    killed sitting wrote from the first logged step on is dropped: the resumed run writes it again.

    Args:
        path: the CSV file, created with the first row.
    """

    name = "csv"
    requires_logging_directory = False

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self._row: dict[str, float] = {}
        self._start = 0  # of the row in the file, bytes

    @property
    def tracker(self) -> Path:
        """What Accelerate hands out as the tracker's own object."""
        return self.path

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Write scalars, named as in `COLUMNS` with or without a leading "validation/".

        Raises:
            ValueError: there is no such column.
            UserError: the file cannot be written.
        """
        values = {name.removeprefix("validation/"): value for name, value in values.items()}
        unknown = values.keys() - set(COLUMNS)
        if unknown or step is None:
            raise ValueError(f"the training log has no column {', '.join(sorted(unknown)) or 'without a step'}")
        try:
            if not self._row:
                self._start = _end_before(self.path, step)
            elif step != self._row["step"]:
                self._start = self.path.stat().st_size
            self._row = {**(self._row if step == self._row.get("step") else {}), "step": step, **values}
            # Nine digits tell any two float32 apart: the best evaluation of the log is the one whose weights were kept.
            cells = (f"{self._row[name]:.9g}" if name in self._row else "" for name in COLUMNS[1:])
            line = ",".join([str(step), *cells]) + "\n"
            with open(self.path, "r+b" if self.path.exists() else "w+b") as file:
                if not self._start:
                    self._start = file.write(HEAD.encode())
                file.seek(self._start)
                file.write(line.encode())
                file.truncate()
        except OSError as error:
            raise unwritable(self.path, error) from error


def _end_before(path: Path, step: int) -> int:
    """Where the rows before `step` end, bytes; 0 where the file is not there or is not ours."""
    end = 0
    try:
        with open(path, "rb") as file:
            for line in file:
                first = line.partition(b",")[0]
                whole = line.endswith(b"\n")  # the last one may have been cut by a kill
                if not (whole and (int(first) < step if end else line == HEAD.encode())):
                    break
                end += len(line)
    except (FileNotFoundError, ValueError):
        pass
    return end


def read_log(path: Path) -> NDArray[np.void] | None:
    """The rows of a training log as a structured array with the fields `COLUMNS`, NaN where a cell is empty.

    Returns:
        None where there is no such file, it is not a training log, or it has no row.
    """
    try:
        with open(path, encoding="utf-8") as file:
            if file.readline() != HEAD:
                return None
            lines = [line for line in file if line.endswith("\n")]
        types = [(name, float) for name in COLUMNS]
        return np.genfromtxt(lines, delimiter=",", dtype=types, ndmin=1) if lines else None
    except (OSError, ValueError):
        return None
