"""Image denoising that keeps defects."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_denoise.inference.denoiser import Denoiser
    from hf_denoise.model.unet import DenoisingUNet

__all__ = ["Denoiser", "DenoisingUNet", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load torch and timm at the first use: `hf-denoise --help` needs neither."""
    if name == "DenoisingUNet":
        from hf_denoise.model.unet import DenoisingUNet

        return DenoisingUNet
    if name == "Denoiser":
        from hf_denoise.inference.denoiser import Denoiser

        return Denoiser
    raise AttributeError(f"module 'hf_denoise' has no attribute '{name}'")
