"""The quantised model beside the weights: its files, and whether they belong to them."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from hf_denoise.hub.files import INT8, INT8_FACTS, INT8_FILES
from hf_denoise.model.unet import DenoisingUNet

CLOSE = 0.05  # dB that int8 may lose for `auto` to take it

_logger = logging.getLogger(__name__)


def fingerprint(model: DenoisingUNet) -> str:
    """A hash of a model's weights, in float32 and by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def find_int8(folder: Path, model: DenoisingUNet) -> Path | None:
    """The quantised model that lies beside the weights of `model`; None where there is none that was made of them."""
    if not all((folder / name).is_file() for name in INT8_FILES):
        return None
    if facts(folder / INT8).get("weights") != fingerprint(model):
        _logger.warning("%s was made of other weights and is not used; hf-denoise export int8 makes it anew", INT8)
        return None
    return folder / INT8


def is_close(int8: Path) -> bool:
    """Whether it was measured to lose at most `CLOSE` under every kind of noise."""
    losses = facts(int8).get("loss_db")
    return isinstance(losses, dict) and bool(losses) and max(losses.values()) <= CLOSE


def facts(int8: Path) -> dict[str, Any]:
    """What was written about a quantised model when it was made; nothing where that cannot be read."""
    try:
        found = json.loads((int8.parent / INT8_FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
