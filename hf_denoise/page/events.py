"""How the events of the page are queued, and what they give to fields that are emptied."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

HIDDEN: dict[str, Any] = {"api_visibility": "private"}
# Whatever runs the network: that takes one picture at a time, see `models`, where who waits is told for how many. Not
# all wait there, as each holds a picture in memory.
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "network"}
# Quick where the result is in memory, so that it need not wait for the network that works for somebody else.
QUICK: dict[str, Any] = {"concurrency_limit": 4}
# Gradio would drop an event that comes before the one before it is answered.
AT_ONCE: dict[str, Any] = {"queue": False, "trigger_mode": "multiple", **HIDDEN}


def download_update(path: str | None) -> gr.DownloadButton:
    """For a function that sets a button to download: its file, or none, which switches it off.

    In one answer. Were the button switched by an event of its own, answers to earlier ones could come after it.
    """
    return gr.DownloadButton(value=path, interactive=path is not None)


def emptied(fields: Sequence[Any]) -> tuple[Any, ...]:
    """What empties these fields of the page, as they were about something that is no longer asked for."""
    return tuple(download_update(None) if isinstance(field, gr.DownloadButton) else None for field in fields)
