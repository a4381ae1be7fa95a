"""A table of triplets; and nothing that `datasets` prepares outlives a test."""

from pathlib import Path

import datasets
import pytest
from triplet_files import paired


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def table(tmp_path: Path) -> datasets.Dataset:
    root = paired(tmp_path / "files")
    columns: dict[str, list[str | None]] = {
        role: [str(root / role / f"{i:02d}.png") for i in range(10)] for role in ("clean", "mask", "degraded")
    }
    columns["mask"][3] = None
    features = datasets.Features(dict.fromkeys(columns, datasets.Image()))
    table = datasets.Dataset.from_dict(columns, features=features)
    table = table.add_column("camera", ["x"] * 10)
    return table.add_column("defect", [i % 2 for i in range(10)], feature=datasets.ClassLabel(names=["crack", "fray"]))
