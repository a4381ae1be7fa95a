"""`hf-denoise evaluate`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from hf_denoise.cli.network import Engine, Precision, load_denoiser
from hf_denoise.distributed.processes import join_processes
from hf_denoise.errors import UserError


@dataclass(frozen=True)
class Evaluate:
    """Measure how much noise goes and how much of the defects stays; write tables, an HTML report and pictures."""

    data: str
    """Triplets or clean images: a folder in a known layout, or the id of a dataset on the Hub."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder for evaluation.html, evaluation.json, evaluation.md, images.csv and a before/after picture. Default:
    beside the folder in --model, where `hf-denoise push` finds it: runs/x/best-report for runs/x/best."""
    overwrite: bool = False
    """Replace the report in --output."""
    model: str | None = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    sigma: tuple[float, ...] = (25,)
    """Gaussian noise added to clean images: one measurement each, on the 0..255 scale, not clipped."""
    degradation: str | None = None
    """Another degradation instead, such as poisson-gaussian:25 or jpeg:40."""
    dataset_revision: str | None = None
    """Branch, tag or commit of a dataset on the Hub. Default: the newest."""
    dataset_config: str | None = None
    """Which one, where a dataset on the Hub has several configurations."""
    columns: tuple[str, ...] = ()
    """Names of the roles in --data, where they are not the usual ones: `degraded=LQ clean=GT mask=M` names columns of a
    dataset, or folders, or with a * files: `"clean=*_GT"`. `"clean=*"`: all images are clean."""
    make_degraded: bool = False
    """Use --sigma or --degradation also where --data brings degraded images, which are then left out."""
    peers: tuple[Literal["nl-means", "bm3d"], ...] = ()
    """Other denoisers to measure on the same images. bm3d is slow and a package of its own: pip install bm3d."""
    split: str = "test"
    """Split to measure; all takes every image of data without splits of their own."""
    limit: int | None = None
    """Measure the first so many images of the split. Default: all."""
    seed: int = 0
    """Seed of the split (that of the training) and of the noise."""
    skip_bad: bool = False
    """Leave out files that cannot be used instead of stopping."""
    engine: Engine = "torch"
    """What runs the network; torch, so that numbers compare between machines."""
    precision: Precision = "float32"
    """Of the network's arithmetic; float32, so that numbers compare between machines. int8 needs openvino."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps, or auto."""
    self_ensemble: bool = False
    """Average over the eight turns and flips: about 0.1 dB more for eight times the time."""

    def run(self) -> None:
        from hf_denoise.data.roles import parse_columns
        from hf_denoise.evaluation.report import report_markdown
        from hf_denoise.evaluation.run import REPORT_PAGE, evaluate_data
        from hf_denoise.hub.files import PACKAGED, checkpoint_folder
        from hf_denoise.hub.reports import weights_digest
        from hf_denoise.hub.tables import unescape

        if self.limit is not None and self.limit < 1:
            raise UserError(f"--limit must be at least 1, got {self.limit}")
        processes = join_processes()
        folder = Path(self.model) if self.model and Path(self.model).is_dir() else None
        beside = Path(f"{os.path.normpath(folder)}-report") if folder else Path("evaluation")
        output = self.output or beside
        degradations = [self.degradation] if self.degradation else [f"gaussian:{sigma:g}" for sigma in self.sigma]
        results = evaluate_data(
            lambda: load_denoiser(self, processes),
            self.data,
            output,
            degradations=degradations,
            peers=self.peers,
            split=self.split,
            seed=self.seed,
            skip_bad=self.skip_bad,
            revision=self.dataset_revision,
            config=self.dataset_config,
            columns=parse_columns(self.columns),
            make_degraded=self.make_degraded,
            limit=self.limit,
            model=self.model or "packaged weights",
            digest=lambda: weights_digest(checkpoint_folder(self.model or PACKAGED, local_files_only=True)),
            overwrite=self.overwrite,
            processes=processes,
        )
        if processes.is_main:
            print(unescape(report_markdown(results)))
            print(output / REPORT_PAGE)
