"""What a training takes over from the model that it starts from, and the licence that may be chosen instead."""

from pathlib import Path
from typing import Any

from hf_denoise._version import __version__
from hf_denoise.errors import UserError
from hf_denoise.hub.files import CARD, PACKAGED, checkpoint_folder, read_report
from hf_denoise.hub.ids import is_hub_id
from hf_denoise.hub.licence import Licence, card_metadata, known_licence
from hf_denoise.hub.tables import plain


def given_licence(license: str | None, name: str | None = None, link: str | None = None) -> Licence:
    """The licence that somebody chose by options.

    Args:
        license: an identifier that the Hub lists, such as "apache-2.0" or "cc-by-nc-4.0", or "other".
        name, link: of a licence that the Hub does not list.

    Raises:
        UserError: the options contradict.
    """
    if (name or link) and license != "other":
        raise UserError(
            "--license-name and --license-link are for a licence that the Hub does not list: --license other"
        )
    if license == "other" and not name:
        raise UserError("--license other says nothing by itself; add --license-name, and --license-link if it has one")
    return known_licence({"license": license, "license_name": name, "license_link": link})


def inherited(model_id: str) -> dict[str, Any]:
    """What a model trained on from a saved one takes over from it.

    Args:
        model_id: the saved one, which was loaded: a folder, an id on the Hub, or "packaged".

    Returns:
        `license`: a `Licence`, as the card says it, else the report. `licences`: notices on the data that it was
        trained on. `origin`: `name`; `base_model`, the nearest model on the Hub, and its `revision`; `data`; each but
        the name only where it is known.
    """
    folder = checkpoint_folder(model_id, local_files_only=True)
    metadata, report = card_metadata(folder / CARD), read_report(folder, model_id) or {}
    training = report.get("training") or {}
    origin: dict[str, Any] = {"name": plain(model_id)}
    if model_id == PACKAGED:
        origin["name"] = f"the weights in hf_denoise {__version__}"
    elif Path(model_id).is_dir():
        origin["name"] = folder.resolve().name  # the folders above it stay private
        if is_hub_id(metadata.get("base_model")):
            origin["base_model"] = metadata["base_model"]
    else:
        origin |= {"base_model": model_id, "revision": folder.name}
    if training.get("data"):
        origin["data"] = plain(training["data"])
    notices = training.get("licences")
    return {
        "license": known_licence(metadata) or known_licence(report.get("license")),
        "licences": [plain(notice) for notice in notices] if isinstance(notices, list) else [],
        "origin": origin,
    }
