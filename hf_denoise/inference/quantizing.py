"""A saved model in 8-bit integers: quantised after training with NNCF, for OpenVINO, and measured.

Weights and features of most convolutions become int8 (Krishnamoorthi, 2018, arXiv:1806.08342). What is left in float32
is what an error goes straight into the picture from: the layers at full resolution and the first convolution; and what
takes few large values under strong noise, which would coarsen all others: the coarse levels of the decoder, its
upsampling, its gates and its sums. At a concatenation they would do so to the skip from the encoder, too.
"""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from hf_denoise._version import __version__
from hf_denoise.arrays import FloatImage
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable, written_beside
from hf_denoise.hub.files import INT8, INT8_DATA, INT8_FACTS, PACKAGED, WEIGHTS, checkpoint_folder
from hf_denoise.inference.openvino_engine import OpenVinoEngine, convert
from hf_denoise.inference.quantized import CLOSE, fingerprint
from hf_denoise.metrics.quality import psnr
from hf_denoise.model.folding import fold_batch_norm
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.noise.degradations import parse_degradation

SIDE = 256  # of the crops; more than the windows of the gates
# Each strength and kind has its share: the ranges of the integers must hold the features of the strongest noise.
CALIBRATION = (
    "gaussian:0",
    "gaussian:0-15",
    "gaussian:15-40",
    "gaussian:40-60",
    "gaussian:50-60",
    "gaussian:5-40+jpeg:60-95",
    "camera:1-16",
    "poisson-gaussian:5-50",
)
# What the loss is measured on: (name, degradation, one noise for all channels of a grey picture).
MEASURED = (
    ("no noise", "gaussian:0", False),
    *((f"sigma {sigma}", f"gaussian:{sigma}", False) for sigma in (5, 15, 25, 50)),
    *((f"sigma 25, JPEG {quality}", f"gaussian:25+jpeg:{quality}", False) for quality in (95, 85, 75)),
    *((f"grey, sigma {sigma}", f"gaussian:{sigma}", True) for sigma in (5, 25, 50)),
)


def export_int8(
    model_id: str | None,
    read_crops: Callable[[int, int], list[FloatImage]],
    target: Path,
    *,
    overwrite: bool = False,
    crops: int = 96,
    held_out: int = 12,
) -> dict[str, float]:
    """Write the quantised model beside its weights; where `target` is another folder, with a copy of them.

    Args:
        model_id: a folder, or a repository on the Hub; None is the model in the package.
        read_crops: gives up to so many crops of so many pixels a side, (side, side, 3) float32 in [0, 1], of different
            clean photographs, such as those of the training.
        target: folder of the saved model, new or that of `model_id`.
        overwrite: replace a quantised model that is there.
        crops: for the calibration, each of a photograph of its own as far as there are enough.
        held_out: photographs that are not calibrated on; the loss is measured on a crop of each.

    Returns:
        dB that int8 loses to float32, by kind of noise, on the held-out photographs.

    Raises:
        UserError: the model or the data do not load, there are too few photographs, or `target` cannot be written.
    """
    source = checkpoint_folder(model_id or PACKAGED)
    beside = source.resolve() == target.resolve()
    for name in (INT8,) if beside else (INT8, WEIGHTS):
        if (target / name).exists() and not overwrite:
            raise UserError(f"'{target / name}' already exists; choose another --output, or replace with --overwrite")
    make_writable(target)
    model = DenoisingUNet.from_pretrained(source)
    photographs = read_crops(crops + held_out, SIDE)
    if len(photographs) < 2 * held_out:
        raise UserError(
            f"the data hold {len(photographs)} photographs of at least {SIDE} x {SIDE} pixels; at least {2 * held_out} "
            "are needed, so give a larger folder with --data"
        )
    folded = fold_batch_norm(model)
    quantised = quantise(folded, list(noisy_crops(photographs[held_out:], crops)))
    if not beside:
        model.save_pretrained(target)
    save(quantised, target)
    losses = loss(folded, target / INT8, photographs[:held_out])
    known = {
        "weights": fingerprint(model),
        "version": f"hf_denoise {__version__}",
        "crops": crops,
        "loss_db": {name: round(value, 4) for name, value in losses.items()},
    }
    with written_beside(target / INT8_FACTS) as file:
        file.write((json.dumps(known, indent=2) + "\n").encode())
    return losses


def noisy_crops(photographs: list[FloatImage], count: int) -> Iterator[FloatImage]:
    """Crops under each of `CALIBRATION` in turn, one in four grey with one noise for all channels."""
    rng = np.random.default_rng(1)
    for index in range(count):
        spec = CALIBRATION[index % len(CALIBRATION)]
        grey = (index // len(CALIBRATION)) % 4 == 3
        yield batch_of(degraded(photographs[index % len(photographs)], spec, grey, rng)[0])


def degraded(clean: FloatImage, spec: str, grey: bool, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
    """(noisy, clean), (H, W, 3)."""
    if grey:
        clean = np.repeat(clean.mean(axis=2, keepdims=True), 3, axis=2)
    noisy, clean = parse_degradation(spec).pair(clean, rng)
    return (np.repeat(noisy[..., :1], 3, axis=2) if grey else noisy), clean


def batch_of(picture: FloatImage) -> FloatImage:
    """(H, W, 3) -> (1, 3, H, W)."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None])


def kept_in_float(model: DenoisingUNet) -> list[str]:
    """Patterns of the names of the operations that are not quantised."""
    last = len(model.decoder) - 1
    coarse = "|".join(str(level) for level in range(len(model.decoder)) if level != last - 1)  # and the last itself
    return [
        rf"__module\.(stem|head|encoder\.conv1|decoder\.({coarse}))[./].*",
        r"aten::.*",  # at the top: the normalisation, and the correction that is added to the input
        r"__module\.decoder\.\d+\.(attention|up)[./].*",
        r"__module\.decoder\.\d+\.refine\.\d+/aten::add/Add",
    ]


def quantise(folded: DenoisingUNet, crops: list[FloatImage]) -> Any:
    """The network as a quantised `openvino.Model` for any size that is larger than the windows of the gates.

    Args:
        folded: with BatchNorm folded, float32, on the CPU.
        crops: noisy, (1, 3, SIDE, SIDE).
    """
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    logging.getLogger("nncf").setLevel(logging.WARNING)
    return nncf.quantize(
        convert(folded, 2**20, 2**20),
        nncf.Dataset(crops),
        subset_size=len(crops),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(patterns=kept_in_float(folded), validate=False),
        fast_bias_correction=True,
        # By default a range is a mean over the crops, and strong noise is cut off.
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
        ),
    )


def save(quantised: Any, folder: Path) -> None:
    """Write the two files of an OpenVINO model."""
    import openvino

    (folder / INT8_FACTS).unlink(missing_ok=True)  # without it a half-written model is never used
    try:
        openvino.save_model(quantised, folder / INT8, compress_to_fp16=False)
    except (OSError, RuntimeError) as error:
        for name in (INT8, INT8_DATA):
            (folder / name).unlink(missing_ok=True)
        raise UserError(f"could not write '{folder / INT8}'; free space or choose another --output") from error


@torch.inference_mode()
def loss(folded: DenoisingUNet, int8: Path, photographs: list[FloatImage]) -> dict[str, float]:
    """dB that int8 loses to float32 by kind of noise, mean over crops; both are the network alone."""
    engines = OpenVinoEngine(folded, "float32"), OpenVinoEngine(folded, "int8", int8)
    losses = {}
    for name, spec, grey in tqdm(MEASURED, desc="measure", unit="kind"):
        found = []
        for index, photograph in enumerate(photographs):
            noisy, clean = degraded(photograph, spec, grey, np.random.default_rng(index))
            outputs = [engine(torch.from_numpy(batch_of(noisy)))[0].permute(1, 2, 0).numpy() for engine in engines]
            found.append([psnr(output.clip(0, 1).astype(np.float32), clean) for output in outputs])
        full, eight = np.mean(found, axis=0)
        losses[name] = float(full - eight)
    return losses


def summary(losses: dict[str, float]) -> str:
    """The losses as text, and what `auto` makes of them."""
    lines = [f"{name}: {value:+.3f} dB" for name, value in losses.items()]
    worst = max(losses, key=losses.__getitem__)
    verdict = "may take it" if losses[worst] <= CLOSE else f"never takes it: more than {CLOSE} dB is lost"
    return "\n".join(["lost to float32:", *lines, f"most at {worst}; precision=auto {verdict}"])
