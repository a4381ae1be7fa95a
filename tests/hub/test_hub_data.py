"""Data sets from the Hub and to it."""

import io

import numpy as np
import pytest
from hub_server import HubServer
from huggingface_hub import HfApi
from PIL import Image

from hf_denoise.data.making import make_triplets
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError
from hf_denoise.hub.files import dataset_revision


def test_triplets_from_the_hub(hub: HubServer, tmp_path):
    datasets = pytest.importorskip("datasets")
    images = np.random.default_rng(0).integers(0, 255, (10, 2, 20, 24, 3), dtype=np.uint8)
    features = {"name": datasets.Value("string"), "clean": datasets.Image(), "degraded": datasets.Image()}
    rows = [{"name": str(k), "clean": png(clean), "degraded": png(noisy)} for k, (clean, noisy) in enumerate(images)]
    datasets.Dataset.from_list(rows, features=datasets.Features(features)).to_parquet(tmp_path / "train.parquet")
    parquet = (tmp_path / "train.parquet").read_bytes()
    hub.host("ada/triplets", {"data/train-00000-of-00001.parquet": parquet}, kind="datasets")
    triplets = load_triplets("ada/triplets")
    assert {split: len(table) for split, table in triplets.items()} == {"train": 7, "validation": 2, "test": 1}
    for table in triplets.values():
        for row in table:
            clean, noisy = images[int(row["name"])]
            assert np.array_equal(row["clean"], clean) and np.array_equal(row["degraded"], noisy)
    loaded = hub.repos["datasets", "ada/triplets"].resolve("main")
    assert dataset_revision("ada/triplets") == loaded
    hub.host("ada/triplets", {"README.md": b"# Newer"}, kind="datasets")
    assert dataset_revision("ada/triplets") == loaded  # the newer one was not read
    assert dataset_revision("ada/nothing") is dataset_revision(tmp_path) is dataset_revision("no such folder") is None
    with pytest.raises(UserError, match="ada/nothing"):
        load_triplets("ada/nothing")


@pytest.mark.parametrize("way", ["folder", "datasets"])
def test_made_triplets_go_to_the_hub_and_come_back(hub: HubServer, tmp_path, way):
    """Uploaded as the folder they are, as `hf upload` does it, or by `datasets`."""
    datasets = pytest.importorskip("datasets")
    rng = np.random.default_rng(0)
    for number in range(4):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(60, 200, (64, 72, 3), np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    made = make_triplets(tmp_path / "photos", tmp_path / "made")
    if way == "folder":
        api = HfApi(token="hf_ada")
        api.create_repo("ada/made", repo_type="dataset")
        api.upload_folder(repo_id="ada/made", folder_path=tmp_path / "made", repo_type="dataset")
        files = hub.repos["datasets", "ada/made"].files
        assert {"README.md", "contact-sheet.jpg"} < files.keys()
    else:
        datasets.load_dataset(str(tmp_path / "made")).push_to_hub("ada/made", token="hf_ada")
    local, remote = load_triplets(tmp_path / "made"), load_triplets("ada/made")
    assert {split: len(table) for split, table in remote.items()} == {s: sum(c.values()) for s, c in made.items()}
    for split, table in local.items():
        assert table.column_names == remote[split].column_names
        for ours, theirs in zip(table, remote[split], strict=True):
            assert (ours["name"], ours["defect"]) == (theirs["name"], theirs["defect"])
            assert all(np.array_equal(ours[column], theirs[column]) for column in ("clean", "mask", "degraded"))


def png(pixels: np.ndarray) -> dict[str, bytes | None]:
    """An image as `datasets` stores it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}
