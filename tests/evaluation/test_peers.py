"""The denoisers that a model is compared with."""

import inspect
import sys
from typing import cast

import numpy as np
import pytest
import skimage.data

from hf_denoise.cli.main import main
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError
from hf_denoise.evaluation.measuring import gaussian_sigma
from hf_denoise.evaluation.peers import load_peers, nl_means
from hf_denoise.evaluation.run import evaluate
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.metrics.quality import psnr


@pytest.mark.parametrize(
    ("spec", "sigma"),
    [
        ("gaussian:25", 25),
        ("gaussian:0-55", None),
        ("gaussian:25|jpeg:40", None),
        ("gaussian:25+jpeg:40", None),
        ("speckle:25", None),
    ],
)
def test_peers_are_told_sigma_only_where_there_is_one(spec, sigma):
    assert gaussian_sigma(spec) == sigma


def test_peers_get_the_estimated_noise_where_there_is_no_sigma(plates):
    told = []

    def peer(noisy: np.ndarray, sigma: float) -> np.ndarray:
        told.append(sigma)
        return noisy

    unchanged = cast(Denoiser, lambda noisy: noisy)
    triplets = load_triplets(plates, splits=(0.0, 0.0, 1.0))["test"].select(range(2))
    for spec, low, high in (("gaussian:30", 30, 30), ("poisson-gaussian:30", 15, 35)):
        told.clear()
        evaluation, _ = evaluate(unchanged, triplets, spec, peers={"copy": peer})
        assert len(told) == 2 and all(low <= sigma <= high for sigma in told)
        assert evaluation.result["peers"]["copy"]["sigma"] == (30 if low == high else None)


@pytest.mark.parametrize("name", ["nl-means", "bm3d"])
@pytest.mark.parametrize("shape", [(48, 64), (5, 40)])
def test_peers_remove_noise_in_grey_and_colour_at_any_size(name, shape):
    if name == "bm3d":
        pytest.importorskip("bm3d")
    run = load_peers([name])[name]
    colour = skimage.data.astronaut()[: shape[0], : shape[1]].astype(np.float32) / 255
    grey = np.repeat(colour.mean(axis=2, keepdims=True), 3, axis=2)
    for clean in (colour, grey):
        noise = np.random.default_rng(0).normal(0, 25 / 255, clean.shape).astype(np.float32)
        noisy = clean + (noise if clean is colour else noise[..., :1])
        denoised = run(noisy, 25)
        assert denoised.shape == clean.shape
        assert psnr(denoised, clean) > psnr(noisy, clean) + 2
        assert clean is colour or (denoised == denoised[..., :1]).all()


def test_a_grey_picture_is_not_denoised_as_colour():
    """Its channels have the same noise: three of them together look like a colour picture that is very grainy."""
    clean = np.repeat(skimage.data.camera()[100:164, 100:164, None].astype(np.float32) / 255, 3, axis=2)
    noisy = clean + np.random.default_rng(0).normal(0, 25 / 255, (64, 64, 1)).astype(np.float32)
    as_colour = inspect.unwrap(nl_means)(noisy, 25)
    assert psnr(nl_means(noisy, 25), clean) > psnr(as_colour, clean) + 0.3


def test_a_peer_that_is_not_there_is_one_sentence(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "bm3d", None)
    out = tmp_path / "out"
    assert main(["evaluate", "--data", str(photos), "--peers", "bm3d", "-o", str(out)]) == 2
    assert "pip install bm3d" in capsys.readouterr().err
    assert not out.exists()
    with pytest.raises(UserError, match="nl-means, bm3d"):
        load_peers(["bm4d"])
