"""The machine a benchmark ran on, the package it measures, and how results are written."""

import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

# What is measured is the checkout that this folder lies in, installed or not: here, and in child processes.
ROOT = str(Path(__file__).resolve().parents[1])
sys.path.insert(0, ROOT)


def child_environment() -> dict[str, str]:
    """Environment variables for a process that is to import the checkout."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))}


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


def write(folder: Path, name: str, results: dict[str, Any], text: str) -> None:
    """Write `name`.json and `name`.md, and print the latter."""
    (folder / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    print(text)
