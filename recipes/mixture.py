"""Photographs, pairs of real cameras and pictures of defects as one data set: what the packaged weights are trained on.

    python recipes/mixture.py --photos PHOTOS --real REAL --tiles TILES --output MIXTURE

Each folder holds `train` and `validation`, or is split by `load_triplets`; test splits are left alone. Of all patches
13 % are of REAL and 4 % of TILES; within a folder a picture is drawn by its number of pixels to the power of 0.7, so
that large ones show more of themselves and do not drown the others. Rows without a degraded picture get theirs in
training.
"""

import argparse

import datasets

from hf_denoise.data.triplets import load_triplets

SHARES = {"photos": 0.83, "real": 0.13, "tiles": 0.04}
VALIDATION = {"photos": 16, "real": 8, "tiles": 8}  # pictures
COLUMNS = ("clean", "mask", "degraded")


def rows(table: datasets.Dataset, part: str) -> datasets.Dataset:
    """The columns of a triplet, with names that are unique in the mixture and the weight of each row."""
    sizes = [image.width * image.height for image in table["clean"]]
    powers = [size**0.7 for size in sizes]
    names = [f"{part}/{name}" for name in table["name"]]
    for column in COLUMNS:
        if column not in table.column_names:
            table = table.add_column(column, [None] * len(table), feature=datasets.Image())
    table = table.select_columns(list(COLUMNS)).add_column("name", names)
    return table.add_column("weight", [SHARES[part] * power / sum(powers) for power in powers])


def thinned(table: datasets.Dataset, count: int) -> datasets.Dataset:
    """About so many rows, evenly spaced."""
    return table.select(range(0, len(table), max(len(table) // count, 1)))


def main() -> None:
    """Write the mixture with `Dataset.save_to_disk`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part in SHARES:
        parser.add_argument(f"--{part}", required=True)
    parser.add_argument("--output", required=True)
    options = vars(parser.parse_args())
    data = {part: load_triplets(options[part]) for part in SHARES}
    training = [rows(tables["train"], part) for part, tables in data.items()]
    validation = [rows(thinned(tables["validation"], VALIDATION[part]), part) for part, tables in data.items()]
    mixture = datasets.DatasetDict(
        {"train": datasets.concatenate_datasets(training), "validation": datasets.concatenate_datasets(validation)}
    )
    mixture.save_to_disk(options["output"])
    print(mixture)


if __name__ == "__main__":
    main()
