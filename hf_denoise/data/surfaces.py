"""Where surfaces are in photographs that defects are drawn into: masks by the names of the photographs, or found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hf_denoise.arrays import FloatImage, Mask
from hf_denoise.data.layout_files import Layout, by_key, composed, listed
from hf_denoise.data.masks import levels_of, unusable_mask
from hf_denoise.data.reading import read_cell
from hf_denoise.defects.foreground import foreground
from hf_denoise.errors import UserError

AUTO = "auto"


@dataclass(frozen=True)
class Surfaces:
    """Says for each photograph where defects may lie.

    Args:
        inside: a folder of masks, 255 on the surface, with the names of the photographs and the folders that they lie
            in, `NAME` or `NAME_mask`; or "auto", which finds objects on a plain ground; None: everywhere.

    Raises:
        UserError: there is no such folder.
    """

    inside: str | None = None

    def __post_init__(self) -> None:
        if self.inside not in (None, AUTO) and not Path(str(self.inside)).expanduser().is_dir():
            raise UserError(f"--inside '{self.inside}' is no folder; give one of masks, or {AUTO}")

    def check(self, names: Iterable[str]) -> None:
        """Raises: UserError: a photograph has no mask, or its mask cannot be used."""
        if self.inside in (None, AUTO):
            return
        files = self._files
        missing = [name for name in names if _mask_of(name, files) is None]
        if missing:
            raise UserError(
                f"--inside '{self.inside}' has no mask for {listed(missing)}; add {missing[0]}.png there, or leave "
                "that photograph out"
            )

    def of(self, name: str, picture: FloatImage) -> Mask | None:
        """(H, W), True where defects may lie; None for everywhere.

        Args:
            name: of the photograph.
            picture: (H, W, 3) in [0, 1].

        Raises:
            UserError: its mask cannot be used.
        """
        if self.inside is None:
            return None
        if self.inside == AUTO:
            return foreground(picture)
        file = _mask_of(name, self._files)
        assert file is not None  # `check` has found it
        mask = read_cell({"bytes": None, "path": str(file)}, str(file))
        if reason := unusable_mask(mask):
            raise UserError(f"{file} {reason}")
        inside = np.asarray(levels_of(mask) > 127)
        if inside.shape != picture.shape[:2]:
            sizes = (f"{width} x {height}" for height, width in (inside.shape, picture.shape[:2]))
            raise UserError("{} is {} pixels and its photograph {}; give them one size".format(file, *sizes))
        if not inside.any():
            raise UserError(f"{file} is black: no defect has room there; leave that photograph out")
        return inside

    @cached_property
    def _files(self) -> dict[str, Path]:
        folder = Path(str(self.inside)).expanduser()
        return by_key(folder, Layout(folder))


def _mask_of(name: str, files: dict[str, Path]) -> Path | None:
    key = composed(name)
    return files.get(key) or files.get(f"{key}_mask")
