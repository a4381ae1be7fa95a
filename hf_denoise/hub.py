"""Publishing a saved model on the Hugging Face Hub."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError

from hf_denoise.card import is_handwritten, plain
from hf_denoise.errors import UserError
from hf_denoise.hub_errors import hub_errors
from hf_denoise.hub_files import CARD, CONFIG, REPORT, WEIGHTS
from hf_denoise.model import DenoisingUNet


def push(
    folder: str | Path, repo_id: str, *, private: bool = False, token: str | None = None, branch: str | None = None
) -> str:
    """Upload a saved model to the Hub in one commit; creates the repository, and the branch, if missing.

    The weights go up as they lie in the folder, in half precision if that is how they are stored. The card is rendered
    with the repository's id in it, unless somebody wrote or edited `README.md` by hand. Nothing in the folder changes.

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
    model = DenoisingUNet.from_pretrained(folder)
    if not (token or get_token()):
        raise UserError("no token for the Hub; log in with 'hf auth login', or set HF_TOKEN to a token that may write")
    with hub_errors(repo_id):
        api = HfApi(token=token)
        repo = api.create_repo(repo_id, private=private or None, exist_ok=True)
        if branch:
            api.create_branch(repo.repo_id, branch=branch, exist_ok=True)
        card: Path | bytes = folder / CARD
        if not is_handwritten(folder / CARD):
            card = str(model.generate_model_card(model_id=repo.repo_id)).encode()
        files = {CONFIG: folder / CONFIG, WEIGHTS: folder / WEIGHTS, CARD: card}
        operations: list[CommitOperationAdd | CommitOperationDelete] = []
        if model.report is not None:
            files[REPORT] = folder / REPORT
        elif api.file_exists(repo.repo_id, REPORT, revision=branch):
            operations.append(CommitOperationDelete(REPORT))  # the numbers of another model
        operations += [CommitOperationAdd(name, content) for name, content in files.items()]
        try:
            api.create_commit(repo.repo_id, operations, commit_message="Upload DenoisingUNet", revision=branch)
        except HfHubHTTPError:
            raise
        except RuntimeError as error:  # how the client reports a file that did not get through
            reason = plain(error.__cause__ or error)
            raise UserError(f"the upload to '{repo_id}' broke off, push again: {reason}") from error
        except ValueError as error:
            raise UserError(f"the Hub refuses {CARD} of '{folder}'; mend or delete it: {plain(error)}") from error
    return f"{repo}/tree/{branch}" if branch else str(repo)
