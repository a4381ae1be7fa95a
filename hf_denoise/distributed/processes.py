"""The processes of one command, which share its work."""

import atexit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from hf_denoise.distributed.launch import asked_on_cpu, launched
from hf_denoise.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


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
    """Leave the process group when this process ends, however it ends.

    A thread of Gloo that still waits then may abort the interpreter, and the launcher would take that for a failure of
    finished work and stop the other processes before they have finished.

    Args:
        state: the `accelerate.PartialState`, or the state of an `Accelerator`.
    """
    atexit.register(state.destroy_process_group)


def join_processes() -> Processes:
    """Join the other processes that the launcher has started; without a launcher there are none."""
    if not launched():
        return Processes()
    import torch
    from accelerate import PartialState

    # A process waits for the others at the end of its share, which may well take longer than the usual ten minutes.
    state = PartialState(cpu=asked_on_cpu() or not torch.cuda.is_available(), timeout=timedelta(days=30))
    leave_at_exit(state)
    chosen = state.num_processes > 1 or asked_on_cpu()
    return Processes(state.process_index, state.num_processes, str(state.device) if chosen else "auto")
