"""Whether the work-around for Accelerate is still needed."""

from pathlib import Path

from accelerate.commands.launch import launch_command, launch_command_parser

SCRIPT = """
import os, sys
rank = os.environ.get("RANK", "alone")
print("MASTER_ADDR" in os.environ, file=open(os.path.join(sys.argv[1], rank), "w"))
"""


def test_accelerate_still_starts_one_process_where_two_were_asked_for_on_a_cpu(tmp_path: Path) -> None:
    """The launcher runs here, and what it starts is a script of a few milliseconds."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "started").mkdir()
    words = ["--cpu", "--num_processes", "2", str(tmp_path / "script.py"), str(tmp_path / "started")]
    launch_command(launch_command_parser().parse_args(words))
    started = {path.name: path.read_text().strip() for path in (tmp_path / "started").iterdir()}
    assert started == {"alone": "True"}, (
        f"Accelerate has started {started}: if there are two, each with a RANK, the work-around in "
        "hf_denoise/distributed/accelerate_cpu.py is no longer needed; else what it relies on has changed"
    )
