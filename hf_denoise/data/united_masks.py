"""Data sets with several masks for an image, or with a level for every kind of defect: one mask of what any says."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hf_denoise.arrays import Mask
from hf_denoise.data.masks import levels_of, transparent
from hf_denoise.data.reading import read_cell
from hf_denoise.errors import UserError


def united(paths: Sequence[Path], root: Path) -> dict[str, Any]:
    """The mask of an image, as a cell of a table, of files in which all levels but 0 are defects.

    Messages name files relative to `root`.

    Raises:
        UserError: a file cannot be used, or its size is that of no other.
    """
    whole: Mask | None = None
    for path in paths:
        where = path.relative_to(root).as_posix()
        picture = read_cell({"path": str(path), "bytes": None}, where)
        if reason := transparent(picture):
            raise UserError(f"{where} {reason}")
        part = levels_of(picture) > 0
        if whole is not None and whole.shape != part.shape:
            raise UserError(f"{where} has another size than {paths[0].name} beside it")
        whole = part if whole is None else whole | part
    encoded = io.BytesIO()
    Image.fromarray(np.asarray(whole)).save(encoded, "PNG")
    return {"bytes": encoded.getvalue(), "path": None}
