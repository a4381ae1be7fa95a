"""Engines and precisions: the same picture from each, the faster one by measurement, and PyTorch where one fails."""

import builtins
import subprocess
import sys
import threading
from functools import cache
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from skimage import data
from torch import nn

from hf_denoise import Denoiser, DenoisingUNet, cpu
from hf_denoise.cli.main import main
from hf_denoise.errors import UserError
from hf_denoise.inference import engines, openvino_engine
from hf_denoise.inference.engines import Fastest, TorchEngine
from hf_denoise.inference.openvino_engine import OpenVinoEngine, branches, is_installed

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {"encoder": "resnet10t", "decoder_channels": (24, 16, 8), "gate_window": 48}
BFLOAT16 = openvino_engine.multiplies_bfloat16()


@cache
def small() -> DenoisingUNet:
    """A network that changes something everywhere: a fresh one is the identity."""
    torch.manual_seed(0)
    model = DenoisingUNet(**SMALL)
    nn.init.normal_(model.head.weight, std=0.05)
    return model.eval()


def denoiser(engine: str, **options: Any) -> Denoiser:
    return Denoiser(small(), engine=engine, device="cpu", **{"precision": "float32", **options})


def noisy(height: int, width: int) -> np.ndarray:
    clean = data.astronaut()[:height, :width].astype(np.float32) / 255
    return clean + np.random.default_rng(0).normal(0, 25 / 255, clean.shape).astype(np.float32)


def test_openvino_gives_what_torch_gives_at_every_size() -> None:
    """Smaller than the stride, odd, on either side of the window of the gates and of its cells."""
    ours, theirs = denoiser("torch"), denoiser("openvino")
    for size in ((1, 1), (2, 9), (7, 130), (37, 53), (48, 48), (48, 49), (49, 17), (64, 96), (131, 97), (100, 300)):
        image = noisy(*size)
        assert np.abs(theirs(image) - ours(image)).max() < 1e-4, size
        assert theirs.engine == "openvino"
    assert np.abs(ours(image) - image).max() > 0.05


def test_openvino_gives_what_torch_gives_with_the_packaged_weights_in_tiles() -> None:
    image = noisy(333, 270)
    whole = Denoiser.from_pretrained(engine="torch", precision="float32", device="cpu")(image)
    tiled = Denoiser.from_pretrained(engine="openvino", precision="float32", device="cpu", tile=64)
    assert tiled.tiles(270, 333) > 4
    assert np.abs(tiled(image) - whole).max() < 1 / 255
    assert tiled.engine == "openvino"


@pytest.mark.parametrize("options", [{"gate_window": 0}, {"gate_window": 50, "encoder_levels": 3}, {"residual": False}])
def test_other_networks_go_through_openvino(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = DenoisingUNet(**{**SMALL, **options})
    nn.init.normal_(model.head.weight, std=0.05)
    ours, theirs = (Denoiser(model, engine=name, precision="float32", device="cpu") for name in ("torch", "openvino"))
    for size in ((30, 41), (55, 20), (101, 140)):
        assert np.abs(theirs(noisy(*size)) - ours(noisy(*size))).max() < 1e-4
    assert theirs.engine == "openvino"


def test_the_self_ensemble_runs_in_openvino() -> None:
    image = noisy(50, 71)
    ours, theirs = (denoiser(name, self_ensemble=True) for name in ("torch", "openvino"))
    assert np.abs(theirs(image) - ours(image)).max() < 1e-4


def test_few_shapes_are_kept_and_threads_do_not_mix(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openvino_engine, "KEPT", 2)
    theirs, ours = denoiser("openvino"), denoiser("torch")
    images = [noisy(16 + 8 * index, 24) for index in range(4)]
    expected = [ours(image) for image in images]
    found: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda i=index: found.update({i: theirs(images[i])})) for index in range(len(images))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.abs(found[index] - expected[index]).max() < 1e-4 for index in range(len(images)))
    assert theirs.engine == "openvino" and not caplog.records
    engine = OpenVinoEngine(theirs.model, "float32")
    for image in images:
        engine(torch.from_numpy(image).permute(2, 0, 1)[None])
    assert len(engine._compiled) == 2


SIGNALLED = """
import gc, signal
import numpy as np
from hf_denoise import Denoiser, DenoisingUNet
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
network = DenoisingUNet(encoder="resnet10t", decoder_channels=(8, 8, 8))
first, second = (Denoiser(network, engine="openvino", precision="float32", device="cpu") for _ in range(2))
for denoise in first, second:
    denoise(np.zeros((8, 8, 3), np.float32))
    assert denoise.engine == "openvino"
del denoise, first
gc.collect()
del second
gc.collect()
signal.raise_signal(signal.SIGUSR1)
"""


def test_signals_are_handled_when_engines_are_gone() -> None:
    """In a process of its own: each engine with a Core of its own ended it with a segmentation fault."""
    done = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_as_many_threads_as_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    compiling = openvino.Core.compile_model

    def compile_model(self: Any, model: Any, device: str, settings: dict[str, Any]) -> Any:
        asked.append(settings)
        return compiling(self, model, device, settings)

    monkeypatch.setattr(openvino.Core, "compile_model", compile_model)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    denoiser("openvino")(noisy(20, 20))
    assert asked[0]["INFERENCE_NUM_THREADS"] == 1


@pytest.mark.parametrize("place", ["convert_model", "Core.compile_model"])
def test_a_failure_is_one_line_and_torch_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("unsupported\nand much more")

    target, _, name = place.rpartition(".")
    monkeypatch.setattr(getattr(openvino, target) if target else openvino, name, fail)
    broken, image = denoiser("openvino", tile=32), noisy(300, 250)
    assert np.array_equal(broken(image), denoiser("torch", tile=32)(image))
    assert np.array_equal(broken(image), broken(image))
    assert [record.getMessage() for record in caplog.records] == ["openvino failed (unsupported); going on with torch"]
    assert broken.engine == "torch"


def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    importing = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "openvino":
            raise ModuleNotFoundError(f"No module named '{name}'")
        return importing(name, *rest)

    find = openvino_engine.importlib.util.find_spec
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(
        openvino_engine.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "openvino" else find(name, *rest),
    )


def test_its_absence_is_no_error_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    without_openvino(monkeypatch)
    monkeypatch.setattr(engines, "WORTH", 1)
    assert not is_installed()
    auto = denoiser("auto")
    assert np.array_equal(auto(noisy(60, 60)), denoiser("torch")(noisy(60, 60)))
    assert auto.engine == "torch"
    for options in ({"engine": "openvino"}, {"engine": "auto", "precision": "int8"}):
        with pytest.raises(UserError, match=r'pip install "hf_denoise\[openvino\]"'):
            denoiser(**options)
    from PIL import Image

    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    assert main(["denoise", str(tmp_path / "a.png"), "-o", str(tmp_path / "out"), "--engine", "openvino"]) == 2
    said = capsys.readouterr().err
    assert 'pip install "hf_denoise[openvino]"' in said and said.count("error:") == 1


def test_options_that_do_not_go_together_are_one_sentence() -> None:
    for options, reason in (
        ({"engine": "tensorrt"}, "engine must be"),
        ({"engine": "torch", "precision": "int8"}, "runs in OpenVINO"),
        ({"engine": "openvino", "precision": "int8"}, "hf-denoise export int8"),
    ):
        with pytest.raises(UserError, match=reason):
            denoiser(**options)
    with pytest.raises(UserError, match="on the CPU"):
        engines.create_engine(small(), torch.device("meta"), "openvino", "float32", None)
    if not BFLOAT16:
        with pytest.raises(UserError, match="no bfloat16 on this CPU"):
            denoiser("openvino", precision="bfloat16")


@pytest.mark.parametrize("faster", ["torch", "openvino"])
def test_auto_follows_the_measurement(monkeypatch: pytest.MonkeyPatch, faster: str) -> None:
    called = []

    def times(candidates: list[Any], **_: Any) -> list[float]:
        called.append([candidate.name for candidate in candidates])
        return [1.0 if candidate.name == faster else 2.0 for candidate in candidates]

    monkeypatch.setattr(engines, "timed", times)
    auto, image = denoiser("auto"), noisy(64, 64)
    assert (auto.engine, called) == ("torch", [])
    expected = auto(image)
    assert (auto.engine, called) == ("torch", [])  # a small picture is not worth a comparison
    monkeypatch.setattr(engines, "WORTH", 3 * 64 * 64)
    auto(image)
    auto(image)
    assert auto.engine == faster
    assert np.abs(auto(image) - expected).max() < 1e-4
    assert called == [["torch", "openvino"]]  # once


def test_a_comparison_that_fails_leaves_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(engines, "WORTH", 1)
    monkeypatch.setattr(openvino, "convert_model", fail)
    auto = denoiser("auto")
    auto(noisy(40, 40))
    assert auto.engine == "torch"
    assert [record.getMessage() for record in caplog.records] == ["openvino failed (no); going on with torch"]


def test_the_comparison_times_each_engine_on_the_same_picture() -> None:
    slow, fast = (TorchEngine(small(), "float32", torch.device("cpu")) for _ in range(2))
    calls: list[torch.Tensor] = []

    def waiting(batch: torch.Tensor) -> torch.Tensor:
        calls.append(batch)
        threading.Event().wait(0.02)
        return batch

    times = engines.timed([waiting, lambda batch: batch], side=32, rounds=2)  # type: ignore[list-item]
    assert len(calls) == 3 and times[0] >= 0.02 > times[1]
    assert Fastest(slow, list, fast).name == "torch"


@pytest.mark.parametrize(
    ("amx", "seconds", "faster"), [(True, (1, 9), True), (False, (2, 1), True), (False, (1, 1), False)]
)
def test_bfloat16_is_taken_where_it_is_fast(
    monkeypatch: pytest.MonkeyPatch, amx: bool, seconds: tuple[float, float], faster: bool
) -> None:
    cpu.bfloat16_is_faster.cache_clear()
    # Instructions for bfloat16 without AMX do not count: only what was measured does.
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx, "avx512_bf16": True}, raising=False)
    monkeypatch.setattr(cpu, "convolution_seconds", lambda: seconds)
    try:
        assert denoiser("torch", precision="auto").precision == ("bfloat16" if faster else "float32")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert cpu.mixed_precision("auto") == ("bf16" if faster else None)
        assert cpu.mixed_precision("no") == "no"
        monkeypatch.setattr(cpu, "convolution_seconds", lambda: 1 / 0)  # once a process
        assert cpu.bfloat16_is_faster() is faster
    finally:
        cpu.bfloat16_is_faster.cache_clear()


def test_convolutions_are_timed() -> None:
    full, half = cpu.convolution_seconds()
    assert full > 0 and half > 0


def test_the_ways_through_the_network_are_told_apart() -> None:
    assert branches(small(), 48, 48) == (False, False, False)
    assert branches(small(), 8, 56) == (True, True, True)
