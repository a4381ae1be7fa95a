"""Numbered checkpoints of a run: `checkpoint-STEP` beside `last/` and `best/`, each as whole as `last/`."""

import re
import shutil
from pathlib import Path

from hf_denoise.files import recover, write_folder

_NAME = re.compile(r"checkpoint-(\d+)(?:\.new|\.old)?")


def numbered(output: Path) -> dict[int, Path]:
    """The checkpoints of a run by their steps, ascending; also one that a kill left half written."""
    found = (_NAME.fullmatch(path.name) for path in output.glob("checkpoint-*") if path.is_dir())
    steps = sorted({int(match[1]) for match in found if match})
    return {step: output / f"checkpoint-{step}" for step in steps}


def recover_numbered(output: Path) -> None:
    """Finish or undo what a killed process left of them."""
    for folder in numbered(output).values():
        recover(folder)


def keep_numbered(checkpoint: Path, output: Path, step: int, most: int | None) -> None:
    """Copy a checkpoint to its number, and remove the oldest ones beyond `most`, but not this one.

    Raises:
        UserError: the disk is full; no checkpoint was removed.
    """
    folder = output / f"checkpoint-{step}"
    write_folder(folder, lambda staging: shutil.copytree(checkpoint, staging, dirs_exist_ok=True))
    others = [other for other in numbered(output).values() if other != folder]
    for old in others[: max(len(others) - most + 1, 0)] if most else ():
        shutil.rmtree(old)
