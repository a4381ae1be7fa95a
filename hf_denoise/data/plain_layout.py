"""Folders without a folder for each role: clean images alone, or files whose names tell their roles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from pathlib import Path

from hf_denoise.data.layout_files import DEFECT_FREE, Layout, TripletFiles, composed, listed, usable_files
from hf_denoise.data.roles import COUNTERPARTS, PICTURES, ROLES, folder_roles, hinted_role, is_pair, split_stem
from hf_denoise.data.walking import subfolders, visible_files
from hf_denoise.errors import UserError
from hf_denoise.imaging.formats import FORMATS, READ

ALL_CLEAN = "*"
"""As the name of the clean images: all of them are."""

_KINDS = {"clean": "clean images", "mask": "masks", "degraded": "degraded images"}
_JPEG = {name for name, format in FORMATS.items() if format == "JPEG"}
_FEWEST, _SHARE = 2, 0.2  # files of a folder whose names speak of a role: fewer are coincidence

Group = dict[str | None, list[Path]]  # the files that share a name, by the word that tells their role


def way_out(example: str) -> str:
    """How roles are given by hand, for a sentence that refuses to guess."""
    return f'say which is which with --columns, such as {example}, or --columns "clean=*" where all images are clean'


def read_plain(folder: Path, split: str | None, layout: Layout) -> None:
    """Pairs of files by their names, such as `a.png` and `a_GT.png`, or else clean images.

    Raises:
        UserError: names speak of roles that are not understood, or the images are those of another role.
    """
    files = list(usable_files(folder, layout))
    if set(layout.columns) == {"clean"} and layout.columns["clean"] == ALL_CLEAN:
        _add_clean(files, split, layout)
        return
    groups = _grouped(files)
    met = {frozenset(group) for group in groups.values()}
    words = {word for group in met for word in group}
    alone = {word for word in words if word in COUNTERPARTS and not any(_meets(word, group) for group in met)}
    if alone:
        groups = _grouped(files, words - alone)
    pairs = [group for group in groups.values() if len(group) > 1]
    if pairs:
        words = {word for group in pairs for word in group}
        roles = folder_roles(word or PICTURES for word in words)
        few = 2 * sum(len(found) for group in pairs for found in group.values()) < len(files)
        if few or not is_pair(roles) or any(len(names) > 1 for names in roles.values()):
            raise UserError(
                f"{folder}: names such as {listed(sorted(file.name for found in pairs[0].values() for file in found))} "
                f"look like roles of one picture that are not understood: {way_out('clean=*_GT degraded=*_LQ')}."
            )
        known = {None if word == PICTURES else word: role for role, names in roles.items() for word in names}
        _add_groups(_grouped(files, known), known, split, layout)
        return
    _check_names(folder, files, layout.root)
    _add_clean(files, split, layout)


def _meets(word: str | None, group: Collection[str | None]) -> bool:
    return word in group and any(other in group for other in COUNTERPARTS[str(word)])


def read_patterns(folder: Path, split: str | None, layout: Layout) -> None:
    """The same with the roles given by hand, as names of files in which a `*` stands for what partners share."""
    wanted = {role: _pattern(name) for role, name in layout.columns.items()}
    whole = {role for role, name in layout.columns.items() if Path(name).suffix.lower() in READ}
    # The longest first: what `*_GT` takes is not left for `*`.
    order = sorted(wanted, key=lambda role: -len(layout.columns[role]))
    groups: dict[tuple[Path, str], Group] = {}
    for file in usable_files(folder, layout):
        for role in order:
            if match := wanted[role].fullmatch(composed(file.name if role in whole else file.stem)):
                groups.setdefault((file.parent, match.group(1)), {}).setdefault(role, []).append(file)
                break
    _add_groups(groups, {role: role for role in wanted}, split, layout)


def _pattern(name: str) -> re.Pattern[str]:
    before, _, after = composed(name).partition("*")
    return re.compile(f"{re.escape(before)}(.*){re.escape(after)}", re.IGNORECASE)


def _grouped(files: Iterable[Path], known: Container[str | None] | None = None) -> dict[tuple[Path, str], Group]:
    """Files by their folder and the name that partners share; only words in `known`, where given, tell a role."""
    groups: dict[tuple[Path, str], Group] = {}
    for file in files:
        stem = composed(file.stem)
        key, word = split_stem(stem)
        if known is not None and word not in known:
            key, word = stem, None
        groups.setdefault((file.parent, key), {}).setdefault(word, []).append(file)
    return groups


def _add_groups(
    groups: Mapping[tuple[Path, str], Group], roles: Mapping[str | None, str], split: str | None, layout: Layout
) -> None:
    """Make triplets of files that share a name."""
    layout.note("roles in the names of files")
    wanted = {role for group in groups.values() for word in group if (role := roles.get(word))}
    for (folder, _), group in groups.items():
        found: dict[str, Path] = {}
        for word, files in group.items():
            role = roles.get(word)
            if role is None:
                layout.problems += [(file, "has a name that tells no role") for file in files]
                continue
            found[role] = files[0]
            layout.problems += [(file, f"has the same name as {files[0].name}") for file in files[1:]]
        if "clean" not in found:
            what = {"mask": "a mask", "degraded": "a degraded image"}
            layout.problems += [(file, f"is {what[role]} without a clean image") for role, file in found.items()]
            continue
        lacking = [role for role in ("mask", "degraded") if role in wanted and role not in found]
        if "mask" in lacking and folder.name.lower() in DEFECT_FREE:
            lacking.remove("mask")
        if lacking:
            names = " and no ".join({"mask": "mask", "degraded": "degraded image"}[role] for role in lacking)
            layout.problems.append((found["clean"], f"has no {names}"))
            continue
        name = layout.name(found["clean"].with_suffix(""))
        layout.add(split, TripletFiles(name, found["clean"], found.get("mask"), found.get("degraded")))


def _add_clean(files: Iterable[Path], split: str | None, layout: Layout) -> None:
    layout.note("clean images")
    taken: set[Path] = set()
    for file in files:
        # a.jpg and a.png are two photographs here: the second keeps its extension as part of its name
        stem = file.with_suffix("")
        layout.add(split, TripletFiles(layout.name(file if stem in taken else stem), file))
        taken.add(stem)


def _check_names(folder: Path, files: Iterable[Path], root: Path) -> None:
    """Refuse images of which names say that they are not, or not all, clean."""
    by_folder: dict[Path, list[Path]] = {}
    for file in files:
        by_folder.setdefault(file.parent, []).append(file)
    inside: dict[Path, set[str]] = {}
    for place in by_folder:
        while place != folder:
            inside.setdefault(place.parent, set()).add(place.name)
            place = place.parent
    for parent, names in inside.items():
        _check_folders(parent, sorted(names))
    for place, found in by_folder.items():
        _check_files(place, found)
    _check_place(root.absolute())


def _check_folders(parent: Path, names: Sequence[str]) -> None:
    """Refuse folders beside each other, with images in them, that are called as roles."""
    hints = [hinted_role(name) for name in names]
    told = {role for role in hints if role}
    clean = folder_roles(names)["clean"]
    same = [
        name for name in names if name not in clean and any(same_names(parent / name, parent / one) for one in clean)
    ]
    if same or told - {"clean"} or (told and None in hints):
        raise UserError(
            f"{parent} holds {listed(names)}, which look like roles of triplets that are not understood: "
            f"{way_out('degraded=LQ clean=GT mask=MASK')}."
        )


def same_names(one: Path, other: Path) -> bool:
    """Whether most images of a folder are called as some in another."""
    names, others = (
        {file.relative_to(folder).with_suffix("") for file in visible_files(folder)} for folder in (one, other)
    )
    return 2 * len(names & others) > len(names)


def _check_files(place: Path, found: Sequence[Path]) -> None:
    """Refuse files of one folder of which many are called as one role, or most are there twice."""
    stems = Counter(file.with_suffix("") for file in found)
    twice = [file for file in found if stems[file.with_suffix("")] > 1]
    if {file.suffix.lower() in _JPEG for file in twice} == {True, False} and 2 * len(twice) > len(found) > _FEWEST:
        raise UserError(
            f"{place}: most images are there twice, such as {listed(file.name for file in twice[:2])}, which may be "
            f"images and their masks: {way_out('clean=*.jpg mask=*.png')}."
        )
    for role in ROLES:
        told = [file for file in found if hinted_role(file.stem) == role]
        if len(told) >= max(_FEWEST, _SHARE * len(found)) and (role != "clean" or len(told) < len(found)):
            raise UserError(
                f"{place}: {len(told)} of {len(found)} images are called as {_KINDS[role]}, such as {told[0].name}, "
                f"and have no partners: {way_out('clean=*_GT degraded=*_LQ')}."
            )


def _check_place(root: Path) -> None:
    """Refuse a folder of masks or of degraded images that is given alone, or a folder in one."""
    for place in (root, root.parent):
        try:
            beside = [sub.name for sub in subfolders(place.parent)]
        except UserError:
            beside = []
        roles = folder_roles({place.name, *beside})
        others = [name for name in roles["clean"] if name != place.name]
        role = next((role for role in ("mask", "degraded") if place.name in roles[role]), None)
        if role and (place == root or others):
            there = f", and {others[0]} beside it as one of clean images" if others else ""
            raise UserError(
                f"{place} is called as a folder of {_KINDS[role]}{there}: give the folder that holds both, or "
                '--columns "clean=*" where these are the clean images.'
            )
