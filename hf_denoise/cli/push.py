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
    report: tuple[Path, ...] = ()
    """Folders that `hf-denoise evaluate` wrote of these weights, for the card. Default: the newest one beside the
    folder."""
    private: bool = False
    """Make a new repository private."""
    license: str | None = None
    """Of the weights, as the Hub calls it: apache-2.0, cc-by-nc-4.0, other. Default: the one that was chosen on the
    Hub, else that of the training."""
    license_name: str | None = None
    """For --license other: what it is called."""
    license_link: str | None = None
    """For --license other: where its text is, a URL or a file of the repository."""
    token: str | None = None
    """Write token. Default: HF_TOKEN, or the one that `hf auth login` has stored."""

    def run(self) -> None:
        from hf_denoise.hub.ancestry import given_licence
        from hf_denoise.training.upload import push

        licence = given_licence(self.license, self.license_name, self.license_link)
        print(
            push(
                self.folder, self.repo_id, private=self.private, token=self.token, licence=licence, reports=self.report
            )
        )
