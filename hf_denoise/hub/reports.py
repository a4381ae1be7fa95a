"""Which measured report goes with a saved model: the newest one that is of its weights."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub.utils.sha import sha_fileobj

from hf_denoise.errors import UserError
from hf_denoise.hub.files import REPORT, WEIGHTS, read_report

DIGEST = "weights_sha256"  # what a report calls the digest of the weights that it is of

_logger = logging.getLogger(__name__)


def weights_digest(folder: Path) -> str:
    """SHA-256 of `model.safetensors`, as the Hub shows it of the file."""
    with open(folder / WEIGHTS, "rb") as file:
        return sha_fileobj(file).hex()


def full_report(folder: Path, given: Sequence[Path] = ()) -> dict[str, Any] | None:
    """The report in the folder of a saved model, with the results of what `hf-denoise evaluate` wrote of its weights.

    Args:
        folder: of the model.
        given: folders that `hf-denoise evaluate` wrote; none: the newest beside `folder` that is of these weights.

    Returns:
        Where there is such a report, its results in place of those of the training, of which the first then stands as
        `validation` under `training`. None where there is no report at all.

    Raises:
        UserError: a given folder holds no report, or one of other weights.
    """
    own = read_report(folder, folder)
    results = _given(folder, given) if given else _beside(folder)
    if not results:
        return own
    training = dict((own or {}).get("training") or {})
    if validated := (own or {}).get("results"):
        training["validation"] = validated[0]
    return {**(own or {}), "results": results, "training": training}


def _given(folder: Path, given: Sequence[Path]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    digest = weights_digest(folder)
    for place in given:
        report = read_report(place, place)
        if report is None:
            raise UserError(f"--report '{place}' has no {REPORT}; give a folder that `hf-denoise evaluate` wrote")
        if report.get(DIGEST) != digest:
            raise UserError(
                f"--report '{place}' is not of the weights in '{folder}'; measure them with "
                f"`hf-denoise evaluate --model {folder}`"
            )
        results += report.get("results", [])
    return results


def _beside(folder: Path) -> list[dict[str, Any]]:
    """The results of the newest report of these weights in a folder beside them."""
    places = [
        file.parent for file in folder.resolve().parent.glob(f"*/{REPORT}") if not (file.parent / WEIGHTS).is_file()
    ]
    places.sort(key=lambda place: (place / REPORT).stat().st_mtime_ns, reverse=True)
    digest = weights_digest(folder) if places else ""
    for place in places:
        try:
            report = read_report(place, place) or {}
        except UserError:  # somebody's own file of that name
            continue
        if report.get(DIGEST) == digest:
            return list(report.get("results", []))
    if places:
        _logger.warning(
            "%s is not of the weights in %s and is left out; `hf-denoise evaluate --model %s` measures them",
            *(places[0], folder, folder),
        )
    return []
