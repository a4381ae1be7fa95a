import subprocess
import sys

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from hf_denoise.data.decoded import Decoded
from hf_denoise.data.loader import SampleMaker, SampleStream, TripletDataset, training_loader
from hf_denoise.data.reading import Triplet, to_float
from hf_denoise.noise.degradations import parse_degradation

NOISE = parse_degradation("gaussian:25")


def samples(source, seed=0, noise=NOISE, **options):
    return TripletDataset(Decoded(source), SampleMaker(noise, **options), seed)


def triplets(tmp_path, sizes, degraded=True):
    """Triplets whose pixels tell where they came from: red is the column, green the row, masks mark even columns."""
    columns: dict[str, list[str]] = {"name": [], "clean": [], "mask": [], **({"degraded": []} if degraded else {})}
    for number, (height, width) in enumerate(sizes):
        rows, cols = np.mgrid[:height, :width]
        clean = np.stack([cols, rows, np.full_like(rows, number)], -1).astype(np.uint8)
        mask = np.where(cols % 2 == 0, 255, 0).astype(np.uint8)
        images = {"clean": clean, "mask": mask, "degraded": 255 - clean}
        columns["name"].append(str(number))
        for key in [k for k in columns if k != "name"]:
            path = tmp_path / f"{key}{number}.png"
            Image.fromarray(images[key]).save(path)
            columns[key].append(str(path))
    data = datasets.Dataset.from_dict(columns)
    for key in [k for k in columns if k != "name"]:
        data = data.cast_column(key, datasets.Image())
    return data


def test_crops_and_flips_stay_paired(tmp_path):
    data = samples(triplets(tmp_path, [(60, 70)]), patch=32)
    corners = set()
    for epoch in range(1, 30):
        sample = data[epoch, 0]
        assert sample["clean"].shape == (3, 32, 32) and sample["mask"].shape == (1, 32, 32)
        assert torch.allclose(sample["clean"] + sample["degraded"], torch.ones(()))
        assert torch.equal(sample["mask"][0], (sample["clean"][0] * 255).round() % 2 == 0)
        corners.add(tuple((sample["clean"][:2, 0, 0] * 255).int().tolist()))
    assert len(corners) > 20


def test_samples_follow_from_seed_epoch_and_index_alone(tmp_path):
    source = triplets(tmp_path, [(40, 40)] * 3, degraded=False)
    data, same, other = (samples(source, seed, patch=24) for seed in (0, 0, 1))
    assert torch.equal(data[4, 2]["degraded"], same[4, 2]["degraded"])
    assert not torch.equal(data[4, 2]["degraded"], data[5, 2]["degraded"])
    assert not torch.equal(data[4, 2]["degraded"], other[4, 2]["degraded"])
    whole = samples(source)
    assert torch.equal(whole[1]["degraded"], whole[1]["degraded"])
    assert not torch.equal(whole[0]["degraded"] - whole[0]["clean"], whole[1]["degraded"] - whole[1]["clean"])


@pytest.mark.parametrize("noise", ["gaussian:0-55", "camera:1-16", "mixture"])
def test_a_sample_is_the_same_alone_and_in_any_batch(tmp_path, noise):
    source = triplets(tmp_path, [(40, 40), (20, 44), (40, 40)], degraded=False)
    data = samples(source, noise=parse_degradation(noise), patch=24, grey=0.3)
    keys = [(epoch, index) for epoch in range(1, 5) for index in range(3)]
    batch = data.__getitems__(keys)
    assert batch["degraded"].is_contiguous(memory_format=torch.channels_last)
    for row, key in enumerate(keys):
        alone = data[key]
        height, width = alone["clean"].shape[1:]
        for name in ("degraded", "mask", "clean"):
            assert torch.equal(alone[name], batch[name][row, :, :height, :width])


def test_patches_are_cut_around_defects_as_often_as_asked():
    mask = np.zeros((300, 200), np.uint8)
    mask[10, 150] = mask[280:283, 30:33] = 255
    clean = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    row = Triplet("one", clean, mask=mask > 0)
    for share in (0.0, 0.6, 1.0):
        data = TripletDataset([row], SampleMaker(NOISE, patch=24, defect=share))
        cut = [data[epoch, 0] for epoch in range(1, 101)]
        assert all(sample["mask"].shape == (1, 24, 24) for sample in cut)
        shown = sum(bool(sample["mask"].any()) for sample in cut) / 100
        assert shown == pytest.approx(share, abs=0.15)
    places = np.mean([sample["mask"][0].numpy() for sample in cut], axis=0)
    assert places[:12, :12].any() and places[12:, 12:].any()  # not always in the middle of the patch
    larger = TripletDataset([row], SampleMaker(NOISE, patch=256, defect=1.0))[1, 0]
    assert sorted(larger["mask"].shape) == [1, 200, 256] and larger["mask"].any()


@pytest.mark.parametrize("degraded", [True, False])
def test_half_of_the_grey_samples_have_one_noise_in_all_channels(tmp_path, degraded):
    source = triplets(tmp_path, [(40, 40)], degraded)
    for share in (0.0, 0.4, 1.0):
        data = samples(source, patch=24, grey=share)
        grey = [s for s in (data[epoch, 0] for epoch in range(1, 161)) if torch.equal(s["clean"][0], s["clean"][2])]
        assert abs(len(grey) / 160 - share) < 0.15
        one_noise = [s for s in grey if torch.equal(s["degraded"][0], s["degraded"][1])]
        if grey:
            assert len(one_noise) / len(grey) == pytest.approx(1.0 if degraded else 0.5, abs=0.15)
        if grey and not degraded:
            noise = torch.stack([s["degraded"] - s["clean"] for s in grey])
            assert noise.std() * 255 == pytest.approx(25, rel=0.05)


def test_mixed_sizes_are_padded_right_and_bottom(tmp_path):
    data = samples(triplets(tmp_path, [(20, 31), (27, 12)]))
    batch = data.__getitems__([0, 1])
    assert batch.pop("name") == ["0", "1"]
    assert {name: tuple(t.shape) for name, t in batch.items()} == {
        "degraded": (2, 3, 27, 31), "mask": (2, 1, 27, 31), "clean": (2, 3, 27, 31), "valid": (2, 1, 27, 31)
    }  # fmt: skip
    assert batch["valid"][0].sum() == 20 * 31 and batch["valid"][0, 0, :20, :31].all()
    assert not batch["degraded"][1, :, :, 12:].any()
    assert torch.equal(batch["clean"][1, :, :27, :12], data[1]["clean"])
    data.side = 40
    larger = data.__getitems__([1])
    assert larger["clean"].shape == (1, 3, 40, 40) and larger["valid"].sum() == 27 * 12


def test_patches_larger_than_the_image_take_it_whole(tmp_path):
    data = samples(triplets(tmp_path, [(20, 50)]), patch=32)
    assert sorted(data[1, 0]["clean"].shape[1:]) == [20, 32]


def test_stream_covers_every_epoch_once_and_resumes_anywhere():
    whole = list(SampleStream(size=7, total=30, seed=3))
    assert len(whole) == 30
    for epoch in range(4):
        assert sorted(index for _, index in whole[7 * epoch : 7 * (epoch + 1)]) == list(range(7))
    assert len({tuple(index for _, index in whole[7 * e : 7 * e + 7]) for e in range(4)}) > 1
    for start in (0, 1, 7, 20, 30):
        assert list(SampleStream(size=7, total=30, seed=3, start=start)) == whole[start:]


def test_rows_are_drawn_by_their_weights_and_never_twice_alike(tmp_path):
    stream = list(SampleStream(size=40, total=400, seed=3, weights=[1.0] * 39 + [13.0]))
    draws = [index for _, index in stream]
    assert 95 <= draws.count(39) <= 105  # a quarter
    assert all(7 <= draws.count(index) <= 8 for index in (0, 20, 38)) or all(
        5 <= draws.count(i) <= 10 for i in range(39)
    )
    assert len({draw for draw, _ in stream}) == 400
    assert list(SampleStream(40, 400, 3, start=77, weights=[1.0] * 39 + [13.0])) == stream[77:]
    data = samples(triplets(tmp_path, [(60, 70)] * 2, degraded=False), patch=16)
    first, again = (data[draw, 0]["degraded"] for draw in (1, 2))  # of one epoch
    assert not torch.equal(first, again)


def test_a_row_without_a_degraded_image_gets_one_beside_rows_that_bring_theirs(tmp_path):
    source = triplets(tmp_path, [(40, 40)] * 2)
    own = source.to_list()
    own[1]["degraded"] = None
    mixed = datasets.Dataset.from_list(own, features=source.features)
    batch = samples(mixed, patch=24).__getitems__([(1, 0), (1, 1)])
    assert torch.allclose(batch["clean"][0] + batch["degraded"][0], torch.ones(()))
    assert (batch["degraded"][1] - batch["clean"][1]).std() * 255 == pytest.approx(25, rel=0.1)


def test_colours_change_before_the_noise_in_the_share_that_was_asked(tmp_path):
    source = triplets(tmp_path, [(40, 40)], degraded=False)
    for share in (0.0, 0.4, 1.0):
        data = samples(source, patch=24, colour=share)
        changed = 0
        for draw in range(1, 101):
            sample = data[draw, 0]
            red, green, blue = (sample["clean"] * 255).round()
            as_it_was = (blue == 0).all() and len(set(red.flatten().tolist())) == len(
                set(green.flatten().tolist())
            ) == 24
            changed += not as_it_was
            assert (sample["degraded"] - sample["clean"]).std() * 255 == pytest.approx(25, rel=0.15)
        assert changed / 100 == pytest.approx(share, abs=0.15)
    pairs = samples(triplets(tmp_path, [(40, 40)]), patch=24, colour=1.0)
    assert not pairs[1, 0]["clean"][2].any()  # real noise has colours of its own: the pair stays as it is


def test_small_data_fill_large_batches(tmp_path):
    data = samples(triplets(tmp_path, [(16, 16)] * 3), patch=16)
    batches = list(training_loader(data, 8, SampleStream(3, 16, seed=0), workers=0))
    assert [len(batch["clean"]) for batch in batches] == [8, 8]


def only_clean(path):
    """The clean image of a table that has this file alone."""
    return Decoded(datasets.Dataset.from_dict({"clean": [str(path)]}).cast_column("clean", datasets.Image()))[0].clean


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    Image.new("RGB", (5, 4), (255, 255, 255)).convert(mode).save(tmp_path / "a.tif")
    array = to_float(only_clean(tmp_path / "a.tif"))
    assert array.shape == (4, 5, 3) and array.dtype == np.float32
    assert np.allclose(array, 1, atol=0.02)


def test_images_without_colour_get_noise_without_colour(tmp_path):
    for number, mode in enumerate(("L", "RGB")):
        Image.new(mode, (20, 16), 128 if mode == "L" else (128, 128, 128)).save(tmp_path / f"{number}.png")
    names = [str(tmp_path / f"{number}.png") for number in range(2)]
    source = datasets.Dataset.from_dict({"clean": names}).cast_column("clean", datasets.Image())
    without, colour = (samples(source)[index]["degraded"] for index in range(2))
    assert torch.equal(without[0], without[1]) and torch.equal(without[0], without[2])
    assert not torch.equal(colour[0], colour[1])
    assert without.std() * 255 == pytest.approx(25, rel=0.25)


def test_sixteen_bit_grey_keeps_its_depth(tmp_path):
    values = np.array([[0, 1, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.allclose(to_float(only_clean(tmp_path / "a.png"))[0, :, 0] * 65535, values[0], atol=0.01)


@pytest.mark.slow
def test_workers_end_with_a_process_that_has_not_used_all_batches():
    """They leave SIGTERM to the training process, but not where it comes from that."""
    script = (
        "from torch.utils.data import DataLoader\n"
        "from hf_denoise.data.loader import stop_with_parent\n"
        "batches = iter(DataLoader(range(1000), num_workers=2, worker_init_fn=stop_with_parent))\n"
        "next(batches)\n"
        "import builtins; builtins.kept = batches\n"  # nothing shuts it down before the interpreter ends its children
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0
