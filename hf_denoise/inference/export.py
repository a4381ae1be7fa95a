"""A saved model as one ONNX file that takes any batch, height and width and needs neither PyTorch nor this package."""

import logging
import statistics
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from tqdm import tqdm

from hf_denoise._version import __version__
from hf_denoise.errors import UserError, cause_of
from hf_denoise.files import make_writable, written_beside
from hf_denoise.hub.files import CARD, PACKAGED, checkpoint_folder
from hf_denoise.hub.licence import card_metadata, known_licence
from hf_denoise.model.dynamic import DynamicUNet
from hf_denoise.model.folding import fold_batch_norm
from hf_denoise.model.unet import DenoisingUNet

INPUT, OUTPUT = "noisy", "clean"
SIDE, ROUNDS = 512, 5  # of the comparison of speed
OPSET = 18  # what ONNX Runtime has known since 1.14
TOLERANCE = 1e-4  # largest difference from PyTorch that is let pass, where the range of an image is 1
# (batch, height, width) that a file is tried on: smaller than the stride, odd, on either side of the gates' window.
SIZES = ((1, 1, 1), (3, 2, 9), (2, 37, 53), (1, 96, 96), (1, 97, 96), (1, 256, 256), (1, 100, 1000))


@dataclass(frozen=True)
class Exported:
    """What is known of a file: its size in bytes, the largest `difference` over `SIZES`, and the median seconds for
    a square image of `SIDE` pixels in ONNX Runtime and in PyTorch, both in float32 on this CPU."""

    size: int
    difference: float
    seconds: float
    torch_seconds: float


def export_onnx(model_id: str | None, target: Path, *, overwrite: bool = False) -> Exported:
    """Write a saved model as an ONNX file, once it has given what PyTorch gives; see `to_onnx` for what it takes.

    Args:
        model_id: a folder, or a repository on the Hub; None is the model in the package.
        target: file to write, its name ending in .onnx.
        overwrite: replace a file that exists.

    Raises:
        UserError: the model does not load or cannot be written as ONNX, the file cannot be written, or its results
            are more than `TOLERANCE` off; then no file is there.
    """
    if target.suffix != ".onnx" or target.is_dir():
        raise UserError(f"--output '{target}' must be a file with a name that ends in .onnx")
    if target.exists() and not overwrite:
        raise UserError(f"'{target}' already exists; choose another --output, or replace with --overwrite")
    make_writable(target.parent)
    # Folded and with the channels last, as `Denoiser` runs it.
    model = fold_batch_norm(DenoisingUNet.from_pretrained(model_id or PACKAGED)).to(memory_format=torch.channels_last)
    with tqdm(total=3, desc="trace", unit="step") as bar:
        named = licence(model_id)
        content = to_onnx(model, {"license": named} if named else {})
        bar.update()
        bar.set_description("compare")
        runtime = session(content)
        worst = max(difference(runtime, model, shape) for shape in SIZES)
        if not worst <= TOLERANCE:
            raise UserError(
                f"'{target}' was not written: in ONNX Runtime {onnxruntime.__version__} its results are {worst:.1g} "
                f"off those of PyTorch, and {TOLERANCE:.0e} is allowed; try other versions of torch and onnxruntime"
            )
        bar.update()
        bar.set_description("time")
        ours, theirs = zip(*timings(runtime, model, SIDE, ROUNDS), strict=True)
        bar.update()
    with written_beside(target) as file:
        file.write(content)
    return Exported(len(content), worst, statistics.median(ours), statistics.median(theirs))


def to_onnx(model: DenoisingUNet, facts: dict[str, str] | None = None) -> bytes:
    """A model as the content of an ONNX file.

    Its input `noisy` and its output `clean` are float32 of shape (batch, 3, height, width), RGB in [0, 1]; nothing is
    clamped. BatchNorm is folded into the convolutions.

    Args:
        model: any `DenoisingUNet`; it is not changed.
        facts: more lines for the file's metadata, such as the licence.

    Raises:
        UserError: the network cannot be written as ONNX.
    """
    example = torch.rand(2, 3, 203, 157, dtype=torch.float32)  # larger than the gates' window, no multiple
    axes = {0: "batch", 2: "height", 3: "width"}
    log = logging.getLogger("torch.onnx")
    level = log.level
    try:
        log.setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter's own insides
            program = torch.onnx.export(
                DynamicUNet(model).eval(),
                (example,),
                dynamo=True,
                dynamic_shapes=(axes,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        # The cause alone: the error itself tells what to do next with the exporter, in colour.
        raise UserError(
            f"this network cannot be written as ONNX by torch {torch.__version__}: {cause_of(error)}"
        ) from error
    finally:
        log.setLevel(level)
    assert program is not None
    return described(program.model_proto, facts or {}).SerializeToString()


def described(proto: onnx.ModelProto, facts: dict[str, str]) -> onnx.ModelProto:
    """The file with what is needed to use it, in the place of the exporter's notes on its own work."""
    graph = proto.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*graph.input, *graph.output):
        for axis, name in ((0, "batch"), (2, "height"), (3, "width")):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    graph.name = "hf_denoise"
    proto.producer_name, proto.producer_version = "hf_denoise", __version__
    proto.doc_string = "Image denoiser that keeps defects."
    shape = "float32 (batch, 3, height, width), RGB, any height and width from 1"
    onnx.helper.set_model_props(
        proto,
        {
            INPUT: f"{shape}; 0 is black and 1 is white, noise may lie outside; not normalised: that happens inside",
            OUTPUT: f"{shape}, same as {INPUT}; on the same scale, not clamped to [0, 1]",
            "version": f"hf_denoise {__version__}",
            **facts,
        },
    )
    onnx.checker.check_model(proto)
    return proto


def session(content: bytes) -> onnxruntime.InferenceSession:
    """An ONNX file in ONNX Runtime on the CPU, with as many threads as PyTorch uses."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def difference(runtime: onnxruntime.InferenceSession, model: DenoisingUNet, shape: tuple[int, int, int]) -> float:
    """The largest difference between ONNX Runtime and PyTorch on a random batch of shape (batch, height, width)."""
    batch, height, width = shape
    noisy = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    (clean,) = runtime.run([OUTPUT], {INPUT: noisy.numpy()})
    expected = model(noisy).numpy()
    return float(np.abs(clean - expected).max()) if clean.shape == expected.shape else float("inf")


@torch.inference_mode()
def timings(
    runtime: onnxruntime.InferenceSession, model: DenoisingUNet, side: int, rounds: int
) -> list[tuple[float, float]]:
    """Seconds that ONNX Runtime and PyTorch take for a square image, in turn, after a round that is not counted.

    Args:
        runtime: the exported model.
        model: in float32 on the CPU, folded and in the layout that is fastest there.
        side: of the image, in pixels.
        rounds: how often each of them runs.
    """
    noisy = torch.rand(1, 3, side, side, dtype=torch.float32)
    feed, channels_last = {INPUT: noisy.numpy()}, noisy.to(memory_format=torch.channels_last)
    times: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        runtime.run([OUTPUT], feed)
        middle = time.perf_counter()
        model(channels_last)
        times.append((middle - start, time.perf_counter() - middle))
    return times[1:]


def licence(model_id: str | None) -> str | None:
    """What the card of a saved model names as its licence; None where there is no card, or it names none.

    Args:
        model_id: a folder or a repository on the Hub; None is the model in the package.
    """
    folder = checkpoint_folder(model_id or PACKAGED, local_files_only=True)
    return known_licence(card_metadata(folder / CARD)).get("license")
