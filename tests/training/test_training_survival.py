"""The limit that a training logs: what it says of a network, and that the training does not notice it."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from train_command import command, here, run

from hf_denoise.data.loader import SampleMaker, TripletDataset
from hf_denoise.data.reading import Triplet
from hf_denoise.noise.degradations import parse_degradation
from hf_denoise.training.log import read_log
from hf_denoise.training.survival import SIDE, probe_crops, scratch_limit

OPTIONS = ("--max-steps", "4", "--eval-every", "2", "--batch", "2", "--degradation", "gaussian:20")


class Blur(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(image, 15, stride=1, padding=7, count_include_pad=False)


def dataset(*sizes: tuple[int, int]) -> TripletDataset:
    photo = skimage.data.astronaut()
    triplets = [Triplet(str(n), photo[:height, :width]) for n, (height, width) in enumerate(sizes)]
    return TripletDataset(triplets, SampleMaker(parse_degradation("gaussian:20")), seed=1)


@pytest.mark.slow
def test_the_limit_is_that_of_the_network_and_draws_no_random_number() -> None:
    crops = probe_crops(dataset((200, 300), (220, 250)), range(2))
    assert crops is not None and crops.shape == (SIDE, 2 * SIDE, 3)
    accelerator = Accelerator(cpu=True)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    limits = [scratch_limit(model, crops, accelerator) for model in (nn.Identity(), Blur())]
    # All is kept by one, from the least that is tried on, about half of the noise; nothing by the other.
    assert limits[0] == pytest.approx(20 / 2, rel=0.15) and limits[1] == np.inf
    assert scratch_limit(nn.Identity(), crops, accelerator) == limits[0]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # type: ignore[index]


def test_crops_are_from_the_middle_of_images_that_are_large_enough() -> None:
    data = dataset((60, 500), (150, 120), (500, 400), (300, 300))
    crops = probe_crops(data, range(4))
    assert crops is not None and crops.shape == (120, 240, 3)
    middle = data[1]["degraded"].permute(1, 2, 0).numpy()[15:135]
    np.testing.assert_array_equal(crops[:, :120], middle)
    assert probe_crops(data, [0]) is None


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(10):
        crop = skimage.data.astronaut()[30 * number : 30 * number + 100, 100:200]
        Image.fromarray(crop).save(folder / f"{number}.png")
    return folder


@pytest.mark.slow
def test_training_logs_the_limit_and_comes_to_the_weights_that_it_would_have(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert here(photos, tmp_path / "with", *OPTIONS, "--log-every", "1").returncode == 0
    monkeypatch.setattr("hf_denoise.training.survival.LEAST_SIDE", 1000)
    assert here(photos, tmp_path / "without", *OPTIONS).returncode == 0
    rows, others = (read_log(tmp_path / name / "log.csv") for name in ("with", "without"))
    assert rows is not None and others is not None
    evaluated = np.isfinite(rows["psnr"])
    assert evaluated.sum() == 2 and (rows["limit_80"][evaluated] >= 5).all()
    assert np.isnan(rows["limit_80"][~evaluated]).all() and np.isnan(others["limit_80"]).all()
    # A row holds the mean loss of the steps since the row before.
    assert others["step"].tolist() == [2, 4]
    assert others["loss"].tolist() == pytest.approx(rows["loss"].reshape(2, 2).mean(axis=1).tolist(), rel=1e-8)
    ours, theirs = (load_file(tmp_path / name / "last/model.safetensors") for name in ("with", "without"))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.slow
def test_the_other_processes_wait_for_the_one_that_probes(photos: Path, tmp_path: Path) -> None:
    launcher = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")
    result = run(command(photos, tmp_path / "two", *OPTIONS, launcher=launcher))
    assert result.returncode == 0, result.stderr
    rows = read_log(tmp_path / "two/log.csv")
    assert rows is not None
    assert np.isfinite(rows["psnr"]).sum() == 2 and not np.isnan(rows["limit_80"][np.isfinite(rows["psnr"])]).any()
