"""`hf-denoise push`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class Push:
    """Publish a saved model on the Hugging Face Hub, with its model card."""

    folder: Positional[Path]
    """A saved model, such as runs/x/best."""
    repo_id: Annotated[Positional[str], arg(metavar="USER/REPO")]
    """Repository on the Hub; created if missing."""
    private: bool = False
    """Make a new repository private."""
    token: str | None = None
    """Write token. Default: HF_TOKEN, or the one that `hf auth login` has stored."""

    def run(self) -> None:
        from hf_denoise.training.upload import push

        print(push(self.folder, self.repo_id, private=self.private, token=self.token))
