"""The folder of a run: `best/` and `last/`, each there whole or not at all, and what they say of the run."""

import json
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from hf_denoise.data.streaming import ShardStream
from hf_denoise.errors import UserError, cause_of
from hf_denoise.files import make_writable, recover, staging_folder, swap_in, unwritable, write_folder
from hf_denoise.hub.card import is_handwritten
from hf_denoise.hub.files import CARD, read_report
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.numbered import keep_numbered, numbered, recover_numbered


class RunFolder:
    """Saves and loads the checkpoints of a run; every process calls every method.

    Args:
        config: of the run.
        accelerator: whose state is saved: weights, optimizer, scaler, random numbers, and what is registered with it.

    Raises:
        UserError: the folder holds another run, nothing to resume, or cannot be written.
    """

    def __init__(self, config: TrainConfig, accelerator: Accelerator):
        self.output = Path(config.output)
        self.last, self.best = self.output / "last", self.output / "best"
        self.resumed = resumed_folder(config)
        self.config, self.accelerator = config, accelerator
        if accelerator.is_main_process:
            for folder in (self.last, self.best):
                recover(folder)
            recover_numbered(self.output)
            if config.resume and not self._state.is_dir():
                raise UserError(self._nothing_to_resume())
            if not config.resume and self.last.exists():
                raise UserError(
                    f"'{self.output}' holds a run already; continue it with --resume or choose another --output"
                )
            make_writable(self.output)
        accelerator.wait_for_everyone()
        if config.resume and not self._state.is_dir():
            raise UserError(f"'{self._state}' is not on this machine; --output must lie on storage that all share")

    def save(
        self,
        model: DenoisingUNet,
        report: dict[str, Any],
        stream: ShardStream | None,
        is_best: bool,
        number: int | None = None,
    ) -> None:
        """Save `best/`, where these weights are, and `last/` with all that a resume needs.

        In this order: killed between the two, a resume comes to the same evaluation and saves both.

        Args:
            model: what is saved.
            report: what its card says.
            stream: whose position is saved.
            is_best: whether these are the best weights of the run so far.
            number: of the checkpoint that is kept beside `last/`, if one is.

        Raises:
            UserError: the disk is full; the checkpoints of before are untouched.
        """
        model.report = report
        main = self.accelerator.is_main_process
        if main and is_best and not self._is_better_than(report):
            write_folder(self.best, lambda folder: save_model(model, folder, self.best))
        staging = staging_folder(self.last)
        try:
            if main:
                shutil.rmtree(staging, ignore_errors=True)
                save_model(model, staging, self.last)
            self.accelerator.wait_for_everyone()
            self.accelerator.save_state(str(staging / "state"))
            if stream is not None:
                path = staging / "state" / self._stream_file
                path.write_text(json.dumps(stream.state_dict()))
            self.accelerator.wait_for_everyone()
            if main:
                if number is not None:
                    keep_numbered(staging, self.output, number, self.config.keep_checkpoints)
                swap_in(self.last)
        except (OSError, RuntimeError) as error:
            shutil.rmtree(staging, ignore_errors=True)
            raise unwritable(self.last, error) from error
        self.accelerator.wait_for_everyone()

    def load(self) -> None:
        """Put the saved state back into what is prepared by and registered with the accelerator.

        Raises:
            UserError: it is that of other options, or damaged.
        """
        try:
            self.accelerator.load_state(str(self._state))
        except (ValueError, RuntimeError, KeyError, OSError) as error:
            raise UserError(
                f"'{self._state}' does not fit this training ({cause_of(error)}); resume with the "
                "--freeze-encoder, --ema-decay and --precision that it began with, which are taken where none is given"
            ) from error

    def load_stream(self, stream: ShardStream) -> None:
        """Put a stream back to where it was.

        Raises:
            UserError: the run was not streamed, or by another number of readers.
        """
        path = self._state / self._stream_file
        if not path.is_file():
            raise UserError(
                f"'{self.output}' was not streamed by this many processes; start with the same number of them, or "
                "--resume without --streaming"
            )
        stream.load_state_dict(json.loads(path.read_text()))

    def recorded_report(self) -> dict[str, Any]:
        """What the saved run says of itself."""
        return read_report(self.resumed, self.resumed) or {}

    def _nothing_to_resume(self) -> str:
        there = [path.name for path in numbered(self.output).values()]
        if self.resumed == self.last or not there:
            return f"there is nothing to resume in '{self.output}'; start without --resume"
        return f"--resume-from-checkpoint '{self.resumed}' is no checkpoint; there are {', '.join(there)}"

    def _is_better_than(self, report: dict[str, Any]) -> bool:
        """Whether `best/` is: it may come from steps after an earlier checkpoint that was gone back to."""
        if not self.config.resume or not self.best.is_dir():
            return False
        reports = read_report(self.best, self.best) or {}, report
        there, now = ((found.get("results") or [{}])[0].get("psnr") for found in reports)
        return there is not None and now is not None and there > now

    @property
    def _state(self) -> Path:
        return self.resumed / "state"

    @property
    def _stream_file(self) -> str:
        return f"stream_{self.accelerator.process_index}.json"


def save_model(model: DenoisingUNet, folder: Path, before: Path) -> None:
    """Save into a new folder that will take the place of `before`, whose card stays where it was written by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    if is_handwritten(before / CARD):
        shutil.copy(before / CARD, folder / CARD)
    model.save_pretrained(folder)


def resumed_folder(config: TrainConfig) -> Path:
    """The checkpoint that a resumed run goes on from."""
    return Path(config.resume_from_checkpoint or Path(config.output) / "last")


def recorded_options(config: TrainConfig) -> dict[str, Any]:
    """The options that the run which `config` resumes began with, as far as it has recorded them."""
    if not config.resume:
        return {}
    last = resumed_folder(config)
    # A save that was killed leaves the checkpoint beside `last`, and the main process moves it there at any moment.
    for folder in (last, staging_folder(last), last):
        if report := read_report(folder, folder):
            recipe = (report.get("training") or {}).get("recipe") or {}
            return {name: value for name, value in recipe.items() if value is not None}
    return {}
