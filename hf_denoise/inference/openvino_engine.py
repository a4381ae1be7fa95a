"""The network in OpenVINO, on the CPU: converted from the very module, and compiled for each shape of a tile."""

import importlib.util
import threading
import warnings
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hf_denoise.errors import UserError
from hf_denoise.model.blocks import SCSE
from hf_denoise.model.unet import DenoisingUNet, pad_to_multiple

INSTALL = 'pip install "hf_denoise[openvino]"'
KEPT = 8  # compiled shapes; the tiles of one picture have at most four
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}  # int8: of the layers that are not quantised


def is_installed() -> bool:
    """Whether the package openvino is there; it is not imported."""
    try:
        return importlib.util.find_spec("openvino") is not None
    except ValueError:  # a module that was put there by hand
        return False


@cache
def core() -> Any:
    """OpenVINO's entry, one for the whole process and never freed.

    Each would give the thread that uses it first another stack for signals, and unmap that with itself. Where a second
    one was there meanwhile, that stack stays in use: the next signal that Python handles, a Ctrl-C or the end of a
    worker of PyTorch's loader, would end the process with a segmentation fault.
    """
    import openvino

    return openvino.Core()


def multiplies_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this CPU; elsewhere it would take float32 without a word."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def windows(model: DenoisingUNet) -> list[tuple[int, int]]:
    """(window in pixels of the level, stride of the level) of each channel gate, from coarse to fine."""
    gates = [module for module in model.modules() if isinstance(module, SCSE)]
    return [(gate.window, 2 ** (len(gates) - 1 - level)) for level, gate in enumerate(gates)]


def branches(model: DenoisingUNet, height: int, width: int) -> tuple[bool, ...]:
    """For each channel gate, whether it averages over a local window: what a trace of this size would freeze."""
    return tuple(window >= 3 and max(height, width) // stride > window for window, stride in windows(model))


def is_thin(model: DenoisingUNet, height: int, width: int) -> bool:
    """Whether a side is shorter than the cells of a local mean: PyTorch averages what is there, OpenVINO refuses."""
    return any(
        local and min(height, width) // stride < window // 3
        for local, (window, stride) in zip(branches(model, height, width), windows(model), strict=True)
    )


def convert(model: DenoisingUNet, height: int, width: int) -> Any:
    """The network as an `openvino.Model` for any batch of one, height and width that take the same `branches`.

    Args:
        model: in evaluation mode, float32, on the CPU.
        height, width: multiples of the stride. What is traced is a picture of this size, or a smaller one that takes
            the same way through the code.
    """
    import openvino

    largest = max(window * stride for window, stride in windows(model))
    enough = (largest // model.stride + 1) * model.stride
    example = torch.rand(1, 3, min(height, enough), min(width, enough), dtype=torch.float32)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer, on the branches
        traced = torch.jit.trace(model, example, check_trace=False)
        converted = openvino.convert_model(traced)
    converted.reshape([1, 3, -1, -1])
    return converted


class OpenVinoEngine:
    """A network that runs in OpenVINO with as many threads as PyTorch has; one picture at a time.

    Args:
        model: folded, float32, on the CPU.
        precision: "float32", "bfloat16" or "int8".
        int8: the quantised model, see `hf_denoise.inference.quantizing`; images smaller than the windows of the gates,
            which it does not know, run in float32.

    Shape: (1, 3, H, W) float32 -> (1, 3, H, W), any H, W >= 1.
    """

    name = "openvino"

    def __init__(self, model: DenoisingUNet, precision: str, int8: Path | None = None):
        self.model, self.precision, self.int8 = model, precision, int8
        self._converted: dict[tuple[bool, ...], Any] = {}
        self._compiled: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._last: Any = None
        self._lock = threading.Lock()

    def __call__(self, batch: Tensor) -> Tensor:
        height, width = batch.shape[-2:]
        padded = pad_to_multiple(batch, self.model.stride).contiguous().numpy()
        if is_thin(self.model, *padded.shape[-2:]):
            return self.model(batch)
        with self._lock:
            compiled = self._for_shape(*padded.shape[-2:])
            clean = compiled([padded], share_inputs=True)[0]
        return torch.from_numpy(clean)[..., :height, :width]

    def _for_shape(self, height: int, width: int) -> Any:
        compiled = self._compiled.get((height, width))
        if compiled is None:
            while len(self._compiled) >= KEPT:
                self._compiled.popitem(last=False)
            compiled = self._compiled[height, width] = self._compile(height, width)
        self._compiled.move_to_end((height, width))
        # One shape's activations at a time, as in PyTorch.
        if self._last is not None and self._last is not compiled:
            self._last.release_memory()
        self._last = compiled
        return compiled

    def _compile(self, height: int, width: int) -> Any:

        shaped = self._network(branches(self.model, height, width), height, width).clone()
        shaped.reshape([1, 3, height, width])
        settings = {
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,  # several processes would all take the first cores
            "INFERENCE_PRECISION_HINT": HINTS[self.precision],
        }
        return core().compile_model(shaped, "CPU", settings)

    def _network(self, taken: tuple[bool, ...], height: int, width: int) -> Any:

        if taken not in self._converted:
            if self.int8 is not None and taken == branches(self.model, 2**20, 2**20):
                self._converted[taken] = core().read_model(self.int8)
            else:
                self._converted[taken] = convert(self.model, height, width)
        return self._converted[taken]


def check_installed(wanted: str) -> None:
    """Refuse what needs OpenVINO where it is not installed.

    Raises:
        UserError: it is not; `wanted`, such as "engine='openvino'", begins the sentence.
    """
    if not is_installed():
        raise UserError(f"{wanted} needs OpenVINO, which is not installed here; {INSTALL}")
