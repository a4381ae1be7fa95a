"""Which files a command reads, and where it writes their results."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from hf_denoise.data.walking import visible_files
from hf_denoise.errors import UserError

Job = tuple[Path, Path]  # source, target
MOST_NAME_BYTES = 255  # of all usual file systems

VIEWS = {"removed": "what is removed from", "protected": "what is protected in"}  # pictures that go beside a result

# `os.path` says whether a file exists; `Path` raises in a folder that may not be read.


def find(inputs: Sequence[str], output: Path | None, bad: list[str]) -> dict[Path, Path]:
    """Find the images.

    Args:
        inputs: image files, folders and glob patterns.
        output: folder of the results; what lies in there is no input of a folder around it.
        bad: what is not found is added here.

    Returns:
        For each file, in order, its path below the output folder.

    Raises:
        UserError: nothing was found at all.
    """
    from hf_denoise.imaging.formats import READ

    if not inputs:
        raise UserError("no input; name image files, folders or glob patterns")
    found: dict[Path, Path] = {}  # source -> path below the output folder
    for name in inputs:
        path = Path(name)
        if os.path.isdir(path):
            found.update(_in_folder(path, output, bad))
        elif glob.has_magic(name) and not os.path.exists(path):
            images = sorted(file for file in map(Path, glob.glob(name, recursive=True)) if file.suffix.lower() in READ)
            found.update((file, Path(file.name)) for file in images)
            if not images:
                bad.append(f"no image matches '{name}'")
        elif os.path.exists(path):
            found[path] = Path(path.name)
        else:
            bad.append(f"'{name}' does not exist, or cannot be reached; check the path")
    if not found and len(bad) == 1:
        raise UserError(bad[0])
    return found


def plan(inputs: Sequence[str], output: Path, bad: list[str]) -> list[Job]:
    """Find the images and say where each goes: `(source, target)`, in order. What is not found is added to `bad`.

    Raises:
        UserError: nothing was found at all, or two inputs would be written to one file.
    """
    from hf_denoise.imaging.formats import FORMATS, RAW

    found = find(inputs, output, bad)
    one_file = len(inputs) == 1 and list(found) == [Path(inputs[0])]
    if one_file and output.suffix.lower() in FORMATS and not os.path.isdir(output):
        return [(path, output) for path in found]
    sources: dict[Path, Path] = {}
    for source, relative in found.items():
        target = output / relative
        if target.suffix.lower() in RAW:  # raw files are not written
            target = target.with_suffix(".tif")
        if target in sources:
            raise UserError(
                f"'{sources[target]}' and '{source}' would both be written to '{target}'; denoise them one by one, "
                "into different folders"
            )
        sources[target] = source
    return [(source, target) for target, source in sources.items()]


def _in_folder(folder: Path, output: Path | None, bad: list[str]) -> list[Job]:
    """The images in a folder, found as training finds them, each with its path relative to the folder."""
    from hf_denoise.imaging.formats import READ

    locked: list[str] = []

    def unreadable(error: OSError) -> None:
        locked.append(f"'{error.filename}' cannot be read ({error.strerror}); allow it, or leave it out")

    # Results of an earlier run are no inputs, where the output lies inside the input.
    images = [file for file in visible_files(folder, READ, unreadable) if not is_inside(file, output, folder)]
    if not images and not locked:
        bad.append(f"'{folder}' holds no images; images end in {', '.join(sorted(READ))}")
    bad += locked
    return [(file, file.relative_to(folder)) for file in sorted(images)]


def is_inside(file: Path, output: Path | None, folder: Path) -> bool:
    """Whether `file` lies in the output folder while the output folder lies in `folder`."""
    if output is None:
        return False
    output = output.resolve()
    # Unlike `resolve`, `realpath` takes a link to itself for a name.
    return output != folder.resolve() and output in Path(os.path.realpath(file)).parents


def view_path(target: Path, kind: str) -> Path:
    """Where a view of one of the kinds `VIEWS` goes, for a result at `target`."""
    return target.with_name(f"{target.stem}-{kind}.png")


def views(jobs: Sequence[Job], kinds: Sequence[str]) -> list[Job]:
    """`(source, view)` of every job and kind, those of one job side by side.

    Raises:
        UserError: a view would be written to the file of a result or of another view.
    """
    written = {target: str(source) for source, target in jobs}
    found = []
    for source, target in jobs:
        for kind in kinds:
            view = view_path(target, kind)
            if view in written:
                raise UserError(
                    f"'{written[view]}' and {VIEWS[kind]} '{source}' would both be written to '{view}'; denoise "
                    "them one by one, into different folders"
                )
            written[view] = str(source)
            found.append((source, view))
    return found


def is_done(job: Job, kinds: Sequence[str]) -> bool:
    """Whether an earlier run has written all results of a job. Files are renamed into place: what is there is whole."""
    source, target = job
    whole = os.path.exists(target) and not target.samefile(source)
    return whole and all(view_path(target, kind).exists() for kind in kinds)


def check_names(jobs: Sequence[Job]) -> None:
    """Refuse targets whose names no file can have, before the work.

    Raises:
        UserError: a name is longer than 255 bytes.
    """
    for source, target in jobs:
        if len(os.fsencode(target.name)) > MOST_NAME_BYTES:
            raise UserError(
                f"'{target.name}' is too long for the name of a file; give '{source}' a shorter name, or choose one as "
                "--output"
            )


def check_targets(jobs: Sequence[Job], resume: bool) -> None:
    """Refuse to replace files.

    Args:
        jobs: of which the targets are to be written.
        resume: what an earlier run wrote may be replaced, such as a result whose view is missing; an input may not.

    Raises:
        UserError: a target exists.
    """
    if resume:
        inputs = [target for source, target in jobs if os.path.exists(target) and target.samefile(source)]
        if inputs:
            raise UserError(f"'{inputs[0]}' is an input; choose another --output, or replace it with --overwrite")
        return
    existing = [target for _, target in jobs if os.path.exists(target)]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(
            f"'{existing[0]}'{more} already exists; continue with --resume, replace with --overwrite, or choose "
            "another --output"
        )
