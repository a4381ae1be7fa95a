"""The files of a saved model: fetched from the Hub or a folder, read, and checked before anything is built."""

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hf_denoise.errors import UserError
from hf_denoise.hub.errors import hub_errors
from hf_denoise.hub.ids import missing_path
from hf_denoise.hub.reach import hub_is_out_of_reach

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
REPORT = "evaluation.json"
CARD = "README.md"
RECIPE = "recipe.yaml"
LOG = "log.csv"
CURVES = "curves.png"
INT8, INT8_DATA, INT8_FACTS = "int8.xml", "int8.bin", "int8.json"  # the quantised model, see `quantizing`
INT8_FILES = (INT8, INT8_DATA, INT8_FACTS)
FETCHED = [CONFIG, WEIGHTS, REPORT, CARD, *INT8_FILES]
PACKAGED = "packaged"  # the name of the model that ships with the package


def checkpoint_folder(model_id: str | Path, **download: Any) -> Path:
    """The local folder of a saved model, fetched from the Hub unless `model_id` is a folder.

    All files come from one commit. Without a network the cached copy serves.

    Args:
        model_id: a folder, a repository on the Hub, or "packaged"; a folder of that name is "./packaged".
        download: `revision`, `token`, `cache_dir`, `force_download`, `local_files_only` of `snapshot_download`.

    Raises:
        UserError: there is no such repository or revision, no access to it, or no network and no cached copy.
    """
    path = Path(model_id)
    if model_id == PACKAGED:  # before folders, or one of that name would replace the default model
        folder = Path(__file__).parents[1] / "checkpoints"
        if not (folder / WEIGHTS).is_file():
            raise UserError(
                f"this installation of hf_denoise lacks its weights ({folder / WEIGHTS}); install it again, or name a "
                "model by its folder or Hub id"
            )
        return folder
    if path.is_dir():
        return path
    if path.is_file():
        raise UserError(f"'{model_id}' is a file; give the folder it is in, or the id of a model on the Hub")
    if wrong := missing_path(str(model_id)):
        raise UserError(f"{wrong}; give a folder of a saved model, or the id of one on the Hub")
    with hub_errors(str(model_id)):
        return Path(fetch(snapshot_download, str(model_id), allow_patterns=FETCHED, **download))


def fetch(download: Callable[..., str], *arguments: str, **options: Any) -> str:
    """What a download of the Hub's client gives; where the Hub is out of reach, from the cache, and without delay.

    Raises:
        ConnectionError: the Hub is out of reach, and the cache lacks what is wanted.
    """
    if options.get("local_files_only") or constants.is_offline_mode() or not hub_is_out_of_reach():
        return download(*arguments, **options)
    try:
        if not options.get("force_download"):
            return download(*arguments, **{**options, "local_files_only": True})
    except LocalEntryNotFoundError:
        pass
    raise ConnectionError(f"no connection to {constants.ENDPOINT}")


def dataset_revision(data: str | Path) -> str | None:
    """The commit of a dataset on the Hub that was last loaded here: ask after `load_triplets(data)`.

    It comes from the cache that the loading filled, so that it is the commit that was read, also without a network.

    Returns:
        The commit's hash; None where `data` is a local folder or was not loaded from the Hub.
    """
    if Path(data).expanduser().exists():
        return None
    try:
        return Path(snapshot_download(str(data), repo_type="dataset", local_files_only=True)).name
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def newest_revision(data: str | Path, revision: str | None = None, token: str | None = None) -> str | None:
    """The commit that a dataset on the Hub is at now.

    Args:
        data: its id.
        revision: branch, tag or commit; None is the main branch.
        token: for a private one; None takes `HF_TOKEN` or the one that is logged in.

    Returns:
        The commit's hash; None where `data` is a local folder or the Hub does not say: reading it then says why.
    """
    if Path(data).expanduser().exists() or missing_path(str(data)) or hub_is_out_of_reach():
        return None
    try:
        with hub_errors(str(data)):
            return HfApi(token=token).dataset_info(str(data), revision=revision).sha
    except UserError:
        return None


def read_object(folder: Path, file: str, model_id: str | Path) -> dict[str, Any]:
    """A file that must hold one JSON object."""
    try:
        content = json.loads((folder / file).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"'{model_id}' has no {file}; it is not a saved DenoisingUNet") from error
    except OSError as error:
        raise UserError(f"{file} of '{model_id}' cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{file} of '{model_id}' is not JSON; save or download it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} of '{model_id}' must hold one JSON object, not a {type(content).__name__}")
    return content


def read_config(
    folder: Path,
    model_id: str | Path,
    parameters: Mapping[str, inspect.Parameter],
    removed: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The constructor arguments in `config.json`.

    Args:
        folder: where the files lie.
        model_id: what the user called it, for messages.
        parameters: what the constructor takes; a default shows the type that is wanted.
        removed: options that the constructor once took, each with the value that it now stands for; they are left out.

    Raises:
        UserError: the file is missing or not JSON, or has an option that the constructor does not take as it stands.
    """
    config = read_object(folder, CONFIG, model_id)
    for key, only in (removed or {}).items():
        if key in config and config.pop(key) != only:
            raise UserError(
                f"config.json of '{model_id}' sets '{key}', which is no longer supported; use the version of "
                f"hf_denoise that saved it, or train a model without '{key}'"
            )
    for key, value in config.items():
        if key not in parameters or key == "self":
            raise UserError(f"config.json of '{model_id}' has an unknown option '{key}'; it is not a DenoisingUNet's")
        if kind := misfit(value, parameters[key]):
            raise UserError(f"config.json of '{model_id}': option '{key}' must be {kind}, not {json.dumps(value)}")
    return config


def misfit(value: Any, parameter: inspect.Parameter) -> str:
    """What a value must be to stand for a parameter of the constructor, in words; "" where it is that."""
    wanted = type(parameter.default)
    if wanted is tuple:
        fits = isinstance(value, list | tuple) and all(type(item) is int and item >= 0 for item in value)
        return "" if fits else "a list of whole numbers"
    return "" if type(value) is wanted else f"of type {wanted.__name__}"


def read_weights(folder: Path, model_id: str | Path) -> dict[str, Tensor]:
    """The tensors in `model.safetensors`. No other format is read: a pickle can run code.

    Raises:
        UserError: the file is missing, cut short, or not safetensors.
    """
    if not (folder / WEIGHTS).is_file():
        raise UserError(
            f"'{model_id}' has no {WEIGHTS}, and only safetensors weights are read, never a pickle such as "
            "pytorch_model.bin; save the model again with save_pretrained"
        )
    try:
        return load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{WEIGHTS} of '{model_id}' is cut short or not a safetensors file ({error}); save or download it again"
        ) from error


def read_report(folder: Path, model_id: str | Path) -> dict[str, Any] | None:
    """What was measured, from `evaluation.json`; None where there is no such file.

    Raises:
        UserError: the file is not a report.
    """
    if not (folder / REPORT).is_file():
        return None
    report = read_object(folder, REPORT, model_id)
    results = report.get("results", [])
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise UserError(f"{REPORT} of '{model_id}' has no list of results; delete it or measure again")
    if not isinstance(report.get("training") or {}, dict):
        raise UserError(f"{REPORT} of '{model_id}': 'training' must be an object; delete it or measure again")
    return report
