"""The one exception that is meant for the person at the keyboard."""


class UserError(ValueError):
    """Something the user can put right: the message is one sentence that names the file or flag and the way out.

    The command line prints it and exits with status 2; the page shows it; Python users catch it as a `ValueError`.
    """
