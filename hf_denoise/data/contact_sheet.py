"""The contact sheets of a dataset that was made: what each class of defect looks like."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from hf_denoise.hub.tables import plain
from hf_denoise.imaging.crops import defect_centre, outlined, square_around

if TYPE_CHECKING:
    import datasets

SHEET = "contact-sheet.jpg"
SHEET_SAMPLES = 12
SHEET_COLUMNS = 2  # samples side by side
CROP = 224  # side of the crops, pixels

Place = tuple[str, int]  # split and row


def page_name(kind: str) -> str:
    """The file of the page of a class."""
    return SHEET.replace(".", f"-{kind}.")


def contact_sheets(tables: dict[str, datasets.Dataset]) -> dict[str, Image.Image]:
    """By their file names, a sheet on which the classes take turns, and a page for each class.

    Each sample is a crop around the defects: the photograph, the mask's outline, and the noise.
    """
    return {name: _sheet(tables, places) for name, places in chosen_samples(tables).items()}


def chosen_samples(tables: dict[str, datasets.Dataset]) -> dict[str, list[Place]]:
    """What comes on each sheet, by its file name.

    No photograph comes twice on a page; on the sheet of all classes, only where a class has no other.
    """
    places_of: dict[str, list[Place]] = {}
    for split, table in tables.items():
        for index, defect in enumerate(table["defect"][:]):
            places_of.setdefault(table.features["defect"].int2str(defect), []).append((split, index))
    kinds = next(iter(tables.values())).features["defect"].names
    by_class = {kind: places_of[kind] for kind in kinds if kind in places_of}
    names = {split: table["name"][:] for split, table in tables.items()}

    def photograph(place: Place) -> tuple[str, str]:
        return place[0], names[place[0]][place[1]].rpartition("_")[0]

    shown: set[tuple[str, str]] = set()
    mixed: list[Place] = []
    for turn in range(math.ceil(SHEET_SAMPLES / len(by_class))):
        for places in by_class.values():
            new = [place for place in places if photograph(place) not in shown]
            chosen = (new or (places if turn == 0 else []))[:1]
            shown.update(map(photograph, chosen))
            mixed += chosen
    pages = {page_name(kind): _spread(_once(places, photograph), SHEET_SAMPLES) for kind, places in by_class.items()}
    return {SHEET: mixed[:SHEET_SAMPLES], **pages}


def _once(places: list[Place], photograph: Any) -> list[Place]:
    """The first place of each photograph."""
    return list({photograph(place): place for place in reversed(places)}.values())[::-1]


def _spread(places: list[Place], count: int) -> list[Place]:
    """At most so many of them, from all over the list."""
    count = min(count, len(places))
    return [places[len(places) * turn // count] for turn in range(count)]


def _sheet(tables: dict[str, datasets.Dataset], places: list[Place]) -> Image.Image:
    panels = []
    for split, index in places:
        row = tables[split][index]
        label = f"{tables[split].features['defect'].int2str(row['defect'])}   {plain(row['name'])[-40:]}"
        panels.append((label, _crops(row)))
    side = max(max(crop.size) for _, crops in panels for crop in crops)  # of small photographs less than CROP
    larger = max(CROP // side, 1)
    width = max(len(crops) for _, crops in panels) * (larger * side + 4) + 8
    height = larger * side + 26
    sheet_rows = math.ceil(len(panels) / SHEET_COLUMNS)
    sheet = Image.new("RGB", (min(len(panels), SHEET_COLUMNS) * width, sheet_rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (label, crops) in enumerate(panels):
        top, left = (number // SHEET_COLUMNS) * height, (number % SHEET_COLUMNS) * width
        draw.text((left + 2, top + 3), label, fill="black", font_size=13)
        for column, crop in enumerate(crops):
            shown = crop.resize((larger * crop.width, larger * crop.height), Image.Resampling.NEAREST)
            sheet.paste(shown, (left + column * (larger * side + 4), top + 22))
    return sheet


def _crops(row: dict[str, Any]) -> list[Image.Image]:
    """The same square of a row's images, pixel for pixel, around the defect: photograph, outline, and the noisy one."""
    mask = np.asarray(row["mask"]) > 127
    box = square_around(defect_centre(mask), CROP, mask.shape)
    clean = np.asarray(row["clean"].convert("RGB"))[box]
    degraded = [np.asarray(row["degraded"].convert("RGB"))[box]] if "degraded" in row else []
    return [Image.fromarray(crop) for crop in (clean, outlined(clean, mask[box]), *degraded)]
