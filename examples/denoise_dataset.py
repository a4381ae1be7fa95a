"""Denoise a data set of any size with any number of processes on any number of machines, as a job that can be killed.

    python examples/denoise_dataset.py --data user/photos --output OUT --process 0 --of 4     # and 1, 2, 3 elsewhere
    python examples/denoise_dataset.py --data user/photos --output OUT --finish

The data are streamed and cut into parts. A process works on every `--of`-th part and writes each as a parquet file,
under another name until it is whole; a part that is there is left out. So a process that was killed is started again
with the same command, also with another number of processes, and nothing is lost or done twice. `--finish` checks
that all parts are there and writes `manifest.json`. The result loads with `load_dataset("parquet",
data_files="OUT/*.parquet")`.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet
import tyro
from datasets import Dataset, Features, Image, IterableDataset, Value, disable_progress_bars, load_dataset
from tqdm import tqdm

from hf_denoise import Denoiser
from hf_denoise.data.walking import visible_files
from hf_denoise.errors import UserError
from hf_denoise.files import make_writable, remove_parts, written_beside
from hf_denoise.imaging.formats import FORMATS

FEATURES = Features({"name": Value("string"), "image": Image(), "error": Value("string")})


def cells(files: list[str], column: str) -> Iterator[dict[str, Any]]:
    """Files as rows of encoded images."""
    for file in files:
        yield {column: {"bytes": None, "path": file}}


@dataclass(frozen=True)
class Job:
    """Denoise a data set, part by part."""

    data: str
    """Id of a data set on the Hub, a folder of images, or one of parquet files."""
    output: Path
    """Folder of the results, which all processes can write to; or one for each, whose files are put together later."""
    split: str = "train"
    column: str = "image"
    model: str | None = None
    """Folder or Hub id; the packaged model by default."""
    parts: int = 1000
    """At most so many; no more than the data have files. The same in all processes and at every restart."""
    process: int = int(os.environ.get("SLURM_PROCID", os.environ.get("RANK", "0")))
    of: int = int(os.environ.get("SLURM_NTASKS", os.environ.get("WORLD_SIZE", "1")))
    finish: bool = False
    """Check that all parts are there, and write the manifest."""

    def run(self) -> None:
        make_writable(self.output)
        stream, count = self.stream()
        if self.finish:
            self.write_manifest(count)
            return
        mine = [part for part in range(self.process, count, self.of) if not self.path(part, count).exists()]
        remove_parts(self.path(part, count) for part in mine)
        if mine:
            denoiser = Denoiser.from_pretrained(self.model)
            for part in tqdm(mine, f"process {self.process}", unit="part"):
                self.denoise_part(denoiser, stream.shard(count, part), self.path(part, count))

    def stream(self) -> tuple[IterableDataset, int]:
        """The data, images not decoded, and the number of parts."""
        files = [str(path) for path in visible_files(self.data)] if Path(self.data).is_dir() else []
        if files:  # `datasets` streams a folder of images in one piece
            stream = IterableDataset.from_generator(cells, gen_kwargs={"files": files, "column": self.column})
        else:
            stream = load_dataset(self.data, split=self.split, streaming=True)
            stream = stream.cast_column(self.column, Image(decode=False))
        return stream, min(self.parts, stream.num_shards)

    def path(self, part: int, count: int) -> Path:
        """Where the result of a part goes."""
        return self.output / f"part-{part:06d}-of-{count:06d}.parquet"

    def denoise_part(self, denoiser: Denoiser, rows: IterableDataset, target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            found = Dataset.from_list(list(self.denoised(denoiser, rows, Path(folder))), features=FEATURES)
        with written_beside(target) as file:
            found.to_parquet(file)

    def denoised(self, denoiser: Denoiser, rows: IterableDataset, folder: Path) -> Iterator[dict[str, Any]]:
        """Each image in the format, depth and with the metadata that it has; one that cannot be read is named."""
        for number, row in enumerate(rows):
            cell = row[self.column]
            name = (
                os.path.relpath(cell["path"], self.data) if cell["bytes"] is None else cell["path"] or f"row {number}"
            )
            suffix = Path(name).suffix.lower()
            source = folder / f"in{suffix if suffix in FORMATS else '.png'}"
            source.write_bytes(Path(cell["path"]).read_bytes() if cell["bytes"] is None else cell["bytes"])
            target = source.with_stem("out")
            try:
                denoiser.file(source, target)
            except UserError as error:
                yield {"name": name, "image": None, "error": str(error).replace(str(source), name)}
                continue
            yield {"name": name, "image": {"bytes": target.read_bytes(), "path": Path(name).name}, "error": None}

    def write_manifest(self, count: int) -> None:
        """What there is, with digests; raises `UserError` where parts are missing."""
        missing = [part for part in range(count) if not self.path(part, count).exists()]
        if missing:
            raise UserError(
                f"{len(missing)} of {count} parts are missing, the first is {missing[0]}; start the processes again"
            )
        parts = []
        for path in tqdm([self.path(part, count) for part in range(count)], "manifest", unit="part"):
            table = pyarrow.parquet.read_table(path, columns=["error"])
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            parts.append(
                {
                    "file": path.name,
                    "rows": table.num_rows,
                    "failed": table.num_rows - table["error"].null_count,
                    "sha256": digest,
                }
            )
        totals = {key: sum(int(part[key]) for part in parts) for key in ("rows", "failed")}
        with written_beside(self.output / "manifest.json") as file:
            file.write(
                json.dumps({"data": self.data, "split": self.split, **totals, "parts": parts}, indent=1).encode()
            )
        print(f"{totals['rows']} images in {count} parts, {totals['failed']} of which could not be read")


if __name__ == "__main__":
    disable_progress_bars()  # of `datasets`: there is one for the parts
    try:
        tyro.cli(Job).run()
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
