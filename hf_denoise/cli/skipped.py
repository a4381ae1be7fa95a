"""Images that a command finds and cannot read."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hf_denoise.cli.inputs import is_inside
from hf_denoise.data.unread import UNREAD, unread_sentence
from hf_denoise.data.walking import visible_files


def skipped_sentence(inputs: Sequence[str], output: Path) -> str | None:
    """What there is to say about the images that lie in the inputs, folders and patterns, and are not read."""
    return unread_sentence(file for name in inputs for file in _unread(name, output))


def _unread(name: str, output: Path) -> Iterator[Path]:
    path = Path(name)
    if os.path.isdir(path):
        found = visible_files(path, UNREAD, lambda error: None)
        yield from (file for file in found if not is_inside(file, output, path))
    elif glob.has_magic(name) and not os.path.exists(path):
        yield from (file for file in map(Path, glob.glob(name, recursive=True)) if file.suffix.lower() in UNREAD)
