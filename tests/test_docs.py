"""The documents: every first example runs as it is printed, every link leads somewhere, every option exists."""

import contextlib
import io
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import numpy as np
import pytest
import yaml
from PIL import Image

if TYPE_CHECKING:
    from hub_server import HubServer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "recipes/*.md", "benchmarks/**/*.md", "examples/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "model_card.md"  # a template
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NO_EXAMPLE = {"experiments"}  # a report: there is nothing to run
WITH_A_SERVER = {"deploy-a-space", "page-and-api"}
MAKES = {
    "README": ["clean.png", "clean.jpg"],
    "results": ["report/evaluation.html", "report/evaluation.json", "report/images.csv"],
    "training": ["triplets/contact-sheet.jpg", "runs/first/best/model.safetensors", "runs/first/log.csv"],
}


def examples(page: Path) -> list[tuple[str, str]]:
    """Language and text of all fenced examples."""
    return FENCE.findall(page.read_text())


def first_example(page: Path) -> tuple[str, str]:
    """The README's is the Python one: its two commands are what installs and runs these tests."""
    return next(example for example in examples(page) if page.name != "README.md" or example[0] == "python")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples find: this repository's programs, `photos/` with six small pictures, and noisy.jpg."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in ("app.py", "train.py", "recipes"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "photos").mkdir()
    rows, cols = np.mgrid[:64, :96]
    for number in range(6):
        rng = np.random.default_rng(number)
        waves = np.stack([np.sin(rows / rng.uniform(5, 30) + cols / rng.uniform(5, 30)) for _ in range(3)], -1)
        clean = 128 + 60 * waves
        Image.fromarray(clean.astype(np.uint8)).save(folder / f"photos/{number:02}.png")
    noisy = clean + rng.normal(0, 25, clean.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "noisy.jpg", quality=98)
    return folder


def shell(code: str, folder: Path, **environment: str) -> None:
    """Run commands as a reader would who has activated the virtual environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, **environment}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def run(language: str, code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run an example in a folder; gives what its Python prints.

    Python, and `hf-denoise`, run in this process, which has imported torch; all else in a shell.
    """
    from hf_denoise.cli.main import main

    monkeypatch.chdir(folder)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if language == "python":
            exec(compile(code, "example", "exec"), {"__name__": "example"})
            return printed.getvalue()
        for line in code.replace("\\\n", " ").splitlines():
            program, *arguments = shlex.split(line, comments=True)
            if program == "hf-denoise":
                assert main(arguments) == 0, f"{line}\n{printed.getvalue()}"
            else:
                shell(line, folder)
    return printed.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in NO_EXAMPLE | WITH_A_SERVER], ids=lambda page: page.stem
)
def test_first_example_runs(page: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    language, code = first_example(page)
    assert language in ("bash", "python"), f"{page}: name the language of its first example"
    printed = run(language, code, workspace, monkeypatch)
    missing = [name for name in MAKES.get(page.stem, []) if not (workspace / name).is_file()]
    assert not missing, f"{page}: its first example left no {missing}"
    if page.stem == "data-layouts":
        assert "validation" in printed and "(96, 64)" in printed


@pytest.fixture
def space(hub: "HubServer", tmp_path: Path) -> Path:
    """What `docs/deploy-a-space.md` uploads, as the Space would hold it."""
    language, command = first_example(ROOT / "docs/deploy-a-space.md")
    assert language == "bash" and command.count("user/denoise") == 1
    shell(command.replace("user/denoise", "ada/denoise"), ROOT, HF_TOKEN="hf_ada")
    folder = tmp_path / "space"
    for name, content in hub.repos["spaces", "ada/denoise"].files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@contextlib.contextmanager
def served(command: str, folder: Path) -> Iterator[str]:
    """The address of a page that a command in `folder` serves; at the end it is stopped."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        **os.environ,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),  # the Space's own package, not this one
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                urlopen(f"http://127.0.0.1:{port}", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
        assert process.poll() is None, (folder / "log").read_text()
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_a_space_that_was_uploaded_serves_page_and_api(
    space: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first examples of two pages: what one of them uploads is started and called as the other says."""
    unwanted = [path for path in space.rglob("*") if path.suffix == ".pyc" or path.name in (".venv", "tests", "runs")]
    assert not unwanted
    (_, start), (language, call), *_ = examples(ROOT / "docs/page-and-api.md")
    assert language == "python" and call.count("http://127.0.0.1:7860") == 1
    with served(start.strip(), space) as address:
        assert "<html" in urlopen(address, timeout=30).read().decode()
        result = Path(
            run(language, call.replace("http://127.0.0.1:7860", address), workspace, monkeypatch).split("\n")[-2]
        )
    before, after = Image.open(workspace / "noisy.jpg"), Image.open(result)
    assert (after.size, after.format) == (before.size, "JPEG")


# What is written


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_commands_name_only_options_that_exist() -> None:
    from hf_denoise.training.loop import TrainConfig

    known = {*(f"--{name.replace('_', '-')}" for name in TrainConfig.__dataclass_fields__), "--config", "--help"}
    commands = [
        words
        for page in DOCUMENTS
        for language, code in examples(page)
        for line in code.replace("\\\n", " ").splitlines()
        if language == "bash" and (words := re.search(r"train\.py (.*)", line))
    ]
    assert len(commands) > 5
    for words in commands:
        for option in re.findall(r"--[a-z0-9-]+", words[1].split("#")[0]):
            assert option in known or option.replace("--no-", "--") in known, words[0]
    training = (ROOT / "docs/training.md").read_text()
    others = {"--no-encoder-pretrained", "--machine_rank", "--report", *(f"--{alias}" for alias in TrainConfig.ALIASES)}
    for option in re.findall(r"`(--[a-z0-9_-]+)", training):
        assert option in {*known, *others}, f"docs/training.md: {option}"


def test_pages_are_short_and_their_pictures_small() -> None:
    _, _, text = (ROOT / "README.md").read_text().split("---\n", 2)
    assert len(text.split()) <= 900
    assert len((ROOT / "recipes/README.md").read_text().split()) < 500
    assert len((ROOT / "docs/experiments.md").read_text().split()) < 2000
    for picture in [*(ROOT / "docs").glob("*.jpg"), *(ROOT / "docs").glob("*.png")]:
        assert picture.stat().st_size < 150_000, picture


# One list of checks


STUB = """#!/usr/bin/env bash
echo "${0##*/} $*" >> "$CALLS"
case "${0##*/} $*" in *"$FAILS"*) exit 1;; esac
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$3/bin"
    for tool in pip python ruff mypy lint-imports; do cp "$0" "$3/bin/$tool"; done
fi
"""


def calls(command: list[str], folder: Path, fails: str = "nothing fails") -> list[str]:
    """Run a command where every tool only writes down how it was called, and one may fail."""
    (folder / "tools").mkdir(parents=True)
    (folder / ".ci").mkdir()
    (folder / ".ci/run").write_text((ROOT / ".ci/run").read_text())
    for tool in ("python3", "chromium"):
        (folder / "tools" / tool).write_text(STUB)
        (folder / "tools" / tool).chmod(0o755)
    log = folder / "calls"
    log.touch()
    env = {**os.environ, "PATH": f"{folder / 'tools'}:{os.environ['PATH']}", "CALLS": str(log), "FAILS": fails}
    subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=60)
    return [line.strip() for line in log.read_text().splitlines()]


def test_ci_runs_the_command_of_the_readme_with_the_linters_of_pre_commit(tmp_path: Path) -> None:
    (readme,) = re.findall(r"^    (.*pytest)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    linters = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks]
    *installed, tested = calls(["bash", "-c", readme], tmp_path / "readme")
    script = ["bash", ".ci/run"]
    ran = calls(script, tmp_path / "ci")
    assert ran == [*installed, *linters, tested]
    for number, step in enumerate(ran):
        assert len(calls(script, tmp_path / f"fails{number}", fails=step)) == number + 1, (
            f"it goes on after a failed {step}"
        )
