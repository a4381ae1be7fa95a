"""Many processes by launching them, and what they say of a mistake."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from finished_runs import assert_trained_alike
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from train_command import ROOT, command, here, run

from hf_denoise.distributed.accelerate_cpu import torchrun_options

pytestmark = pytest.mark.slow


# The rate is low, since AdamW turns the last bit of a gradient near zero into a step of full length.
ALIKE = ("--max-steps", "20", "--eval-every", "10", "--defect-weight", "5", "--precision", "no", "--accumulate", "2",
         "--learning-rate", "1e-4")  # fmt: skip


@pytest.fixture(scope="module")
def one_process(scratched, tmp_path_factory) -> Path:
    """What one process makes of images of mixed sizes, some without defects, in two batches of 8 per step."""
    output = tmp_path_factory.mktemp("one") / "run"
    result = here(scratched, output, *ALIKE, "--batch", "8")
    assert result.returncode == 0, result.stderr
    return output


def test_two_machines_train_like_one_process(scratched, one_process, tmp_path):
    """Two processes, and two launchers on the loopback that stand for the machines. Each has a cache of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "2"]
    launcher += ["--main_process_ip", "127.0.0.1", "--main_process_port", str(port)]
    machines = []
    for rank in range(2):
        arguments = command(
            scratched, tmp_path / "two", *ALIKE, "--batch", "4", launcher=(*launcher, "--machine_rank", str(rank))
        )
        cache = {"HF_DATASETS_CACHE": str(tmp_path / f"cache{rank}")}
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **cache}
        machines.append(subprocess.Popen(arguments, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True))
    for machine in machines:
        _, told = machine.communicate(timeout=240)
        assert machine.returncode == 0, told
    assert_trained_alike(one_process, tmp_path / "two")


@pytest.mark.parametrize(("name", "processes"), [("cpu", "2"), ("one_machine", "4")])
def test_committed_configurations_say_how_many_processes(name, processes):
    launcher = ["accelerate", "launch", "--config_file", f"{ROOT}/recipes/accelerate/{name}.yaml", "train.py"]
    assert torchrun_options(launcher) == ["--standalone", "--nproc_per_node", processes]
    assert torchrun_options(["accelerate", "launch", "train.py", "--num_processes", "2"]) == []


def test_a_mistake_is_what_torchrun_reports_as_the_cause(tmp_path, monkeypatch):
    """Under a launcher the sentence scrolls away behind tracebacks; torchrun's summary at the end repeats it."""
    file = str(tmp_path / "error.json")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", file)
    assert here("data", tmp_path / "run", "--resume").returncode == 2
    shown = ChildFailedError("train.py", {0: ProcessFailure(0, 1, 2, file)}).format_msg()
    assert f"error: there is nothing to resume in '{tmp_path}/run'; start without --resume" in shown


TWO = ("--cpu", "--num_processes", "2")


@pytest.mark.parametrize(("options", "quiet"), [((), True), (TWO, False)])
def test_a_mistake_under_a_launcher_is_one_sentence(tmp_path, options, quiet):
    """The launcher's own traceback ends with --quiet; that its status is 1 cannot be changed from here."""
    launcher = ("-m", "accelerate.commands.launch", *(["--quiet"] if quiet else []), *options)
    result = run(command("./no-such", tmp_path / "run", launcher=launcher))
    sentence = "error: --data './no-such' does not exist"
    assert result.returncode == 1 and result.stderr.count(sentence) == 1, result.stderr
    ours, _, theirs = result.stderr.partition("Traceback")
    assert ours.strip().splitlines()[-1].startswith(sentence)
    assert ("Traceback" not in result.stderr) if quiet else ("accelerate" in theirs and "train.py" in theirs)
    assert theirs.count("Traceback") == 0 and "torchrun" not in result.stderr and "elastic" not in result.stderr
