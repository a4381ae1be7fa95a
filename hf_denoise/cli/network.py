"""The network that a command runs, from the options that say which and how."""

from typing import TYPE_CHECKING, Literal, Protocol

from hf_denoise.distributed.processes import Processes

if TYPE_CHECKING:
    from hf_denoise.inference.denoiser import Denoiser

Engine = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "float32", "bfloat16", "int8"]


class NetworkOptions(Protocol):
    """Options of a command that runs a network."""

    @property
    def model(self) -> str | None: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def precision(self) -> Precision: ...

    @property
    def device(self) -> str: ...

    @property
    def self_ensemble(self) -> bool: ...


def load_denoiser(options: NetworkOptions, processes: Processes, tile: int = 1024) -> "Denoiser":
    """The denoiser of one process; the main one fetches the weights first.

    Where no device was asked for it is that of the process, or the one for the engine that was asked for.
    """
    from hf_denoise.inference.denoiser import Denoiser

    device, engine = options.device, options.engine
    if device == "auto":
        device = "cpu" if engine == "openvino" or options.precision == "int8" else processes.device
    if engine == "torch" and options.precision == "int8":
        engine = "auto"
    return processes.each(
        lambda: Denoiser.from_pretrained(
            options.model,
            tile=tile,
            engine=engine,
            precision=options.precision,
            device=device,
            self_ensemble=options.self_ensemble,
        )
    )
