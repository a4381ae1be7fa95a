"""`hf-denoise probe`."""

import io
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from PIL import Image
from tyro.conf import Positional, arg

from hf_denoise.cli.inputs import find
from hf_denoise.cli.network import Engine, Precision, load_denoiser
from hf_denoise.cli.progress import Progress, each_file
from hf_denoise.distributed.processes import Processes, join_processes
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable, written_beside

if TYPE_CHECKING:
    from hf_denoise.inference.denoiser import Denoiser
    from hf_denoise.probing.detection import Detection
    from hf_denoise.probing.report import ProbeReport

Job = tuple[Path, Path | None]  # source, and what the names of its results begin with

RESULTS = ("-probe.json", "-probe.png", "-probe-map.png", "-hits.csv")  # after the name of the image


@dataclass(frozen=True)
class Outcome:
    """What there is to say about a file.

    Attributes:
        text: for people; "" where it could not be probed.
        document: for programs.
        wrong: why it could not be probed; "" where it was.
    """

    text: str = ""
    document: dict[str, Any] | None = None
    wrong: str = ""


@dataclass(frozen=True)
class Probe:
    """Would a defect survive in these pictures? Put known small defects in and measure what denoising leaves of them.

    Prints for each picture from which contrast on, in grey levels of 255, 80 % and half of a defect of each kind are
    kept, and a90/95, the contrast that is kept with 90 % probability at 95 % confidence. No clean picture is needed."""

    inputs: Annotated[Positional[list[str]], arg(metavar="IN...", help_behavior_hint="(required)")]
    """Image files, folders (searched for images at any depth) or glob patterns."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FOLDER")] = None
    """Folder for NAME-probe.json, NAME-probe.png (the curves), NAME-probe-map.png (red where less is kept) and
    NAME-hits.csv (every single probe) of each image; created if missing. Default: nothing is written."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    strength: float = 1.0
    """From 0, the input, to 1, fully denoised: what is left at that strength."""
    engine: Engine = "auto"
    """What runs the network; auto takes openvino where it is installed and there is enough work, if it is faster."""
    precision: Precision = "auto"
    """Of the network's arithmetic; auto takes what is fastest on this machine. int8 needs openvino."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps, or auto."""
    self_ensemble: bool = False
    """Average over the eight turns and flips, as denoise does with this option."""
    seed: int = 0
    """Of places, kinds and directions of the probes: the same seed gives the same numbers."""
    json: bool = False
    """Print one JSON document for all images instead of tables."""
    overwrite: bool = False
    """Replace files that exist."""

    def run(self) -> None:
        processes = join_processes()
        jobs, bad = processes.once(self.plan)
        if jobs:
            bad += self.probe(jobs, processes)
        if bad and processes.is_main:
            if len(bad) == 1:
                raise UserError(bad[0])
            raise UserError(f"{len(bad)} inputs could not be probed:\n  " + "\n  ".join(bad))

    def plan(self) -> tuple[list[Job], list[str]]:
        """What is to be probed, and what is wrong with the inputs that cannot be. The folders for results are made.

        Raises:
            UserError: nothing can be done as it was asked for.
        """
        from hf_denoise.imaging.blending import check_strength
        from hf_denoise.imaging.images import read_header

        check_strength(self.strength)
        if self.seed < 0:
            raise UserError(f"--seed must be 0 or more, got {self.seed}")
        bad: list[str] = []
        jobs: list[Job] = []
        for source, relative in find(self.inputs, self.output, bad).items():
            try:
                read_header(source)
                jobs.append((source, self.output / relative.with_suffix("") if self.output else None))
            except UserError as error:
                bad.append(str(error))
        check_results(jobs, self.overwrite)
        for folder in sorted({stem.parent for _, stem in jobs if stem is not None}):
            make_writable(folder)
        return jobs, bad

    def probe(self, jobs: Sequence[Job], processes: Processes) -> list[str]:
        """Probe all files, print what was found and return what went wrong; a bad file does not stop the others."""
        from hf_denoise.probing.detection import NEEDED, has_statsmodels

        if processes.is_main and not has_statsmodels():
            print(f"a90/95 is left out: it {NEEDED}", file=sys.stderr)
        denoiser = load_denoiser(self, processes)
        single = jobs[0][0].name if len(jobs) == 1 else None
        work = partial(
            each_file,
            work=lambda job, steps: self.probe_file(job, denoiser, steps),
            say=lambda outcome: "" if self.json else outcome.text,
            verb="probe",
            unit="step",
            single=single,
            processes=processes,
            between="\n",
        )
        outcomes = processes.share(jobs, work)
        if processes.is_main and self.json:
            files = [outcome.document for outcome in outcomes if outcome.document is not None]
            print(json.dumps({"files": files}, indent=2, allow_nan=False))
        elif processes.is_main and processes.count > 1:
            print("\n\n".join(outcome.text for outcome in outcomes if outcome.text))
        return [outcome.wrong for outcome in outcomes if outcome.wrong]

    def probe_file(self, job: Job, denoiser: "Denoiser", progress: Progress | None) -> Outcome:
        """Probe one file, and write its results."""
        from hf_denoise.imaging.images import read_image
        from hf_denoise.probing.detection import has_statsmodels

        source, stem = job
        try:
            picture = read_image(source).upright()
        except UserError as error:
            return Outcome(wrong=str(error))
        try:
            report = denoiser.probe(picture, self.strength, progress, seed=self.seed)
        except UserError as error:
            return Outcome(wrong=f"'{source}': {error}")
        detections = report.detections if has_statsmodels() else None
        document = {
            "file": str(source),
            "model": self.model or "packaged weights",
            "strength": self.strength,
            **report.as_dict(),
            **({} if detections is None else {"detections": {kind: as_dict(one) for kind, one in detections.items()}}),
        }
        if stem is not None:
            try:
                write_results(stem, document, report, picture.planes[0])
            except UserError as error:
                return Outcome(wrong=str(error))
        return Outcome(f"{source}: {limit_sentence(report)}\n{table(report, detections)}", document)


def result_paths(stem: Path) -> list[Path]:
    """Where the results of an image go."""
    return [stem.with_name(stem.name + end) for end in RESULTS]


def check_results(jobs: Sequence[Job], overwrite: bool) -> None:
    """Refuse to write two results into one file, into an input, or into a file that exists.

    Raises:
        UserError: one of these.
    """
    stems: dict[Path, Path] = {}
    for source, stem in jobs:
        if stem is not None and stem in stems:
            raise UserError(
                f"the results of '{stems[stem]}' and '{source}' would both be written to '{result_paths(stem)[0]}'; "
                "probe them one by one, into different folders"
            )
        if stem is not None:
            stems[stem] = source
    targets = [target for stem in stems for target in result_paths(stem)]
    existing = [target for target in targets if os.path.exists(target)]
    inputs = {os.path.realpath(source) for source, _ in jobs}
    for target in existing:
        if os.path.realpath(target) in inputs:
            raise UserError(f"'{target}' is an input and would be replaced; choose another --output")
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(f"'{existing[0]}'{more} already exists; replace with --overwrite, or choose another --output")


def write_results(stem: Path, document: dict[str, Any], report: "ProbeReport", plane: np.ndarray) -> None:
    """Write the JSON, the pictures and the single probes of an upright picture.

    Raises:
        UserError: one of them cannot be written.
    """
    from hf_denoise.probing.pictures import curves_picture, map_picture

    contents = (
        (json.dumps(document, indent=2, allow_nan=False) + "\n").encode(),
        png(curves_picture(report)),
        png(Image.fromarray(map_picture(report, plane))),
        report.hits_csv().encode(),
    )
    for target, content in zip(result_paths(stem), contents, strict=True):
        with written_beside(target) as file:
            file.write(content)


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def limit_sentence(report: "ProbeReport") -> str:
    """The limits of a scratch 2 px wide in words, or why there are none."""
    try:
        return report.sentence()
    except UserError as error:  # a small picture may have places for other kinds alone
        return f"{error}."


def table(report: "ProbeReport", detections: "dict[str, Detection] | None") -> str:
    """The limits of all kinds as lines of text, contrasts in grey levels."""
    head = ["kind", "80 % from", "50 % from"]
    lines = [[row["kind"], row["keeps 80 % from"], row["keeps 50 % from"]] for row in report.table()]
    notes = [""] * len(lines)
    if detections is not None:
        head.append("a90/95")
        bounds = [(detections[line[0]].a90_95, detections[line[0]].note) for line in lines]
        lines = [[*line, "-" if a is None else f"{a:.3g}"] for line, (a, _) in zip(lines, bounds, strict=True)]
        notes = ["" if a is not None else note for a, note in bounds]
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    texts = [
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in (head, *lines)
    ]
    return "\n".join(f"{text}  {note}".rstrip() for text, note in zip(texts, ["", *notes], strict=True))


def as_dict(detection: "Detection") -> dict[str, Any]:
    """The fitted probability of detection for JSON: null for what could not be fitted."""

    def number(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else round(value, 4)

    return {
        "trials": detection.trials,
        "hits": detection.hits,
        **{name: number(getattr(detection, name)) for name in ("floor", "slope", "intercept", "a90", "a90_95")},
        "note": detection.note,
    }
