"""Many pictures, or a ZIP of them, to a ZIP of results with a table of metrics."""

import csv
import io
import logging
import lzma
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import gradio as gr

from hf_denoise.errors import UserError, cause_of
from hf_denoise.imaging.blending import blend_pictures, check_strength
from hf_denoise.imaging.picture import Picture
from hf_denoise.metrics.quality import noise_level
from hf_denoise.page.errors import shown_errors, without_folders
from hf_denoise.page.models import denoiser, fully_denoised
from hf_denoise.page.results import extension, keep_file, new_folder, read_picture
from hf_denoise.page.stop import Watch

MAX_FILES = 500
MAX_UNPACKED = 2_000_000_000  # of all pictures in a ZIP, unpacked
TABLE = "metrics.csv"
TABLE_COLUMNS = ["File", "Noise before", "Noise after", "Message"]
_DRIVE = re.compile(r"[A-Za-z]:")

TableRow = tuple[str, float | None, float | None, str]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """A picture to denoise: a file, or one inside a ZIP."""

    name: str  # in the ZIP of results, with its folders
    path: Path
    inside: tuple[zipfile.ZipFile, zipfile.ZipInfo] | None = None

    def unpacked(self, folder: Path) -> Path:
        """The picture as a file; from a ZIP into `folder`, under a name of our own.

        Raises:
            UserError: it is damaged or encrypted in the ZIP.
        """
        if self.inside is None:
            return self.path
        archive, info = self.inside
        target = folder / "picture"
        try:
            # Never more than the ZIP has declared: zipfile stops there.
            with archive.open(info) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file)
        # RuntimeError is what zipfile raises for an encrypted one, and for a compression that it does not know.
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
            message = f"'{PurePosixPath(self.name).name}' is damaged or encrypted in the ZIP"
            raise UserError(f"{message}; pack it again, without a password") from error
        return target


def denoise_many(
    files: list[str] | None,
    strength: float = 1.0,
    model: str | None = None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[str, list[TableRow]]:
    """Denoise several pictures, or a ZIP of them.

    Args:
        files: picture files, ZIP files, or both: at most 500 pictures, at most 2 GB when unpacked.
        strength: from 0, the pictures as they are, to 1, fully denoised.
        model: id of a public model on the Hub, as user/name. Empty takes the packaged one.

    Returns:
        A ZIP of the results, under the names and in the folders of the pictures, and the table as metrics.csv. A name
            whose extension does not say the picture's format gets one that does.
        For each picture its name there, the noise level before and after (of 255), and a message where it could not be
            denoised.
    """
    watch = Watch()
    with shown_errors(seconds=None), ExitStack() as stack:
        check_strength(strength)
        if not files:
            raise UserError("give at least one picture, or a ZIP of pictures")
        taken = {TABLE}
        members = renamed(listed(files, stack), taken)
        denoiser(model)  # a mistake in its id is told once
        folder = stack.enter_context(new_folder())
        rows = []
        target = folder / "denoised.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as results:  # pictures are compressed already
            for number, member in enumerate(members, start=1):
                watch.check()
                progress((number - 1, len(members)), desc="Denoising", unit="pictures")
                description = f"Picture {number} of {len(members)}"
                network = partial(fully_denoised, model=model, progress=progress, description=description)
                rows.append(row_of(results, taken, member, network, strength))
            results.writestr(TABLE, as_csv(rows))
        watch.check()
        return str(target), rows


def row_of(
    results: zipfile.ZipFile, taken: set[str], member: Member, network: Callable[[Picture], Picture], strength: float
) -> TableRow:
    """As `denoised_into`, for the table. A bad picture gives a row with a message."""
    try:
        return denoised_into(results, taken, member, network, strength)
    except UserError as error:
        message = without_folders(error)
    except MemoryError:
        message = "needs more memory than the server has"
    except RuntimeError as error:  # such as a graphics card whose memory is full
        _logger.exception("'%s' could not be denoised", member.name)
        message = f"could not be denoised: {cause_of(error)}"
    return member.name, None, None, message


def denoised_into(
    results: zipfile.ZipFile, taken: set[str], member: Member, network: Callable[[Picture], Picture], strength: float
) -> TableRow:
    """Denoise one picture into the ZIP of results, where an extension that says another format is put right."""
    name = PurePosixPath(member.name)
    with tempfile.TemporaryDirectory() as scratch:
        source = member.unpacked(Path(scratch))
        with called(name.name, source):
            before = read_picture(source)
        after = blend_pictures(before, network(before), strength)
        suffix = extension(member.name, after)
        result = Path(scratch) / f"result{suffix}"
        with called(name.name, result):
            after.save(result)
        new_name = member.name if suffix == name.suffix else free_name(name.with_suffix(suffix), taken)
        results.write(result, new_name)
    noise_before, noise_after = (round(noise_level(picture.rgb), 3) for picture in (before, after))
    return new_name, noise_before, noise_after, ""


@contextmanager
def called(name: str, file: Path) -> Iterator[None]:
    """Errors inside name the file as the visitor named it."""
    try:
        yield
    except UserError as error:
        raise UserError(without_folders(error).replace(f"'{file.name}'", f"'{name}'")) from error


def listed(files: Iterable[str], stack: ExitStack) -> Iterator[Member]:
    """The pictures in files and ZIPs, checked before any work.

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
            archive = stack.enter_context(zipfile.ZipFile(path))
        # RuntimeError: of a version that zipfile does not know.
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError):
            raise UserError(f"'{path.name}' is not a ZIP, or damaged; pack it again") from None
        members += _in_archive(archive, path)
    if not members:
        raise UserError("there is no picture in the ZIP; put PNG, JPEG, WebP, BMP, TIFF or GIF files in it")
    if len(members) > MAX_FILES:
        raise UserError(f"{len(members)} files are too many; give at most {MAX_FILES} at once")
    size = sum(member.inside[1].file_size for member in members if member.inside)
    if size > MAX_UNPACKED:
        raise UserError(f"the ZIP unpacks to {size / 1e9:.1f} GB; give at most {MAX_UNPACKED / 1e9:.0f} GB at once")
    yield from members


def _in_archive(archive: zipfile.ZipFile, path: Path) -> list[Member]:
    members = []
    for info in archive.infolist():
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
            members.append(Member(str(name), path, (archive, info)))
    return members


def renamed(members: Iterable[Member], taken: set[str]) -> list[Member]:
    """The same, where two have the same name a number behind the second."""
    return [replace(member, name=free_name(PurePosixPath(member.name), taken)) for member in members]


def free_name(name: PurePosixPath, taken: set[str]) -> str:
    """The name, or where it is taken, in whatever case, with a number behind it. From now on it is taken."""
    free, number = name, 1
    while str(free).lower() in taken:
        number += 1
        free = name.with_stem(f"{name.stem}-{number}")
    taken.add(str(free).lower())
    return str(free)


def as_csv(rows: Iterable[TableRow]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(TABLE_COLUMNS)
    writer.writerows(rows)
    return file.getvalue()
