"""What travels: the two lists of dependencies agree, and the built wheel works on its own."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_requirements_are_those_of_pyproject():
    """A Space installs what the package needs, and the engine that is faster on its CPU."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["openvino"]
    assert (ROOT / "requirements.txt").read_text().split() == wanted


def test_space_front_matter_names_the_app():
    front = yaml.safe_load(README.split("---")[1])
    assert front["sdk"] == "gradio" and (ROOT / front["app_file"]).is_file()
    assert re.fullmatch(r"\d+\.\d+\.\d+", front["sdk_version"])


def test_readme_names_only_options_that_exist():
    from hf_denoise.training.config import TrainConfig

    for line in re.findall(r"train\.py --.*", README):
        for option in re.findall(r"--([a-z0-9-]+)", line):
            assert option.replace("-", "_") in {*TrainConfig.__dataclass_fields__, "config"}, line


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_wheel_denoises_offline_away_from_the_source(wheel, tmp_path):
    """Unpacked in front of the path and run elsewhere: weights and card template must have travelled in it."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    script = (
        "import sys, hf_denoise, numpy as np\n"
        "assert hf_denoise.__file__.startswith(sys.argv[1]), hf_denoise.__file__\n"
        "denoise = hf_denoise.Denoiser.from_pretrained()\n"
        "clean = np.full((64, 64, 3), 0.5, np.float32)\n"
        "noisy = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape).astype(np.float32)\n"
        "assert abs(denoise(noisy) - clean).mean() < 0.3 * abs(noisy - clean).mean()\n"
        "denoise.model.save_pretrained('saved')\n"
        "assert 'model-index' in open('saved/README.md').read()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(site)], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_package_is_light():
    script = (
        "import sys, hf_denoise\n"
        "print([m for m in ('torch', 'timm', 'gradio', 'datasets') if m in sys.modules])\n"
        "assert {'Denoiser', 'DenoisingUNet', 'load_triplets'} <= set(dir(hf_denoise))\n"
        "from hf_denoise import Denoiser, DenoisingUNet\n"
        "print([m for m in ('gradio', 'datasets', 'tensorboard') if m in sys.modules])\n"
        "from hf_denoise import load_triplets\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
