"""Stop work that nobody waits for any more: it was cancelled, its browser has gone, or its page shows something newer.

Gradio's `cancels` gives up waiting for a function, but the thread it runs in goes on. So long work checks from time to
time whether its event is still among the active jobs of Gradio's queue: it is not once it was cancelled, by a button or
by a client, and it is marked when the browser went away.

What is newer is told by the clock of the browser, `NOW`: events arrive, start and end in any order. Gradio's own way,
`cancels` on the event of the new picture, fails where the old event has not been given its number yet.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import gradio as gr
from gradio.context import LocalContext

# For `js=`: gives the function, as its last input, when it was asked for.
NOW = "(...inputs) => [...inputs.slice(0, -1), performance.now()]"
KEPT_PAGES = 1000  # open pages that are kept in mind


class Stopped(gr.Error):
    """Nobody waits for the result; not worth a line in the log, or a message on the page."""

    def __init__(self) -> None:
        super().__init__("stopped", visible=False, print_exception=False)


@dataclass
class Page:
    """What a page in a browser asked for last, by its own clock in milliseconds."""

    picture: float = -1.0  # another picture, another model, or nothing at all
    strength: float = -1.0  # that, or another strength
    view: float = -1.0  # that, or another measure
    batch: float = -1.0  # a run of many pictures, other pictures for one, or the end of one
    shown: str = ""  # the picture whose result is seen, by name
    shown_at: float = -1.0  # when it was asked for
    missing: set[str] = field(default_factory=set)  # parts of that result that are not there yet, see `status`
    results: int = 0  # how many there were
    # Of those that were not seen yet, by number: the picture, and when it was asked for.
    coming: dict[int, tuple[str, float]] = field(default_factory=dict)
    seen: int = 0  # the number of the one that is
    failure: tuple[float | None, str] | None = None  # when what failed was asked for, and why: until it is told
    told: str = ""  # what failed since that result was asked for
    told_at: float = -1.0  # when what failed was asked for


_pages: OrderedDict[str, Page] = OrderedDict()
_pages_lock = threading.Lock()
_asked_at: ContextVar[float | None] = ContextVar("asked_at", default=None)


def register_request(at: float | None, *, view: bool = True, strength: bool = False, picture: bool = False) -> None:
    """Say when the page asked for the work of this thread, and what that replaces.

    Args:
        at: milliseconds, see `NOW`. None where no page asks, as over the API: nothing is replaced.
        view: earlier work for the view is in vain.
        strength: and so is what was said of another strength.
        picture: and so is the network's earlier work.
    """
    _asked_at.set(at)
    if (session := session_id()) and at is not None:
        with _pages_lock:
            page = _pages.setdefault(session, Page())
            _pages.move_to_end(session)
            if view or strength or picture:
                page.view = max(page.view, at)
            if strength or picture:
                page.strength = max(page.strength, at)
            if picture:
                page.picture = max(page.picture, at)
            while len(_pages) > KEPT_PAGES:
                _pages.popitem(last=False)


def register_batch(at: float) -> None:
    """Say when the page asked for a run of many pictures or for its end: earlier runs stop, see `check_batch`."""
    if session := session_id():
        with _pages_lock:
            page = _pages.setdefault(session, Page())
            page.batch = max(page.batch, at)


def check_batch(at: float) -> None:
    """Raise `Stopped` if the page asked for another run than the one of that time, or for its end.

    Gradio's `cancels` fails with an exception of its own where a generator is cancelled twice.
    """
    page = current_page()
    if page is not None and page.batch > at:
        raise Stopped()


def page_of(session: str | None) -> Page | None:
    """What the page of a session asked for; None for programs, which say no time."""
    with _pages_lock:
        return _pages.get(session or "")


def current_page() -> Page | None:
    """The page that the current thread works for."""
    return page_of(session_id())


def asked_at() -> float | None:
    """When the work of this thread was asked for, see `register_request`."""
    return _asked_at.get()


def session_id() -> str | None:
    """Of the page in a browser that asks; None outside of an event."""
    return getattr(LocalContext.request.get(None), "session_hash", None)


class Watch:
    """Watches over the event that the current thread works for. To be made in that thread, after `register_request`."""

    def __init__(self) -> None:
        blocks, self.event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
        # Without a queue, as in a test, there is nothing that could be cancelled.
        self.queue = blocks._queue if blocks and self.event_id else None
        self.asked_at, self.session = _asked_at.get(), session_id()

    def check(self) -> None:
        """Raise `Stopped` if the event was cancelled, its browser has gone, or its page has another picture."""
        # Gradio also knows its events by their ids, but keeps one there for good that was cancelled twice.
        if self.queue is not None and not any(self._is_mine(job) for job in tuple(self.queue.active_jobs) if job):
            raise Stopped()
        if self._is_before("picture"):
            raise Stopped()

    def check_strength(self) -> None:
        """As `check`, and if its page asked for another strength."""
        self.check()
        if self._is_before("strength"):
            raise Stopped()

    def check_view(self) -> None:
        """As `check`, and if its page asked for the same picture in another way, such as another strength."""
        self.check()
        if self._is_before("view"):
            raise Stopped()

    def _is_mine(self, job: list[Any]) -> bool:
        return any(event._id == self.event_id and event.alive for event in job)

    def _is_before(self, newer: Literal["picture", "strength", "view"]) -> bool:
        page = page_of(self.session)
        return page is not None and self.asked_at is not None and self.asked_at < getattr(page, newer)


class Turns:
    """One at a time, in the order in which they came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: list[object] = []  # the first is at work

    @contextmanager
    def turn(self, tell: Callable[[int], object] = lambda ahead: None) -> Iterator[None]:
        """Wait for the turn of the current thread.

        Args:
            tell: is called with how many are ahead, whenever that changes.

        Raises:
            Stopped: nobody waits for it any more.
        """
        watch, me, told = Watch(), object(), 0
        with self._changed:
            self._line.append(me)
        try:
            while ahead := self._line.index(me):
                if ahead != told:
                    tell(ahead)
                    told = ahead
                with self._changed:
                    self._changed.wait_for(lambda: self._line[0] is me, 0.2)
                watch.check()
            yield
        finally:
            with self._changed:
                self._line.remove(me)
                self._changed.notify_all()


@contextmanager
def held(lock: threading.Lock) -> Iterator[None]:
    """With the lock, once it is free.

    Raises:
        Stopped: nobody waits for that any more.
    """
    watch = Watch()
    while not lock.acquire(timeout=0.2):
        watch.check()
    try:
        yield
    finally:
        lock.release()
