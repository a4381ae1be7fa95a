"""The networks of the page: the operator's, and those that visitors name by their Hub id."""

import copy
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled, RepositoryNotFoundError

from hf_denoise.errors import UserError
from hf_denoise.hub.errors import HubUnreachableError, hub_errors
from hf_denoise.hub.files import WEIGHTS
from hf_denoise.hub.ids import is_hub_id
from hf_denoise.imaging.picture import Picture
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.inference.self_ensemble import SelfEnsemble
from hf_denoise.inference.tiles import grid_step
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.page.stop import Turns, Watch
from hf_denoise.probing.report import ProbeReport

try:  # on a ZeroGPU Space a graphics card is lent to functions that ask for one
    from spaces import GPU as lent_gpu  # noqa: N811
except ImportError:

    def lent_gpu(*, duration: Callable[..., int]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return lambda function: function


KEPT_MODELS = 3  # of visitors, in memory
MAX_WEIGHTS = 500_000_000  # of a file of weights; the packaged one has 4 million

_visitors_models: OrderedDict[str, Denoiser] = OrderedDict()
_keeping = threading.Lock()  # for moments: who asks for a model in memory must not wait for another's download
_loading = threading.Lock()
_network = Turns()  # one picture at a time: two would only share the same cores


@cache
def operators_denoiser() -> Denoiser:
    """The model of `HF_DENOISE_MODEL`, a folder or Hub id; the packaged one where that is not set."""
    return Denoiser.from_pretrained(os.environ.get("HF_DENOISE_MODEL"))


def denoiser(model: str | None = None) -> Denoiser:
    """The network that a visitor asks for.

    Args:
        model: "user/name" on the Hub, public, or the address of its page there; empty for the operator's.

    Raises:
        UserError: no such id, a folder of the server, weights of more than 500 MB, or as `DenoisingUNet`.
    """
    model = _as_id(model)
    if model and (not is_hub_id(model) or Path(model).exists()):
        said = f"'{model[:100]}' is not the id of a model on the Hub"
        raise UserError(f"{said}; write it as user/name, or paste the address of its page")
    return _in_memory(model) or _loaded(model)


def _as_id(model: str | None) -> str:
    """ "user/name" of what people paste: also the address of the model's page."""
    return re.sub(r"^(https?://)?(www\.)?(huggingface\.co|hf\.co)/([^/]+/[^/?#]+).*$", r"\4", (model or "").strip())


def _in_memory(model: str) -> Denoiser | None:
    """The operator's network, or a visitor's that is still kept, and now the last to go."""
    if not model:
        return operators_denoiser()
    with _keeping:
        if model in _visitors_models:
            _visitors_models.move_to_end(model)
        return _visitors_models.get(model)


def _loaded(model: str) -> Denoiser:
    with _loading:
        if kept := _in_memory(model):  # somebody else waited for the same
            return kept
        with _for_visitors(model):
            if not constants.is_offline_mode():
                _check_size(model)
            # Never with the operator's token: a visitor must not see the operator's private models.
            new = Denoiser(DenoisingUNet.from_pretrained(model, token=False))
        with _keeping:
            while len(_visitors_models) >= KEPT_MODELS:
                _visitors_models.popitem(last=False)
            _visitors_models[model] = new
        return new


@contextmanager
def _for_visitors(model: str) -> Iterator[None]:
    """Where the Hub cannot be reached: ways out that a visitor has. A local folder is one of the operator's."""
    try:
        yield
    except UserError as error:
        missing = isinstance(error.__cause__, (LocalEntryNotFoundError, OfflineModeIsEnabled))
        if missing and constants.is_offline_mode():
            reason = f"this server is offline and does not have '{model}'"
        elif missing or isinstance(error, HubUnreachableError):
            reason = f"the Hub could not be reached for '{model}'; try again later"
        else:
            raise
        raise UserError(f"{reason}; without an id the model of this page is used") from error


def _check_size(model: str) -> None:
    with hub_errors(model):
        try:
            size = get_hf_file_metadata(hf_hub_url(model, WEIGHTS), token=False).size or 0
        except RepositoryNotFoundError as error:
            raise UserError(f"there is no public model '{model}' on the Hub; check its id") from error
    if size > MAX_WEIGHTS:
        raise UserError(f"the weights of '{model}' have {size / 1e6:.0f} MB; at most 500 MB are loaded here")


def fully_denoised(
    picture: Picture, model: str | None, progress: gr.Progress, description: str = "Denoising", best: bool = False
) -> Picture:
    """The picture at strength 1, `best` by the self-ensemble; Gradio's progress bar counts the tiles.

    Raises:
        Stopped: nobody waits for it any more.
        UserError: as `denoiser`.
    """
    with _network_alone(model, progress) as loaded:
        return _run(picture, loaded, progress, description, best)


def probed(picture: Picture, model: str | None, progress: gr.Progress, best: bool = False) -> ProbeReport:
    """Which small defects the network would keep in a picture at strength 1, `best` the self-ensemble.

    Raises:
        Stopped: nobody waits for it any more.
        UserError: as `denoiser` and `Denoiser.probe`.
    """
    with _network_alone(model, progress) as loaded:
        return _probe(picture, loaded, progress, best)


@contextmanager
def _network_alone(model: str | None, progress: gr.Progress) -> Iterator[str]:
    """While no other picture is at work: the id of the model, which is in memory."""
    model = _as_id(model)
    while True:
        denoiser(model)  # loaded here: what a ZeroGPU worker loads is lost with it
        with _network.turn(lambda ahead: progress(0, desc=f"Waiting for {ahead} other picture{'s' * (ahead > 1)}")):
            # Others' models may have taken its place meanwhile. It is not loaded again here: all would wait for that.
            if _in_memory(model):
                yield model
                return


def seconds_for(picture: Picture, model: str, progress: gr.Progress, description: str, best: bool) -> int:
    """For how long a ZeroGPU Space is asked for its card, from 10 to 120 seconds: who asks for less waits less.

    With ample room for a card that is slower than the one it was reckoned for: what takes longer is cut off.
    """
    height, width = picture.header.size
    return min(10 + round(height * width * (8 if best else 1) / 2e6), 120)


@lent_gpu(duration=seconds_for)
def _run(picture: Picture, model: str, progress: gr.Progress, description: str, best: bool) -> Picture:
    return _denoiser(model, best).picture(picture, progress=_advance(progress, description, "tiles"))


@lent_gpu(duration=lambda picture, model, progress, best: 100 if best else 20)  # the same work for every picture
def _probe(picture: Picture, model: str, progress: gr.Progress, best: bool) -> ProbeReport:
    return _denoiser(model, best).probe(picture, progress=_advance(progress, "Trying defects", "steps"))


def _denoiser(model: str, best: bool) -> Denoiser:
    plain = denoiser(model)
    if not best or plain.self_ensemble:
        return plain
    other = copy.copy(plain)  # the network in memory is the same
    other.self_ensemble, other.network = True, SelfEnsemble(plain.network, grid_step(plain.model))
    return other


def _advance(progress: gr.Progress, description: str, unit: str) -> Callable[[int, int], None]:
    watch = Watch()

    def advance(done: int, total: int) -> None:
        watch.check()
        progress((done, total), desc=description, unit=unit)

    return advance
