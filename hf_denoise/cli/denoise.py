"""`hf-denoise denoise`."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from hf_denoise.cli.inputs import Job, check_names, check_targets, is_done, plan, view_path, views
from hf_denoise.cli.network import Engine, Precision, load_denoiser
from hf_denoise.cli.skipped import skipped_sentence
from hf_denoise.distributed.processes import Processes, join_processes
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable, remove_parts

if TYPE_CHECKING:
    from hf_denoise.inference.denoiser import Denoiser

Outcome = tuple[str | None, str | None]  # what there is to say about a file, and what went wrong with it


@dataclass(frozen=True)
class Denoise:
    """Denoise image files. Format, size, mode, bit depth, alpha, ICC profile and EXIF stay as they are."""

    inputs: Annotated[Positional[list[str]], arg(metavar="IN...")]
    """Image files, folders (searched for images at any depth) or glob patterns."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="OUT")]
    """Folder for the results, created if missing; or a file, for one input file, with an image extension."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    strength: float = 1.0
    """From 0, the input, to 1, fully denoised."""
    tile: int = 1024
    """Side in pixels of the tiles that a large image is cut into. Less needs less memory."""
    engine: Engine = "auto"
    """What runs the network; auto takes openvino where it is installed and there is enough work, if it is faster."""
    precision: Precision = "auto"
    """Of the network's arithmetic; auto takes what is fastest on this machine. int8 needs openvino."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps, or auto."""
    white_level: Annotated[float | None, arg(metavar="VALUE")] = None
    """The value of white, where that is not the largest value of integers, or 1 in floats. Default: 10, 12 or 14 bits
    in samples of 16 are recognised by what the file says or by its values, and said. The result has the same scale."""
    self_ensemble: bool = False
    """Average over the eight turns and flips: about 0.1 dB more for eight times the time."""
    overwrite: bool = False
    """Replace files that exist, also the inputs themselves."""
    resume: bool = False
    """Leave out images whose results exist: continue a run that was stopped, with the same options."""
    removed: bool = False
    """Also write what was removed, amplified 4 times on grey, as NAME-removed.png beside each result, and print how
    much structure it holds: from 0, noise alone, to 1, structure alone, at the place where that is most."""

    def run(self) -> None:
        processes = join_processes()
        jobs, bad = processes.once(self.plan)
        if jobs:
            bad += self.denoise(jobs, processes)
        if bad and processes.is_main:
            if len(bad) == 1:
                raise UserError(bad[0])
            raise UserError(f"{len(bad)} inputs could not be denoised:\n  " + "\n  ".join(bad))

    def plan(self) -> tuple[list[Job], list[str]]:
        """What is to be done, and what is wrong with the inputs that cannot be. The folders for the results are made.

        Raises:
            UserError: nothing can be done as it was asked for.
        """
        from hf_denoise.imaging.blending import check_strength
        from hf_denoise.imaging.formats import check_target
        from hf_denoise.imaging.images import read_header

        check_strength(self.strength)
        if skipped := skipped_sentence(self.inputs, self.output):
            print(skipped, file=sys.stderr)
        if self.resume and self.overwrite:
            raise UserError("--resume keeps the results that exist and --overwrite replaces them; choose one of them")
        bad: list[str] = []
        jobs: list[Job] = []
        done: list[Job] = []
        for source, target in plan(self.inputs, self.output, bad):
            if self.resume and is_done((source, target), self.removed):
                done.append((source, target))
                continue
            try:
                check_target(read_header(source), target)
                jobs.append((source, target))
            except UserError as error:
                bad.append(str(error))
        if done:
            print(f"{len(done)} of {len(done) + len(jobs)} images are done already", file=sys.stderr)
        targets = jobs + (views(done + jobs)[len(done) :] if self.removed else [])
        check_names(targets)
        if not self.overwrite:
            check_targets(targets, self.resume)
        if self.resume:
            remove_parts(target for _, target in targets)
        for folder in sorted({target.parent for _, target in jobs}):
            make_writable(folder)
        return jobs, bad

    def denoise(self, jobs: Sequence[Job], processes: Processes) -> list[str]:
        """Run the network over all files and return what went wrong; a bad file does not stop the others."""
        denoiser = load_denoiser(self, processes, self.tile)
        single = jobs[0][0].name if len(jobs) == 1 else None
        outcomes = processes.share(jobs, lambda own: self.denoise_part(own, denoiser, processes, single))
        if processes.is_main and processes.count > 1:
            for said, _ in outcomes:
                if said is not None:
                    print(said)
        return [wrong for _, wrong in outcomes if wrong is not None]

    def denoise_part(
        self, jobs: Sequence[Job], denoiser: "Denoiser", processes: Processes, single: str | None
    ) -> list[Outcome]:
        """Denoise the files of one process.

        Args:
            jobs: its files.
            denoiser: of this process.
            processes: all of them.
            single: name of the file where all have but one, which is counted in tiles; several are counted in files.
        """
        from tqdm import tqdm

        alone = processes.count == 1
        outcomes: list[Outcome] = []
        with tqdm(
            total=len(jobs),
            desc=single or ("denoise" if alone else f"denoise, process 1 of {processes.count}"),
            unit="tile" if single else "image",
            disable=not processes.is_main,
        ) as bar:

            def show_tile(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            for job in jobs:
                said, wrong = self.denoise_file(job, denoiser, show_tile if single else None)
                if said and alone:
                    tqdm.write(said)
                outcomes.append((said, wrong))
                if not single:
                    bar.update()
        return outcomes

    def denoise_file(self, job: Job, denoiser: "Denoiser", progress: Callable[[int, int], None] | None) -> Outcome:
        """Denoise one file."""
        source, target = job
        removed = view_path(target) if self.removed else None
        try:
            report = denoiser.file(
                source,
                target,
                strength=self.strength,
                progress=progress,
                removed=removed,
                white_level=self.white_level,
            )
        except UserError as error:
            return None, str(error)
        said = [f"{source}: {report.assumed} by --white-level"] if report.assumed else []
        if report.structure is not None:
            said.append(f"{source}: removed noise holds structure {report.structure:.2f}")
        return "\n".join(said) or None, None
