"""Images that a command finds and cannot read: how many, of which kinds."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from hf_denoise.cli.inputs import is_inside
from hf_denoise.data.walking import visible_files

# Raw files that few cameras write, and what else programs that show or edit pictures write.
# fmt: off
UNREAD = frozenset({
    ".3fr", ".crw", ".dcr", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".raw", ".rwl", ".sr2", ".srf", ".x3f",
    ".ai", ".bpg", ".cin", ".cur", ".czi", ".dcm", ".dcx", ".dds", ".dib", ".djvu", ".dpx", ".emf", ".eps",
    ".exr", ".fit", ".fits", ".flif", ".fpx", ".hdr", ".icns", ".ico", ".j2c", ".j2k", ".jls", ".jng", ".jp2", ".jpc",
    ".jpf", ".jpx", ".jxl", ".jxr", ".kra", ".lif", ".mng", ".msp", ".nd2", ".pam", ".pcd", ".pct", ".pcx", ".pfm",
    ".pict", ".psb", ".psd", ".qoi", ".ras", ".rgb", ".rgbe", ".sgi", ".svg", ".svs", ".tga", ".wdp", ".wmf", ".xbm",
    ".xcf", ".xpm",
})
# fmt: on


def skipped_sentence(inputs: Sequence[str], output: Path) -> str | None:
    """What there is to say about the images that lie in the inputs, folders and patterns, and are not read."""
    kinds = Counter(file.suffix.lower() for name in inputs for file in _unread(name, output))
    if not kinds:
        return None
    count = sum(kinds.values())
    said = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    return f"{count} image{'s' * (count > 1)} skipped, of kinds that are not read: {said}"


def _unread(name: str, output: Path) -> Iterator[Path]:
    path = Path(name)
    if os.path.isdir(path):
        found = visible_files(path, UNREAD, lambda error: None)
        yield from (file for file in found if not is_inside(file, output, path))
    elif glob.has_magic(name) and not os.path.exists(path):
        yield from (file for file in map(Path, glob.glob(name, recursive=True)) if file.suffix.lower() in UNREAD)
