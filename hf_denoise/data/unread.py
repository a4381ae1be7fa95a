"""Images that lie in a folder and cannot be read: how many, of which kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

# Raw files that few cameras write, and what else programs that show or edit pictures write.
# fmt: off
UNREAD = frozenset({
    ".3fr", ".crw", ".dcr", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".raw", ".rwl", ".sr2", ".srf", ".x3f",
    ".ai", ".bpg", ".cin", ".cur", ".czi", ".dcm", ".dcx", ".dds", ".dib", ".djvu", ".dpx", ".emf", ".eps", ".exr",
    ".fit", ".fits", ".flif", ".fpx", ".hdr", ".icns", ".ico", ".j2c", ".j2k", ".jls", ".jng", ".jp2", ".jpc", ".jpf",
    ".jpx", ".jxl", ".jxr", ".kra", ".lif", ".mng", ".msp", ".nd2", ".pam", ".pcd", ".pct", ".pcx", ".pfm", ".pict",
    ".psb", ".psd", ".qoi", ".ras", ".rgb", ".rgbe", ".sgi", ".svg", ".svs", ".tga", ".wdp", ".wmf", ".xbm", ".xcf",
    ".xpm",
})
# fmt: on


def unread_sentence(files: Iterable[Path]) -> str | None:
    """What there is to say about files of the kinds `UNREAD`; None where there are none."""
    kinds = Counter(file.suffix.lower() for file in files)
    if not kinds:
        return None
    count = sum(kinds.values())
    said = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    return f"{count} image{'s' * (count > 1)} skipped, of kinds that are not read: {said}"
