"""How triplets of images lie on disk: folders in, paired paths out. No image is opened here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hf_denoise.data.layout_files import Layout, Partners, TripletFiles, by_key, listed, parent_of
from hf_denoise.data.plain_layout import read_patterns, read_plain, same_names, way_out
from hf_denoise.data.roles import MAY_HOLD_TEXT, ROLES, folder_roles, hinted_role, is_pair, shown_columns
from hf_denoise.data.walking import subfolders, visible_files
from hf_denoise.errors import UserError

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

KNOWN_LAYOUTS = (
    "known layouts: a Hub id or `datasets` folder with image columns clean, mask, degraded; "
    "{degraded,mask,clean}/**/NAME; <object>/{Train,Val}/{Degraded_image,Defect_mask,GT_clean_image}/<defect>/NAME; "
    "MVTec AD (<object>/test/<defect>/NAME and <object>/ground_truth/<defect>/NAME_mask); NAME beside NAME_mask; a "
    "folder of clean images"
)

_LABELLED = {".png", ".bmp", ".tif", ".tiff"}  # kinds of files in which 0 is 0


def read_layout(root: Path, columns: Mapping[str, str] | None = None) -> Layout:
    """Pair the image files below `root` in one of `KNOWN_LAYOUTS`.

    Args:
        root: the folder.
        columns: names of roles that are given by hand: folders, by name or path below the root, or names of files with
            a `*` for what partners share. `{"clean": "*"}`: all images are clean.

    Raises:
        UserError: the folder has no images, or they lie in no layout that is known.
    """
    if not any(visible_files(root)):
        raise UserError(f"{root} holds no images; {KNOWN_LAYOUTS}.")
    layout = Layout(root, dict(columns or {}))
    if columns:
        _read_named(layout)
    else:
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


def _read_named(layout: Layout) -> None:
    """The layout that names given by hand describe."""
    columns, root = layout.columns, layout.root
    shown = f"--columns {shown_columns(columns)}"
    patterns = [name for name in columns.values() if "*" in name]
    if "clean" not in columns:
        raise UserError(f"{shown} does not say which images are clean; add clean=NAME")
    if patterns:
        if len(patterns) < len(columns) or any(name.count("*") > 1 or "/" in name for name in patterns):
            raise UserError(f"{shown}: give folders, or names of files that each hold one *, such as clean=*_GT")
        _read(root, None, layout)
    elif all((root / name).is_dir() for name in columns.values()):
        _read_paired(root, {role: root / name for role, name in columns.items()}, None, layout)
    else:
        _read(root, None, layout)
    missing = [role for role in columns if not _has(layout, role)]
    if missing and not layout.problems:
        found = listed(sorted({sub.name for sub in subfolders(root)} or {file.name for file in visible_files(root)}))
        raise UserError(
            f"{shown}: {columns[missing[0]]} names nothing in {root}, which holds {found}; correct the name."
        )


def _has(layout: Layout, role: str) -> bool:
    return any(getattr(triplet, role) for triplets in layout.splits.values() for triplet in triplets)


def _read(folder: Path, split: str | None, layout: Layout) -> None:
    if _is_mvtec(folder, layout):
        _read_mvtec(folder, split, layout)
    elif _is_paired(folder, layout):
        _read_paired(folder, _one_each(folder, layout), split, layout)
    elif split_folders := _split_folders(folder, layout):
        stray = next((file for file in visible_files(folder) if _below(folder, file) not in split_folders), None)
        if stray is not None:
            raise UserError(f"{folder} has its own splits, and {stray} lies in none of them: move it into one or away.")
        for sub, own_split in split_folders.items():
            _read(sub, own_split, layout)
    elif any(_is_structured(sub, layout) for sub in subfolders(folder)):
        for sub in subfolders(folder):
            if _is_structured(sub, layout):
                _read(sub, split, layout)
            else:
                layout.problems += [(file, "lies in none of the data's layouts") for file in visible_files(sub)]
    elif not layout.columns or layout.columns == {"clean": "*"}:
        read_plain(folder, split, layout)
    elif "*" in layout.columns["clean"]:
        read_patterns(folder, split, layout)


def _one_each(folder: Path, layout: Layout) -> dict[str, Path]:
    """The folder of each role; what lies beside them is none.

    Raises:
        UserError: a role has two, or a folder beside them looks like one too.
    """
    found = _role_folders(folder, layout)
    for role, folders in found.items():
        if len(folders) > 1:
            names = " and ".join(sub.name for sub in folders)
            raise UserError(
                f"{folder}: both {names} could hold the {role} images; keep one of them there, or "
                f"{way_out(f'{role}=NAME')}."
            )
    roles = {role: folders[0] for role, folders in found.items() if folders}
    others = [sub for sub in subfolders(folder) if sub not in roles.values() and any(visible_files(sub))]
    told = [sub.name for sub in others if hinted_role(sub.name) or same_names(sub, roles["clean"])]
    if told and not layout.columns:
        raise UserError(
            f"{folder} holds {listed(sub.name for sub in roles.values())} and also {listed(told)}, whose role is not "
            f"understood: {way_out(' '.join(f'{role}={sub.name}' for role, sub in roles.items()))}."
        )
    return roles


def _read_paired(folder: Path, roles: Mapping[str, Path], split: str | None, layout: Layout) -> None:
    """`{degraded,mask,clean}/**/NAME`, also inside the inspection layout: a folder for each role, by relative path."""
    layout.note(f"a folder for each role ({', '.join(sub.name for sub in roles.values())})")
    cleans = by_key(roles["clean"], layout)
    masks = Partners(roles.get("mask"), layout)
    degraded = Partners(roles.get("degraded"), layout)
    labelled = _is_visa(folder, masks)
    # Splits may also lie inside: clean/train/NAME, mask/train/NAME.
    inner_splits = {SPLIT_NAMES.get(key.split("/")[0].lower()) if "/" in key else None for key in cleans}
    has_inner_splits = split is None and None not in inner_splits and inner_splits != {"train"}

    for key, clean in cleans.items():
        mask: Path | tuple[Path, ...] | None = masks.pop(key)
        noisy = degraded.pop(key)
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
        mask = (mask,) if labelled and isinstance(mask, Path) and mask.suffix.lower() in _LABELLED else mask
        layout.add(own_split, TripletFiles(layout.name(folder / key), clean, mask, noisy, parent_of(inside)))
    layout.problems += [(path, "is a mask without a clean image") for path in masks.left.values()]
    layout.problems += [(path, "is a degraded image without a clean one") for path in degraded.left.values()]


def _is_visa(folder: Path, masks: Partners) -> bool:
    """Data/Masks/Anomaly, where every kind of defect has a level of its own."""
    return folder.name == "Data" and masks.classes == {"Anomaly"}


def _read_mvtec(folder: Path, split: str | None, layout: Layout) -> None:
    """One object of the layout of MVTec AD, or of MVTec LOCO, with a folder of masks for each image.

    Its train and test folders are pooled: they separate defect-free images from the rest, for anomaly detection, and
    kept as splits would leave no defect to train on.
    """
    layout.note("MVTec AD")
    parts = {sub.name.lower(): sub for sub in subfolders(folder)}
    masks = Partners(parts["ground_truth"], layout)
    # The ground truth is that of the test images; train/good/000 and test/good/000 only share a name.
    for part, part_masks in (("train", None), ("validation", None), ("test", masks)):
        part_masks = part_masks or Partners(None, layout)
        files = by_key(parts[part], layout) if part in parts else {}
        for key, clean in files.items():
            mask = part_masks.pop(key) or part_masks.pop_inside(key, _LABELLED) or None
            if mask is None and not part_masks.may_lack(key):
                layout.problems.append((clean, "has no mask"))
            else:
                layout.add(split, TripletFiles(layout.name(parts[part] / key), clean, mask, defect=parent_of(key)))
    layout.problems += [(path, "is a mask without a clean image") for path in masks.left.values()]


def _is_structured(folder: Path, layout: Layout) -> bool:
    if _is_mvtec(folder, layout) or _is_paired(folder, layout) or _split_folders(folder, layout):
        return True
    return any(_is_structured(sub, layout) for sub in subfolders(folder))


def _is_mvtec(folder: Path, layout: Layout) -> bool:
    return not layout.columns and {"test", "ground_truth"} <= {sub.name.lower() for sub in subfolders(folder)}


def _is_paired(folder: Path, layout: Layout) -> bool:
    roles = _role_folders(folder, layout)
    return bool(roles["clean"]) if layout.columns else is_pair(roles)


def _role_folders(folder: Path, layout: Layout) -> dict[str, list[Path]]:
    """The folders in `folder` that have a role: by their usual names, or by those given by hand."""
    folders = {sub.name: sub for sub in subfolders(folder)}
    roles = folder_roles(folders)
    if layout.columns:
        wanted = {role: layout.columns.get(role, "").lower() for role in ROLES}
        roles = {role: [name for name in folders if name.lower() == wanted[role]] for role in ROLES}
    # Labels are often boxes in text files; a folder called as one of masks may be empty.
    return {
        role: [
            folders[name] for name in names if name.lower() not in MAY_HOLD_TEXT or any(visible_files(folders[name]))
        ]
        for role, names in roles.items()
    }


def _split_folders(folder: Path, layout: Layout) -> dict[Path, str]:
    """The split folders in `folder`; a lone `train` of loose images is a folder of images like any other."""
    found = {sub: SPLIT_NAMES[sub.name.lower()] for sub in subfolders(folder) if sub.name.lower() in SPLIT_NAMES}
    found = {sub: split for sub, split in found.items() if any(visible_files(sub))}
    structured = any(_is_structured(sub, layout) for sub in found)
    return {} if set(found.values()) == {"train"} and not structured else found


def _below(folder: Path, file: Path) -> Path:
    return folder / file.relative_to(folder).parts[0]
