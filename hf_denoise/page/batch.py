"""Many pictures, or a ZIP of them, to a ZIP of results with a table of figures."""

import csv
import io
import logging
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import gradio as gr

from hf_denoise.errors import UserError, cause_of
from hf_denoise.imaging.blending import blend_pictures, check_strength
from hf_denoise.imaging.picture import Picture
from hf_denoise.page.errors import shown_errors, without_folders
from hf_denoise.page.measuring import noise_of
from hf_denoise.page.members import TABLE, Member, free_name, listed
from hf_denoise.page.models import denoiser, fully_denoised
from hf_denoise.page.results import as_url, extension, in_its_colours, new_folder, part_of, read_picture, shrink
from hf_denoise.page.stop import Watch

TABLE_COLUMNS = ["File", "Noise before", "Noise after", "Message"]
THUMBNAIL_SIDE = 96  # pixels

TableRow = tuple[str, float | None, float | None, str]
Network = Callable[[Picture], Picture]

_logger = logging.getLogger(__name__)


@dataclass
class Row:
    """What became of one picture.

    Attributes:
        name: in the ZIP of results.
        before, after: noise level, of 255.
        message: why it could not be denoised.
        file: the result.
        thumbnails: URLs of both, small.
    """

    name: str
    before: float | None = None
    after: float | None = None
    message: str = ""
    file: Path | None = None
    thumbnails: tuple[str, str] | None = None

    @property
    def state(self) -> str:
        """done, failed or waiting."""
        return "done" if self.file else "failed" if self.message else "waiting"

    @property
    def figures(self) -> TableRow:
        return self.name, self.before, self.after, self.message


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
    with shown_errors(seconds=None), new_folder() as folder:
        members = checked(files, strength, model)
        rows = [Row(member.name) for member in members]
        target = folder / "denoised.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as results:  # pictures are compressed already
            for index, member in enumerate(members):
                watch.check()
                progress((index, len(members)), desc="Denoising", unit="pictures")
                description = f"Picture {index + 1} of {len(members)}"
                network = partial(fully_denoised, model=model, progress=progress, description=description)
                rows[index] = row_of(member, folder / str(index), names_of(rows, index), network, strength)
                if file := rows[index].file:
                    results.write(file, rows[index].name)
                    file.unlink()
            results.writestr(TABLE, as_csv(rows))
        watch.check()
        return str(target), [row.figures for row in rows]


def checked(files: list[str] | None, strength: float, model: str | None) -> list[Member]:
    """The pictures to denoise; what is wrong with all of them is told once, before any work.

    Raises:
        UserError: there is none, a strength out of range, or as `listed` and `denoiser`.
    """
    check_strength(strength)
    if not files:
        raise UserError("give at least one picture, or a ZIP of pictures")
    members = listed(files)
    denoiser(model)
    return members


def names_of(rows: Iterable[Row], but: int) -> set[str]:
    """Names in the ZIP of results, in small letters, that one row must not have."""
    return {TABLE, *(row.name.lower() for index, row in enumerate(rows) if index != but)}


def row_of(member: Member, stem: Path, taken: Collection[str], network: Network, strength: float) -> Row:
    """Denoise one picture into a file. A bad one gives a row with a message.

    Args:
        member: the picture.
        stem: path of the result, without an extension.
        taken: names that it must not have, see `names_of`.
        network: denoises fully.
        strength: 0 to 1.
    """
    try:
        return _denoised(member, stem, taken, network, strength)
    except UserError as error:
        message = without_folders(error)
    except MemoryError:
        message = "needs more memory than the server has"
    except RuntimeError as error:  # such as a graphics card whose memory is full
        _logger.exception("'%s' could not be denoised", member.name)
        message = f"could not be denoised: {cause_of(error)}"
    return Row(member.name, message=message)


def _denoised(member: Member, stem: Path, taken: Collection[str], network: Network, strength: float) -> Row:
    """As `row_of`. An extension that says another format than the picture has is put right."""
    name = PurePosixPath(member.name)
    with tempfile.TemporaryDirectory() as scratch:
        source = member.unpacked(Path(scratch))
        with called(name.name, source):
            before = read_picture(source)
    after = blend_pictures(before, network(before), strength)
    suffix = extension(member.name, after)
    file = stem.with_name(stem.name + suffix)
    with called(name.name, file):
        after.save(file)
    pair = before.upright(), after.upright()
    thumbnails = _thumbnail(pair[0]), _thumbnail(pair[1])
    noise = round(noise_of(pair[0]), 3), round(noise_of(pair[1]), 3)
    own = member.name if suffix == name.suffix else free_name(name.with_suffix(suffix), set(taken))
    return Row(own, *noise, "", file, thumbnails)


def _thumbnail(picture: Picture) -> str:
    """URL of an upright picture, small: half of it, about its middle, so that more of the noise is seen."""
    height, width = picture.planes[0].shape[:2]
    side = max(min(height, width) // 2, THUMBNAIL_SIDE)
    down, across = (slice(max((length - side) // 2, 0), (length + side) // 2) for length in (height, width))
    pixels = shrink(part_of(picture, (down, across)).rgb, THUMBNAIL_SIDE)
    return as_url(in_its_colours(picture, pixels, (down, across)), lossy=True)


@contextmanager
def called(name: str, file: Path) -> Iterator[None]:
    """Errors inside name the file as the visitor named it."""
    try:
        yield
    except UserError as error:
        raise UserError(without_folders(error).replace(f"'{file.name}'", f"'{name}'")) from error


def as_csv(rows: Iterable[Row]) -> str:
    """The table of figures."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(TABLE_COLUMNS)
    writer.writerows(row.figures for row in rows)
    return file.getvalue()
