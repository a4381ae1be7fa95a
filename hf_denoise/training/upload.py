"""Publishing a saved model on the Hugging Face Hub, with the log and the learning curves of its run beside it."""

import json
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi, ModelCard

from hf_denoise.errors import UserError
from hf_denoise.hub.card import recipe_yaml, render_card
from hf_denoise.hub.commit import commit_model
from hf_denoise.hub.files import (
    CARD,
    CONFIG,
    CURVES,
    INT8_FILES,
    LOG,
    RECIPE,
    REPORT,
    WEIGHTS,
    read_object,
)
from hf_denoise.hub.licence import Licence
from hf_denoise.hub.reports import full_report
from hf_denoise.hub.repositories import create_repo
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.training.curves import learning_curves
from hf_denoise.training.log import read_log


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    branch: str | None = None,
    licence: Licence | None = None,
    reports: Sequence[Path] = (),
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
        licence: of the weights, for the card; None keeps the one that was chosen on the Hub, or is in the report.
        reports: folders that `hf-denoise evaluate` wrote of these weights; none: the newest of them beside the folder.

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
    upload(folder, repo_id, token=token, branch=branch, licence=licence, reports=reports)
    url = f"{HfApi().endpoint}/{repo_id}"
    return f"{url}/tree/{branch}" if branch else url


def upload(
    folder: Path,
    repo_id: str,
    *,
    token: str | None = None,
    branch: str | None = None,
    message: str = "Upload DenoisingUNet",
    licence: Licence | None = None,
    reports: Sequence[Path] = (),
) -> None:
    """Commit a saved model to a repository that exists, without building the network.

    With the model go its report (see `full_report`), its quantised model, the recipe as `train.py --config` takes it,
    the training log that lies beside the folder (`runs/x/log.csv` for `runs/x/best`) and its learning curves. The card
    is rendered with the repository's id in it, unless somebody wrote or edited it by hand, in the folder or on the Hub;
    a licence that was chosen on the Hub stays.

    Args:
        folder: a saved model.
        repo_id: "user/name".
        token, branch, licence, reports: as in `push`.
        message: of the commit.

    Raises:
        HubUnreachableError: the network or the Hub is down, or somebody else committed at the same time.
        UserError: the folder is not a saved model, or the Hub refused.
    """
    config, report = read_object(folder, CONFIG, folder), full_report(folder, reports)
    files: dict[str, Path | bytes] = {CONFIG: folder / CONFIG, WEIGHTS: folder / WEIGHTS}
    if report is not None:
        files[REPORT] = json.dumps(report, indent=2).encode() + b"\n"
    if recipe := recipe_yaml(report):
        files[RECIPE] = recipe.encode()
    files |= {name: folder / name for name in INT8_FILES if (folder / name).is_file()}
    log = read_log(folder.parent / LOG)
    if report is not None and log is not None:
        files |= {LOG: folder.parent / LOG, CURVES: learning_curves(log)}
    curves = CURVES if CURVES in files else None

    def render(chosen: Licence) -> ModelCard:
        return render_card(config, report, model_id=repo_id, curves=curves, licence=licence or chosen)

    commit_model(repo_id, files, render, folder / CARD, message=message, token=token, branch=branch)
