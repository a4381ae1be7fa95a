"""Speed of networks at equal precision on equal tiles, and what each step gave to ours. Weights do not matter here."""

import copy
import itertools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import machine  # puts the checkout on the path, also in a child process
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from hf_denoise import Denoiser, DenoisingUNet
from hf_denoise.errors import UserError
from hf_denoise.model.folding import fold_batch_norm

OURS = "hf_denoise"
Timer = Callable[[], float]  # runs once, gives seconds


class FFDNet(nn.Module):
    """Colour FFDNet (Zhang et al., 2018, arXiv:1710.04026): twelve 3x3 convolutions of 96 channels at half resolution.

    BatchNorm is left out: it is folded away for inference.

    Shape: (B, 3, H, W) -> (B, 3, H, W), even H and W. The noise level is a constant map.
    """

    def __init__(self, channels: int = 96, depth: int = 12):
        super().__init__()
        widths = [4 * 3 + 1, *[channels] * (depth - 1), 4 * 3]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, image: Tensor) -> Tensor:
        x = F.pixel_unshuffle(image, 2)
        noise = x.new_full((len(x), 1, *x.shape[-2:]), 25 / 255)
        return F.pixel_shuffle(self.body(torch.cat([x, noise], dim=1)), 2)


def peers(encoder: str, missing: list[str]) -> dict[str, nn.Module]:
    """Networks to compare with, random weights; what is not installed adds a sentence to `missing`.

    The U-Net of the same family is compared on `encoder`, which is that of ours, and on the smallest common one.
    """
    found: dict[str, nn.Module] = {}
    try:
        import segmentation_models_pytorch as smp
    except (ImportError, OSError):
        missing.append(
            "The U-Net of segmentation_models_pytorch is left out, as it cannot be imported; "
            "install it with: pip install segmentation-models-pytorch"
        )
    else:
        for name in dict.fromkeys(("resnet18", encoder)):
            unet = smp.Unet(name, encoder_weights=None, decoder_attention_type="scse", classes=3).eval()
            found[f"smp.Unet, {name}, scse"] = unet
            found[f"smp.Unet, {name}, scse, BatchNorm folded by us"] = fold_batch_norm(unet)
    found["FFDNet, colour"] = FFDNet().eval()
    return found


def cost(network: nn.Module, side: int) -> dict[str, float]:
    """Multiply-accumulates of all convolutions in thousands per pixel of a square tile, and parameters in millions."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        # Every output of a convolution, and every input of a transposed one, meets the whole kernel once.
        elements = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        channels = module.out_channels if isinstance(module, nn.ConvTranspose2d) else module.in_channels
        total += elements.numel() * channels // module.groups * module.kernel_size[0] * module.kernel_size[1]

    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [module.register_forward_hook(count) for module in convolutions]
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side).to(memory_format=torch.channels_last))
    for hook in hooks:
        hook.remove()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"kmac_per_pixel": total / side**2 / 1e3, "million_parameters": parameters / 1e6}


def timer(network: nn.Module, side: int, half: bool, memory_format: torch.memory_format) -> Timer:
    """One forward pass of a network over one square tile of noise, in bfloat16 autocast where `half` is set."""
    network = network.to(memory_format=memory_format)
    tile = torch.rand(1, 3, side, side).to(memory_format=memory_format)

    @torch.inference_mode()
    def run() -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            network(tile)
        return time.perf_counter() - start

    return run


def interleave(timers: Mapping[str, Timer], rounds: int, title: str) -> dict[str, list[float]]:
    """Run all in turn, `rounds` times, in alternating order: a load on the machine hits all alike.

    Returns:
        Seconds of every run but the first, which only warms up.
    """
    names = list(timers)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for index in tqdm(range(rounds + 1), desc=title, unit="round"):
        for name in names if index % 2 else reversed(names):
            elapsed = timers[name]()
            if index:
                seconds[name].append(elapsed)
    return seconds


def ratio(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """Median of the ratios within a round."""
    return statistics.median(a / b for a, b in zip(seconds, reference, strict=True))


def compare_networks(
    model: str | None, precisions: Sequence[str], sides: Sequence[int], rounds: int, missing: list[str]
) -> list[dict[str, Any]]:
    """Our network as `Denoiser` runs it, the same with global gates, and the peers: cost, and speed for each setting.

    Returns:
        A row per network: `name`, its cost, and `speed`, a list of precision, side, Mpx/s and time relative to ours.
    """
    others = peers(load(model)._hub_mixin_config["encoder"], missing)
    rows: dict[str, dict[str, Any]] = {}
    for precision in precisions:
        ours, global_gates = (
            Denoiser(network, precision=precision, device="cpu").model
            for network in (load(model), load(model, gate_window=0))
        )
        networks = {OURS: ours, f"{OURS}, global gates": global_gates, **others}
        for name, network in networks.items():
            if name not in rows:
                rows[name] = {"name": name, **cost(network, max(sides)), "speed": []}
        for side in sides:
            half = precision == "bfloat16"
            timers = {name: timer(network, side, half, torch.channels_last) for name, network in networks.items()}
            seconds = interleave(timers, rounds, f"networks, {precision}, {side} x {side}")
            for name, values in seconds.items():
                speed = {
                    "precision": precision,
                    "side": side,
                    "mpx_per_s": side**2 / 1e6 / statistics.median(values),
                    "time_to_ours": ratio(values, seconds[OURS]),
                }
                rows[name]["speed"].append(speed)
    return list(rows.values())


def load(model: str | None, **options: Any) -> DenoisingUNet:
    """A saved model, None for the packaged one, without `Denoiser` and so without its settings."""
    return DenoisingUNet.from_pretrained(model or Path(machine.ROOT) / "hf_denoise" / "checkpoints", **options)


def compare_steps(model: str | None, bfloat16: bool, sides: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """What each step gave to our network, one on top of the other.

    The first runs in a process of its own with the C library's allocator as it comes, since `keep_freed_memory` is
    for a whole process; it takes its turn with the others.

    Returns:
        A row per step: `name` and `speed`, a list of side, Mpx/s, and the speed relative to the step before and to
        the first.
    """
    plain = load(model)
    folded = fold_batch_norm(plain)
    first = "float32, as PyTorch comes"
    rows: dict[str, dict[str, Any]] = {}
    for side in sides:
        # Copies, since a module keeps one memory format.
        timers: dict[str, Timer] = {
            "+ allocator that keeps freed memory": timer(copy.deepcopy(plain), side, False, torch.contiguous_format),
            "+ channels_last": timer(plain, side, False, torch.channels_last),
            "+ folded BatchNorm": timer(folded, side, False, torch.channels_last),
        }
        if bfloat16:
            timers["+ bfloat16"] = timer(folded, side, True, torch.channels_last)
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        child = context.Process(target=_serve, args=(there, model, side), daemon=True)
        child.start()
        there.close()  # so that a child that dies is an EOFError here

        def first_timer(connection: Any = here) -> float:
            try:
                connection.send(True)
                return float(connection.recv())
            except (EOFError, ConnectionError) as error:
                raise UserError("the process that times the network without our settings ended early") from error

        try:
            seconds = interleave({first: first_timer, **timers}, rounds, f"steps, {side} x {side}")
        finally:
            here.close()  # which ends the child
            child.join(10)
        before = first
        for name, values in seconds.items():
            speed = {
                "side": side,
                "mpx_per_s": side**2 / 1e6 / statistics.median(values),
                "gain": ratio(seconds[before], values),
                "total": ratio(seconds[first], values),
            }
            rows.setdefault(name, {"name": name, "speed": []})["speed"].append(speed)
            before = name
    return list(rows.values())


def _serve(connection: Connection, model: str | None, side: int) -> None:
    """Run the plain network whenever something comes in and answer with the seconds, until the other side closes."""
    run = timer(load(model), side, False, torch.contiguous_format)
    with suppress(EOFError):
        while connection.recv():
            connection.send(run())
