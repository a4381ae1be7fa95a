"""The machine a benchmark ran on, the checkout it measures, and how results are written."""

import datetime
import json
import os
import platform
import resource
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
MIB = 2**20


def child_environment() -> dict[str, str]:
    """Environment variables for a process that is to import this checkout, installed or not."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}


def peak_bytes() -> int:
    """Largest resident memory that this process has ever had."""
    # Linux hands the peak of the parent down in ru_maxrss, so the kernel's own figure comes first.
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def cpu_name() -> str:
    """The model of the processor as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def version(package: str) -> str | None:
    """Version of an installed distribution; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def describe(packages: Sequence[str]) -> dict[str, Any]:
    """Processor, memory, load and versions; `load` is the mean number of busy processes in the minute before."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "cpu": cpu_name(),
        "cores": len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(psutil.getloadavg()[0], 1),
        "python": platform.python_version(),
        "packages": {package: found for package in packages if (found := version(package))},
    }


def sentence(machine: dict[str, Any]) -> str:
    """The machine in one line of text."""
    versions = ", ".join(f"{package} {number}" for package, number in machine["packages"].items())
    threads = f"torch threads: {machine['threads']}, " if "threads" in machine else ""
    return (
        f"Measured on {machine['date']}: {machine['cpu']}, cores: {machine['cores']}, {threads}"
        f"{machine['memory_gib']} GiB, {machine['system']}, load average {machine['load']} before the start; "
        f"Python {machine['python']}, {versions}."
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells as a Markdown table; the first column is aligned left, the others right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def write(folder: Path, name: str, results: dict[str, Any], paragraphs: Sequence[str]) -> None:
    """Write `name`.json and `name`.md, which says how it was made, and print the latter."""
    made = f"Made by `python -m benchmarks --only {name}`."
    text = "\n\n".join([*paragraphs, made])
    (folder / f"{name}.json").write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    print(text)
