"""How the processes of one command are started, by `accelerate launch` or torchrun, and what they know of it."""

import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_denoise.errors import UserError

MISTAKE = "error: "
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def start_cpu_processes() -> None:
    """Start N processes as torchrun does, where Accelerate was asked for N and started this one alone; end with them.

    On a CPU without MPI, `accelerate launch --num_processes N` prepares the rendezvous and starts a single process in
    silence, on each of several machines; the numbers are in the launcher's command line and configuration.
    """
    if not asked_on_cpu() or "MASTER_ADDR" not in os.environ or any(name in os.environ for name in RANKS):
        return
    import psutil  # not needed without a launcher

    launcher = psutil.Process().parent()
    torchrun = torchrun_options(launcher.cmdline()) if launcher else []
    if torchrun:
        module = sys.modules["__main__"].__spec__  # of `python -m`; a script has none
        script = ["-m", module.name] if module else [sys.argv[0]]
        run_torchrun([*torchrun, *script, *sys.argv[1:]])
        sys.exit()


def run_torchrun(arguments: Sequence[str]) -> None:
    """Run torchrun in this process; a user's mistake in its processes ends this one with status 2 and no traceback.

    Other failures, such as a process that was killed, are reported as torchrun does.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed.elastic")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they say of a failure is in its report
    try:
        main(list(arguments))
    except ChildFailedError as failed:
        # A process may have been ended for the failure of another one before it could say its own.
        told = {rank: str(failure.message) for rank, failure in failed.failures.items()}
        mistakes = {rank: message for rank, message in told.items() if message.startswith(MISTAKE)}
        if not mistakes:
            raise
        if 0 not in mistakes:  # the main process has said its own
            print(next(iter(mistakes.values())), file=sys.stderr)
        sys.exit(2)


def torchrun_options(launcher: Sequence[str]) -> list[str]:
    """What torchrun must be told for the processes that an `accelerate launch` was asked for; nothing for a single one.

    Args:
        launcher: its command line, as words.
    """
    from accelerate.commands.config.config_args import default_config_file, load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    words = list(launcher)
    start = next((place for place, word in enumerate(words) if word.endswith("launch")), len(words))
    told, _ = launch_command_parser().parse_known_args(words[start + 1 :])
    # What `accelerate config` wrote counts where no other file is named, but not with --cpu.
    configured = told.config_file or (os.path.isfile(default_config_file) and not told.cpu)
    written = load_config_from_file(told.config_file) if configured else None

    def option(name: str) -> Any:
        value = getattr(told, name, None)
        return getattr(written, name, None) if value is None else value

    processes, machines = int(option("num_processes") or 1), int(option("num_machines") or 1)
    if processes < 2:
        return []
    if machines == 1:
        return ["--standalone", "--nproc_per_node", str(processes)]
    return [
        *("--nnodes", str(machines), "--nproc_per_node", str(processes // machines)),
        *("--node_rank", str(option("machine_rank") or 0)),
        *("--master_addr", os.environ["MASTER_ADDR"], "--master_port", os.environ["MASTER_PORT"]),
    ]


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
