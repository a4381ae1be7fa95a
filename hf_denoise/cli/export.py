"""`hf-denoise export`."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from hf_denoise.errors import UserError


@dataclass(frozen=True)
class Export:
    """Write a model as one ONNX file for any batch, height and width; compare it with PyTorch, and time both."""

    format: Positional[Literal["onnx"]]
    """Format of the file."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="OUT.onnx")]
    """File to write. It takes and gives float32 of shape (batch, 3, height, width), RGB in [0, 1]."""
    model: Annotated[Positional[str | None], arg(metavar="MODEL")] = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    overwrite: bool = False
    """Replace a file that exists."""

    def run(self) -> None:
        missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if importlib.util.find_spec(name) is None]
        if missing:
            raise UserError(f"the export needs what is not installed here; pip install {' '.join(missing)}")
        from torch import get_num_threads

        from hf_denoise.inference.export import SIDE, SIZES, export_onnx

        made = export_onnx(self.model, self.output, overwrite=self.overwrite)
        print(
            f"{self.output}: {made.size / 1e6:.1f} MB, at most {made.difference:.0e} off PyTorch on {len(SIZES)} sizes"
            f"\n{SIDE} x {SIDE}, float32, {get_num_threads()} threads: ONNX Runtime {made.seconds:.3f} s, PyTorch "
            f"{made.torch_seconds:.3f} s, {made.torch_seconds / made.seconds:.2f} times as fast"
        )
