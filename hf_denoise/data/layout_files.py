"""What a layout of triplets consists of: files by their names, and what became of them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hf_denoise.data.roles import split_stem
from hf_denoise.data.walking import is_utf8, visible_files

# Classes without a defect: they may have no folder of masks at all, which then means an empty mask.
DEFECT_FREE = frozenset({"free", "good", "normal", "ok"})
SHOWN_NAMES = 8


@dataclass(frozen=True)
class TripletFiles:
    """The files of one sample.

    Attributes:
        name: path of the clean image without extension, relative to the data's root.
        clean, degraded: its images.
        mask: 255 in defects; or several to be united, in which any level but 0, one for each kind, is a defect.
        defect: its class.
    """

    name: str
    clean: Path
    mask: Path | tuple[Path, ...] | None = None
    degraded: Path | None = None
    defect: str | None = None

    @property
    def files(self) -> list[Path]:
        """All of them."""
        masks = self.mask if isinstance(self.mask, tuple) else (self.mask,)
        return [file for file in (self.clean, self.degraded, *masks) if file is not None]


@dataclass
class Layout:
    """What was found below `root`.

    `splits` maps the data's own split (`train`, `validation`, `test`), or None where it has none, to triplets in the
    order of their names; `problems` are the files without a partner, each with the reason in words; `columns` are the
    names that roles were given by hand; `kinds` are the layouts that were recognised, in words.
    """

    root: Path
    columns: dict[str, str] = field(default_factory=dict)
    splits: dict[str | None, list[TripletFiles]] = field(default_factory=dict)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def add(self, split: str | None, triplet: TripletFiles) -> None:
        self.splits.setdefault(split, []).append(triplet)

    def note(self, kind: str) -> None:
        """A layout was recognised in some folder."""
        if kind not in self.kinds:
            self.kinds.append(kind)

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def unused(self) -> list[Path]:
        """Images below the root that became no part of a triplet, and no problem."""
        used = {file for triplets in self.splits.values() for triplet in triplets for file in triplet.files}
        used.update(path for path, _ in self.problems)
        return [file for file in visible_files(self.root) if file not in used]


class Partners:
    """Masks or degraded images by the name of their image; what is left at the end belongs to none."""

    def __init__(self, folder: Path | None, layout: Layout) -> None:
        self.left = by_key(folder, layout) if folder else {}
        self.classes = {parent_of(key) for key in self.left}
        bare = Counter(_bare(key) for key in self.left)
        self._by_bare = {_bare(key): key for key in self.left if bare[_bare(key)] == 1}
        self._inside: dict[str | None, list[str]] = {}
        for key in self.left:
            self._inside.setdefault(parent_of(key), []).append(key)

    def pop(self, key: str) -> Path | None:
        """That of an image: of its name, or but for the words that tell the roles: `a_GT` and `a_LQ`."""
        found = self.left.pop(key, None) or self.left.pop(f"{key}_mask", None)
        return found or self.left.pop(self._by_bare.get(_bare(key), ""), None)

    def pop_inside(self, key: str, extensions: Container[str]) -> tuple[Path, ...]:
        """All those, of some extensions, in a folder that is called as the image."""
        inside = [inner for inner in self._inside.get(key, []) if inner in self.left]
        return tuple(self.left.pop(inner) for inner in inside if self.left[inner].suffix.lower() in extensions)

    def may_lack(self, key: str) -> bool:
        """Whether an image without a mask has an empty one: its class is free of defects and has no masks at all."""
        parent = parent_of(key)
        return parent is not None and parent not in self.classes and parent.split("/")[-1].lower() in DEFECT_FREE


def usable_files(folder: Path, layout: Layout) -> Iterator[Path]:
    """Image files; those of which a table cannot hold the name are problems."""
    for file in visible_files(folder):
        if is_utf8(file):
            yield file
        else:
            layout.problems.append((file, "has a name that is not UTF-8 (rename it)"))


def by_key(folder: Path, layout: Layout) -> dict[str, Path]:
    """Image files by their path relative to `folder`, without extension; a second file of one name is a problem."""
    files: dict[str, Path] = {}
    for file in usable_files(folder, layout):
        key = composed(file.relative_to(folder).with_suffix("").as_posix())
        if key in files:
            layout.problems.append((file, f"has the same name as {files[key].name}"))
        else:
            files[key] = file
    return files


def composed(name: str) -> str:
    """A name in one of the two forms that Unicode has for letters with accents: macOS writes the other."""
    return unicodedata.normalize("NFC", name)


def parent_of(key: str) -> str | None:
    return key.rpartition("/")[0] or None


def _bare(key: str) -> str:
    parent, slash, stem = key.rpartition("/")
    return f"{parent}{slash}{split_stem(stem)[0]}"


def listed(names: Iterable[str]) -> str:
    """Names for a sentence, the first of them where there are many."""
    given = list(names)
    more = f" and {len(given) - SHOWN_NAMES} more" if len(given) > SHOWN_NAMES else ""
    return ", ".join(given[:SHOWN_NAMES]) + more
