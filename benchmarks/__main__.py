"""Run benchmarks: `python -m benchmarks`; see README.md."""

import difflib
import os
import sys
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from benchmarks.registry import BENCHMARKS, run_one
from benchmarks.shared.machine import RESULTS, ROOT, table
from benchmarks.shared.options import Options, place
from hf_denoise.cli.options import run
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable

DATA = "HF_DENOISE_BENCHMARK_DATA"


@dataclass(frozen=True)
class Arguments:
    """Measure hf_denoise on this machine; every benchmark writes NAME.md and NAME.json."""

    quick: bool = False
    """Run a small version of each, a few minutes in all: shows that they run, and needs no data."""
    only: tuple[str, ...] = ()
    """Names of the benchmarks to run. Default: all."""
    list_: Annotated[bool, arg(name="list")] = False
    """List the benchmarks and end."""
    data: Path | None = None
    """Folder with cbsd68 or photos, real and tiles in it. Default: what HF_DENOISE_BENCHMARK_DATA names."""
    photos: Path | None = None
    """Folder of clean photographs, in the place of that in --data."""
    pairs: Path | None = None
    """Folder of real noise, with the same names in degraded and clean, in the place of that in --data."""
    tiles: Path | None = None
    """Clean images with defect masks, in the place of those in --data."""
    images: int | None = None
    """Pictures of a folder to measure at most. Default: what each benchmark takes."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    output: Path | None = None
    """Folder for the results. Default: benchmarks/results, and with --quick runs/benchmarks."""


def chosen(only: tuple[str, ...]) -> list[str]:
    """The benchmarks of these names, in the order of the list; all where there are none."""
    for name in only:
        if name not in BENCHMARKS:
            near = difflib.get_close_matches(name, BENCHMARKS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else "see --list for the names"
            raise UserError(f"--only: there is no benchmark '{name}'; {hint}")
    return [name for name in BENCHMARKS if not only or name in only]


def options_of(arguments: Arguments) -> Options:
    """What every benchmark is told.

    Raises:
        UserError: a folder is not there or cannot be written, a number is out of range, or a quick run would take the
            place of the committed results.
    """
    if arguments.images is not None and arguments.images < 1:
        raise UserError(f"--images must be at least 1, got {arguments.images}")
    data = arguments.data or (Path(os.environ[DATA]) if os.environ.get(DATA) else None)
    given = {"data": data, "photos": arguments.photos, "pairs": arguments.pairs, "tiles": arguments.tiles}
    for flag, folder in given.items():
        if folder is not None and not folder.is_dir():
            raise UserError(f"--{flag} '{folder}' is not a folder")
    folders = {kind: given[kind] or place(data, kind) for kind in ("photos", "pairs", "tiles")}
    output = (arguments.output or (ROOT / "runs" / "benchmarks" if arguments.quick else RESULTS)).resolve()
    if arguments.quick and output == RESULTS:
        raise UserError("--quick would overwrite the results in benchmarks/results; give another --output")
    make_writable(output)
    model = arguments.model
    if model and Path(model).exists():
        model = str(Path(model).resolve())  # some benchmarks start a process in another folder
    return Options(output=output, quick=arguments.quick, model=model, images=arguments.images, **folders)


def run_chosen(arguments: Arguments) -> None:
    """Run what was asked for, one after another.

    Raises:
        UserError: an argument that cannot be used, a benchmark that failed, or nothing that could be run.
    """
    names = chosen(arguments.only)
    if arguments.list_:
        print(table(("name", "measures"), [(name, BENCHMARKS[name].measures) for name in names]))
        return
    options = options_of(arguments)
    rows: list[tuple[str, str, str]] = []
    for name in names:
        if lacking := BENCHMARKS[name].lacks(options):
            print(f"{name}: skipped, it {lacking}", file=sys.stderr)
            rows.append((name, "skipped", ""))
            continue
        print(f"\n{name}: {BENCHMARKS[name].measures}", file=sys.stderr, flush=True)
        start = time.monotonic()
        # Of its own, since threads, the allocator and the peak of memory are those of a whole process.
        process = get_context("spawn").Process(target=run_one, args=(name, options))
        process.start()
        process.join()
        rows.append((name, "failed" if process.exitcode else "done", f"{time.monotonic() - start:.0f}"))
    print("\n" + table(("benchmark", "outcome", "s"), rows))
    print(f"\nResults: {options.output}")
    outcomes = {outcome for _, outcome, _ in rows}
    if "failed" in outcomes:
        raise UserError(f"failed: {', '.join(name for name, outcome, _ in rows if outcome == 'failed')}; see above")
    if "done" not in outcomes:
        raise UserError("nothing could be run; see above what to give")


if __name__ == "__main__":
    sys.exit(run(Arguments, run_chosen, sys.argv[1:]))
