"""What the names of folders, files and columns say about the images in them: their role in a triplet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from hf_denoise.errors import UserError

ROLES = ("clean", "mask", "degraded")

# A name as its words in lower case, without those of `_FILLERS`.
_PHRASES = {
    "clean": {"clean", "gt clean", "hq", "high quality", "reference", "target", "targets"},
    "mask": {
        *("annotation", "annotations", "defect mask", "defect masks", "gt mask", "gt masks", "label mask"),
        *("label masks", "mask", "masks", "mask gt", "seg", "segmentation"),
    },
    "degraded": {"corrupted", "degraded", "input", "inputs", "low quality", "lq", "noisy"},
}
# Clean images where there are degraded ones, masks where there are images.
_GT = {"gt", "gts"}
_TRUTH = {"groundtruth", "label", "labels"}
MAY_HOLD_TEXT = {"annotation", "annotations", "label", "labels"}
"""Folders of these names are as often for text."""
PICTURES = "images"
_PICTURES = {PICTURES, "image", "imgs", "img"}
# Roles only beside each other: alone they are names as any other. Degraded, clean.
_PAIRS = (
    *(("blur", "sharp"), ("blurry", "sharp"), ("hazy", "clear"), ("low", "high"), ("lr", "hr")),
    *(("rain", "norain"), ("raw", "gt"), ("real", "mean")),
)
_FILLERS = {*_PICTURES, "crops", "jpg", "patches", "png", "srgb", "tif"}
# Words that speak of a role wherever they stand in a name.
_WORDS = {
    "clean": {"clean", "gt", "gts", "hq", "hr", "reference", "target", "targets"},
    "mask": {
        *("annotation", "annotations", "groundtruth", "label", "labels", "mask", "masks", "seg", "segmentation"),
    },
    "degraded": {"corrupted", "degraded", "input", "inputs", "lq", "noisy"},
}
COUNTERPARTS = {
    word: {other for pair in _PAIRS if word in pair for other in pair if other != word}
    for pair in _PAIRS
    for word in pair
    if not any(word in words for words in (*_WORDS.values(), _GT))
}
"""Words that tell a role only beside one of others."""
_ROLE_WORDS = {word for words in _WORDS.values() for word in words} | {word for pair in _PAIRS for word in pair}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SEPARATORS = " ._-"


def _words(name: str) -> list[tuple[str, int, int]]:
    """The words of a name, in lower case, each with where it begins and ends; "ground truth" is one."""
    found: list[tuple[str, int, int]] = []
    for match in _WORD.finditer(name):
        word, (start, end) = match.group().lower(), match.span()
        if word == "truth" and found and found[-1][0] == "ground":
            word, start = "groundtruth", found.pop()[1]
        found.append((word, start, end))
    return found


def _phrase(name: str) -> str:
    words = [word for word, _, _ in _words(name)]
    return " ".join([word for word in words if word not in _FILLERS] or words)


def folder_roles(names: Iterable[str]) -> dict[str, list[str]]:
    """The roles of folders, columns or files that lie beside each other: for each of `ROLES`, the names that have it.

    A role that several have is not understood. Names without a role are left out.
    """
    phrases = {name: _phrase(name) for name in names}
    present = set(phrases.values())
    paired = [pair for pair in _PAIRS if present.issuperset(pair)]
    roles = {role: [name for name, phrase in phrases.items() if phrase in _PHRASES[role]] for role in ROLES}
    for role, place in (("degraded", 0), ("clean", 1)):
        words = {pair[place] for pair in paired} - _GT
        roles[role] += [name for name, phrase in phrases.items() if phrase in words]
    pictures = [name for name, phrase in phrases.items() if phrase in _PICTURES]
    truth = [name for name, phrase in phrases.items() if phrase in _TRUTH]
    gt = [name for name, phrase in phrases.items() if phrase in _GT]
    beside_pictures = pictures and not truth and not any(roles.values())
    roles["mask" if beside_pictures else "clean"] += gt
    roles["clean"] += pictures
    roles["clean" if roles["degraded"] and not roles["clean"] else "mask"] += truth
    return roles


def is_pair(roles: Mapping[str, Sequence[object]]) -> bool:
    """Whether there are clean images, and masks or degraded images of them."""
    return bool(roles["clean"] and (roles["mask"] or roles["degraded"]))


def hinted_role(name: str) -> str | None:
    """The role that a word of a name speaks of, the whole name understood or not; None where there is no such word."""
    words = {word for word, _, _ in _words(name)}
    return next((role for role in ("mask", "degraded", "clean") if words & _WORDS[role]), None)


def split_stem(stem: str) -> tuple[str, str | None]:
    """The name of a file without extension as what it shares with its partners, and the word that tells its role.

    `0001_NOISY_SRGB_010` gives `0001_SRGB_010` and `noisy`, a name without such a word itself and None.
    """
    words = [(word, start, end) for word, start, end in _words(stem) if word in _ROLE_WORDS]
    if not words:
        return stem, None
    pieces, last = [], 0
    for _, start, end in words:
        pieces.append(stem[last:start].strip(_SEPARATORS))
        last = end
    pieces.append(stem[last:].strip(_SEPARATORS))
    masks = [word for word, _, _ in words if word in _WORDS["mask"]]  # a `gt_mask` is one
    return "_".join(filter(None, pieces)), (masks or [words[-1][0]])[0]


def parse_columns(given: Sequence[str]) -> dict[str, str]:
    """`--columns degraded=LQ clean=GT` as a dictionary.

    Raises:
        UserError: it is something else.
    """
    columns: dict[str, str] = {}
    for text in given:
        role, equals, name = text.partition("=")
        if not equals or not name or role in columns:
            raise UserError(f"--columns {text}: give each role once and its name, such as degraded=LQ clean=GT mask=M")
        columns[role] = name
    check_columns(columns)
    return columns


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuse roles that there are not, and one name for two of them.

    Raises:
        UserError: a role is unknown, or two have one name.
    """
    unknown = next((role for role in columns if role not in ROLES), None)
    if unknown is not None:
        raise UserError(f"--columns {unknown}={columns[unknown]}: the roles are {', '.join(ROLES)}")
    if len(set(columns.values())) < len(columns):
        raise UserError(f"--columns gives one name to two roles: {shown_columns(columns)}")


def shown_columns(columns: Mapping[str, str]) -> str:
    """As on the command line."""
    return " ".join(f"{role}={name}" for role, name in columns.items())
