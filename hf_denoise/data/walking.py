"""Which image files lie below a folder: hidden ones, pipes and links that lead back are left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import NoReturn

from hf_denoise.errors import UserError


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of their names.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and not _is_hidden(entry.name)]
    except OSError as error:
        _refuse(error)
    return sorted(folder / name for name in names if not _leads_back(str(folder / name)))


def _refuse(error: OSError) -> NoReturn:
    raise UserError(f"{error.filename} cannot be read: {error.strerror}.") from error


def visible_files(
    folder: Path,
    extensions: Container[str] | None = None,
    unreadable: Callable[[OSError], None] = _refuse,
) -> Iterator[Path]:
    """Files at any depth, in the order of their names. What is hidden is left out, as are pipes and the like.

    Links to folders are followed, but not back to a folder that they lie in. A link that leads nowhere, and a file that
    may not be looked at, are given too: who opens them says what is wrong.

    Args:
        folder: where to look; it may be hidden itself.
        extensions: theirs, in lower case, each with its dot; by default those of the images that can be read.
        unreadable: is told of each folder that cannot be read. Default: that is an error.
    """
    if extensions is None:
        from hf_denoise.imaging.formats import READ

        extensions = READ
    for parent, subs, files in os.walk(folder, followlinks=True, onerror=unreadable):
        subs[:] = sorted(sub for sub in subs if not _is_hidden(sub) and not _leads_back(os.path.join(parent, sub)))
        for file in sorted(files):
            if os.path.splitext(file)[1].lower() in extensions and not _is_hidden(file):
                path = os.path.join(parent, file)
                if os.path.isfile(path) or not os.path.exists(path):
                    yield Path(path)


def _leads_back(folder: str) -> bool:
    """Whether a folder is a link to one that it lies in: a walk through those would never end."""
    if not os.path.islink(folder):
        return False
    target = Path(os.path.realpath(folder))
    # Also on the way that other links have led here: two folders may hold links to each other.
    way = (Path(os.path.realpath(parent)) for parent in Path(os.path.abspath(folder)).parents)
    return any(place.is_relative_to(target) for place in way)


def is_utf8(path: Path) -> bool:
    """Whether the name of a file and of all folders above it is text, as far as `path` gives them."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
