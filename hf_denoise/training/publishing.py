"""A training run on the Hub: pushed at its end and, where wanted, after every evaluation while the training goes on."""

import shutil
import sys
import time
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi
from tqdm import tqdm

from hf_denoise.errors import UserError
from hf_denoise.hub.errors import HubUnreachableError
from hf_denoise.hub.files import LOG
from hf_denoise.hub.repositories import create_repo, quiet_client
from hf_denoise.hub.tables import plain
from hf_denoise.training.upload import upload

Strategy = Literal["end", "every-eval"]
PAUSES = (20.0,)  # seconds before the final push tries again; the Hub's client tries each request for 23 s by itself


class Publisher:
    """Pushes the best weights of a run, with card, learning curves, recipe and log. For the main process alone.

    The repository is created and the right to write to it checked here, so that a run does not end in vain.

    Args:
        repo_id: "user/name", or "name" for the owner of the token.
        strategy: "end": in `finish` alone; "every-eval": also in `evaluated`, in the background.
        private: a new repository is private. An old one stays what it is.
        token: write token; None takes `HF_TOKEN` or the one that is logged in.

    Raises:
        UserError: the id is malformed, there is no token or no network, or the Hub refused.
    """

    def __init__(self, repo_id: str, strategy: Strategy = "end", *, private: bool = False, token: str | None = None):
        self.repo_id = create_repo(repo_id, private=private, token=token)
        self._token = token
        self._strategy = strategy
        self._api = HfApi()
        self._running: Future[None] | None = None
        self._failed = False

    def evaluated(self, folder: Path) -> None:
        """Start a push of the weights in `folder`, unless the one before still runs; return at once, without an error.

        What goes up is a copy made here: `folder` may be replaced while the upload runs. A push that fails is told
        once, until one succeeds again.

        Args:
            folder: a saved model in the folder of its run, such as `runs/x/best`.
        """
        if self._strategy == "end" or (self._running and not self._running.done()):
            return
        snapshot = folder.parent / ".pushing"
        try:
            shutil.rmtree(snapshot, ignore_errors=True)
            shutil.copytree(folder, snapshot / folder.name)
            if (folder.parent / LOG).is_file():
                shutil.copy(folder.parent / LOG, snapshot)
        except OSError as error:  # an evaluation that has no weights to keep, or a full disk
            self._tell(error)
            return
        self._running = self._api.run_as_future(self._push, snapshot / folder.name)

    def finish(self, folder: Path) -> str:
        """Wait for the push that runs, then push the weights in `folder`; try again where the network fails.

        Args:
            folder: as in `evaluated`.

        Returns:
            The URL of the model's page.

        Raises:
            UserError: they could not be pushed; says where they are and how to push them by hand.
        """
        if self._running:
            wait([self._running])
        tqdm.write(f"pushing '{folder}' to '{self.repo_id}'", file=sys.stderr)
        pauses = iter(PAUSES)
        while True:
            try:
                with quiet_client(bars=True):
                    upload(folder, self.repo_id, message="Trained DenoisingUNet", token=self._token)
                return f"{self._api.endpoint}/{self.repo_id}"
            except UserError as error:
                pause = next(pauses, None) if isinstance(error, HubUnreachableError) else None
                if pause is None:
                    raise UserError(
                        f"{error}. The weights are in '{folder}'; push them with "
                        f"`hf-denoise push {folder} {self.repo_id}`"
                    ) from error
                tqdm.write(f"{error}; next try in {pause:.0f} s", file=sys.stderr)
                time.sleep(pause)

    def _push(self, snapshot: Path) -> None:
        try:
            with quiet_client():
                upload(snapshot, self.repo_id, message="DenoisingUNet in training", token=self._token)
            self._failed = False
        except Exception as error:  # whatever it is, the training is worth more
            self._tell(error)
        finally:
            shutil.rmtree(snapshot.parent, ignore_errors=True)

    def _tell(self, error: Exception) -> None:
        if not self._failed:
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {plain(error)}"
            tqdm.write(
                f"warning: the push to the Hub failed and the next evaluation pushes again: {reason}",
                file=sys.stderr,
            )
        self._failed = True
