"""One command in many processes: started by `accelerate launch` or torchrun, they share the work."""

import atexit
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from hf_denoise.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def start_cpu_processes() -> None:
    """Be torchrun and start N processes, if this is the one that Accelerate started in their stead; it ends with them.

    On a CPU without MPI, `accelerate launch --num_processes N` prepares the rendezvous and starts a single process in
    silence, on every one of several machines; the numbers are left in the launcher's command line and configuration.
    """
    if not asked_on_cpu() or "MASTER_ADDR" not in os.environ or any(name in os.environ for name in RANKS):
        return
    import psutil  # not needed without a launcher

    launcher = psutil.Process().parent()
    torchrun = torchrun_options(launcher.cmdline()) if launcher else []
    if torchrun:
        module = sys.modules["__main__"].__spec__  # of `python -m`; a script has none
        script = ["-m", module.name] if module else [sys.argv[0]]
        from torch.distributed.run import main

        main([*torchrun, *script, *sys.argv[1:]])
        sys.exit()


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


def tell_torchrun(error: str) -> None:
    """Leave the sentence where torchrun looks for the reason of a failure: else only its own traceback is in sight."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        Path(path).write_text(json.dumps({"message": error, "timestamp": int(time.time())}), encoding="utf-8")


@dataclass(frozen=True)
class Processes:
    """The processes that run one command, seen from one of them. All must call the same methods in the same order.

    An error in one of them ends all: the main process raises it, the others leave in silence.

    Attributes:
        index: of this process; 0 is the main one, which alone plans, prints and writes what all have made.
        count: how many there are.
        device: the device of this process, such as "cuda:1"; "auto" where no launcher chose one.
    """

    index: int = 0
    count: int = 1
    device: str = "auto"

    @property
    def is_main(self) -> bool:
        return self.index == 0

    def once(self, work: Callable[[], Result]) -> Result:
        """Run `work` in the main process alone; all get its result, which must be picklable, or end with its error."""
        if self.count == 1:
            return work()
        from accelerate.utils import broadcast_object_list

        answer: list = [None, None]
        if self.is_main:
            try:
                answer[0] = work()
            except UserError as error:
                answer[1] = str(error)
        broadcast_object_list(answer)
        if answer[1] is not None:
            self.stop(answer[1])
        return answer[0]

    def each(self, work: Callable[[], Result]) -> Result:
        """Run `work` in every process, each for its own result; first in the main one, which alone fills any cache."""
        own: list[Result] = []
        self.once(lambda: own.append(work()))
        return own[0] if self.is_main else work()

    def share(self, items: Sequence[Item], work: Callable[[Sequence[Item]], list[Result]]) -> list[Result]:
        """Let every process work on its part of `items`.

        Args:
            items: the same in all processes; one takes every `count`-th, since neighbours are often alike in size.
            work: takes a part and returns one picklable result per item, in order.

        Returns:
            In every process the results of all items, in their order.
        """
        if self.count == 1:
            return work(items)
        from accelerate.utils import gather_object

        own: tuple[list[Result], str | None]
        try:
            own = work(items[self.index :: self.count]), None
        except UserError as error:
            own = [], str(error)
        parts = gather_object([own])
        for _, wrong in parts:
            if wrong is not None:
                self.stop(wrong)
        return [parts[number % self.count][0][number // self.count] for number in range(len(items))]

    def stop(self, error: str) -> NoReturn:
        """End this process because of an error that all know of."""
        if self.is_main:
            raise UserError(error)
        raise SystemExit(0)


def leave_at_exit(state: Any) -> None:
    """Leave the other processes when this one ends, however it ends.

    A thread of Gloo that still waits when the interpreter goes aborts it, now and then, and the launcher then takes
    the end of finished work for a failure and stops the other processes in theirs.

    Args:
        state: the `accelerate.PartialState`, or the state of an `Accelerator`.
    """
    atexit.register(state.destroy_process_group)


def join_processes() -> Processes:
    """Meet the other processes that the launcher has started; without one there are none, and nothing is imported."""
    if not launched():
        return Processes()
    import torch
    from accelerate import PartialState

    # A process waits for the others at the end of its share, which may well take longer than the usual ten minutes.
    state = PartialState(cpu=asked_on_cpu() or not torch.cuda.is_available(), timeout=timedelta(days=30))
    leave_at_exit(state)
    chosen = state.num_processes > 1 or asked_on_cpu()
    return Processes(state.process_index, state.num_processes, str(state.device) if chosen else "auto")
