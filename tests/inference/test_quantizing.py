"""`hf-denoise export int8`: small loss under weak and strong noise, used beside its own weights only."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from hf_denoise import Denoiser, DenoisingUNet
from hf_denoise.cli.main import main
from hf_denoise.data.photographs import random_crops
from hf_denoise.errors import UserError
from hf_denoise.hub.files import INT8, INT8_FACTS, INT8_FILES
from hf_denoise.inference import engines
from hf_denoise.inference.quantized import find_int8, is_close
from hf_denoise.inference.quantizing import MEASURED, export_int8
from hf_denoise.metrics.quality import psnr

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for name, picture in (("a", data.astronaut()), ("b", data.coffee()), ("c", data.chelsea()), ("d", data.retina())):
        Image.fromarray(picture[-300:, -400:]).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("int8") / "model"
    return folder, export_int8(None, partial(random_crops, str(photographs)), folder, crops=8, held_out=1)


def noisy(sigma: float, side: int = 256) -> tuple[np.ndarray, np.ndarray]:
    clean = data.astronaut()[:side, 100 : 100 + side].astype(np.float32) / 255
    return clean, clean + np.random.default_rng(0).normal(0, sigma / 255, clean.shape).astype(np.float32)


def test_little_is_lost_under_weak_and_strong_noise(quantised: tuple[Path, dict[str, float]]) -> None:
    """Of a calibration on eight crops; that of a release takes more."""
    folder, losses = quantised
    assert list(losses) == [name for name, *_ in MEASURED]
    full, eight = (Denoiser.from_pretrained(folder, engine="openvino", precision=p) for p in ("float32", "int8"))
    for sigma in (5, 50):
        clean, image = noisy(sigma)
        assert psnr(eight(image), clean) > psnr(full(image), clean) - 0.2
        assert not np.array_equal(eight(image), full(image))
    assert (eight.engine, eight.precision) == ("openvino", "int8")
    parameters = sum(parameter.numel() for parameter in full.model.parameters())
    assert sum((folder / name).stat().st_size for name in INT8_FILES) < 2.2 * parameters  # float32 takes 4 of each


def test_tiles_agree_with_the_whole_in_int8(quantised: tuple[Path, dict[str, float]]) -> None:
    folder, _ = quantised
    _, image = noisy(25, 330)
    whole, tiled = (Denoiser.from_pretrained(folder, precision="int8", tile=tile) for tile in (1024, 64))
    assert tiled.tiles(330, 330) > 1
    assert np.abs(tiled(image) - whole(image)).mean() < 0.1 / 255
    small = noisy(25, 40)[1]  # which the quantised graph does not know
    assert (
        np.abs(whole(small) - Denoiser.from_pretrained(folder, engine="torch", precision="float32")(small)).max() < 1e-4
    )


def test_auto_takes_it_only_where_it_is_close(
    quantised: tuple[Path, dict[str, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(quantised[0], tmp_path / "model")
    monkeypatch.setattr(engines, "WORTH", 1)
    monkeypatch.setattr(engines, "timed", lambda them, **_: [1.0 - (engine.precision == "int8") / 2 for engine in them])
    known = json.loads((folder / INT8_FACTS).read_text())
    for loss, precision in ((0.04, "int8"), (0.06, "float32")):
        (folder / INT8_FACTS).write_text(json.dumps({**known, "loss_db": {"sigma 5": 0.0, "sigma 50": loss}}))
        assert is_close(folder / INT8) == (precision == "int8")
        auto = Denoiser.from_pretrained(folder, device="cpu")
        auto(noisy(25, 120)[1])
        assert auto.precision == precision or (precision == "float32" and auto.precision == "bfloat16")


def test_that_of_other_weights_is_not_used(
    quantised: tuple[Path, dict[str, float]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(quantised[0], tmp_path / "model")
    model = DenoisingUNet.from_pretrained(folder)
    assert find_int8(folder, model) == folder / INT8
    assert model.head.bias is not None
    model.head.bias.data += 0.01
    model.save_pretrained(folder)
    with pytest.raises(UserError, match="hf-denoise export int8"):
        Denoiser.from_pretrained(folder, precision="int8")
    assert "made of other weights" in caplog.text


def test_bad_requests_are_one_sentence(
    quantised: tuple[Path, dict[str, float]],
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(photographs / "a.png", few)
    for arguments, reason in (
        (["-o", str(quantised[0]), "--data", str(photographs)], "already exists"),
        (["-o", str(tmp_path / "new")], "--data"),
        (["-o", str(tmp_path / "new"), "--data", str(few)], "at least 24 are needed"),
    ):
        assert main(["export", "int8", *arguments]) == 2
        said = capsys.readouterr().err
        assert reason in said.splitlines()[-1] and said.count("error:") == 1
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert main(["export", "int8", "-o", str(tmp_path / "new"), "--data", str(photographs)]) == 2
    assert "pip install nncf" in capsys.readouterr().err
