"""The form of a Hub id."""

import difflib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id


def is_hub_id(name: Any) -> bool:
    """Whether `name` has the form "user/name" and could be on the Hub."""
    if not isinstance(name, str) or "/" not in name:
        return False
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def missing_path(name: str) -> str | None:
    """What is wrong with a name that is nothing on this machine, where it looks like a path and not like a Hub id.

    A path has a dot in its first part (names of users have none), a tilde or a slash at its beginning, more than one
    slash, a backslash, or a first part that is a folder here. A dot in the second part may be either.

    Returns:
        A clause for a sentence, with a near name where there is one; None where it may be an id.
    """
    parts = name.replace("\\", "/").rstrip("/").split("/")
    first = Path(parts[0] or "/").expanduser()
    if len(parts) > 1 and first.is_dir():
        there = first
        for part in parts[1:]:
            if not (there / part).is_dir():
                break
            there /= part
        near: list[str] = []
        with suppress(OSError):  # a folder that may not be read
            near = difflib.get_close_matches(part, os.listdir(there), n=1)
        hint = f", but '{near[0]}'" if near else ""
        return f"'{name}' does not exist: '{there}' has no '{part}'{hint}"
    if name.startswith("~") or len(parts) > 2 or name != "/".join(parts) or "." in parts[0]:
        return f"'{name}' does not exist: it looks like a path, and is no Hub id of the form user/name"
    return None
