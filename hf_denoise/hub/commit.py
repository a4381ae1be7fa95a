"""The commit that puts a model on the Hub. What somebody else put there stays."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import filter_repo_objects

from hf_denoise.errors import UserError
from hf_denoise.hub.card import has_text, is_handwritten
from hf_denoise.hub.errors import HubUnreachableError, hub_errors, may_pass
from hf_denoise.hub.files import CARD, CURVES, LOG, RECIPE, REPORT, WEIGHTS
from hf_denoise.hub.licence import Licence, card_metadata, known_licence
from hf_denoise.hub.tables import plain

Patterns = list[str] | str | None

_logger = logging.getLogger(__name__)


def commit_model(
    repo_id: str,
    files: Mapping[str, Path | bytes],
    render: Callable[[Licence], ModelCard],
    own_card: Path | None,
    *,
    message: str,
    token: str | None = None,
    branch: str | None = None,
    create_pr: bool | None = None,
    allow_patterns: Patterns = None,
    ignore_patterns: Patterns = None,
    delete_patterns: Patterns = None,
) -> CommitInfo:
    """Commit a model and its card to a repository that exists, and remove what an earlier model left there.

    A rendered card never replaces one that somebody wrote by hand: all is decided on one commit of the repository, and
    the Hub refuses where another one came in between.

    Args:
        repo_id: "user/name".
        files: name on the Hub -> the model's file or its content, without the card.
        render: gives the card of this model, from the licence that was chosen on the Hub, empty where none was.
        own_card: goes up in place of that card if somebody wrote or edited it by hand.
        message, token, branch, create_pr, allow_patterns, ignore_patterns, delete_patterns: as in
            `huggingface_hub.HfApi.upload_folder`.

    Raises:
        HubUnreachableError: the network or the Hub is down, or somebody else committed at the same time.
        UserError: the Hub refused.
    """
    own = own_card if own_card and is_handwritten(own_card) else None
    with hub_errors(repo_id, pushing=True):
        api = HfApi(token=token)
        there = api.model_info(repo_id, revision=branch)
        present = {file.rfilename for file in there.siblings or ()}
        # By its commit: for a branch that the Hub does not tell of, the client takes an old card from the cache.
        theirs = Path(api.hf_hub_download(repo_id, CARD, revision=there.sha)) if CARD in present else None
        chosen = own or _card_beside(repo_id, render, theirs)
        ours = {**files, CARD: chosen} if chosen is not None else dict(files)
        names = set(filter_repo_objects(ours, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns))
        gone = _left_by_earlier_model(present) - files.keys() if WEIGHTS in names else set()
        if delete_patterns is not None:
            kept = {".gitattributes"} if chosen is not None else {".gitattributes", CARD}
            gone |= set(filter_repo_objects(present - kept, allow_patterns=delete_patterns)) - names
        operations: list[CommitOperationAdd | CommitOperationDelete] = [CommitOperationDelete(name) for name in gone]
        operations += [CommitOperationAdd(name, content) for name, content in ours.items() if name in names]
        with _commit_errors(repo_id, own):
            return api.create_commit(
                repo_id,
                operations,
                commit_message=message,
                revision=branch,
                create_pr=create_pr,
                parent_commit=there.sha,
            )


@contextmanager
def _commit_errors(repo_id: str, own: Path | None) -> Iterator[None]:
    """What `hub_errors` does not know of: files that do not get through, and a card that the Hub refuses."""
    try:
        yield
    except HfHubHTTPError:
        raise
    except RuntimeError as error:  # how the client reports a file that did not get through
        kind = HubUnreachableError if may_pass(error.__cause__) else UserError
        reason = plain(error.__cause__ or error)
        raise kind(f"the upload to '{repo_id}' broke off, push again: {reason}") from error
    except ValueError as error:
        raise UserError(f"the Hub refuses the card '{own or CARD}'; mend or delete it: {plain(error)}") from error


def _card_beside(repo_id: str, render: Callable[[Licence], ModelCard], theirs: Path | None) -> bytes | None:
    """The rendered card as it goes to a repository with the card `theirs`; None where that one stays."""
    if theirs and is_handwritten(theirs) and has_text(theirs):
        _tell_kept(repo_id)
        return None
    return str(render(known_licence(card_metadata(theirs)) if theirs else {})).encode()


def _left_by_earlier_model(present: set[str]) -> set[str]:
    """Those of the files on the Hub that describe the model there. A log.csv without its curves is somebody's own."""
    pairs = [pair for pair in ({REPORT, RECIPE}, {CURVES, LOG}) if pair <= present]
    return ({REPORT} & present).union(*pairs)


@functools.cache
def _tell_kept(repo_id: str) -> None:
    """Once per process: a run may push after every evaluation."""
    _logger.warning("the card of '%s' was written by hand and stays, without the new results and licence", repo_id)
