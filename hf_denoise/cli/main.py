"""The command line: `hf-denoise denoise | evaluate | ...`. Torch is imported inside the commands only."""

import importlib.util
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg

from hf_denoise._version import __version__
from hf_denoise.cli.inputs import Job, check_targets, is_done, plan, view_path, views
from hf_denoise.distributed.launch import Processes, join_processes, rank, start_cpu_processes
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable, remove_parts


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
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the network's arithmetic; auto takes what is fastest on this machine."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps, or auto."""
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
        from hf_denoise.imaging.images import read_header
        from hf_denoise.imaging.picture import check_target

        check_strength(self.strength)
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
        if not self.overwrite:
            check_targets(targets, self.resume)
        if self.resume:
            remove_parts(target for _, target in targets)
        for folder in sorted({target.parent for _, target in jobs}):
            make_writable(folder)
        return jobs, bad

    def denoise(self, jobs: Sequence[Job], processes: Processes) -> list[str]:
        """Run the network over all files and return what went wrong; a bad file does not stop the others."""
        from tqdm import tqdm

        from hf_denoise.inference.denoiser import Denoiser

        device = processes.device if self.device == "auto" else self.device
        denoiser = processes.each(
            lambda: Denoiser.from_pretrained(
                self.model,
                tile=self.tile,
                precision=self.precision,
                device=device,
                self_ensemble=self.self_ensemble,
            )
        )
        # One file is counted in tiles, several in files.
        single = len(jobs) == 1
        alone = processes.count == 1

        def denoise(own: Sequence[Job]) -> list[tuple[str | None, str | None]]:
            """What there is to say about each file, and what went wrong with it."""
            outcomes = []
            with tqdm(
                total=len(own),
                desc=jobs[0][0].name if single else "denoise" if alone else f"denoise, process 1 of {processes.count}",
                unit="tile" if single else "image",
                disable=not processes.is_main,
            ) as bar:

                def show_tile(done: int, total: int) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                for source, target in own:
                    said = wrong = None
                    try:
                        structure = denoiser.file(
                            source,
                            target,
                            strength=self.strength,
                            progress=show_tile if single else None,
                            removed=view_path(target) if self.removed else None,
                        )
                        if structure is not None:
                            said = f"{source}: removed noise holds structure {structure:.2f}"
                            if alone:
                                tqdm.write(said)
                    except UserError as error:
                        wrong = str(error)
                    outcomes.append((said, wrong))
                    if not single:
                        bar.update()
            return outcomes

        outcomes = processes.share(jobs, denoise)
        if processes.is_main and not alone:
            for said, _ in outcomes:
                if said is not None:
                    print(said)
        return [wrong for _, wrong in outcomes if wrong is not None]


@dataclass(frozen=True)
class Evaluate:
    """Measure how much noise goes and how much of the defects stays; write tables, an HTML report and pictures."""

    data: str
    """Triplets or clean images: a folder in a known layout, or the id of a dataset on the Hub."""
    output: Annotated[Path, arg(aliases=["-o"])] = Path("evaluation")
    """Folder for evaluation.html, evaluation.json, evaluation.md, images.csv and a before/after picture."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    sigma: tuple[float, ...] = (25,)
    """Gaussian noise added to clean images: one measurement each, on the 0..255 scale, not clipped."""
    degradation: str | None = None
    """Another degradation instead, such as poisson-gaussian:25 or jpeg:40."""
    peers: tuple[Literal["nl-means", "bm3d"], ...] = ()
    """Other denoisers to measure on the same images. bm3d is slow and a package of its own: pip install bm3d."""
    split: str = "test"
    """Split to measure; all takes every image of data without splits of their own."""
    seed: int = 0
    """Seed of the split (that of the training) and of the noise."""
    skip_bad: bool = False
    """Leave out files that cannot be used instead of stopping."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Of the network's arithmetic; float32, so that numbers compare between machines."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps, or auto."""
    self_ensemble: bool = False
    """Average over the eight turns and flips: about 0.1 dB more for eight times the time."""

    def run(self) -> None:
        from hf_denoise.evaluation.report import markdown
        from hf_denoise.evaluation.run import REPORT, evaluate_data
        from hf_denoise.inference.denoiser import Denoiser

        processes = join_processes()
        device = processes.device if self.device == "auto" else self.device
        denoiser = processes.each(
            lambda: Denoiser.from_pretrained(
                self.model, precision=self.precision, device=device, self_ensemble=self.self_ensemble
            )
        )
        degradations = [self.degradation] if self.degradation else [f"gaussian:{sigma:g}" for sigma in self.sigma]
        results = evaluate_data(
            denoiser,
            self.data,
            self.output,
            degradations=degradations,
            peers=self.peers,
            split=self.split,
            seed=self.seed,
            skip_bad=self.skip_bad,
            model=self.model or "packaged weights",
            processes=processes,
        )
        if processes.is_main:
            print(markdown(results))
            print(self.output / REPORT)


@dataclass(frozen=True)
class Push:
    """Publish a saved model on the Hugging Face Hub, with its model card."""

    folder: Positional[Path]
    """A saved model, such as runs/x/best."""
    repo_id: Annotated[Positional[str], arg(metavar="USER/REPO")]
    """Repository on the Hub; created if missing."""
    private: bool = False
    """Make a new repository private."""
    token: str | None = None
    """Write token. Default: HF_TOKEN, or the one that `hf auth login` has stored."""

    def run(self) -> None:
        from hf_denoise.training.upload import push

        print(push(self.folder, self.repo_id, private=self.private, token=self.token))


@dataclass(frozen=True)
class Export:
    """Write a model as one ONNX file for any batch, height and width; compare it with PyTorch, and time both."""

    format: Positional[Literal["onnx"]]
    """Format of the file."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="OUT.onnx")]
    """File to write. It takes and gives float32 of shape (batch, 3, height, width), RGB in [0, 1]."""
    model: Annotated[Positional[str | None], arg(metavar="MODEL")] = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    overwrite: bool = False
    """Replace a file that exists."""

    def run(self) -> None:
        missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if importlib.util.find_spec(name) is None]
        if missing:
            raise UserError(f"the export needs what is not installed here; pip install {' '.join(missing)}")
        from torch import get_num_threads

        from hf_denoise.inference.export import SIDE, SIZES, export_onnx

        made = export_onnx(self.model, self.output, overwrite=self.overwrite)
        print(
            f"{self.output}: {made.size / 1e6:.1f} MB, at most {made.difference:.0e} off PyTorch on {len(SIZES)} sizes"
            f"\n{SIDE} x {SIDE}, float32, {get_num_threads()} threads: ONNX Runtime {made.seconds:.3f} s, PyTorch "
            f"{made.torch_seconds:.3f} s, {made.torch_seconds / made.seconds:.2f} times as fast"
        )


@dataclass(frozen=True)
class MakeTriplets:
    """Draw defects with exact masks into clean images: a dataset to train on or to upload to the Hub."""

    clean: Annotated[Positional[str], arg(metavar="CLEAN")]
    """Images without defects: a folder in a known layout, or the id of a dataset on the Hub."""
    output: Annotated[Positional[Path], arg(metavar="OUT")]
    """Folder for the dataset, its card and a contact sheet; new or empty."""
    seed: int = 0
    """Seed of the split, the defects and the noise; the same one gives the same pixels."""
    per_image: int = 1
    """Variants of each image, all in one split, each with one to three defects of one kind."""
    kinds: tuple[Literal["scratch", "crack", "pit", "stain", "dead-row"], ...] = (
        "scratch",
        "crack",
        "pit",
        "stain",
        "dead-row",
    )
    """Kinds of defects; the variants of an image take turns."""
    degradation: str = "gaussian:25"
    """Noise of the degraded images, such as camera:1-16 or mixture; none: no degraded images, new noise in training."""
    skip_bad: bool = False
    """Leave out files that cannot be used instead of stopping."""

    def run(self) -> None:
        from hf_denoise.data.making import make_triplets

        counts = make_triplets(
            self.clean,
            self.output,
            seed=self.seed,
            per_image=self.per_image,
            kinds=self.kinds,
            degradation=self.degradation,
            skip_bad=self.skip_bad,
        )
        images = ", ".join(f"{sum(count.values())} {split}" for split, count in counts.items())
        print(f"{self.output}: {images}; look at {self.output / 'contact-sheet.jpg'}")


COMMANDS: dict[str, Callable[..., Any]] = {
    "denoise": Denoise,
    "evaluate": Evaluate,
    "make-triplets": MakeTriplets,
    "push": Push,
    "export": Export,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0; 2 for an `error: ...`; 130 after Ctrl-C."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: no file name stops the work
    if arguments is None:
        start_cpu_processes()
        arguments = sys.argv[1:]
    if list(arguments) == ["--version"]:
        print(f"hf_denoise {__version__}")
        return 0
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="hf-denoise",
            description="Remove noise from images, keep the defects.",
            args=arguments,
            console_outputs=rank() == 0,
        )
        # Only these share their work; of any other command, the processes of a launcher run one.
        if rank() == 0 or isinstance(command, Denoise | Evaluate):
            command.run()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader, such as `head`, is gone
        return 0
    return 0
