"""All benchmarks by name. A new one is a module with `run(options: Options) -> None` and a line here."""

import importlib.util
import sys
from dataclasses import dataclass
from importlib import import_module

from benchmarks.shared.options import PLACES, Options
from hf_denoise.errors import UserError


@dataclass(frozen=True)
class Benchmark:
    """Where a benchmark is, what it measures, and what it cannot run without.

    Attributes:
        module: has `run(options)`, which writes NAME.md and NAME.json into `options.output`.
        measures: in a few words.
        needs: kinds of data, attributes of `Options`; quick runs make do with pictures of their own.
        packages: that hf_denoise itself does not need.
    """

    module: str
    measures: str
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def lacks(self, options: Options) -> str | None:
        """What is missing and how to give it; None where nothing is."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                return f"needs the package {package}; install it with: pip install {package}"
        for kind in () if options.quick else self.needs:
            if getattr(options, kind) is None:
                places = " or ".join(f"'{name}'" for name in PLACES[kind])
                return f"needs --{kind} FOLDER, or --data FOLDER with {places} in it"
        return None

    def run(self, options: Options) -> None:
        """Measure, and write the results."""
        import_module(self.module).run(options)


BENCHMARKS: dict[str, Benchmark] = {
    "quality": Benchmark(
        "benchmarks.quality.benchmark",
        "PSNR, SSIM and speed over kinds of noise, beside other denoisers",
        needs=("photos",),
    ),
    "subjects": Benchmark(
        "benchmarks.subjects", "pictures of kinds that no training saw, beside BM3D", packages=("bm3d",)
    ),
    "tiles": Benchmark(
        "benchmarks.tiles", "how much of real defects is kept, beside other denoisers", needs=("tiles",)
    ),
    "survival": Benchmark(
        "benchmarks.survival.benchmark",
        "which small defects survive, beside other denoisers; is the probe right about real ones?",
        needs=("photos", "tiles"),
        packages=("statsmodels",),
    ),
    "defect_weight": Benchmark(
        "benchmarks.defect_weight", "lambda of the loss: fine-tuned with 1, 5 and 20, then probed", needs=("tiles",)
    ),
    "structure": Benchmark(
        "benchmarks.structure.benchmark", "the structure number of noise, denoisers and defects", needs=("photos",)
    ),
    "networks": Benchmark("benchmarks.networks", "speed of the network beside networks of other packages"),
    "engines": Benchmark("benchmarks.engines", "engines and precisions: speed, difference and memory"),
    "onnx_speed": Benchmark(
        "benchmarks.onnx_speed",
        "the exported file in ONNX Runtime beside PyTorch",
        packages=("onnxruntime", "onnxscript"),
    ),
    "memory": Benchmark("benchmarks.memory", "peak memory and time over the size of a file"),
    "why": Benchmark("benchmarks.why", "the picture at the head of the page: a defect under noise, denoised twice"),
    "start": Benchmark("benchmarks.start", "time from the command to the result, and what the imports take of it"),
    "page_time": Benchmark(
        "benchmarks.page.waiting", "time from dropping a picture on the page to the result", packages=("playwright",)
    ),
    "load_page": Benchmark("benchmarks.page.load", "20 people at once on the page"),
    "page_memory": Benchmark("benchmarks.page.memory", "memory of the page over 200 pictures of mixed size"),
    "fuzz_page": Benchmark("benchmarks.page.fuzz", "whole, hostile and damaged files through the page"),
    "train_speed": Benchmark("benchmarks.train_speed", "train.py beside a bare PyTorch loop"),
    "kill_resume": Benchmark(
        "benchmarks.kill_resume", "a training that is killed again and again beside one left alone"
    ),
    "streaming_memory": Benchmark("benchmarks.streaming_memory", "memory of --streaming over 100 000 triplets"),
}


def run_one(name: str, options: Options) -> None:
    """Run a benchmark in this process, which ends with status 2 where the user can put something right."""
    try:
        BENCHMARKS[name].run(options)
    except UserError as error:
        print(f"error: {name}: {error}", file=sys.stderr)
        sys.exit(2)
