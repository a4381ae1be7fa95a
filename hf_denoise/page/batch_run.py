"""One run of "Many images" on the page: it tells how far it is, keeps what is done, and can go on."""

import tempfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hf_denoise.page.batch import TABLE, Row, as_csv, checked, names_of, row_of
from hf_denoise.page.comparison import compared, part_urls
from hf_denoise.page.errors import shown_errors
from hf_denoise.page.events import download_update
from hf_denoise.page.links import link_to
from hf_denoise.page.members import Member
from hf_denoise.page.models import fully_denoised
from hf_denoise.page.results import (
    PAGE_SIDE,
    Result,
    in_its_colours,
    keep_file,
    keep_result,
    kept_result,
    new_folder,
    part_of,
    read_picture,
    save_previews,
)
from hf_denoise.page.status import Said, said
from hf_denoise.page.stop import check_batch, register_batch

TELL_EVERY = 0.3  # seconds


@dataclass(eq=False)
class BatchRun:
    """The pictures of a run, and what became of each; the results lie in its folder."""

    folder: Path
    members: list[Member]
    strength: float
    model: str | None
    rows: list[Row] = field(init=False)
    dropped: bool = False  # other pictures were given since
    packed: tuple[int, str] = 0, ""  # how many results there were in the last ZIP, and its path
    packing: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.rows = [Row(member.name) for member in self.members]

    @property
    def said(self) -> str:
        """How far it is."""
        states = [row.state for row in self.rows]
        done, failed = states.count("done"), states.count("failed")
        return f"{done} of {len(states)}" + (f", {failed} failed" if failed else "")

    def rest(self) -> list[int]:
        """Which pictures have no result."""
        return [index for index, row in enumerate(self.rows) if row.state != "done"]

    def go_on(self, at: float) -> Iterator[tuple[Said, list[dict[str, Any]]]]:
        """Denoise what has no result yet. Gives what is said of it, and the rows of the page.

        Args:
            at: see `status.said`.

        Raises:
            Stopped: it was cancelled.
        """
        context, rest, paths = copy_context(), self.rest(), {str(member.path) for member in self.members}
        for index in rest:
            self.rows[index] = Row(self.members[index].name)
        yield said(at, "working", f"{self.said}."), self.shown()
        for index in rest:
            for path in paths:
                keep_file(path)  # a long run outlasts the hour that uploads are kept for
            noted = _Noted()
            yield from self._denoise(context, index, noted, at)
            check_batch(at)
            yield said(at, "working", f"{self.said}."), self.shown()

    def _denoise(self, context: Any, index: int, noted: "_Noted", at: float) -> Iterator[tuple[Said, Any]]:
        """Denoise one picture, and tell meanwhile how far the network is."""
        member = self.members[index]
        network = partial(fully_denoised, model=self.model, progress=noted, description="tile")
        taken = names_of(self.rows, index)
        work = partial(row_of, member, self.folder / str(index), taken, network, self.strength)
        aside = ThreadPoolExecutor(1)
        try:
            row, last = aside.submit(context.run, work), ""
            while not wait([row], TELL_EVERY).done:
                check_batch(at)
                if noted.text != last:
                    last = noted.text
                    yield said(at, "working", f"{self.said}. '{Path(member.name).name}': {last}."), gr.skip()
            self.rows[index] = row.result()
        finally:
            aside.shutdown(wait=False)  # it looks itself whether its event is still wanted

    def shown(self) -> list[dict[str, Any]]:
        """The rows as `components.PictureRows` shows them."""
        return [
            {
                "name": row.name,
                "state": row.state,
                "before": row.before,
                "after": row.after,
                "message": row.message,
                "thumbnails": row.thumbnails,
            }
            for row in self.rows
        ]


class _Noted(gr.Progress):
    """Takes the place of `gr.Progress`, which shows nothing once a function has given its first values."""

    text = ""

    def __call__(self, progress: Any, desc: str | None = None, **_: Any) -> None:  # type: ignore[override]
        desc = desc or ""
        counted = isinstance(progress, tuple)
        self.text = f"{desc} {progress[0]}/{progress[1]}" if counted else desc[:1].lower() + desc[1:]


Update = tuple[Said, Any, BatchRun]


def denoise_all(files: list[str] | None, strength: float, model: str | None, at: float) -> Iterator[Update]:
    """Denoise many pictures on the page: what is said, the rows, and the run, again and again."""
    with shown_errors(seconds=None):
        members = checked(files, strength, model)
        with new_folder() as folder:
            run = BatchRun(folder, members, strength, model)
    yield from go_on(run, at)


def go_on(run: BatchRun, at: float) -> Iterator[Update]:
    """As `denoise_all`, for what failed in a run or was left when it was cancelled."""
    register_batch(at)
    with shown_errors(seconds=None):
        for line, rows in run.go_on(at):
            yield line, rows, run


def finish(run: BatchRun | None, at: float, cancelled: bool = False) -> tuple[Said, Any, Any]:
    """Pack what a run has: what is said then, the button for the ZIP, and that for the rest."""
    if run is None or run.dropped:
        return said(at, "cancelled" if cancelled else "done"), download_update(None), gr.Button(visible=False)
    states = [row.state for row in run.rows]
    failed, left = states.count("failed"), states.count("waiting")
    parts = [f"continue with {left}"] * bool(left) + [f"retry {failed} failed"] * bool(failed)
    label = ", ".join(parts)
    sentence = f"{'Cancelled. ' * cancelled}{run.said}." if cancelled or failed else f"All {len(states)} are done."
    with shown_errors(seconds=None):
        path = packed(run) if failed + left < len(states) else None
    return (
        said(at, "cancelled" if cancelled else "done", sentence),
        download_update(path),
        gr.Button(label[:1].upper() + label[1:], visible=bool(failed + left)),
    )


def cancel(run: BatchRun | None, at: float) -> tuple[Said, Any, Any]:
    """Stop a run, and pack what it has, see `finish`."""
    register_batch(at)
    return finish(run, at, cancelled=True)


def begin_anew(files: list[str] | None, run: BatchRun | None, at: float) -> tuple[Any, ...]:
    """Other pictures were given: nothing of a run before is left, or still comes, to be taken for theirs.

    Returns:
        "Denoise all", what is said, the button for the ZIP and that for the rest, and four empty values.
    """
    if run:
        run.dropped = True
    register_batch(at)
    start, rest = gr.Button(interactive=bool(files)), gr.Button(visible=False)
    return start, said(at, "done"), download_update(None), rest, *(None,) * 4


def packed(run: BatchRun) -> str:
    """A ZIP of all results of a run, and of the table of figures. While no result is new it is the same."""
    with run.packing:  # a cancel and the end of the run may both ask for it
        done = len(run.rows) - len(run.rest())
        if run.packed[0] != done:
            target = Path(tempfile.mkdtemp(prefix="zip-", dir=run.folder)) / "denoised.zip"
            with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as results:  # pictures are compressed already
                for row in run.rows:
                    if row.file:
                        results.write(row.file, row.name)
                results.writestr(TABLE, as_csv(run.rows))
            if run.packed[1]:
                Path(run.packed[1]).unlink(missing_ok=True)
            run.packed = done, str(target)
        return run.packed[1]


def open_row(run: BatchRun | None, event: gr.EventData) -> tuple[dict[str, Any], dict[str, Any], int]:
    """A picture of a run in the comparison: what that shows, what stands above it, and the number of the row.

    Args:
        run: where it is from.
        event: `row`, its number.
    """
    member, row, index = _row(run, (event._data or {}).get("row"))
    with shown_errors(), new_folder() as folder:
        result = _opened(member, row.file)
        small = zip(("before", "after"), result.small(PAGE_SIDE), strict=True)
        previews = {name: in_its_colours(result.before, pixels) for name, pixels in small}
        paths = save_previews(previews, folder, lossy=max(result.before.header.size) > PAGE_SIDE)
        shown = compared(result, (paths["before"], paths["after"]), (result.noisiest, 0), f"{member.path}{index}")
    noise = f"noise {row.before:.1f} → {row.after:.1f} of 255"
    link = "" if member.inside else link_to(str(member.path))
    return shown, {"name": row.name, "noise": noise, "link": link}, index


def part_of_row(run: BatchRun | None, index: int, event: gr.EventData) -> dict[str, Any]:
    """A part of the picture of a row; see `comparison.part_of_shown`."""
    member, row, _ = _row(run, index)
    with shown_errors():
        result = _opened(member, row.file)
        return part_urls(result.before, lambda box: part_of(result.after, box), event)


def _row(run: BatchRun | None, index: Any) -> tuple[Member, Row, int]:
    """A picture of a run that has a result, what became of it, and its number."""
    if run and isinstance(index, int) and 0 <= index < len(run.rows) and run.rows[index].file:
        return run.members[index], run.rows[index], index
    raise gr.Error("there is no result of this picture yet", print_exception=False)


def _opened(member: Member, file: Path | None) -> Result:
    """A picture with its result, from their files: kept for a while, as who zooms asks again and again."""
    assert file
    if kept := kept_result(str(file)):
        return kept
    keep_file(str(file))
    with tempfile.TemporaryDirectory() as scratch:
        before = read_picture(member.unpacked(Path(scratch)))
    after = read_picture(file)
    result = Result(before.upright(), after.upright(), (before, after))
    keep_result(result, str(file))
    return result
