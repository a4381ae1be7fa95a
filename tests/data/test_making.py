"""`hf-denoise make-triplets`: a folder of clean images in, a dataset that loads, trains and uploads out."""

import logging

import datasets
import numpy as np
import pytest
from huggingface_hub import DatasetCard
from made_triplets import photo, pixels, rows, write_photos
from PIL import Image

from hf_denoise.data.contact_sheet import chosen_samples
from hf_denoise.data.making import make_triplets
from hf_denoise.data.triplets import load_triplets
from hf_denoise.defects.generator import DEFECT_KINDS
from hf_denoise.errors import UserError


def test_a_folder_of_photos_becomes_a_dataset(tmp_path):
    source = write_photos(tmp_path / "photos")
    counts = make_triplets(source, tmp_path / "out", per_image=2, degradation="gaussian:10")
    assert {split: sum(count.values()) for split, count in counts.items()} == {"train": 14, "validation": 4, "test": 2}
    assert sorted(file.name for file in (tmp_path / "out").rglob("*") if file.is_file()) == [
        "README.md",
        *(f"contact-sheet-{kind}.jpg" for kind in sorted(DEFECT_KINDS)),
        "contact-sheet.jpg",
        "test-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
        "validation-00000-of-00001.parquet",
    ]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["out", "photos"]

    loaded = datasets.load_dataset(str(tmp_path / "out"))
    features = loaded["train"].features
    assert list(features) == ["name", "clean", "mask", "degraded", "defect"]
    assert all(isinstance(features[column], datasets.Image) for column in ("clean", "mask", "degraded"))
    assert features["defect"].names == list(DEFECT_KINDS)
    for name, row in rows(tmp_path / "out").items():
        original = photo(int(name[:2])).astype(int)
        clean, degraded, mask = (np.asarray(row[column]).astype(int) for column in ("clean", "degraded", "mask"))
        assert row["clean"].format == "PNG" and row["clean"].mode == "RGB" and row["mask"].mode == "L"
        assert set(np.unique(mask)) == {0, 255}
        assert np.array_equal(mask == 255, np.abs(clean - original).max(axis=2) >= 2)
        assert np.array_equal(clean[mask == 0], original[mask == 0])
        assert 4 < np.std(degraded - clean) < 12

    triplets = load_triplets(tmp_path / "out")
    assert {split: len(table) for split, table in triplets.items()} == {"train": 14, "validation": 4, "test": 2}
    assert set(triplets["train"]["defect"]) <= set(DEFECT_KINDS)
    sheet = Image.open(tmp_path / "out" / "contact-sheet.jpg")
    assert sheet.width > 3 * 72 and sheet.height > 60
    assert (np.asarray(sheet.convert("L")) > 250).mean() < 0.5  # small photographs are shown larger


def test_variants_of_a_photo_are_on_one_side_and_take_turns(tmp_path):
    make_triplets(write_photos(tmp_path / "photos"), tmp_path / "out", per_image=5, degradation="none")
    found = rows(tmp_path / "out")
    assert len(found) == 50
    for number in range(10):
        variants = [row for name, row in found.items() if name.startswith(f"{number:02d}_")]
        assert len({row["split"] for row in variants}) == 1
        assert {row["defect"] for row in variants} == set(range(5))
        assert len({row["mask"].tobytes() for row in variants}) == 5


def test_own_splits_are_kept(tmp_path):
    write_photos(tmp_path / "photos" / "train", 4)
    write_photos(tmp_path / "photos" / "validation", 2, start=4)
    counts = make_triplets(tmp_path / "photos", tmp_path / "out", degradation="none", kinds=["pit"])
    assert counts == {"train": {"pit": 4}, "validation": {"pit": 2}}
    assert {name: row["split"] for name, row in rows(tmp_path / "out").items()} == {
        **{f"train/{number:02d}_0": "train" for number in range(4)},
        **{f"validation/{number:02d}_0": "validation" for number in (4, 5)},
    }


def test_the_seed_decides_every_pixel(tmp_path):
    source = write_photos(tmp_path / "photos", 4)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_triplets(source, tmp_path / name, seed=seed)
    a, b, c = (pixels(tmp_path / name) for name in "abc")
    assert a == b
    assert all(a[name] != c[name] for name in a)


def test_other_photos_and_options_do_not_change_the_defects_of_a_photo(tmp_path):
    make_triplets(write_photos(tmp_path / "many", 8), tmp_path / "a", per_image=2, degradation="none")
    make_triplets(write_photos(tmp_path / "few", 3, start=4), tmp_path / "b", per_image=1)
    a, b = pixels(tmp_path / "a"), pixels(tmp_path / "b")
    assert sorted(b) == ["04_0", "05_0", "06_0"]
    assert all(b[name][:2] == a[name] for name in b)


def test_no_degradation_leaves_the_noise_to_training(tmp_path):
    make_triplets(write_photos(tmp_path / "photos", 3), tmp_path / "out", degradation="none")
    assert load_triplets(tmp_path / "out")["train"].column_names == ["name", "clean", "mask", "defect"]
    assert "no degraded image" in (tmp_path / "out" / "README.md").read_text()


def test_grey_photos_stay_grey_also_in_the_noise(tmp_path):
    write_photos(tmp_path / "photos", 2, grey=True)
    Image.fromarray(photo(5, grey=True)).convert("RGB").save(tmp_path / "photos" / "rgb.png")
    Image.fromarray(photo(6, grey=True).astype(np.uint16) * 257).save(tmp_path / "photos" / "deep.png")
    make_triplets(tmp_path / "photos", tmp_path / "out", degradation="camera:8")
    for row in rows(tmp_path / "out").values():
        assert row["clean"].mode == row["degraded"].mode == "L"


def test_a_camera_changes_the_target_too(tmp_path):
    make_triplets(write_photos(tmp_path / "photos", 3), tmp_path / "out", degradation="camera:4")
    for name, row in rows(tmp_path / "out").items():
        original = photo(int(name[:2])).astype(int)
        clean, degraded = (np.asarray(row[column]).astype(int) for column in ("clean", "degraded"))
        untouched = np.asarray(row["mask"]) == 0
        assert np.abs(clean - original)[untouched].mean() > 0.5
        assert np.abs(degraded - clean).mean() > 0.5


def test_images_with_a_defect_of_their_own_are_left_out(tmp_path, caplog):
    for defect, numbers in (("good", range(4)), ("hole", range(4, 6))):
        for number in numbers:
            for role, image in (("clean", photo(number)), ("mask", np.eye(60, 72, dtype=np.uint8) * 255)):
                if role == "clean" or defect == "hole":
                    path = tmp_path / "data" / role / defect / f"{number:02d}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image).save(path)
    with caplog.at_level(logging.WARNING):
        make_triplets(tmp_path / "data", tmp_path / "out", degradation="none")
    assert rows(tmp_path / "out").keys() == {f"good/{number:02d}_0" for number in range(4)}
    assert "2 of the images" in caplog.text


def test_defects_stay_inside_masks_by_the_names_of_the_photographs(tmp_path):
    source = write_photos(tmp_path / "photos", 4)
    (tmp_path / "masks").mkdir()
    inside = np.zeros((60, 72), np.uint8)
    inside[10:50, 20:60] = 255
    for number in range(4):
        Image.fromarray(inside).save(tmp_path / "masks" / f"{number:02d}{'_mask' if number else ''}.png")
    options: dict = {"kinds": ["scratch", "stain"], "degradation": "none", "contrast": (40, 90)}
    make_triplets(source, tmp_path / "out", inside=tmp_path / "masks", per_image=2, **options)
    made = rows(tmp_path / "out")
    assert len(made) == 8
    for name, row in made.items():
        mask = np.asarray(row["mask"]) > 0
        change = (np.asarray(row["clean"]).astype(int) - photo(int(name[:2]))).mean(axis=2)[mask]
        assert not (mask & (inside == 0)).any() and np.percentile(np.abs(change), 95) > 25
    card = (tmp_path / "out" / "README.md").read_text()
    assert "on its surfaces, which they do not leave, of 40 to 90 grey levels" in card
    assert "[scratch](contact-sheet-scratch.jpg), [stain](contact-sheet-stain.jpg)" in card
    Image.fromarray(inside[1:]).save(tmp_path / "masks" / "01_mask.png")
    with pytest.raises(UserError, match=r"01_mask\.png is 72 x 59 pixels and its photograph 72 x 60"):
        make_triplets(source, tmp_path / "other", inside=tmp_path / "masks", **options)
    (tmp_path / "masks" / "02_mask.png").unlink()
    with pytest.raises(UserError, match=r"--inside '.*masks' has no mask for 02; add 02\.png there"):
        make_triplets(source, tmp_path / "other", inside=tmp_path / "masks", **options)
    assert not (tmp_path / "other").exists()


def test_no_photograph_comes_twice_on_a_page(tmp_path):
    rng = np.random.default_rng(0)
    cells: dict[str, list] = {
        "name": [f"{photograph}_{variant}" for photograph in range(5) for variant in range(4)],
        "defect": [int(kind) for kind in rng.integers(0, 2, 20)],
    }
    features = {"name": datasets.Value("string"), "defect": datasets.ClassLabel(names=["crack", "pit"])}
    picture = {role: [Image.fromarray(photo(0))] * 20 for role in ("clean", "mask")}
    table = datasets.Dataset.from_dict(
        {**cells, **picture},
        features=datasets.Features({**features, **dict.fromkeys(picture, datasets.Image())}),
    )
    chosen = chosen_samples({"train": table})
    assert list(chosen) == ["contact-sheet.jpg", "contact-sheet-crack.jpg", "contact-sheet-pit.jpg"]
    for places in chosen.values():
        shown = [cells["name"][row][0] for _, row in places]
        assert len(shown) == len(set(shown)) and len(shown) >= 3


def test_the_card_says_what_is_in_the_data(tmp_path):
    counts = make_triplets(write_photos(tmp_path / "my_photos"), tmp_path / "out", seed=7, kinds=["crack", "stain"])
    card = DatasetCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "other"
    assert card.data.configs[0]["data_files"][0] == {"split": "train", "path": "data/train-*"}
    train = counts["train"]
    assert f"| train | {train['crack']} | {train['stain']} | 7 |" in card.text
    assert "Seed: 7" in card.text and "gaussian:25" in card.text and "my_photos" in card.text
    assert "licences of the photographs" in card.text and "contact-sheet.jpg" in card.text
    assert str(tmp_path) not in card.content
