"""Whole, hostile and damaged picture files through the page's own endpoint: `python benchmarks/fuzz_page.py`."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_files
import machine
from http_page import Outcome, PageServer, file_data
from tqdm import tqdm

from hf_denoise.cli.options import run
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable

MIB = 2**20
_TRACE = re.compile(r'Traceback|File "|line \d+, in |Error:|Exception|<[\w.]+ (object|@)|\b0x[0-9a-f]{6,}')
_PATH = re.compile(r"(^|[\s'\"(])(/[\w.-]+){2,}|[A-Z]:\\")


@dataclass(frozen=True)
class Fuzz:
    """Files of every kind, hostile ones and damaged ones, one by one through `/denoise` of a page of its own."""

    files: int = 600
    """Damaged files, besides the whole and the hostile ones."""
    seed: int = 0
    """Of the damage; the same seed makes the same files."""
    limit: float = 60
    """Seconds that a request may take."""
    output: Path = Path("benchmarks/results")
    """Folder for fuzz_page.json and fuzz_page.md."""


@dataclass(frozen=True)
class Trial:
    """One file, and in which field of the page it goes: the others then hold a good picture."""

    kind: str
    change: str
    field: str
    name: str
    content: bytes


def trials(options: Fuzz) -> Iterator[Trial]:
    """All files; every fourth of the damaged ones twice damaged, every eighth as the reference or the mask."""
    whole = fuzz_files.whole_files()
    for group, files in (("whole", whole), ("hostile", fuzz_files.hostile_files())):
        for kind, (extension, content) in files.items():
            kind, change = (kind, group) if group == "whole" else (group, kind)
            yield Trial(kind, change, "image", f"picture{extension}", content)
    kinds = list(whole)
    for index in range(options.files):
        kind = kinds[index % len(kinds)]
        extension, content = whole[kind]
        change, content = fuzz_files.damaged(content, options.seed + index)
        if index % 4 == 0 and content:
            again, content = fuzz_files.damaged(content, options.seed + index + 1_000_000)
            change += f", {again}"
        field = ("reference", "mask")[index // 8 % 2] if index % 8 == 7 else "image"
        yield Trial(kind, change, field, f"picture{extension}", content)


def fault(outcome: Outcome) -> str | None:
    """What is wrong with the answer to a file, whatever the file was; None where nothing is."""
    if outcome.kind in ("silent", "late"):
        return f"{outcome.kind} {outcome.text}".strip()
    if outcome.kind == "message":
        text = outcome.text
        if _TRACE.search(text):
            return f"a trace: {text}"
        if _PATH.search(text):
            return f"a path of the server: {text}"
        if not 15 <= len(text) <= 400 or "\n" in text:
            return f"no sentence: {text}"
    return None


def benchmark(options: Fuzz) -> None:
    """Send all files; write fuzz_page.json and fuzz_page.md.

    Raises:
        UserError: the page died, or an answer had a fault; the report is written all the same.
    """
    make_writable(options.output)
    about = machine.describe(("gradio", "pillow", "tifffile", "imagecodecs", "torch"))
    everything = list(trials(options))
    outcomes: list[Outcome] = []
    faults: list[str] = []
    with PageServer() as page:
        extension, good = fuzz_files.whole_files()["PNG RGB"]
        for _ in range(3):  # loads kernels and codecs, so that memory before and after compare
            page.denoise(f"good{extension}", good)
        before = page.settled_memory()
        page.peak = before
        quarters = []  # memory that is kept for use again stops growing; what leaks goes on
        for index, trial in enumerate(tqdm(everything, desc="fuzz", unit="file"), start=1):
            fields = {"image": None, "reference": None, "mask": None}
            if trial.field != "image":
                fields["image"] = file_data(page.upload(f"good{extension}", good))
            fields[trial.field] = file_data(page.upload(trial.name, trial.content))
            data = [fields["image"], 1.0, fields["reference"], fields["mask"], None]
            outcome = page.call("denoise", data, options.limit)
            outcomes.append(outcome)
            if wrong := fault(outcome):
                faults.append(f"{trial.kind}, {trial.change}, as {trial.field}: {wrong}")
            if not page.alive():
                faults.append(f"{trial.kind}, {trial.change}, as {trial.field}: the page died")
                break
            if index * 4 % len(everything) < 4:
                quarters.append(page.memory() / MIB)
        alive = page.alive()
        last = page.denoise(f"good{extension}", good) if alive else None
        after = page.settled_memory() if alive else 0
        peak = page.peak
        traces = page.log().count("Traceback")
    if last is None or last.kind != "result":
        faults.append("a good picture was not denoised at the end")
    slowest = sorted(zip(everything, outcomes, strict=False), key=lambda pair: -pair[1].seconds)[:5]
    memory = {"before_mib": before / MIB, "peak_mib": peak / MIB, "after_mib": after / MIB}
    shown_quarters = ", ".join(f"{value:.0f}" for value in quarters)
    text = "\n\n".join(
        [
            "# Damaged and hostile files through the page",
            machine.sentence(about),
            f"{len(outcomes)} files through the endpoint `/denoise` of `python app.py`, one after another, seed "
            f"{options.seed}: whole ones of every kind, {sum(trial.kind == 'hostile' for trial in everything)} made to "
            f"break a server, and {options.files} with seeded damage (bits, splices, cuts, lengths, sizes, chunks), "
            "some of them in the field of the reference or the mask. A result, or a message of one sentence without a "
            "trace or a path of the server, is right; all else is a fault.",
            f"Faults: {len(faults)}. Traces in the log of the server: {traces}. The page "
            f"{'lived' if alive else 'died'}. Resident memory: {memory['before_mib']:.0f} MiB before, "
            f"{memory['peak_mib']:.0f} at the peak, {memory['after_mib']:.0f} after; after each quarter of the files "
            f"{shown_quarters} MiB. Gradio keeps about 80 KB for each session, and each file is a session here.",
            *(f"- {text}" for text in faults),
            machine.table(("kind", "files", "result", "message", "fault", "slowest, s"), _rows(everything, outcomes)),
            "The slowest:",
            machine.table(
                ("file", "s", "answer"),
                [
                    (f"{trial.kind}, {trial.change}", f"{outcome.seconds:.2f}", outcome.text or outcome.kind)
                    for trial, outcome in slowest
                ],
            ),
        ]
    )
    counts = Counter(outcome.kind for outcome in outcomes)
    results: dict[str, Any] = {"machine": about, "files": len(outcomes), "seed": options.seed, "outcomes": counts}
    results |= {"faults": faults, "traces": traces, "memory": {**memory, "quarters_mib": quarters}}
    machine.write(options.output, "fuzz_page", results, text)
    if faults:
        raise UserError(f"{len(faults)} of {len(outcomes)} answers are not right; see fuzz_page.md")


def _rows(everything: list[Trial], outcomes: list[Outcome]) -> list[tuple[str, ...]]:
    rows = []
    for kind in dict.fromkeys(trial.kind for trial in everything):
        of_kind = [outcome for trial, outcome in zip(everything, outcomes, strict=False) if trial.kind == kind]
        wrong = sum(fault(outcome) is not None for outcome in of_kind)
        counts = Counter(outcome.kind for outcome in of_kind if fault(outcome) is None)
        slowest = max((outcome.seconds for outcome in of_kind), default=0)
        numbers = (len(of_kind), counts["result"], counts["message"], wrong)
        rows.append((kind, *(str(number) for number in numbers), f"{slowest:.2f}"))
    return rows


if __name__ == "__main__":
    sys.exit(run(Fuzz, benchmark, sys.argv[1:]))
