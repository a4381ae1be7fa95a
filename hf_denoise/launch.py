"""Make `accelerate launch --cpu --num_processes N` start N processes."""

import os
import re
import sys

import psutil


def start_cpu_processes() -> None:
    """Replace this process by N of them under torchrun, if it is the one that Accelerate started in their stead.

    On a CPU without MPI, `accelerate launch --num_processes N` prepares the rendezvous and starts a single process in
    silence; the number is left in the launcher's command line only.
    """
    asked_on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true" and "MASTER_ADDR" in os.environ
    ranked = any(name in os.environ for name in ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK"))
    launcher = psutil.Process().parent()
    if ranked or not asked_on_cpu or launcher is None:
        return
    found = re.search(r"--num[_-]processes[= ](\d+)", " ".join(launcher.cmdline()))
    if found and int(found[1]) > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", found[1]]
        os.execv(sys.executable, [*torchrun, *sys.argv])
