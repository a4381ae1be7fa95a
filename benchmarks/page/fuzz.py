"""Whole, hostile and damaged picture files through the page's own endpoint."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from benchmarks.page.damage import damaged
from benchmarks.page.files import hostile_files, whole_files
from benchmarks.page.server import Outcome, PageServer, file_data
from benchmarks.shared import machine
from benchmarks.shared.machine import MIB
from benchmarks.shared.options import Options
from hf_denoise.errors import UserError

LIMIT = 60.0  # seconds that a request may take
_TRACE = re.compile(r'Traceback|File "|line \d+, in |Error:|Exception|<[\w.]+ (object|@)|\b0x[0-9a-f]{6,}')
_PATH = re.compile(r"(^|[\s'\"(])(/[\w.-]+){2,}|[A-Z]:\\")


@dataclass(frozen=True)
class Trial:
    """One file, and in which field of the page it goes: the others then hold a good picture."""

    kind: str
    change: str
    field: str
    name: str
    content: bytes


def trials(count: int, seed: int = 0) -> Iterator[Trial]:
    """All whole and hostile files, and `count` damaged ones.

    Every fourth of these is twice damaged, and every eighth is given as the reference or the mask.
    """
    whole = whole_files()
    for group, files in (("whole", whole), ("hostile", hostile_files())):
        for kind, (extension, content) in files.items():
            kind, change = (kind, group) if group == "whole" else (group, kind)
            yield Trial(kind, change, "image", f"picture{extension}", content)
    kinds = list(whole)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        extension, content = whole[kind]
        change, content = damaged(content, seed + index)
        if index % 4 == 0 and content:
            again, content = damaged(content, seed + index + 1_000_000)
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


@dataclass
class Session:
    """What a page did with all files: an outcome for each, what was wrong, and its memory in MiB."""

    outcomes: list[Outcome]
    faults: list[str]
    memory: dict[str, Any]
    alive: bool = True
    traces: int = 0


def send(page: PageServer, trial: Trial, good: tuple[str, bytes]) -> Outcome:
    """One file through `/denoise`, beside a good picture where it is the reference or the mask."""
    fields: dict[str, Any] = {"image": None, "reference": None, "mask": None}
    if trial.field != "image":
        fields["image"] = file_data(page.upload(f"good{good[0]}", good[1]))
    fields[trial.field] = file_data(page.upload(trial.name, trial.content))
    return page.call("denoise", [fields["image"], 1.0, fields["reference"], fields["mask"], None], LIMIT)


def send_all(everything: Sequence[Trial], model: str | None) -> Session:
    """All files, one after another, through a page of their own."""
    good = whole_files()["PNG RGB"]
    session = Session([], [], {})
    with PageServer(model) as page:
        for _ in range(3):  # loads kernels and codecs, so that memory before and after compare
            page.denoise(f"good{good[0]}", good[1])
        before = page.settled_memory()
        page.peak = before
        quarters = []  # memory that is kept for use again stops growing; what leaks goes on
        for index, trial in enumerate(tqdm(everything, desc="fuzz_page", unit="file"), start=1):
            outcome = send(page, trial, good)
            session.outcomes.append(outcome)
            wrong = fault(outcome) if page.alive() else "the page died"
            if wrong:
                session.faults.append(f"{trial.kind}, {trial.change}, as {trial.field}: {wrong}")
            if not page.alive():
                break
            if index * 4 % len(everything) < 4:
                quarters.append(page.memory() / MIB)
        session.alive = page.alive()
        if not session.alive or page.denoise(f"good{good[0]}", good[1]).kind != "result":
            session.faults.append("a good picture was not denoised at the end")
        after = page.settled_memory() if page.alive() else 0
        session.traces = page.log().count("Traceback")
        session.memory = {"before_mib": before / MIB, "peak_mib": page.peak / MIB, "after_mib": after / MIB}
        session.memory["quarters_mib"] = quarters
    return session


def run(options: Options) -> None:
    """Send all files; write fuzz_page.md and fuzz_page.json.

    Raises:
        UserError: the page died, or an answer had a fault; the report is written all the same.
    """
    about = machine.describe(("gradio", "pillow", "tifffile", "imagecodecs", "torch"))
    everything = list(trials(20 if options.quick else 600))
    session = send_all(everything, options.model)
    results: dict[str, Any] = {
        "machine": about,
        "files": len(session.outcomes),
        "outcomes": Counter(outcome.kind for outcome in session.outcomes),
        "faults": session.faults,
        "traces": session.traces,
        "memory": session.memory,
    }
    machine.write(options.output, "fuzz_page", results, paragraphs(about, everything, session))
    if session.faults:
        raise UserError(f"{len(session.faults)} of {len(session.outcomes)} answers are not right; see fuzz_page.md")


def paragraphs(about: dict[str, Any], everything: Sequence[Trial], session: Session) -> list[str]:
    """The report."""
    hostile = sum(trial.kind == "hostile" for trial in everything)
    memory = session.memory
    pairs = list(zip(everything, session.outcomes, strict=False))
    slowest = sorted(pairs, key=lambda pair: -pair[1].seconds)[:5]
    return [
        "# Damaged and hostile files through the page",
        machine.sentence(about),
        f"{len(session.outcomes)} files through the endpoint `/denoise` of `python app.py`, one after another: whole "
        f"ones of every kind, {hostile} made to break a server, and the rest with seeded damage (bits, splices, cuts, "
        "lengths, sizes, chunks), some of them in the field of the reference or the mask. A result, or a message of "
        "one sentence without a trace or a path of the server, is right; all else is a fault.",
        f"Faults: {len(session.faults)}. Traces in the log of the server: {session.traces}. The page "
        f"{'lived' if session.alive else 'died'}. Resident memory: {memory['before_mib']:.0f} MiB before, "
        f"{memory['peak_mib']:.0f} at the peak, {memory['after_mib']:.0f} after; after each quarter of the files "
        f"{', '.join(f'{value:.0f}' for value in memory['quarters_mib'])} MiB. Gradio keeps about 80 KB for each "
        "session, and each file is a session here.",
        *(f"- {text}" for text in session.faults),
        machine.table(("kind", "files", "result", "message", "fault", "slowest, s"), _rows(pairs)),
        "The slowest:",
        machine.table(
            ("file", "s", "answer"),
            [
                (f"{trial.kind}, {trial.change}", f"{outcome.seconds:.2f}", outcome.text or outcome.kind)
                for trial, outcome in slowest
            ],
        ),
    ]


def _rows(pairs: Sequence[tuple[Trial, Outcome]]) -> list[tuple[str, ...]]:
    rows = []
    for kind in dict.fromkeys(trial.kind for trial, _ in pairs):
        of_kind = [outcome for trial, outcome in pairs if trial.kind == kind]
        wrong = sum(fault(outcome) is not None for outcome in of_kind)
        counts = Counter(outcome.kind for outcome in of_kind if fault(outcome) is None)
        numbers = (len(of_kind), counts["result"], counts["message"], wrong)
        slowest = max(outcome.seconds for outcome in of_kind)
        rows.append((kind, *(str(number) for number in numbers), f"{slowest:.2f}"))
    return rows
