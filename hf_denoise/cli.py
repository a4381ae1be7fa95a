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

from hf_denoise import __version__
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable, remove_parts
from hf_denoise.inputs import Job, check_targets, is_done, plan, view_path, views
from hf_denoise.launch import Processes, join_processes, rank, start_cpu_processes


def device_of(command: "Denoise | Evaluate", processes: Processes) -> str:
    """The device that was asked for, or the one for the engine that was."""
    if command.device != "auto":
        return command.device
    return "cpu" if command.engine == "openvino" or command.precision == "int8" else processes.device


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
    engine: Literal["auto", "torch", "openvino"] = "auto"
    """What runs the network; auto takes openvino where it is installed and there is enough work, if it is faster."""
    precision: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    """Of the network's arithmetic; auto takes what is fastest on this machine. int8 needs openvino."""
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
        from hf_denoise.blending import check_strength
        from hf_denoise.images import read_header
        from hf_denoise.picture import check_target

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

        from hf_denoise.pipeline import Denoiser

        device = device_of(self, processes)
        denoiser = processes.each(
            lambda: Denoiser.from_pretrained(
                self.model,
                tile=self.tile,
                engine=self.engine,
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
    engine: Literal["auto", "torch", "openvino"] = "torch"
    """What runs the network; torch, so that numbers compare between machines."""
    precision: Literal["auto", "float32", "bfloat16", "int8"] = "float32"
    """Of the network's arithmetic; float32, so that numbers compare between machines. int8 needs openvino."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps, or auto."""
    self_ensemble: bool = False
    """Average over the eight turns and flips: about 0.1 dB more for eight times the time."""

    def run(self) -> None:
        from hf_denoise.evaluation import REPORT, evaluate_data
        from hf_denoise.pipeline import Denoiser
        from hf_denoise.report import markdown

        processes = join_processes()
        device = device_of(self, processes)
        denoiser = processes.each(
            lambda: Denoiser.from_pretrained(
                self.model,
                engine="auto" if self.engine == "torch" and self.precision == "int8" else self.engine,
                precision=self.precision,
                device=device,
                self_ensemble=self.self_ensemble,
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
        from hf_denoise.hub import push

        print(push(self.folder, self.repo_id, private=self.private, token=self.token))


@dataclass(frozen=True)
class Export:
    """Write a model for another engine: as one ONNX file, or quantised to int8 for OpenVINO; compare and measure it."""

    format: Positional[Literal["onnx", "int8"]]
    """onnx: one file for any batch, height and width. int8: files beside the weights, for --precision int8."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="OUT")]
    """For onnx the file to write, OUT.onnx: it takes and gives float32 of shape (batch, 3, height, width), RGB in [0,
    1]. For int8 the folder of the saved model itself, or another, to which the weights are copied."""
    model: Annotated[Positional[str | None], arg(metavar="MODEL")] = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    data: str | None = None
    """For int8: clean photographs to calibrate and measure on, a folder or a data set on the Hub."""
    overwrite: bool = False
    """Replace files that exist."""

    def run(self) -> None:
        needed = ("onnx", "onnxruntime", "onnxscript") if self.format == "onnx" else ("openvino", "nncf")
        missing = [name for name in needed if importlib.util.find_spec(name) is None]
        if missing:
            raise UserError(f"the export needs what is not installed here; pip install {' '.join(missing)}")
        if self.format == "int8":
            self.to_int8()
        else:
            self.to_onnx()

    def to_int8(self) -> None:
        from hf_denoise.quantizing import export_int8, summary

        if self.data is None:
            raise UserError("export int8 calibrates on clean photographs; name a folder of them with --data")
        losses = export_int8(self.model, self.data, self.output, overwrite=self.overwrite)
        print(f"{self.output}: {summary(losses)}")

    def to_onnx(self) -> None:
        from torch import get_num_threads

        from hf_denoise.export import SIDE, SIZES, export_onnx

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
        from hf_denoise.making import make_triplets

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


if __name__ == "__main__":
    sys.exit(main())
