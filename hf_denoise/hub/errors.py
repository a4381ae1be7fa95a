"""What can go wrong with the Hugging Face Hub, said in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLError

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hf_denoise.errors import UserError

# The Hub client's HTTP library has changed (requests, httpx, httpx2); its own error class always derives from
# that library's base class, which also covers "no route", "no such host" and time-outs.
_ClientError: type[Exception] = HfHubHTTPError.__bases__[0]
_CAUGHT = (
    EntryNotFoundError,
    HFValidationError,
    HfHubHTTPError,
    LocalTokenNotFoundError,
    _ClientError,
    ConnectionError,
    TimeoutError,
)
_CHANGED = 412  # somebody committed since the commit that a push was decided on
_RETRIED = (408, _CHANGED, 429, 500, 502, 503, 504)
_LOG_IN = "log in with `hf auth login`, or pass a token"


class HubUnreachableError(UserError):
    """The network or the Hub is down for now, or somebody else committed first: the same may succeed later."""


def may_pass(error: BaseException | None) -> bool:
    """Whether the same request may succeed later, since the connection or the Hub failed and not what was asked."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _RETRIED
    return isinstance(error, (_ClientError, ConnectionError, TimeoutError)) and not isinstance(
        error, (OfflineModeIsEnabled, EntryNotFoundError, HFValidationError)
    )


def _root_cause(error: BaseException) -> BaseException:
    """The Hub client reports most failures as "not in the cache"; the reason is what that was raised from."""
    while isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _sentence(repo_id: str, error: BaseException, pushing: bool) -> str:
    if isinstance(error, HFValidationError):
        return f"'{repo_id}' is neither an existing folder nor a Hub id of the form user/name"
    if isinstance(error, GatedRepoError):
        return f"'{repo_id}' is gated on the Hub: accept its terms on its page there, then {_LOG_IN}"
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"'{repo_id}' is neither an existing folder nor a Hub repository that you may see; "
            f"check the name, and if it is private {_LOG_IN}"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"'{repo_id}' has no such revision on the Hub; check the branch, tag or commit asked for"
    if isinstance(error, LocalTokenNotFoundError):
        return f"no token for '{repo_id}' was found; {_LOG_IN}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if isinstance(error, EntryNotFoundError):
            return f"'{repo_id}' on the Hub lacks config.json or model.safetensors: it is not a saved DenoisingUNet"
        if status in (401, 403):
            return f"the Hub refused the token for '{repo_id}' (HTTP {status}); {_LOG_IN} that has the permission"
        if status == _CHANGED:
            return f"'{repo_id}' was changed on the Hub by somebody else during the push; push again"
        return (
            f"the Hub answered HTTP {status} for '{repo_id}'; "
            f"{'push again later' if pushing else 'try again later, or use a local folder'}"
        )
    if isinstance(error, OfflineModeIsEnabled) or constants.is_offline_mode():
        if pushing:
            return f"nothing can be pushed to '{repo_id}' while HF_HUB_OFFLINE is set; unset it"
        return f"'{repo_id}' is not in the local cache and HF_HUB_OFFLINE is set; unset it, or use a local folder"
    if isinstance(error, EntryNotFoundError):
        return f"'{repo_id}' is not in the local cache; allow downloads, or use a local folder"
    return (
        f"the Hub could not be reached for '{repo_id}' ({type(error).__name__}); "
        f"check the network connection, {'then push again' if pushing else 'or use a local folder'}"
    )


@contextmanager
def hub_errors(repo_id: str, *, pushing: bool = False) -> Iterator[None]:
    """Turn the Hub client's errors inside the block into a `UserError` of one sentence.

    Args:
        repo_id: the Hub id (or what was taken for one) that the sentence names.
        pushing: whether the block writes to the Hub, which has no local folder as a way out.

    Raises:
        HubUnreachableError: the network or the Hub is down, or somebody else committed at the same time.
        UserError: the id is malformed, the repository, revision or file is missing, gated or refused, offline mode
            is set, the cache cannot be written. Other exceptions pass unchanged.
    """
    try:
        yield
    except _CAUGHT as error:
        cause = _root_cause(error)
        kind = HubUnreachableError if may_pass(cause) else UserError
        raise kind(_sentence(repo_id, cause, pushing)) from error
    except (FileNotFoundError, SSLError):  # a file that was pushed and is gone, certificates: not the cache
        raise
    except OSError as error:
        raise UserError(
            f"could not write to the cache '{error.filename or constants.HF_HUB_CACHE}' "
            f"({error.strerror or type(error).__name__}); free space or set HF_HOME to a folder that can be written"
        ) from error
