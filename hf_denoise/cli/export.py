"""`hf-denoise export`."""

import importlib.util
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from hf_denoise.errors import UserError


@dataclass(frozen=True)
class Export:
    """Write a model for another engine: as one ONNX file, or quantised to int8 for OpenVINO; compare and measure it."""

    format: Positional[Literal["onnx", "int8"]]
    """onnx: one file for any batch, height and width. int8: files beside the weights, for --precision int8."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="OUT")]
    """For onnx the file to write, OUT.onnx: it takes and gives float32 of shape (batch, 3, height, width), RGB in [0,
    1]. For int8 the folder of the saved model itself, or another, to which the weights are copied."""
    model: Annotated[Positional[str | None], arg(metavar="MODEL")] = None
    """Folder of a saved model, or its id on the Hugging Face Hub. Default: the model in the package."""
    data: str | None = None
    """For int8: clean photographs to calibrate and measure on, a folder or a data set on the Hub."""
    overwrite: bool = False
    """Replace files that exist."""

    def run(self) -> None:
        needed = ("onnx", "onnxruntime", "onnxscript") if self.format == "onnx" else ("openvino", "nncf")
        missing = [name for name in needed if importlib.util.find_spec(name) is None]
        if missing:
            raise UserError(f"the export needs what is not installed here; pip install {' '.join(missing)}")
        if self.format == "int8":
            self.to_int8()
        else:
            self.to_onnx()

    def to_int8(self) -> None:
        """Quantise, and say what is lost."""
        from hf_denoise.data.photographs import random_crops
        from hf_denoise.inference.quantizing import export_int8, summary

        if self.data is None:
            raise UserError("export int8 calibrates on clean photographs; name a folder of them with --data")
        losses = export_int8(self.model, partial(random_crops, self.data), self.output, overwrite=self.overwrite)
        print(f"{self.output}: {summary(losses)}")

    def to_onnx(self) -> None:
        """Write the file, and compare it with PyTorch."""
        from torch import get_num_threads

        from hf_denoise.inference.export import SIDE, SIZES, export_onnx

        made = export_onnx(self.model, self.output, overwrite=self.overwrite)
        print(
            f"{self.output}: {made.size / 1e6:.1f} MB, at most {made.difference:.0e} off PyTorch on {len(SIZES)} sizes"
            f"\n{SIDE} x {SIDE}, float32, {get_num_threads()} threads: ONNX Runtime {made.seconds:.3f} s, PyTorch "
            f"{made.torch_seconds:.3f} s, {made.torch_seconds / made.seconds:.2f} times as fast"
        )
