"""Image denoising that keeps defects."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hf_denoise._version import __version__

if TYPE_CHECKING:
    from hf_denoise.data.triplets import load_triplets
    from hf_denoise.inference.denoiser import Denoiser
    from hf_denoise.model.unet import DenoisingUNet

__all__ = ["Denoiser", "DenoisingUNet", "__version__", "load_triplets"]

# Imported at the first use: `hf-denoise --help` needs neither torch nor timm.
_HOMES = {
    "Denoiser": "hf_denoise.inference.denoiser",
    "DenoisingUNet": "hf_denoise.model.unet",
    "load_triplets": "hf_denoise.data.triplets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hf_denoise' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
