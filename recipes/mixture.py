"""Photographs, photographs with drawn defects, and real defects as one data set: what the second and third run saw.

    hf-denoise make-triplets PHOTOS PHOTO_TRIPLETS --degradation none
    python recipes/mixture.py PHOTOS PHOTO_TRIPLETS TILES MIXTURE

The training splits are joined, TILES three times, since there are few of them. The validation split is that of the
photographs and of TILES; the test splits are left alone.
"""

import sys

import datasets

from hf_denoise.data.triplets import load_triplets


def columns(table: datasets.Dataset, part: str) -> datasets.Dataset:
    """Name, clean and mask alone, the name unique in the mixture; an empty mask where there is none."""
    if "mask" not in table.column_names:
        table = table.add_column("mask", [None] * len(table), feature=datasets.Image())
    names = [f"{part}/{name}" for name in table["name"]]
    return table.select_columns(["clean", "mask"]).add_column("name", names)


def main(photos: str, drawn: str, tiles: str, output: str) -> None:
    data = {name: load_triplets(folder) for name, folder in (("photos", photos), ("drawn", drawn), ("tiles", tiles))}
    parts = {
        "train": ("photos", "drawn", "tiles", "tiles", "tiles"),
        "validation": ("photos", "tiles"),
    }
    mixture = datasets.DatasetDict(
        {
            split: datasets.concatenate_datasets(
                [columns(data[name][split], f"{name}{turn}") for turn, name in enumerate(names)]
            )
            for split, names in parts.items()
        }
    )
    mixture.save_to_disk(output)
    print(mixture)


if __name__ == "__main__":
    main(*sys.argv[1:])
