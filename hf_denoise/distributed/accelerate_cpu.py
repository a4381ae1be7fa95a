"""Work-around: `accelerate launch --cpu --num_processes N` starts a single process, so that one starts the others.

It is issue 2741 of huggingface/accelerate, which is closed: without MPI, its launcher has nothing that starts several
processes on a CPU. It puts the address of a rendezvous into the environment, runs the script once, and says nothing;
with MPI (`--mpirun_hostfile`, pull request 2493) it starts them. Those that are missing are started here by torchrun,
as Accelerate does it for GPUs. This module, its calls in `train.py` and `hf_denoise.cli.main`, and its tests can go
when `tests/distributed/test_accelerate_cpu.py` fails because Accelerate starts them itself.
"""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from hf_denoise.distributed.launch import MISTAKE, RANKS, asked_on_cpu


def start_cpu_processes() -> None:
    """Start N processes as torchrun does, where Accelerate was asked for N and started this one alone; end with them.

    On each of several machines; the numbers are in the launcher's command line and configuration.
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
