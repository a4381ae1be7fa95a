"""`hf-denoise denoise`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from hf_denoise.cli.inputs import Job, check_names, check_targets, is_done, plan, view_path, views
from hf_denoise.cli.network import Engine, Precision, load_denoiser
from hf_denoise.cli.probe import limit_sentence
from hf_denoise.cli.progress import Progress, each_file, steps_of
from hf_denoise.cli.protecting import AUTO, check_treatment, find_masks, protected_view
from hf_denoise.cli.skipped import skipped_sentence
from hf_denoise.distributed.processes import Processes, join_processes
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable, remove_parts

if TYPE_CHECKING:
    from hf_denoise.imaging.picture import Picture
    from hf_denoise.inference.denoised_file import FileReport
    from hf_denoise.inference.denoiser import Denoiser

Masks = dict[Path, Path]  # of the images that have one
Outcome = tuple[str | None, str | None]  # what there is to say about a file, and what went wrong with it


@dataclass(frozen=True)
class Denoise:
    """Denoise image files. Format, size, mode, bit depth, alpha, ICC profile and EXIF stay as they are."""

    inputs: Annotated[Positional[list[str]], arg(metavar="IN...", help_behavior_hint="(required)")]
    """Image files, folders (searched for images at any depth) or glob patterns."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="OUT")]
    """Folder for the results, created if missing; or a file, for one input file, with an image extension."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    strength: float | Literal["auto"] = 1.0
    """From 0, the input, to 1, fully denoised; or auto: for each image the strongest at which a scratch 2 pixels wide
    of the contrast --keep keeps 80 %, as a probe of the image says."""
    keep: Annotated[float | None, arg(metavar="CONTRAST")] = None
    """Contrast of the faintest defect that must survive, in grey levels of 255. For --strength auto, and --protect."""
    protect: Annotated[str | None, arg(metavar="MASK|auto")] = None
    """Places to leave alone: a mask, white inside, as the image shows; a folder of masks with the names of the images;
    or auto: where a scratch of the contrast --keep would not survive. With a mask and --keep, they are denoised as far
    as such a defect survives. What was protected is written as NAME-protected.png beside each result, in blue."""
    luminance: float = 1.0
    """How far luminance noise is removed, from 0 to 1.5. Beyond 1 what the network has left is smoothed as well."""
    color: float = 1.0
    """The same of colour noise."""
    grain: float = 0.0
    """Share of the finest luminance noise, under about 2 pixels, that stays, from 0 to 1."""
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
    page: Annotated[int | None, arg(metavar="N")] = None
    """The page of a TIFF, or the frame of an animation, to denoise, from 1. Default: all of them."""
    self_ensemble: bool = False
    """Average over the eight turns and flips: about 0.1 dB more for eight times the time."""
    overwrite: bool = False
    """Replace files that exist, also the inputs themselves."""
    resume: bool = False
    """Leave out images whose results exist: continue a run that was stopped, with the same options."""
    removed: bool = False
    """Also write what was removed, amplified 4 times on grey, as NAME-removed.png beside each result, and print how
    much structure was found in it, at the place where that is most, up to 1, structure alone. 0 is no proof that
    nothing was lost: beside it stands which scratches are kept, for which each image is probed; that takes seconds."""

    def run(self) -> None:
        processes = join_processes()
        jobs, masks, bad = processes.once(self.plan)
        if jobs:
            bad += self.denoise(jobs, masks, processes)
        if bad and processes.is_main:
            if len(bad) == 1:
                raise UserError(bad[0])
            raise UserError(f"{len(bad)} inputs could not be denoised:\n  " + "\n  ".join(bad))

    @property
    def views(self) -> list[str]:
        """Kinds of pictures that go beside each result."""
        return ["removed"] * self.removed + ["protected"] * (self.protect is not None)

    def plan(self) -> tuple[list[Job], Masks, list[str]]:
        """What is to be done, with which masks, and what is wrong with the inputs that cannot be.

        The folders for the results are made.

        Raises:
            UserError: nothing can be done as it was asked for.
        """
        from hf_denoise.imaging.formats import check_target
        from hf_denoise.imaging.images import read_header

        check_treatment(self.strength, self.keep, self.protect, (self.luminance, self.color, self.grain))
        if skipped := skipped_sentence(self.inputs, self.output):
            print(skipped, file=sys.stderr)
        if self.resume and self.overwrite:
            raise UserError("--resume keeps the results that exist and --overwrite replaces them; choose one of them")
        bad: list[str] = []
        jobs: list[Job] = []
        done: list[Job] = []
        planned = plan(self.inputs, self.output, bad)
        for source, target in planned:
            if self.resume and is_done((source, target), self.views):
                done.append((source, target))
                continue
            try:
                check_target(read_header(source, self.page), target)
                jobs.append((source, target))
            except UserError as error:
                bad.append(str(error))
        masks: Masks = {}
        if self.protect not in (None, AUTO):
            masks = find_masks(Path(str(self.protect)), jobs, self.output, len(planned), bad)
            jobs = [job for job in jobs if job[0] in masks]
        if done:
            print(f"{len(done)} of {len(done) + len(jobs)} images are done already", file=sys.stderr)
        targets = jobs + views(done + jobs, self.views)[len(self.views) * len(done) :]
        check_names(targets)
        if not self.overwrite:
            check_targets(targets, self.resume)
        if self.resume:
            remove_parts(target for _, target in targets)
        for folder in sorted({target.parent for _, target in jobs}):
            make_writable(folder)
        return jobs, masks, bad

    def denoise(self, jobs: Sequence[Job], masks: Masks, processes: Processes) -> list[str]:
        """Run the network over all files and return what went wrong; a bad file does not stop the others."""
        denoiser = load_denoiser(self, processes, self.tile)
        single = jobs[0][0].name if len(jobs) == 1 else None
        work = partial(
            each_file,
            work=lambda job, steps: self.denoise_file(job, masks.get(job[0]), denoiser, steps),
            say=lambda outcome: outcome[0],
            verb="denoise",
            unit="tile",
            single=single,
            processes=processes,
        )
        outcomes = processes.share(jobs, work)
        if processes.is_main and processes.count > 1:
            for said, _ in outcomes:
                if said is not None:
                    print(said)
        return [wrong for _, wrong in outcomes if wrong is not None]

    def denoise_file(self, job: Job, mask: Path | None, denoiser: "Denoiser", progress: Progress | None) -> Outcome:
        """Denoise one file, and show what was protected in it."""
        from hf_denoise.imaging.images import read_image

        source, target = job
        try:
            # What is replaced is kept: it is looked at again. The others are read once more, which needs less memory.
            replaced = bool(self.views) and os.path.exists(target) and target.samefile(source)
            noisy = read_image(source, page=self.page) if replaced else None
            report = denoiser.file(
                source,
                target,
                strength=self.strength,
                progress=progress,
                removed=view_path(target, "removed") if self.removed else None,
                keep=self.keep,
                protect=mask or self.protect,
                luminance=self.luminance,
                color=self.color,
                grain=self.grain,
                white_level=self.white_level,
                page=self.page,
            )
            if self.views:
                noisy = noisy or read_image(source, page=self.page)
            if noisy is not None and report.protection is not None:
                protected_view(noisy, report.protection).save(view_path(target, "protected"))
            said = self.say(report, noisy, denoiser, progress is not None)
        except UserError as error:
            return None, str(error) if str(source) in str(error) else f"'{source}': {error}"
        return "\n".join(f"{source}: {line}" for line in said) or None, None

    def say(
        self, report: "FileReport", noisy: "Picture | None", denoiser: "Denoiser", show_progress: bool
    ) -> list[str]:
        """What there is to say about a file, line by line."""
        said = [f"{report.assumed} by --white-level"] if report.assumed else []
        if self.strength == AUTO:
            least = f", the least of {report.pages} pages" if report.pages > 1 else ""
            said.append(f"strength {report.strength:.2f}{least}")
        if report.protection is not None:
            said.append(report.protection.sentence())
        if report.structure is not None and noisy is not None:
            limit = survivors(denoiser, noisy, report.strength, show_progress)
            if report.protection is not None and report.protection.area:
                limit += " In the protected places more is kept."
            said.append(f"removed noise holds structure {report.structure:.2f}. {limit}")
        return said


def survivors(denoiser: "Denoiser", noisy: "Picture", strength: float, show_progress: bool) -> str:
    """A sentence on the scratches that a file would keep: without it, "no structure" would pass for "nothing lost"."""
    from tqdm import tqdm

    with tqdm(desc="probe", unit="step", leave=False, disable=not show_progress) as bar:
        try:
            return limit_sentence(denoiser.probe(noisy.upright(), strength, steps_of(bar)))
        except UserError as error:
            return f"Which defects are kept cannot be said: {error}."
