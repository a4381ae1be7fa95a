"""Pillow's own limit of pixels: a global, and below what today's cameras make."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image


class _Lift:
    """Lifted while any thread decodes, so that several can at once."""

    def __init__(self) -> None:
        self.lock, self.users, self.limit = threading.Lock(), 0, Image.MAX_IMAGE_PIXELS

    def enter(self) -> None:
        with self.lock:
            if self.users == 0:
                self.limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self.users += 1

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                Image.MAX_IMAGE_PIXELS = self.limit


_lift = _Lift()


@contextmanager
def without_pillow_limit() -> Iterator[None]:
    """In here `images.MAX_PIXELS` holds instead."""
    _lift.enter()
    try:
        yield
    finally:
        _lift.leave()
