"""How triplets of images lie on disk: folders in, paired paths out. No image is opened here."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hf_denoise.data.walking import is_utf8, subfolders, visible_files
from hf_denoise.errors import UserError

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
ROLE_NAMES = {
    "clean": ("clean", "clean_images", "images", "gt", "target", "gt_clean_image"),
    "mask": ("mask", "masks", "defect_mask"),
    "degraded": ("degraded", "noisy", "input", "degraded_image"),
}
# Classes without a defect: they may have no folder of masks at all, which then means an empty mask.
DEFECT_FREE = frozenset({"free", "good", "normal", "ok"})

KNOWN_LAYOUTS = (
    "known layouts: a Hub id or `datasets` folder with image columns clean, mask, degraded; "
    "{degraded,mask,clean}/**/NAME; <object>/{Train,Val}/{Degraded_image,Defect_mask,GT_clean_image}/<defect>/NAME; "
    "MVTec AD (<object>/test/<defect>/NAME and <object>/ground_truth/<defect>/NAME_mask); a folder of clean images"
)


@dataclass(frozen=True)
class TripletFiles:
    """The files of one sample; `name` is its path without extension, relative to the data's root."""

    name: str
    clean: Path
    mask: Path | None = None
    degraded: Path | None = None
    defect: str | None = None


@dataclass
class Layout:
    """What was found below `root`.

    `splits` maps the data's own split (`train`, `validation`, `test`), or None where it has none, to triplets in the
    order of their names; `problems` are the files without a partner, each with the reason in words.
    """

    root: Path
    splits: dict[str | None, list[TripletFiles]] = field(default_factory=dict)
    problems: list[tuple[Path, str]] = field(default_factory=list)

    def add(self, split: str | None, triplet: TripletFiles) -> None:
        self.splits.setdefault(split, []).append(triplet)

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def read_layout(root: Path) -> Layout:
    """Pair the image files below `root` in one of `KNOWN_LAYOUTS`.

    Raises:
        UserError: the folder has no images, or they lie in no layout that is known.
    """
    if not any(visible_files(root)):
        raise UserError(f"{root} holds no images; {KNOWN_LAYOUTS}.")
    layout = Layout(root)
    _read(root, None, layout)
    if None in layout.splits and len(layout.splits) > 1:
        raise UserError(
            f"{root}: some of its folders have their own splits and {layout.splits[None][0].clean} lies in none; "
            "load them one at a time or give all of them train and validation folders."
        )
    for split, triplets in layout.splits.items():
        triplets.sort(key=lambda triplet: triplet.name)
        if any(triplet.degraded for triplet in triplets):
            # Objects are pooled: where only some of them come degraded, the others cannot stand beside them.
            alone = [triplet for triplet in triplets if not triplet.degraded]
            layout.problems += [(triplet.clean, "has no degraded image and others have one") for triplet in alone]
            layout.splits[split] = [triplet for triplet in triplets if triplet.degraded]
    return layout


def _read(folder: Path, split: str | None, layout: Layout) -> None:
    if _is_mvtec(folder):
        _read_mvtec(folder, split, layout)
    elif _is_paired(folder):
        _read_paired(folder, split, layout)
    elif split_folders := _split_folders(folder):
        stray = next((file for file in visible_files(folder) if _below(folder, file) not in split_folders), None)
        if stray is not None:
            raise UserError(f"{folder} has its own splits, and {stray} lies in none of them: move it into one or away.")
        for sub, own_split in split_folders.items():
            _read(sub, own_split, layout)
    elif any(_is_structured(sub) for sub in subfolders(folder)):
        for sub in subfolders(folder):
            if _is_structured(sub):
                _read(sub, split, layout)
            else:
                layout.problems += [(file, "lies in none of the data's layouts") for file in visible_files(sub)]
    else:
        _read_plain(folder, split, layout)


def _read_paired(folder: Path, split: str | None, layout: Layout) -> None:
    """`{degraded,mask,clean}/**/NAME`, also inside the inspection layout: a folder for each role, by relative path."""
    roles: dict[str, Path] = {}
    for role, folders in _role_folders(folder).items():
        if len(folders) > 1:
            names = " and ".join(sub.name for sub in folders)
            raise UserError(f"{folder}: both {names} could hold the {role} images; keep one of them there.")
        if folders:
            roles[role] = folders[0]
    cleans = _by_key(roles["clean"], layout)
    masks = _Masks(roles.get("mask"), layout)
    degraded = _by_key(roles["degraded"], layout) if "degraded" in roles else {}
    # Splits may also lie inside: clean/train/NAME, mask/train/NAME.
    inner_splits = {SPLIT_NAMES.get(key.split("/")[0].lower()) if "/" in key else None for key in cleans}
    has_inner_splits = split is None and None not in inner_splits and inner_splits != {"train"}

    for key, clean in cleans.items():
        mask = masks.pop(key)
        noisy = degraded.pop(key, None)
        missing = []
        if "mask" in roles and mask is None and not masks.may_lack(key):
            missing.append("mask")
        if "degraded" in roles and noisy is None:
            missing.append("degraded image")
        if missing:
            layout.problems.append((clean, f"has no {' and no '.join(missing)}"))
            continue
        own_split, inside = split, key
        if has_inner_splits:
            first, inside = key.split("/", 1)
            own_split = SPLIT_NAMES[first.lower()]
        layout.add(own_split, TripletFiles(layout.name(folder / key), clean, mask, noisy, _parent(inside)))
    layout.problems += [(path, "is a mask without a clean image") for path in masks.left.values()]
    layout.problems += [(path, "is a degraded image without a clean one") for path in degraded.values()]


def _read_mvtec(folder: Path, split: str | None, layout: Layout) -> None:
    """One object of the layout of MVTec AD.

    Its train and test folders are pooled: they separate defect-free images from the rest, for anomaly detection, and
    kept as splits would leave no defect to train on.
    """
    parts = {sub.name.lower(): sub for sub in subfolders(folder)}
    masks = _Masks(parts["ground_truth"], layout)
    # The ground truth is that of the test images; train/good/000 and test/good/000 only share a name.
    for part, part_masks in (("train", _Masks(None, layout)), ("test", masks)):
        files = _by_key(parts[part], layout) if part in parts else {}
        for key, clean in files.items():
            mask = part_masks.pop(key)
            if mask is None and not part_masks.may_lack(key):
                layout.problems.append((clean, "has no mask"))
            else:
                layout.add(split, TripletFiles(layout.name(parts[part] / key), clean, mask, defect=_parent(key)))
    layout.problems += [(path, "is a mask without a clean image") for path in masks.left.values()]


def _read_plain(folder: Path, split: str | None, layout: Layout) -> None:
    """A folder of clean images: nothing that looks like a mask or a degraded image may be among them."""
    files = list(_usable_files(folder, layout))
    stems = {_composed(str(file.with_suffix(""))) for file in files}
    partners = {name for role in ("mask", "degraded") for name in ROLE_NAMES[role]} | {"ground_truth"}
    for file in files:
        for parent in file.relative_to(folder).parents:
            if parent.name.lower() in partners:
                raise UserError(f"{folder / parent} has no folder of clean images beside it; {KNOWN_LAYOUTS}.")
        image = file.with_name(file.stem.removesuffix("_mask"))
        if file.stem.endswith("_mask") and _composed(str(image)) in stems:
            raise UserError(f"{file} is a mask beside its image: move the masks into a folder; {KNOWN_LAYOUTS}.")
    taken: set[Path] = set()
    for file in files:
        # a.jpg and a.png are two photographs here: the second keeps its extension as part of its name
        stem = file.with_suffix("")
        layout.add(split, TripletFiles(layout.name(file if stem in taken else stem), file))
        taken.add(stem)


class _Masks:
    """Masks by the name of their image; what is left at the end belongs to none."""

    def __init__(self, folder: Path | None, layout: Layout) -> None:
        self.left = _by_key(folder, layout) if folder else {}
        self.classes = {_parent(key) for key in self.left}

    def pop(self, key: str) -> Path | None:
        return self.left.pop(key, None) or self.left.pop(f"{key}_mask", None)

    def may_lack(self, key: str) -> bool:
        """Whether an image without a mask has an empty one: its class is free of defects and has no masks at all."""
        parent = _parent(key)
        return parent is not None and parent not in self.classes and parent.split("/")[-1].lower() in DEFECT_FREE


def _is_structured(folder: Path) -> bool:
    if _is_mvtec(folder) or _is_paired(folder) or _split_folders(folder):
        return True
    return any(_is_structured(sub) for sub in subfolders(folder))


def _is_mvtec(folder: Path) -> bool:
    return {"test", "ground_truth"} <= {sub.name.lower() for sub in subfolders(folder)}


def _is_paired(folder: Path) -> bool:
    roles = _role_folders(folder)
    return bool(roles["clean"] and (roles["mask"] or roles["degraded"]))


def _role_folders(folder: Path) -> dict[str, list[Path]]:
    folders = subfolders(folder)
    return {role: [sub for sub in folders if sub.name.lower() in names] for role, names in ROLE_NAMES.items()}


def _split_folders(folder: Path) -> dict[Path, str]:
    """The split folders in `folder`; a lone `train` of loose images is a folder of images like any other."""
    found = {sub: SPLIT_NAMES[sub.name.lower()] for sub in subfolders(folder) if sub.name.lower() in SPLIT_NAMES}
    found = {sub: split for sub, split in found.items() if any(visible_files(sub))}
    return {} if set(found.values()) == {"train"} and not any(map(_is_structured, found)) else found


def _usable_files(folder: Path, layout: Layout) -> Iterator[Path]:
    """Image files; those of which a table cannot hold the name are problems."""
    for file in visible_files(folder):
        if is_utf8(file):
            yield file
        else:
            layout.problems.append((file, "has a name that is not UTF-8 (rename it)"))


def _by_key(folder: Path, layout: Layout) -> dict[str, Path]:
    """Image files by their path relative to `folder`, without extension; a second file of one name is a problem."""
    files: dict[str, Path] = {}
    for file in _usable_files(folder, layout):
        key = _composed(file.relative_to(folder).with_suffix("").as_posix())
        if key in files:
            layout.problems.append((file, f"has the same name as {files[key].name}"))
        else:
            files[key] = file
    return files


def _composed(name: str) -> str:
    """A name in one of the two forms that Unicode has for letters with accents: macOS writes the other."""
    return unicodedata.normalize("NFC", name)


def _below(folder: Path, file: Path) -> Path:
    return folder / file.relative_to(folder).parts[0]


def _parent(key: str) -> str | None:
    return key.rpartition("/")[0] or None
