"""What runs the network: PyTorch, which is the reference, or OpenVINO where that is asked for or measured faster."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from hf_denoise.cpu import bfloat16_is_faster
from hf_denoise.errors import UserError, cause_of
from hf_denoise.inference import openvino_engine
from hf_denoise.inference.openvino_engine import OpenVinoEngine, check_installed
from hf_denoise.inference.quantized import is_close
from hf_denoise.model.unet import DenoisingUNet

ENGINES = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16", "int8")
# Pixels from which the seconds that a comparison takes, most of them for the conversion, are soon made up for.
WORTH = 8_000_000
SIDE, ROUNDS = 320, 3  # of the comparison
CLEARLY = 0.95  # share of the other's time that is believed to be less

_logger = logging.getLogger(__name__)


class Engine(Protocol):
    """A network: (1, 3, H, W) float32 -> (1, 3, H, W), not clamped, both on the device of the `Denoiser`."""

    @property
    def name(self) -> str: ...
    @property
    def precision(self) -> str: ...
    def __call__(self, batch: Tensor) -> Tensor: ...


class TorchEngine:
    """The network in PyTorch, in "float32" or "bfloat16"."""

    name = "torch"

    def __init__(self, model: DenoisingUNet, precision: str, device: torch.device):
        self.model, self.precision, self.device = model, precision, device

    def __call__(self, batch: Tensor) -> Tensor:
        half = self.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16) if half else nullcontext():
            return self.model(batch.contiguous(memory_format=torch.channels_last)).float()


class Delegate:
    """An engine that lets another one work, which may change."""

    def __init__(self, engine: Engine, torch_engine: TorchEngine):
        self._engine, self._torch = engine, torch_engine

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def precision(self) -> str:
        return self._engine.precision


class Fallback(Delegate):
    """An engine, and PyTorch once that engine has failed."""

    def __call__(self, batch: Tensor) -> Tensor:
        engine = self._engine
        if engine is not self._torch:
            try:
                return engine(batch)
            except Exception as error:
                if self._engine is engine:  # one of several threads says so
                    self._engine = self._torch
                    _logger.warning("%s failed (%s); going on with torch", engine.name, cause_of(error))
        return self._torch(batch)


class Fastest(Delegate):
    """One engine, until there is enough work to compare it with others; from then on the fastest of them."""

    def __init__(self, first: Engine, others: Callable[[], list[Engine]], torch_engine: TorchEngine):
        super().__init__(first, torch_engine)
        self._others = others
        self._seen, self._decided = 0, False
        self._lock = threading.Lock()
        self.seconds: dict[tuple[str, str], float] = {}  # of the comparison, by engine and precision

    def __call__(self, batch: Tensor) -> Tensor:
        return self._engine(batch)

    def expect(self, pixels: int) -> None:
        """Be told of work before it is done: never in the middle of a picture does the engine change."""
        with self._lock:
            self._seen += pixels
            if self._seen >= WORTH and not self._decided:
                self._decided = True
                self.decide()

    def decide(self) -> None:
        """Compare them, in turn, on one small picture."""
        engines = [self._engine]
        try:
            engines += self._others()
            times = timed(engines)
        except Exception as error:
            _logger.warning("openvino failed (%s); going on with %s", cause_of(error), self.name)
            return
        self.seconds = {(engine.name, engine.precision): best for engine, best in zip(engines, times, strict=True)}
        best = min(range(len(engines)), key=times.__getitem__)
        if times[best] < CLEARLY * times[0]:
            self._engine = Fallback(engines[best], self._torch)


def timed(engines: Sequence[Engine], side: int = SIDE, rounds: int = ROUNDS) -> list[float]:
    """The shortest time of each engine for a square picture, in turn, after a round that is not counted."""
    batch = torch.rand(1, 3, side, side, dtype=torch.float32)
    best = [float("inf")] * len(engines)
    with torch.inference_mode():
        for done in range(rounds + 1):
            for index, engine in enumerate(engines):
                start = time.perf_counter()
                engine(batch)
                if done:
                    best[index] = min(best[index], time.perf_counter() - start)
    return best


def create_engine(
    model: DenoisingUNet, device: torch.device, engine: str, precision: str, int8: Path | None
) -> TorchEngine | Fallback | Fastest:
    """The engine that was asked for.

    Args:
        model: folded, on the device.
        device: of PyTorch; OpenVINO runs on the CPU alone.
        engine, precision: one of `ENGINES` and of `PRECISIONS`.
        int8: the quantised model; None where there is none.

    Raises:
        UserError: they do not go together, or OpenVINO or the quantised model is not there.
    """
    if engine not in ENGINES:
        raise UserError(f"engine must be auto, torch or openvino, got '{engine}'")
    if precision not in PRECISIONS:
        raise UserError(f"precision must be auto, float32, bfloat16 or int8, got '{precision}'")
    wanted = "precision='int8'" if precision == "int8" else "engine='openvino'"
    if engine == "torch" and precision == "int8":
        raise UserError("precision='int8' runs in OpenVINO; use engine='openvino' or 'auto'")
    needs_openvino = engine == "openvino" or precision == "int8"
    if needs_openvino and device.type != "cpu":
        raise UserError(f"{wanted} runs on the CPU and not on '{device}'; use device='cpu'")
    if needs_openvino:
        check_installed(wanted)
    if precision == "int8" and int8 is None:
        raise UserError(
            "precision='int8' needs a quantised model beside the weights; make one with `hf-denoise export int8`"
        )
    in_torch = precision if precision in ("float32", "bfloat16") else _torch_precision(device, precision)
    torch_engine = TorchEngine(model, in_torch, device)
    if engine == "openvino" and precision == "bfloat16" and not openvino_engine.multiplies_bfloat16():
        raise UserError("OpenVINO has no bfloat16 on this CPU; use precision='float32' or engine='torch'")
    if engine == "openvino" and precision == "auto":
        first = Fallback(OpenVinoEngine(model, "float32"), torch_engine)
        return Fastest(first, lambda: openvino_engines(model, ("bfloat16", "int8"), int8), torch_engine)
    if needs_openvino:
        return Fallback(OpenVinoEngine(model, precision, int8 if precision == "int8" else None), torch_engine)
    if engine == "torch" or device.type != "cpu" or not openvino_engine.is_installed():
        return torch_engine
    precisions = PRECISIONS[1:] if precision == "auto" else (precision,)
    return Fastest(torch_engine, lambda: openvino_engines(model, precisions, int8), torch_engine)


def openvino_engines(model: DenoisingUNet, precisions: Sequence[str], int8: Path | None) -> list[Engine]:
    """Those that `auto` may take: int8 only where it was measured to lose next to nothing."""
    if not openvino_engine.multiplies_bfloat16():
        precisions = [name for name in precisions if name != "bfloat16"]
    if int8 is None or not is_close(int8):
        precisions = [name for name in precisions if name != "int8"]
    return [OpenVinoEngine(model, name, int8 if name == "int8" else None) for name in precisions]


def _torch_precision(device: torch.device, asked: str) -> str:
    if asked == "int8":  # what is left where OpenVINO fails
        return "float32"
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if device.type == "cpu" and bfloat16_is_faster() else "float32"
