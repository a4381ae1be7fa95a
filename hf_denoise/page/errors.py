"""Errors as messages on the page."""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from hf_denoise.errors import UserError
from hf_denoise.page.stop import session_id

KEPT_PROBLEMS = 1000  # of open pages
_problems: OrderedDict[str, str] = OrderedDict()
_problems_lock = threading.Lock()


@contextmanager
def shown_errors(seconds: float | None = 10) -> Iterator[None]:
    """Turn what people can put right into a message on the page, with files named as they named them.

    Args:
        seconds: how long it stays. None: until it is closed, where people come back late to look.
    """

    def shown(text: str, **options: Any) -> gr.Error:
        _note_problem(text)
        return gr.Error(text, duration=seconds, **options)

    try:
        yield
    except UserError as error:
        raise shown(without_folders(error), print_exception=False) from None
    except MemoryError:
        raise shown("this picture needs more memory than the server has; try a smaller one") from None
    except OSError as error:
        raise shown(f"the server could not store the result ({error.strerror}); try again later") from error
    except gr.Error:
        raise
    except Exception as error:  # without a text the page would show "Error" alone; the log has the trace
        raise shown("this picture could not be denoised; save it as PNG or TIFF and try that") from error


def _note_problem(text: str) -> None:
    if session := session_id():
        with _problems_lock:
            _problems[session] = text
            while len(_problems) > KEPT_PROBLEMS:
                _problems.popitem(last=False)


def take_problem() -> str | None:
    """What went wrong on this page since this was asked last; None where nothing did that a user has to know."""
    with _problems_lock:
        return _problems.pop(session_id() or "", None)


def without_folders(error: UserError) -> str:
    """The sentence, with absolute paths cut down to the name of the file."""
    return re.sub(r"'(?:/|[A-Za-z]:)[^']*[/\\]([^'/\\]+)'", r"'\1'", str(error))
