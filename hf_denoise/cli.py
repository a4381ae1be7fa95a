"""The command line: `hf-denoise denoise | evaluate | make-triplets | push`. Torch is imported inside them only."""

import glob
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
    overwrite: bool = False
    """Replace files that exist, also the inputs themselves."""
    removed: bool = False
    """Also write what was removed, amplified 4 times on grey, as NAME-removed.png beside each result, and print how
    much structure it holds: from 0, noise alone, to 1, structure alone, at the place where that is most."""

    def run(self) -> None:
        from hf_denoise.blending import check_strength
        from hf_denoise.files import make_writable
        from hf_denoise.images import check_target, read_header

        check_strength(self.strength)
        bad: list[str] = []
        jobs = []
        for source, target in plan(self.inputs, self.output, bad):
            try:
                check_target(read_header(source), target)
                jobs.append((source, target))
            except UserError as error:
                bad.append(str(error))
        check_targets(jobs, self.overwrite)
        if self.removed:
            check_targets(views(jobs), self.overwrite)
        if jobs:
            for folder in sorted({target.parent for _, target in jobs}):
                make_writable(folder)
            bad += self.denoise(jobs)
        if bad:
            if len(bad) == 1:
                raise UserError(bad[0])
            raise UserError(f"{len(bad)} inputs could not be denoised:\n  " + "\n  ".join(bad))

    def denoise(self, jobs: Sequence[tuple[Path, Path]]) -> list[str]:
        """Run the network over all files and return what went wrong; a bad file does not stop the others."""
        from tqdm import tqdm

        from hf_denoise.pipeline import Denoiser

        denoiser = Denoiser.from_pretrained(self.model, tile=self.tile, precision=self.precision, device=self.device)
        bad = []
        # One file is counted in tiles, several in files.
        single = len(jobs) == 1
        with tqdm(
            total=len(jobs), desc=jobs[0][0].name if single else "denoise", unit="tile" if single else "image"
        ) as bar:

            def show_tile(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            for source, target in jobs:
                try:
                    structure = denoiser.file(
                        source,
                        target,
                        strength=self.strength,
                        progress=show_tile if single else None,
                        removed=view_path(target) if self.removed else None,
                    )
                    if structure is not None:
                        tqdm.write(f"{source}: removed noise holds structure {structure:.2f}")
                except UserError as error:
                    bad.append(str(error))
                if not single:
                    bar.update()
        return bad


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

    def run(self) -> None:
        from hf_denoise.evaluation import REPORT, evaluate_data
        from hf_denoise.pipeline import Denoiser
        from hf_denoise.report import markdown

        denoiser = Denoiser.from_pretrained(self.model, precision=self.precision, device=self.device)
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
        )
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
}


def plan(inputs: Sequence[str], output: Path, bad: list[str]) -> list[tuple[Path, Path]]:
    """Find the images and say where each goes: `(source, target)`, in order. What is not found is added to `bad`.

    Raises:
        UserError: nothing was found at all, or two inputs would be written to one file.
    """
    from hf_denoise.images import FORMATS

    if not inputs:
        raise UserError("no input; name image files, folders or glob patterns")
    found: dict[Path, Path] = {}  # source -> path below the output folder
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            images = sorted(
                file
                for file in path.rglob("*")
                # Results of an earlier run are no inputs, where the output lies inside the input.
                if file.suffix.lower() in FORMATS and file.is_file() and not is_inside(file, output, path)
            )
            found.update((file, file.relative_to(path)) for file in images)
            if not images:
                bad.append(f"'{name}' holds no images; images end in {', '.join(FORMATS)}")
        elif glob.has_magic(name) and not path.exists():
            images = sorted(
                file for file in map(Path, glob.glob(name, recursive=True)) if file.suffix.lower() in FORMATS
            )
            found.update((file, Path(file.name)) for file in images)
            if not images:
                bad.append(f"no image matches '{name}'")
        elif path.exists():
            found[path] = Path(path.name)
        else:
            bad.append(f"'{name}' does not exist; check the path")
    if not found and len(bad) == 1:
        raise UserError(bad[0])
    one_file = len(inputs) == 1 and list(found) == [Path(inputs[0])]
    if one_file and output.suffix.lower() in FORMATS and not output.is_dir():
        return [(path, output) for path in found]
    sources: dict[Path, Path] = {}
    for source, relative in found.items():
        target = output / relative
        if target in sources:
            raise UserError(
                f"'{sources[target]}' and '{source}' would both be written to '{target}'; denoise them one by one, "
                "into different folders"
            )
        sources[target] = source
    return [(source, target) for target, source in sources.items()]


def is_inside(file: Path, output: Path, folder: Path) -> bool:
    """Whether `file` lies in the output folder while the output folder lies in `folder`."""
    output = output.resolve()
    return output != folder.resolve() and output in file.resolve().parents


def view_path(target: Path) -> Path:
    """Where the view of what was removed goes, for a result at `target`."""
    return target.with_name(f"{target.stem}-removed.png")


def views(jobs: Sequence[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """`(source, view)` of every job.

    Raises:
        UserError: a view would be written to the file of a result or of another view.
    """
    written = {target: str(source) for source, target in jobs}
    found = []
    for source, target in jobs:
        view = view_path(target)
        if view in written:
            raise UserError(
                f"'{written[view]}' and what is removed from '{source}' would both be written to '{view}'; denoise "
                "them one by one, into different folders"
            )
        written[view] = str(source)
        found.append((source, view))
    return found


def check_targets(jobs: Sequence[tuple[Path, Path]], overwrite: bool) -> None:
    """Refuse to replace files, unless that is wanted."""
    existing = [target for _, target in jobs if target.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(f"'{existing[0]}'{more} already exists; choose another --output, or replace with --overwrite")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0; 2 for an `error: ...`; 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["--version"]:
        print(f"hf_denoise {__version__}")
        return 0
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="hf-denoise", description="Remove noise from images, keep the defects.", args=arguments
        )
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
