"""Publishing a saved model on the Hugging Face Hub, with the log and the learning curves of its run beside it."""

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard, get_token
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from huggingface_hub.utils.logging import get_verbosity, set_verbosity, set_verbosity_error

from hf_denoise.card import has_text, is_handwritten, plain, recipe_yaml, render_card
from hf_denoise.errors import UserError
from hf_denoise.hub_errors import HubUnreachableError, hub_errors, may_pass
from hf_denoise.hub_files import CARD, CONFIG, REPORT, WEIGHTS, read_object, read_report
from hf_denoise.model import DenoisingUNet
from hf_denoise.plots import learning_curves
from hf_denoise.training_log import LOG, read_log

RECIPE = "recipe.yaml"
CURVES = "curves.png"
LICENCE_FIELDS = ("license", "license_name", "license_link")

_logger = logging.getLogger(__name__)


def push(
    folder: str | Path, repo_id: str, *, private: bool = False, token: str | None = None, branch: str | None = None
) -> str:
    """Upload a saved model to the Hub in one commit; creates the repository, and the branch, if missing.

    The weights go up as they lie in the folder, in half precision if that is how they are stored; see `upload` for
    what goes with them. Nothing in the folder changes.

    Args:
        folder: a saved model, such as `runs/x/best`. It is loaded first, strictly.
        repo_id: "user/name", or "name" for the owner of the token.
        private: a new repository is private. An old one stays what it is.
        token: write token; None takes `HF_TOKEN` or the one that is logged in.
        branch: where to commit; None is the main branch.

    Returns:
        The URL of the model's page.

    Raises:
        UserError: the folder is not a saved model, there is no token or no network, or the Hub refused.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"'{folder}' is not a folder; give the folder of a saved model, such as runs/x/best")
    DenoisingUNet.from_pretrained(folder)
    repo_id = create_repo(repo_id, private=private, token=token, branch=branch)
    upload(folder, repo_id, token=token, branch=branch)
    url = f"{HfApi().endpoint}/{repo_id}"
    return f"{url}/tree/{branch}" if branch else url


def create_repo(repo_id: str, *, private: bool = False, token: str | None = None, branch: str | None = None) -> str:
    """Create the repository of a model, and the branch, where they are missing, and find out if it can be written to.

    Args:
        repo_id, private, token, branch: as in `push`.

    Returns:
        The full id, "user/name".

    Raises:
        UserError: the id is malformed, there is no token or no network, or the Hub refused.
    """
    if not (token or get_token()):
        raise UserError("no token for the Hub; log in with 'hf auth login', or set HF_TOKEN to a token that may write")
    with hub_errors(repo_id, pushing=True):
        api = HfApi(token=token)
        repo_id = api.create_repo(repo_id, private=private or None, exist_ok=True).repo_id
        if branch:
            api.create_branch(repo_id, branch=branch, exist_ok=True)
        # Where the repository exists, a token that may only read has passed so far. This uploads nothing.
        with quiet_client():
            api.preupload_lfs_files(repo_id, [CommitOperationAdd(CONFIG, b"{}")], revision=branch)
    return repo_id


def upload(
    folder: Path,
    repo_id: str,
    *,
    token: str | None = None,
    branch: str | None = None,
    message: str = "Upload DenoisingUNet",
) -> None:
    """Commit a saved model to a repository that exists, without building the network.

    With the model go its report, the recipe as `train.py --config` takes it, the training log that lies beside the
    folder (`runs/x/log.csv` for `runs/x/best`) and its learning curves. The card is rendered with the repository's id
    in it, unless somebody wrote or edited it by hand, in the folder or on the Hub; a licence that was chosen on the
    Hub stays.

    Args:
        folder: a saved model.
        repo_id: "user/name".
        token, branch: as in `push`.
        message: of the commit.

    Raises:
        HubUnreachableError: the network or the Hub is down.
        UserError: the folder is not a saved model, or the Hub refused.
    """
    config, report = read_object(folder, CONFIG, folder), read_report(folder, folder)
    files: dict[str, Path | bytes] = {CONFIG: folder / CONFIG, WEIGHTS: folder / WEIGHTS}
    if report is not None:
        files[REPORT] = folder / REPORT
    if recipe := recipe_yaml(report):
        files[RECIPE] = recipe.encode()
    log = read_log(folder.parent / LOG)
    if report is not None and log is not None:
        files |= {LOG: folder.parent / LOG, CURVES: learning_curves(log)}
    with hub_errors(repo_id, pushing=True):
        api = HfApi(token=token)
        try:
            there = Path(api.hf_hub_download(repo_id, CARD, revision=branch))
        except EntryNotFoundError:
            there = None
        if is_handwritten(folder / CARD):
            files[CARD] = folder / CARD
        elif there and is_handwritten(there) and has_text(there):
            _tell_kept(repo_id)
        else:
            card = render_card(config, report, model_id=repo_id, curves=CURVES if CURVES in files else None)
            if there:
                chosen = ModelCard(there.read_text(encoding="utf-8"), ignore_metadata_errors=True).data.to_dict()
                if chosen.get("license"):
                    for name in LICENCE_FIELDS:
                        setattr(card.data, name, chosen.get(name))
            files[CARD] = str(card).encode()
        present = set(api.list_repo_files(repo_id, revision=branch))
        # What an earlier model left. These come in pairs: a log.csv alone is somebody's own.
        pairs = [pair for pair in ({REPORT, RECIPE}, {CURVES, LOG}) if pair <= present]
        stale = ({REPORT} & present).union(*pairs) - files.keys()
        operations: list[CommitOperationAdd | CommitOperationDelete] = [CommitOperationDelete(name) for name in stale]
        operations += [CommitOperationAdd(name, content) for name, content in files.items()]
        try:
            api.create_commit(repo_id, operations, commit_message=message, revision=branch)
        except HfHubHTTPError:
            raise
        except RuntimeError as error:  # how the client reports a file that did not get through
            kind = HubUnreachableError if may_pass(error.__cause__) else UserError
            reason = plain(error.__cause__ or error)
            raise kind(f"the upload to '{repo_id}' broke off, push again: {reason}") from error
        except ValueError as error:
            raise UserError(f"the Hub refuses {CARD} of '{folder}'; mend or delete it: {plain(error)}") from error


@functools.cache
def _tell_kept(repo_id: str) -> None:
    """Once per process: a run may push after every evaluation."""
    _logger.warning("the card of '%s' was written by hand and stays as it is, without the new results", repo_id)


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
