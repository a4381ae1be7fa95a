"""`hf-denoise export onnx`: the file alone, in ONNX Runtime, gives what PyTorch gives."""

import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from hf_denoise import Denoiser, DenoisingUNet, __version__
from hf_denoise.cli.main import main
from hf_denoise.model.dynamic import DynamicUNet

pytestmark = pytest.mark.slow

SHAPES = [(1, 1, 1), (2, 1, 1), (1, 7, 300), (1, 37, 53), (3, 37, 53), (1, 256, 256), (2, 96, 97), (1, 100, 1000)]


def reseeded(model: DenoisingUNet) -> DenoisingUNet:
    """A model whose statistics and head say something: a fresh one is the identity."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    nn.init.normal_(model.head.weight, std=0.1)
    return model.eval()


def error_of(file: Path, model: DenoisingUNet) -> float:
    """The largest error over `SHAPES`."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    errors, changes = [], []
    torch.manual_seed(0)
    for batch, height, width in SHAPES:
        noisy = torch.rand(batch, 3, height, width)
        (clean,) = session.run(["clean"], {"noisy": noisy.numpy()})
        with torch.inference_mode():
            expected = model(noisy).numpy()
        assert clean.shape == expected.shape
        errors.append(float(np.abs(clean - expected).max()))
        changes.append(float(np.abs(expected - noisy.numpy()).max()))
    assert max(changes) > 0.01  # of a single pixel little is noise
    return max(errors)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    file = tmp_path_factory.mktemp("onnx") / "new/model.onnx"
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert main(["export", "onnx", "-o", str(file)]) == 0, err.getvalue()
    assert [path.name for path in file.parent.iterdir()] == ["model.onnx"]
    return file, out.getvalue()


def test_the_packaged_weights_give_the_same_at_every_size(packaged: tuple[Path, str]) -> None:
    file, said = packaged
    assert error_of(file, Denoiser.from_pretrained(precision="float32", device="cpu").model) < 1e-4
    found = re.search(r"at most (\S+) off PyTorch", said)
    assert found and 0 < float(found[1]) < 1e-4
    assert re.search(r"ONNX Runtime [\d.]+ s, PyTorch [\d.]+ s, [\d.]+ times as fast", said)


def test_another_encoder_gives_the_same(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = reseeded(
        DenoisingUNet(
            encoder="resnet10t",
            encoder_levels=2,
            decoder_channels=[16, 8],
            decoder_depths=[1, 0],
            gate_window=40,
        )
    )
    model.save_pretrained(tmp_path / "saved")
    file = tmp_path / "m.onnx"
    assert main(["export", "onnx", str(tmp_path / "saved"), "-o", str(file)]) == 0
    assert "torch.onnx" not in capfd.readouterr().err  # the exporter keeps its thoughts to itself
    assert error_of(file, model) < 1e-4
    assert not [node for node in onnx.load(file).graph.node if node.op_type == "BatchNormalization"]


@pytest.mark.parametrize(
    "options",
    [
        {"encoder_levels": 1, "decoder_channels": [8], "decoder_depths": [1], "gate_window": 0},
        {"encoder_levels": 5, "decoder_channels": [16] * 5, "decoder_depths": [0] * 5, "gate_window": 50},
        {"residual": False, "full_resolution_skip": False},
        {"encoder": "resnet26d"},
    ],
)
def test_the_network_without_branches_is_the_network(options: dict) -> None:
    model = reseeded(DenoisingUNet(**options))
    dynamic = DynamicUNet(model).eval()
    with torch.inference_mode():
        for batch, height, width in SHAPES:
            noisy = torch.rand(batch, 3, height, width)
            assert torch.allclose(dynamic(noisy), model(noisy), atol=1e-5), (height, width)


def test_the_file_says_how_it_is_used_and_nothing_about_where_it_was_made(packaged: tuple[Path, str]) -> None:
    file, _ = packaged
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (taken,), (given) = session.get_inputs(), session.get_outputs()[0]
    for value, name in ((taken, "noisy"), (given, "clean")):
        assert (value.name, value.shape) == (name, ["batch", 3, "height", "width"])
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["license"] == "apache-2.0"
    assert facts["version"] == f"hf_denoise {__version__}"
    assert "RGB" in facts["noisy"] and "0 is black and 1 is white" in facts["noisy"]
    content = file.read_bytes()
    for place in (str(Path(torch.__file__).parent), str(Path(__file__).parents[2])):
        assert place.encode() not in content


def test_bad_requests_are_one_sentence(
    packaged: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = packaged
    before = file.stat().st_mtime_ns
    for arguments, reason in (
        (["-o", str(file)], "already exists"),
        (["-o", str(tmp_path / "model.pt")], "ends in .onnx"),
        ([str(tmp_path / "none"), "-o", str(tmp_path / "m.onnx")], "does not exist"),
    ):
        assert main(["export", "onnx", *arguments]) == 2
        said = capsys.readouterr().err
        assert reason in said and said.count("\n") == 1
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["export", "onnx", "-o", str(tmp_path / "m.onnx")]) == 2
    assert "pip install onnxruntime" in capsys.readouterr().err
    assert file.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == []
