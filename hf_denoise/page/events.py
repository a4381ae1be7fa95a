"""How the events of the page are queued."""

from typing import Any

HIDDEN: dict[str, Any] = {"api_visibility": "private"}
# Whatever runs the network: one picture at a time.
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "network"}
# Quick where the result is in memory, so that it need not wait for the network that works for somebody else.
QUICK: dict[str, Any] = {"concurrency_limit": 4}
# Gradio would drop an event that comes before the one before it is answered.
AT_ONCE: dict[str, Any] = {"queue": False, "trigger_mode": "multiple", **HIDDEN}
