"""Repositories of models on the Hub."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from huggingface_hub.utils.logging import get_verbosity, set_verbosity, set_verbosity_error

from hf_denoise.errors import UserError
from hf_denoise.hub.errors import hub_errors
from hf_denoise.hub.files import CONFIG
from hf_denoise.hub.reach import hub_is_out_of_reach


def create_repo(repo_id: str, *, private: bool = False, token: str | None = None, branch: str | None = None) -> str:
    """Create the repository of a model, and the branch, where they are missing, and find out if it can be written to.

    Args:
        repo_id: "user/name", or "name" for the owner of the token.
        private: a new repository is private. An old one stays what it is.
        token: write token; None takes `HF_TOKEN` or the one that is logged in.
        branch: the branch that will be committed to; None is the main branch.

    Returns:
        The full id, "user/name".

    Raises:
        UserError: the id is malformed, there is no token or no network, or the Hub refused.
    """
    with hub_errors(repo_id, pushing=True):
        if not (token or get_token()):
            raise UserError(
                "no token for the Hub; log in with 'hf auth login', or set HF_TOKEN to a token that may write"
            )
        if not constants.is_offline_mode() and hub_is_out_of_reach():
            raise ConnectionError(f"no connection to {constants.ENDPOINT}")
        api = HfApi(token=token)
        repo_id = api.create_repo(repo_id, private=private or None, exist_ok=True).repo_id
        if branch:
            api.create_branch(repo_id, branch=branch, exist_ok=True)
        # Where the repository exists, a token that may only read has passed so far. This uploads nothing.
        with quiet_client():
            api.preupload_lfs_files(repo_id, [CommitOperationAdd(CONFIG, b"{}")], revision=branch)
    return repo_id


@contextmanager
def quiet_client(bars: bool = False) -> Iterator[None]:
    """Without the warnings of the Hub's client and, unless `bars`, its progress bars: they break into a training's."""
    shown, verbosity = not are_progress_bars_disabled(), get_verbosity()
    set_verbosity_error()
    if not bars:
        disable_progress_bars()
    try:
        yield
    finally:
        set_verbosity(verbosity)
        if shown:
            enable_progress_bars()
