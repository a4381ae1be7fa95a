"""Speed of networks at equal precision on equal tiles. Weights do not matter here."""

import itertools
import statistics
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.shared import machine
from benchmarks.shared.clocks import Timer, interleave, ratio
from benchmarks.shared.options import Options
from hf_denoise import DenoisingUNet
from hf_denoise.cpu import bfloat16_is_faster, keep_freed_memory
from hf_denoise.hub.files import PACKAGED
from hf_denoise.model.folding import fold_batch_norm

OURS = "hf_denoise"
PACKAGES = ("torch", "timm", "segmentation-models-pytorch")


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
            found[f"smp.Unet, {name}, scse, BatchNorm folded"] = fold_batch_norm(unet)
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
    def seconds() -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            network(tile)
        return time.perf_counter() - start

    return seconds


def measure(
    model: str | None, precisions: Sequence[str], sides: Sequence[int], rounds: int, missing: list[str]
) -> list[dict[str, Any]]:
    """Our network as `Denoiser` runs it, and the peers: cost, and speed for each setting.

    Returns:
        A row per network: `name`, its cost, and `speed`, a list of precision, side, Mpx/s and time relative to ours.
    """
    rows: dict[str, dict[str, Any]] = {}
    for precision in precisions:
        ours = fold_batch_norm(DenoisingUNet.from_pretrained(model or PACKAGED)).to(memory_format=torch.channels_last)
        networks: dict[str, nn.Module] = {OURS: ours, **peers(ours._hub_mixin_config["encoder"], missing)}
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


def run(options: Options) -> None:
    """Measure; write networks.md and networks.json."""
    sides, rounds = ((128,), 2) if options.quick else ((512, 1024), 9)
    keep_freed_memory()  # for the whole process: networks that are not ours get it too
    about = {**machine.describe(PACKAGES), "threads": torch.get_num_threads()}
    missing: list[str] = []
    precisions = ("float32", "bfloat16") if bfloat16_is_faster() else ("float32",)
    rows = measure(options.model, precisions, sides, rounds, missing)
    settings = [(speed["precision"], speed["side"]) for speed in rows[0]["speed"]]
    paragraphs = [
        "# Speed of networks",
        machine.sentence(about),
        *dict.fromkeys(missing),
        "One tile, channels_last, inference mode, the same allocator setting for all, in turn. The weights of the "
        "others are random, which does not change their speed; nothing is said about their quality. Ours runs as "
        "`Denoiser` runs it, with BatchNorm folded. FFDNet has its published shape. A cell is Mpx/s, and the time "
        "relative to ours, the median of the ratios within a round.",
        machine.table(
            ("network", "kMAC per pixel", "parameters, M", *(f"{p}, {side} x {side}" for p, side in settings)),
            [
                (
                    row["name"],
                    f"{row['kmac_per_pixel']:.1f}",
                    f"{row['million_parameters']:.2f}",
                    *(f"{speed['mpx_per_s']:.3g} ({speed['time_to_ours']:.2f} x)" for speed in row["speed"]),
                )
                for row in rows
            ],
        ),
    ]
    machine.write(options.output, "networks", {"machine": about, "rounds": rounds, "networks": rows}, paragraphs)
