"""Which device the network runs on."""

import torch

from hf_denoise.errors import UserError


def pick_device(name: str) -> torch.device:
    """The device of that name, such as "cpu" or "cuda:1"; "auto" is the first of CUDA, MPS and CPU that is there.

    Raises:
        UserError: it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{name}' is not available here; use auto, cpu, cuda or mps") from error
    return device
