"""Files and folders that are there whole or not at all."""

import os
import shutil
import stat
import struct
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hf_denoise.errors import UserError, cause_of

_NAME_BYTES = 200


@contextmanager
def written_beside(target: Path) -> Iterator[BinaryIO]:
    """A new file beside `target`, flushed to disk and renamed onto it at the end, removed on any failure.

    What it replaces gives it its mode, and its owner where this process may give files away. Where `target` is a link,
    the file that it leads to is replaced, and the link stays.
    """
    place = Path(os.path.realpath(target)) if target.is_symlink() else target
    part = place.with_name(f".{_beginning(place.name)}-{uuid.uuid4().hex[:8]}.part")
    try:
        # What replaces a file is nobody else's to read before it has that file's mode.
        mode = 0o600 if place.exists() else 0o666
        with open(part, "x+b", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            _keep_owner_and_mode(place, part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, place)
    except UserError:
        raise
    except OSError as error:
        reason = error.strerror or f"{error}: the disk may be full"
        raise UserError(f"could not write '{target}' ({reason}); free space or choose another place") from error
    except (ValueError, struct.error, RuntimeError) as error:
        raise UserError(f"could not write '{target}' ({error}); choose another format, such as PNG") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _beginning(name: str) -> str:
    """As much of a name as the name of its part has room for: file systems count bytes, 255 of them."""
    while len(os.fsencode(name)) > _NAME_BYTES:
        name = name[:-1]
    return name


def _keep_owner_and_mode(replaced: Path, part: Path) -> None:
    """Give a file the owner and the mode of the one that it will replace; the owner only as far as that is allowed."""
    try:
        status = os.stat(replaced)
    except OSError:  # there is none yet
        return
    if hasattr(os, "chown"):
        for owner, group in ((-1, status.st_gid), (status.st_uid, -1)):
            with suppress(OSError):
                os.chown(part, owner, group)
    os.chmod(part, stat.S_IMODE(status.st_mode))  # after the owner: a change of that takes special bits away


def remove_parts(targets: Iterable[Path]) -> None:
    """Remove what killed processes left of these files; a process that still writes one of them would fail."""
    places = [Path(os.path.realpath(target)) if target.is_symlink() else target for target in targets]
    wanted = {(place.parent, _beginning(place.name)) for place in places}
    for folder in {folder for folder, _ in wanted}:
        for part in folder.glob(".*-????????.part"):
            if (folder, part.name[1:-14]) in wanted:
                part.unlink(missing_ok=True)


def make_writable(folder: Path) -> None:
    """Create an output folder, and find out before the work rather than after it if it cannot be written.

    Raises:
        UserError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"cannot write to '{folder}' ({error.strerror}); choose another --output") from error


def staging_folder(folder: Path) -> Path:
    """Where the next version of `folder` is written before it takes its place."""
    return folder.with_name(folder.name + ".new")


def swap_in(folder: Path) -> None:
    """Put the finished staging folder in the place of `folder`.

    Two renames: killed between them, `folder` is missing and the staging folder is complete; `recover` finishes that.
    """
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    staging_folder(folder).rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """Finish or undo what a killed process left of a save of `folder`."""
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.exists():
        swap_in_from = staging_folder(folder) if staging_folder(folder).exists() else old
        swap_in_from.rename(folder)
    shutil.rmtree(staging_folder(folder), ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def write_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """Write a folder beside and put it in place.

    Args:
        folder: the folder to create or replace.
        write: fills the empty folder it is given.

    Raises:
        UserError: it could not be written; what was there before is untouched.
    """
    staging = staging_folder(folder)
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        write(staging)
        swap_in(folder)
    except Exception as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise unwritable(folder, error) from error


def unwritable(folder: Path, error: Exception) -> UserError:
    """The sentence for a checkpoint that could not be saved."""
    reason = getattr(error, "strerror", None) or cause_of(error)
    return UserError(f"could not save '{folder}' ({reason}); free space or choose another --output, then use --resume")
