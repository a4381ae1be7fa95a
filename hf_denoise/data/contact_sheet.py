"""The contact sheet of a dataset that was made: what each class of defect looks like."""

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


def contact_sheet(tables: dict[str, datasets.Dataset]) -> Image.Image:
    """Crops around the defects of some samples of every class: the photograph, the mask's outline, and the noise."""
    by_class: dict[int, list[tuple[str, int]]] = {}
    for split, table in tables.items():
        for index, defect in enumerate(table["defect"][:]):
            by_class.setdefault(defect, []).append((split, index))
    # Classes take turns, each with samples from all over its list.
    each = math.ceil(SHEET_SAMPLES / len(by_class))
    spread = [[rows[len(rows) * turn // each] for turn in range(min(each, len(rows)))] for rows in by_class.values()]
    turns = [rows[turn] for turn in range(each) for rows in spread if turn < len(rows)][:SHEET_SAMPLES]
    panels = []
    for split, index in turns:
        row = tables[split][index]
        label = f"{tables[split].features['defect'].int2str(row['defect'])}   {plain(row['name'])[-40:]}"
        panels.append((label, _crops(row)))
    width = max(len(crops) for _, crops in panels) * (CROP + 4) + 8
    height = CROP + 26
    sheet_rows = math.ceil(len(panels) / SHEET_COLUMNS)
    sheet = Image.new("RGB", (min(len(panels), SHEET_COLUMNS) * width, sheet_rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (label, crops) in enumerate(panels):
        top, left = (number // SHEET_COLUMNS) * height, (number % SHEET_COLUMNS) * width
        draw.text((left + 2, top + 3), label, fill="black", font_size=13)
        for column, crop in enumerate(crops):
            sheet.paste(crop, (left + column * (CROP + 4), top + 22))
    return sheet


def _crops(row: dict[str, Any]) -> list[Image.Image]:
    """The same square of a row's images, pixel for pixel, around the defect: photograph, outline, and the noisy one."""
    mask = np.asarray(row["mask"]) > 127
    box = square_around(defect_centre(mask), CROP, mask.shape)
    clean = np.asarray(row["clean"].convert("RGB"))[box]
    degraded = [np.asarray(row["degraded"].convert("RGB"))[box]] if "degraded" in row else []
    return [Image.fromarray(crop) for crop in (clean, outlined(clean, mask[box]), *degraded)]
