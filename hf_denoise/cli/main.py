"""The command line: `hf-denoise denoise | probe | evaluate | ...`. Torch is imported inside the commands only."""

import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from hf_denoise._version import __version__
from hf_denoise.cli.denoise import Denoise
from hf_denoise.cli.evaluate import Evaluate
from hf_denoise.cli.export import Export
from hf_denoise.cli.make_triplets import MakeTriplets
from hf_denoise.cli.probe import Probe
from hf_denoise.cli.push import Push
from hf_denoise.distributed.accelerate_cpu import start_cpu_processes
from hf_denoise.distributed.launch import rank, say_mistake
from hf_denoise.errors import UserError

COMMANDS: dict[str, Callable[..., Any]] = {
    "denoise": Denoise,
    "probe": Probe,
    "evaluate": Evaluate,
    "make-triplets": MakeTriplets,
    "push": Push,
    "export": Export,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0; 2 for an `error: ...`; 130 after Ctrl-C."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: no file name stops the work
    if arguments is None:
        start_cpu_processes()
        arguments = sys.argv[1:]
    if list(arguments) == ["--version"]:
        print(f"hf_denoise {__version__}")
        return 0
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="hf-denoise",
            description="Remove noise from images, keep the defects. `hf-denoise --version` prints the version.",
            args=arguments,
            console_outputs=rank() == 0,
        )
        # Only these share their work; of any other command, the processes of a launcher run one.
        if rank() == 0 or isinstance(command, Denoise | Probe | Evaluate):
            command.run()
    except UserError as error:
        say_mistake(error)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader, such as `head`, is gone
        return 0
    return 0
