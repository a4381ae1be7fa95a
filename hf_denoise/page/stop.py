"""Stop work that nobody waits for any more.

Gradio's `cancels` gives up waiting for a function, but the thread it runs in goes on. So long work asks from time to
time whether its event is still in Gradio's queue: it is not once it was cancelled, by a button or by a client, and it
is marked when the browser went away.
"""

import gradio as gr
from gradio.context import LocalContext


class Stopped(gr.Error):
    """Nobody waits for the result; not worth a line in the log."""

    def __init__(self) -> None:
        super().__init__("stopped", print_exception=False)


class Watch:
    """Watches over the event that the current thread works for. To be made in that thread."""

    def __init__(self) -> None:
        blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
        # Without a queue, as in a test, there is nothing that could be cancelled.
        self.queued = blocks._queue.event_ids_to_events if blocks and event_id else {}
        self.event_id = event_id or ""
        self.event = self.queued.get(self.event_id)

    def check(self) -> None:
        """Raise `Stopped` if the event was cancelled, or its browser has gone."""
        if self.event and (self.queued.get(self.event_id) is not self.event or not self.event.alive):
            raise Stopped()
