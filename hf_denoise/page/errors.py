"""Errors as messages on the page."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from hf_denoise.errors import UserError
from hf_denoise.page.stop import asked_at


class Failure(gr.Error):
    """A message on the page.

    Args:
        message: one sentence.
        seconds: how long it stays. None: until it is closed, where people come back late to look.
        logged: whether the server's log gets a traceback: of faults of ours, not of mistakes of users.
    """

    def __init__(self, message: str, seconds: float | None = 10, *, logged: bool = False):
        super().__init__(message, duration=seconds, print_exception=logged)
        self.asked_at = asked_at()


@contextmanager
def shown_errors(seconds: float | None = 10) -> Iterator[None]:
    """Turn what people can put right into a message on the page, with files named as they named them.

    Args:
        seconds: see `Failure`.
    """
    try:
        yield
    except UserError as error:
        raise Failure(without_folders(error), seconds) from None
    except MemoryError:
        raise Failure("this picture needs more memory than the server has; try a smaller one", seconds) from None
    except OSError as error:
        message = f"the server could not store the result ({error.strerror}); try again later"
        raise Failure(message, seconds, logged=True) from error
    except gr.Error:
        raise
    except Exception as error:  # without a text the page would show "Error" alone; the log has the trace
        message = "this picture could not be denoised; save it as PNG or TIFF and try that"
        raise Failure(message, seconds, logged=True) from error


def without_folders(error: UserError) -> str:
    """The sentence, with absolute paths cut down to the name of the file."""
    return re.sub(r"'(?:/|[A-Za-z]:)[^']*[/\\]([^'/\\]+)'", r"'\1'", str(error))
