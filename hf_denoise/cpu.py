"""What inference and training on a CPU gain from: bfloat16 where it is fast, and a setting of the C library."""

import ctypes
import os
import time
from functools import cache
from typing import Any

import torch
from torch import nn

# Parameter numbers of glibc's mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

# (channels, side) of the 3 x 3 convolutions that are timed: about what the network has at three of its levels.
_CONVOLUTIONS = ((16, 64), (48, 32), (128, 8))
_ROUNDS = 3
_CLEARLY = 1.2  # times as fast; below that a measurement may be chance


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks for reuse instead of handing them back to the kernel.

    By default every activation above 32 MiB is mapped anew, zeroed by the kernel page by page, and unmapped again:
    that is half of the time of a forward pass. Kept, the process holds on to its peak memory. The setting is for the
    whole process; where the C library is not glibc nothing happens.

    Returns:
        Whether the setting was made.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    # Large blocks are kept in the main arena only: a thread with one of its own, as the page's, would map them anew.
    settings = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_ARENA_MAX, 1))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


@cache
def bfloat16_is_faster() -> bool:
    """Whether PyTorch convolves faster in bfloat16 than in float32 on this CPU; found out once a process.

    With AMX it does. Elsewhere a few convolutions are timed, since instructions for bfloat16 do not tell: with
    AVX512-BF16 alone inference takes 1.6 times as long as in float32, with AVX2 alone many times as long.
    """
    # Older releases of torch do not tell: then they are timed.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities.get("amx_bf16"):
        return True
    full, half = convolution_seconds()
    return full > _CLEARLY * half


@torch.inference_mode()
def convolution_seconds() -> tuple[float, float]:
    """Time of a few convolutions in float32 and in bfloat16, as inference runs them: the shortest of a few."""
    layers = [
        (
            nn.Conv2d(channels, channels, 3, padding=1, dtype=torch.float32).to(memory_format=torch.channels_last),
            torch.rand(1, channels, side, side, dtype=torch.float32).contiguous(memory_format=torch.channels_last),
        )
        for channels, side in _CONVOLUTIONS
    ]
    best = [float("inf"), float("inf")]
    for done in range(_ROUNDS + 1):
        for index in (0, 1):
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bool(index)):
                for convolution, x in layers:
                    convolution(x)
            if done:  # the first round makes the kernels
                best[index] = min(best[index], time.perf_counter() - start)
        if best[0] < best[1] / 2 < float("inf"):  # that far apart, more rounds would say the same
            break
    return best[0], best[1]


def mixed_precision(asked: str) -> str | None:
    """What `--precision` of a training is to Accelerate.

    Args:
        asked: "auto", "no", "bf16" or "fp16".

    Returns:
        For "auto", "bf16" where the training runs on a CPU that is faster with it, else None: what `accelerate launch`
        was configured for.
    """
    if asked != "auto":
        return asked
    told = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    on_cpu = told or not (torch.cuda.is_available() or torch.backends.mps.is_available())
    return "bf16" if on_cpu and bfloat16_is_faster() else None
