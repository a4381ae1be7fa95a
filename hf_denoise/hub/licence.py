"""The licence of a model's weights in the metadata of its card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from hf_denoise.hub.tables import plain

LICENCE_FIELDS = ("license", "license_name", "license_link")  # of the metadata of a card

Licence = dict[str, str]  # some of these fields; empty where no licence is known


def known_licence(metadata: Any) -> Licence:
    """The fields of a licence among those of a card or report, which may come from anybody; empty without one."""
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("license"), str):
        return {}
    found = {field: metadata.get(field) for field in LICENCE_FIELDS}
    return {field: plain(value) for field, value in found.items() if isinstance(value, str) and value}


def card_metadata(card: Path) -> dict[str, Any]:
    """The metadata of a card; empty where there is no card, or it has none."""
    try:
        text = card.read_text(encoding="utf-8", errors="replace")
        return ModelCard(text, ignore_metadata_errors=True).data.to_dict()
    except (OSError, ValueError):
        return {}
