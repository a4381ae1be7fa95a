"""Which columns of a table of the `datasets` library are the images of triplets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from hf_denoise.data.layout_files import listed
from hf_denoise.data.roles import ROLES, folder_roles, hinted_role, is_pair, shown_columns
from hf_denoise.errors import UserError

if TYPE_CHECKING:
    import datasets

Table = TypeVar("Table", "datasets.Dataset", "datasets.IterableDataset")


def encoded(table: Table) -> Table:
    """The same table with its images as cells of `bytes` and `path`."""
    import datasets

    for role in ROLES:
        if role in (table.column_names or []):
            table = table.cast_column(role, datasets.Image(decode=False))
    return table


def without_degraded(table: Table) -> Table:
    """The same table without degraded images, so that all are made."""
    return table.remove_columns("degraded") if "degraded" in (table.column_names or []) else table


def with_our_names(table: Any, columns: Mapping[str, str], data: str) -> Any:
    """A table, read whole or as a stream, whose images are called `clean`, `mask` and `degraded`.

    Args:
        table: of any columns.
        columns: the names of roles that are given by hand; others have their usual names.
        data: in messages.

    Raises:
        UserError: a column that is named is not there, no column is known to hold the clean images, or a column of
            images is called as a role and not understood.
    """
    import datasets

    found: list[str] = list(table.column_names or [])
    features = table.features or {}
    images = [name for name in found if name in ROLES or isinstance(features.get(name), datasets.Image)]
    if missing := [name for name in columns.values() if name not in found]:
        raise UserError(f"--columns {shown_columns(columns)}: {data} has no column {missing[0]}, but {listed(found)}.")
    known = {role: role for role in ROLES if role in found} | dict(columns)
    # A name that was given to one role is no longer that of another.
    known = {role: name for role, name in known.items() if columns.get(role) == name or name not in columns.values()}
    if not columns:
        known = _usual_names(images, data)
    if "clean" not in known:
        raise UserError(
            f"{data} has the columns {', '.join(found)}: expected the image columns clean and, if there are, mask and "
            "degraded; say which they are with --columns clean=NAME degraded=NAME mask=NAME."
        )
    others = [name for name in found if name in ROLES and name not in known.values()]
    table = table.remove_columns(others) if others else table
    renamed = {name: role for role, name in known.items() if name != role}
    for name in renamed:
        if isinstance(features.get(name), datasets.Image):  # a stream would decode it to give it another name
            table = table.cast_column(name, datasets.Image(decode=False))
    # In two steps: a stream cannot exchange names.
    table = table.rename_columns({name: f"role:{role}" for name, role in renamed.items()}) if renamed else table
    return table.rename_columns({f"role:{role}": role for role in renamed.values()}) if renamed else table


def _usual_names(images: list[str], data: str) -> dict[str, str]:
    roles = folder_roles(images)
    if not is_pair(roles):
        roles = {role: [role] if role in images else [] for role in ROLES}
    doubled = [names for names in roles.values() if len(names) > 1]
    known = {role: names[0] for role, names in roles.items() if names}
    told = [name for name in images if name not in known.values() and hinted_role(name)]
    if known.get("clean") and (doubled or told):
        raise UserError(
            f"{data} has the image columns {listed(images)}, and which of them is what is not understood: say so with "
            "--columns, such as clean=GT degraded=LQ."
        )
    return known
