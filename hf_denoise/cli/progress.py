"""Bars of the commands that work on files: of one file in its own steps, of several in files."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hf_denoise.distributed.processes import Processes

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
Progress = Callable[[int, int], None]


def each_file(
    jobs: Sequence[Job],
    work: Callable[[Job, Progress | None], Outcome],
    say: Callable[[Outcome], str | None],
    *,
    verb: str,
    unit: str,
    single: str | None,
    processes: Processes,
    between: str = "",
) -> list[Outcome]:
    """Work on the files of one process, one after another.

    Args:
        jobs: its files.
        work: on one of them; told of its steps where there is one file in all.
        say: what is printed of a file, by a process that is alone: several print when all are done.
        verb: what is done, the title of the bar.
        unit: of the steps of a single file.
        single: name of the file where all processes together have but one.
        processes: all of them.
        between: what is printed after each file but the last.
    """
    from tqdm import tqdm

    alone = processes.count == 1
    outcomes = []
    with tqdm(
        total=None if single else len(jobs),
        desc=single or (verb if alone else f"{verb}, process 1 of {processes.count}"),
        unit=unit if single else "image",
        disable=not processes.is_main,
    ) as bar:
        for job in jobs:
            outcome = work(job, steps_of(bar) if single else None)
            if alone and (said := say(outcome)):
                tqdm.write(said + between * (job is not jobs[-1]))
            outcomes.append(outcome)
            if not single:
                bar.update()
    return outcomes


def steps_of(bar: Any) -> Progress:
    """A function of (steps done, steps in all) that moves a bar of tqdm."""

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show
