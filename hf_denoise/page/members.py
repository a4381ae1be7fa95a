"""The pictures that are given to "Many images": files, and those inside ZIPs."""

import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from hf_denoise.errors import UserError
from hf_denoise.page.results import keep_file

TABLE = "metrics.csv"  # in the ZIP of results
MAX_FILES = 500
MAX_UNPACKED = 2_000_000_000  # of all pictures in a ZIP, unpacked
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Member:
    """A picture to denoise: a file, or one inside a ZIP."""

    name: str  # in the ZIP of results, with its folders
    path: Path  # of the file or the ZIP
    inside: zipfile.ZipInfo | None = None

    def unpacked(self, folder: Path) -> Path:
        """The picture as a file; from a ZIP into `folder`, under a name of our own.

        Raises:
            UserError: it is damaged or encrypted in the ZIP, or no longer there.
        """
        keep_file(str(self.path))
        if self.inside is None:
            return self.path
        target = folder / "picture"
        try:
            # Never more than the ZIP has declared: zipfile stops there.
            with (
                zipfile.ZipFile(self.path) as archive,
                archive.open(self.inside) as packed,
                target.open("wb") as file,
            ):
                shutil.copyfileobj(packed, file)
        except FileNotFoundError:
            raise UserError(f"'{self.path.name}' is no longer on the server; give it again") from None
        # RuntimeError is what zipfile raises for an encrypted one, and for a compression that it does not know.
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
            message = f"'{PurePosixPath(self.name).name}' is damaged or encrypted in the ZIP"
            raise UserError(f"{message}; pack it again, without a password") from error
        return target


def listed(files: Iterable[str]) -> list[Member]:
    """The pictures in files and ZIPs, checked before any work. Of two with one name the second has a number behind it.

    Raises:
        UserError: a ZIP is damaged, too large, or has a name that leads out of it; too many pictures; no picture.
    """
    members: list[Member] = []
    for path in map(Path, files):
        keep_file(str(path))
        if path.suffix.lower() != ".zip":
            members.append(Member(path.name, path))
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                inside = archive.infolist()
        # RuntimeError: of a version that zipfile does not know.
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError):
            raise UserError(f"'{path.name}' is not a ZIP, or damaged; pack it again") from None
        members += _in_archive(inside, path)
    if not members:
        raise UserError("there is no picture in the ZIP; put PNG, JPEG, WebP, BMP, TIFF or GIF files in it")
    if len(members) > MAX_FILES:
        raise UserError(f"{len(members)} files are too many; give at most {MAX_FILES} at once")
    size = sum(member.inside.file_size for member in members if member.inside)
    if size > MAX_UNPACKED:
        raise UserError(f"the ZIP unpacks to {size / 1e9:.1f} GB; give at most {MAX_UNPACKED / 1e9:.0f} GB at once")
    taken = {TABLE}
    return [replace(member, name=free_name(PurePosixPath(member.name), taken)) for member in members]


def _in_archive(inside: Iterable[zipfile.ZipInfo], path: Path) -> list[Member]:
    members = []
    for info in inside:
        # Some packers write backslashes.
        name = PurePosixPath(info.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or _DRIVE.match(str(name)) or "\0" in info.filename:
            # In other quotes than those that `without_folders` cuts: its folders are what is wrong with it.
            named = f'"{info.filename[:100]}"'
            raise UserError(
                f"'{path.name}' has a file whose name leads out of the ZIP, {named}; pack it again without that"
            )
        hidden = not name.name or any(part.startswith(".") or part == "__MACOSX" for part in name.parts)
        if not info.is_dir() and not hidden:
            members.append(Member(str(name), path, info))
    return members


def free_name(name: PurePosixPath, taken: set[str]) -> str:
    """The name, or where it is taken, in whatever case, with a number behind it. From now on it is taken."""
    free, number = name, 1
    while str(free).lower() in taken:
        number += 1
        free = name.with_stem(f"{name.stem}-{number}")
    taken.add(str(free).lower())
    return str(free)
