"""The one exception that is meant for the person at the keyboard, and what others have to say in it."""


class UserError(ValueError):
    """Something the user can put right: the message is one sentence that names the file or flag and the way out.

    The command line prints it and exits with status 2; the page shows it; Python users catch it as a `ValueError`.
    """


def cause_of(error: BaseException) -> str:
    """The first line of what caused the error of a library, or of its own message; its kind where that is empty."""
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
