"""What a process that `accelerate launch` or torchrun started knows of it."""

import json
import os
import sys
import time
from pathlib import Path

from hf_denoise.errors import UserError

MISTAKE = "error: "
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def asked_on_cpu() -> bool:
    """Whether this is `accelerate launch --cpu`."""
    return os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"


def launched() -> bool:
    """Whether a launcher started this process: every way of `accelerate launch` and torchrun sets one of these."""
    return "ACCELERATE_USE_CPU" in os.environ or "LOCAL_RANK" in os.environ


def rank() -> int:
    """Number of this process among those of the launcher; 0 is the main one, and one without a launcher."""
    return next((int(os.environ[name]) for name in RANKS if name in os.environ), 0) if launched() else 0


def say_mistake(error: UserError) -> None:
    """Say what the user can put right: once, though every process may have met it.

    It is also written where torchrun looks for the reason of a failure; it would show its own traceback alone.
    """
    said = f"{MISTAKE}{error}"
    if rank() == 0:
        print(said, file=sys.stderr)
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        Path(path).write_text(json.dumps({"message": said, "timestamp": int(time.time())}), encoding="utf-8")
