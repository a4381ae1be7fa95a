"""Saving, loading and pushing a network: config, weights, what was measured, and the model card."""

import difflib
import inspect
import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import HfApi, ModelCard, PyTorchModelHubMixin
from safetensors.torch import save
from torch import nn

from hf_denoise.errors import UserError
from hf_denoise.hub.card import is_handwritten, recipe_yaml, render_card
from hf_denoise.hub.commit import commit_model
from hf_denoise.hub.errors import hub_errors
from hf_denoise.hub.files import (
    CARD,
    RECIPE,
    REPORT,
    WEIGHTS,
    checkpoint_folder,
    misfit,
    read_config,
    read_report,
    read_weights,
)
from hf_denoise.hub.licence import Licence
from hf_denoise.hub.tables import plain

# Options of earlier versions that are gone, with the value that every network has now.
REMOVED_OPTIONS = {"decoder_batch_norm": False}

Network = TypeVar("Network", bound="HubMixin")


def _keywords(function: Callable[..., Any]) -> list[str]:
    """The names of what is given by keyword alone."""
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]


def _refuse_unknown(call: str, given: Iterable[str], allowed: Collection[str], near: Collection[str]) -> None:
    """Refuse options of a `call` that are not among the `allowed` ones, with the most alike of `near`."""
    for key in given:
        if key not in allowed:
            alike = difflib.get_close_matches(key, near, n=1)
            hint = f"did you mean '{alike[0]}'?" if alike else f"it takes {', '.join(near)}"
            raise UserError(f"{call} has no option '{key}'; {hint}")


class HubMixin(nn.Module, PyTorchModelHubMixin):
    """A network that saves itself to a folder or the Hub, with its report and card, and loads from there, strictly.

    Attributes:
        report: what was measured and how the model was trained, kept in `evaluation.json`; None where it was not.
    """

    report: dict[str, Any] | None = None
    _hub_mixin_config: dict[str, Any]

    def __new__(cls: type[Network], *args: Any, **kwargs: Any) -> Network:
        network = super().__new__(cls, *args, **kwargs)
        # What is saved is a trained whole: loading it must never ask for ImageNet weights again.
        network._hub_mixin_config["encoder_pretrained"] = False
        return network

    @property
    def config(self) -> dict[str, Any]:
        """The options of the network, as in `config.json`; a copy."""
        return dict(self._hub_mixin_config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return next(self.parameters()).dtype

    def num_parameters(self, only_trainable: bool = False) -> int:
        """Numbers in the weights; of those alone that are trained, where `only_trainable`."""
        return sum(weights.numel() for weights in self.parameters() if weights.requires_grad or not only_trainable)

    def generate_model_card(
        self, report: dict[str, Any] | None = None, model_id: str | None = None, licence: Licence | None = None
    ) -> ModelCard:
        """The model card, with the numbers of `report`, or of `self.report` where none is given, and a licence.

        Args:
            report: as in `evaluation.json`.
            model_id: the repository on the Hub.
            licence: of the weights, such as `{"license": "mit"}`; None takes that in the report.
        """
        return render_card(self._hub_mixin_config, report or self.report, model_id=model_id, licence=licence)

    def save_pretrained(
        self, save_directory: str | Path, *, repo_id: str | None = None, push_to_hub: bool = False, **kwargs: Any
    ) -> str | None:
        """Write `config.json`, `model.safetensors`, `evaluation.json` where there is a report, and the model card.

        The files are written beside and renamed, so a full disk leaves an older model as it was. The card in
        `README.md` is rendered anew at every save, unless somebody wrote or edited it by hand.

        Args:
            save_directory: folder to create or update.
            repo_id: repository for `push_to_hub`; the name of the folder where it is not given.
            push_to_hub: also upload, see `push_to_hub`; a card in the folder that was written by hand goes along.
            kwargs: see `huggingface_hub.ModelHubMixin.save_pretrained`.

        Returns:
            The URL of the commit where `push_to_hub` is set.

        Raises:
            OSError: the folder cannot be written.
            UserError: an option is unknown.
        """
        known = self._push_keywords()
        _refuse_unknown("save_pretrained", kwargs, known, [*known, "repo_id", "push_to_hub"])
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        local = {key: kwargs.pop(key) for key in ("config", "model_card_kwargs") if key in kwargs}
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as staging:
            super().save_pretrained(staging, **local)
            if is_handwritten(folder / CARD):
                (Path(staging) / CARD).unlink()
            for file in Path(staging).iterdir():
                file.replace(folder / file.name)
        if self.report is None:
            (folder / REPORT).unlink(missing_ok=True)
        return self._push(repo_id or folder.name, folder / CARD, **local, **kwargs) if push_to_hub else None

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> str:
        """Upload the model, its report, recipe and card to the Hub in one commit; creates the repository if missing.

        A card that somebody wrote or edited by hand on the Hub stays, and so does a licence that was chosen there;
        what describes an earlier model goes.

        Args:
            repo_id: "user/name", or "name" for the owner of the token.
            kwargs: see `huggingface_hub.ModelHubMixin.push_to_hub`.

        Returns:
            The URL of the commit.

        Raises:
            UserError: no network, the Hub refused, or an option is unknown.
        """
        _refuse_unknown("push_to_hub", kwargs, self._push_keywords(), self._push_keywords())
        return self._push(repo_id, None, **kwargs)

    def _push_keywords(self) -> list[str]:
        """What `push_to_hub` takes."""
        return sorted({*_keywords(self._push), *_keywords(commit_model)} - {"message"})

    def _push(
        self,
        repo_id: str,
        own_card: Path | None,
        *,
        config: Any = None,
        commit_message: str = "Push model using huggingface_hub.",
        private: bool | None = None,
        token: str | None = None,
        model_card_kwargs: dict[str, Any] | None = None,
        **commit: Any,
    ) -> str:
        """`push_to_hub`, with a card that replaces the rendered one where it was written by hand."""
        with hub_errors(repo_id, pushing=True):
            repo_id = HfApi(token=token).create_repo(repo_id, private=private, exist_ok=True).repo_id
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, config=config)
            files: dict[str, Path | bytes] = {path.name: path for path in Path(folder).iterdir() if path.name != CARD}
            if recipe := recipe_yaml(self.report):
                files[RECIPE] = recipe.encode()

            def render(chosen: Licence) -> ModelCard:
                return self.generate_model_card(**{"model_id": repo_id, "licence": chosen, **(model_card_kwargs or {})})

            return commit_model(repo_id, files, render, own_card, message=commit_message, token=token, **commit)

    def _save_pretrained(self, save_directory: Path) -> None:
        state = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        # Written by Python and not by safetensors, so that a full disk is an OSError like any other.
        (save_directory / WEIGHTS).write_bytes(save(state, metadata={"format": "pt"}))
        if self.report is not None:
            (save_directory / REPORT).write_text(json.dumps(self.report, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(
        cls: type[Network],
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        map_location: str | torch.device = "cpu",
        strict: bool = True,
        **model_kwargs: Any,
    ) -> Network:
        """Load a saved model from a folder or the Hub, in float32 and evaluation mode.

        Strict, unlike the mixin's own way, which goes on without a config, drops options it does not know, lets
        missing weights pass and falls back to pickle. ImageNet weights are never asked for.

        Args:
            pretrained_model_name_or_path: a folder, or the id of a repository on the Hub.
            force_download: fetch the files again even where they are cached.
            token: access token for private repositories; None takes the one that is logged in.
            cache_dir: where downloads are kept; None is the Hub client's cache.
            local_files_only: use the cache alone.
            revision: branch, tag or commit; None is the main branch.
            map_location: device to load it to.
            strict: True, the one way to load.
            model_kwargs: options that replace those of `config.json`, such as `gate_window`.

        Raises:
            UserError: the model cannot be fetched, a file is missing or damaged, weights and config do not fit, or an
                option is unknown or out of range.
        """
        name = pretrained_model_name_or_path
        cls._check_keywords(model_kwargs)
        if not strict:
            raise UserError("strict=False is not supported, as missing weights would stay random; leave it out")
        folder = checkpoint_folder(
            name,
            force_download=force_download,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            revision=revision,
        )
        options = read_config(folder, name, cls._hub_mixin_init_parameters, REMOVED_OPTIONS)
        weights = read_weights(folder, name)
        given = " with " + ", ".join(f"{key}={value!r}" for key, value in model_kwargs.items()) if model_kwargs else ""
        try:
            model = cls(**{**options, **model_kwargs, "encoder_pretrained": False}).float()
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(
                f"config.json of '{name}'{given} describes no network that can be built: {plain(error)}"
            ) from error
        try:
            model.load_state_dict(weights, strict=True)
        except RuntimeError as error:
            raise UserError(
                f"the weights in '{name}' do not fit its config.json{given}: {plain(error)[:300]}"
            ) from error
        model.report = read_report(folder, name)
        try:
            return model.eval().to(map_location)
        except (RuntimeError, AssertionError) as error:
            raise UserError(
                f"map_location '{map_location}' is not available here; use 'cpu', or a device that is there"
            ) from error

    @classmethod
    def _check_keywords(cls, given: Mapping[str, Any]) -> None:
        """Refuse options of `from_pretrained` that are no network's, by their names."""
        parameters = {key: value for key, value in cls._hub_mixin_init_parameters.items() if key != "self"}
        _refuse_unknown("from_pretrained", given, parameters, [*parameters, *_keywords(cls.from_pretrained)])
        for key, value in given.items():
            if kind := misfit(value, parameters[key]):
                raise UserError(f"option '{key}' of from_pretrained must be {kind}, not {value!r}")
        if given.get("encoder_pretrained"):
            raise UserError("encoder_pretrained=True has no place in from_pretrained, since all weights were saved")
