"""A training run pushed to the Hub of `hub_server.py` while it goes on and at its end, and all that can go wrong."""

import dataclasses
import functools
import re
import shlex
import shutil
import threading
import time
from pathlib import Path

import pytest
import torch
from hub_server import HubServer, card_errors
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.utils import http_backoff

from hf_denoise.cli.main import main
from hf_denoise.cli.options import parse
from hf_denoise.errors import UserError
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.training import publishing
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.log import TrainingLog
from hf_denoise.training.publishing import Publisher

pytestmark = pytest.mark.slow

SHA = "3f5c9a0d" * 5
CONFIG = TrainConfig(
    data="ada/triplets", output="x", encoder="resnet10t", encoder_levels=1, decoder_channels=(8,), decoder_depths=(1,),
    encoder_pretrained=False, defect_weight=2.5, max_minutes=None, trackers=(), learning_rate=1e-5,
)  # fmt: skip
HANDWRITTEN = b"---\nlicense: mit\n---\n# Ours\n\nTested on our line in Turin.\n"


def evaluate(run: Path, step: int) -> Path:
    """What the loop leaves after an evaluation with a better PSNR: other weights in best/, more rows in the log."""
    torch.manual_seed(step)
    model = DenoisingUNet(**CONFIG.model_options())
    recipe = {k: v for k, v in dataclasses.asdict(CONFIG).items() if k not in ("data", "output", "resume")}
    result = {"dataset": "ada/triplets", "revision": SHA, "split": "validation", "psnr": 20 + step / 100}
    training = {"data": "ada/triplets", "revision": SHA, "recipe": recipe, "steps": step}
    model.report = {"results": [result], "training": training}
    staging = run / "best.new"
    model.save_pretrained(staging)
    shutil.rmtree(run / "best", ignore_errors=True)
    staging.rename(run / "best")
    log = TrainingLog(run / "log.csv")
    log.log({"loss": 1 / step, "learning_rate": 1e-3}, step=step)
    log.log({"validation/psnr": 20 + step / 100}, step=step)
    return run / "best"


def contents(run: Path) -> dict[str, bytes]:
    """The files of the run that go up as they are."""
    names = ("config.json", "evaluation.json", "model.safetensors")
    return {**{name: (run / "best" / name).read_bytes() for name in names}, "log.csv": (run / "log.csv").read_bytes()}


def on_the_hub(hub: HubServer, repo_id: str = "ada/denoiser") -> dict[str, bytes]:
    return hub.repos["models", repo_id].files


def settle(publisher: Publisher) -> None:
    """Until the push in the background is through."""
    assert publisher._running is not None
    publisher._running.exception(timeout=60)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "x").mkdir()
    evaluate(tmp_path / "x", 100)
    return tmp_path / "x"


@pytest.fixture(autouse=True)
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logged in, and less patient than in real life: 23 seconds for a request, 20 before the last push."""
    monkeypatch.setenv("HF_TOKEN", "hf_ada")
    assert http_backoff.__kwdefaults__ is not None
    monkeypatch.setitem(http_backoff.__kwdefaults__, "max_retries", 0)
    monkeypatch.setattr(publishing, "PAUSES", (0.0,))


# --- what goes up


def test_the_end_of_a_run_is_one_commit_of_all_that_describes_it(hub: HubServer, run, tmp_path, capfd):
    publisher = Publisher("denoiser")
    before = len(hub.requests)
    publisher.evaluated(run / "best")
    assert len(hub.requests) == before
    assert publisher.finish(run / "best") == f"{hub.url}/ada/denoiser"
    assert "0 LFS files" not in capfd.readouterr().err
    repo = hub.repos["models", "ada/denoiser"]
    assert len(repo.messages["main"]) == 2  # the Hub's own first one, and ours
    assert repo.files.keys() - contents(run).keys() == {".gitattributes", "README.md", "recipe.yaml", "curves.png"}
    assert contents(run).items() <= repo.files.items()
    assert repo.files["curves.png"].startswith(b"\x89PNG")
    card = ModelCard(repo.files["README.md"].decode())
    assert "](curves.png)" in card.text
    assert 'from_pretrained("ada/denoiser")' in card.text
    assert f"Data: ada/triplets at commit {SHA}" in card.text
    assert isinstance(card.data, ModelCardData) and card.data.eval_results is not None
    assert card.data.datasets == ["ada/triplets"]
    assert (card.data.eval_results[0].dataset_revision, card.data.eval_results[0].metric_value) == (SHA, 21.0)
    assert card_errors(str(card)) == []
    (tmp_path / "recipe.yaml").write_bytes(repo.files["recipe.yaml"])
    arguments = ["--config", str(tmp_path / "recipe.yaml"), "--data", CONFIG.data, "--output", CONFIG.output]
    assert parse(TrainConfig, arguments) == CONFIG


def test_finish_after_a_push_of_the_same_weights_adds_no_commit(hub: HubServer, run, caplog, capfd):
    publisher = Publisher("ada/denoiser", "every-eval")
    publisher.evaluated(run / "best")
    publisher.finish(run / "best")
    assert len(hub.repos["models", "ada/denoiser"].messages["main"]) == 2
    assert "empty commit" not in caplog.text + capfd.readouterr().err


def test_the_loop_goes_on_while_a_push_runs_and_what_goes_up_is_one_state(hub: HubServer, run):
    publisher = Publisher("ada/denoiser", "every-eval")
    first = contents(run)
    hub.held = "PUT /storage"
    state = torch.get_rng_state()
    start = time.monotonic()
    publisher.evaluated(run / "best")
    while not any(request.startswith("PUT") for request in hub.requests):
        assert time.monotonic() < start + 60
        time.sleep(0.01)
    assert torch.equal(torch.get_rng_state(), state)  # else a run with pushes would not be the one without
    second = evaluate(run, 200)
    publisher.evaluated(second)  # left out
    evaluate(run, 300)
    assert "model.safetensors" not in on_the_hub(hub)
    hub.held = None
    settle(publisher)
    assert first.items() <= on_the_hub(hub).items()
    publisher.finish(run / "best")
    assert contents(run).items() <= on_the_hub(hub).items()
    assert len(hub.repos["models", "ada/denoiser"].messages["main"]) == 3
    assert sorted(path.name for path in run.iterdir()) == ["best", "log.csv"]


# --- repositories


def test_new_private_repository(hub: HubServer, run):
    Publisher("ada/secret", private=True).finish(run / "best")
    assert hub.repos["models", "ada/secret"].private


def test_existing_repository_keeps_what_others_put_there(hub: HubServer, run, caplog):
    hub.host("ada/turin", {"README.md": HANDWRITTEN, "log.csv": b"day,fish", "notes.txt": b"x"}, private=True)
    (run / "log.csv").unlink()
    publisher = Publisher("ada/turin", "every-eval")
    publisher.evaluated(run / "best")
    publisher.finish(run / "best")
    files = on_the_hub(hub, "ada/turin")
    assert (files["README.md"], files["log.csv"], files["notes.txt"]) == (HANDWRITTEN, b"day,fish", b"x")
    assert files["model.safetensors"] == (run / "best" / "model.safetensors").read_bytes()
    assert hub.repos["models", "ada/turin"].private
    assert caplog.text.count("was written by hand and stays") == 1


def test_card_with_metadata_alone_is_replaced_and_its_licence_kept(hub: HubServer, run):
    chosen = {"license": "other", "license_name": "ours", "license_link": "LICENSE"}
    lines = "".join(f"{name}: {value}\n" for name, value in chosen.items())
    hub.host("ada/denoiser", {"README.md": f"---\n{lines}---\n".encode()})
    for step in (100, 200):  # the second time the card is ours
        Publisher("ada/denoiser").finish(evaluate(run, step))
        card = ModelCard(on_the_hub(hub)["README.md"].decode())
        assert {name: getattr(card.data, name) for name in chosen} == chosen
        assert "## Results" in card.text
        assert card_errors(str(card)) == []


@pytest.mark.parametrize("cuts", [1, 2, 100])  # the client's second try comes through, that of `finish`, none
def test_card_written_by_hand_outlives_a_hub_that_is_down(hub: HubServer, run, cuts):
    Publisher("ada/denoiser").finish(run / "best")
    publisher = Publisher("ada/denoiser")
    publisher.finish(evaluate(run, 200))  # now the card that was rendered is cached
    by_hand = HANDWRITTEN + str(cuts).encode()  # no other case has cached it
    files = {**on_the_hub(hub), "README.md": by_hand}
    hub.host("ada/denoiser", files)
    hub.cuts, hub.cut_at, hub.cut_with = cuts, "HEAD .*README.md", 503
    evaluate(run, 300)
    if cuts == 100:
        with pytest.raises(UserError, match=r"answered HTTP 503 for 'ada/denoiser'.* The weights are in '.*/best'"):
            publisher.finish(run / "best")
        assert on_the_hub(hub) == files
    else:
        publisher.finish(run / "best")
        assert hub.cuts == 0
        assert on_the_hub(hub)["README.md"] == by_hand
        assert contents(run).items() <= on_the_hub(hub).items()


def test_card_written_by_hand_while_a_push_runs_is_kept(hub: HubServer, run, capfd):
    publisher = Publisher("ada/denoiser")
    hub.held = "POST .*/commit/"
    pushing = threading.Thread(target=functools.partial(publisher.finish, run / "best"))
    pushing.start()
    start = time.monotonic()
    while not any("/commit/" in request for request in hub.requests):
        assert time.monotonic() < start + 60
        time.sleep(0.01)
    hub.host("ada/denoiser", {**on_the_hub(hub), "README.md": HANDWRITTEN})
    hub.held = None
    pushing.join(timeout=60)
    assert on_the_hub(hub)["README.md"] == HANDWRITTEN
    assert contents(run).items() <= on_the_hub(hub).items()
    assert "'ada/denoiser' was changed on the Hub by somebody else during the push" in capfd.readouterr().err


def test_what_an_earlier_run_left_goes(hub: HubServer, run):
    Publisher("ada/denoiser").finish(run / "best")
    (run / "log.csv").unlink()
    Publisher("ada/denoiser").finish(run / "best")
    assert not on_the_hub(hub).keys() & {"log.csv", "curves.png"}
    assert "curves.png" not in on_the_hub(hub)["README.md"].decode()


@pytest.mark.parametrize(
    "repo_id, token, message",
    [
        ("ada/denoiser", None, "no token for the Hub; log in"),
        ("ada/denoiser", "hf_wrong", r"the Hub refused the token for 'ada/denoiser' \(HTTP 401\)"),
        ("ada/denoiser", "hf_reader", r"the Hub refused the token for 'ada/denoiser' \(HTTP 403\)"),
        ("ada/existing", "hf_reader", r"the Hub refused the token for 'ada/existing' \(HTTP 403\)"),
        ("ada/existing", "hf_bob", r"the Hub refused the token for 'ada/existing' \(HTTP 403\)"),
        ("bob/denoiser", "hf_ada", r"the Hub refused the token for 'bob/denoiser' \(HTTP 403\)"),
        ("a/b/c", "hf_ada", "'a/b/c' is neither an existing folder nor a Hub id of the form user/name"),
    ],
)
def test_rights_are_checked_before_the_training(hub: HubServer, monkeypatch, repo_id, token, message):
    existing = hub.host("ada/existing", {"README.md": HANDWRITTEN})
    monkeypatch.delenv("HF_TOKEN")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match=message) as caught:
        Publisher(repo_id)
    assert "\n" not in str(caught.value)
    assert list(hub.repos) == [("models", "ada/existing")]
    assert existing.messages["main"] == ["hosted"]


def test_no_connection_before_the_training(hub: HubServer):
    hub.cuts, hub.cut_at = 100, "repos/create"
    with pytest.raises(UserError, match=r"could not be reached for 'ada/denoiser' \(.*then push again$"):
        Publisher("ada/denoiser")


# --- what fails later


def test_failures_in_the_background_are_told_once_and_do_not_stop_the_loop(hub: HubServer, run, capfd):
    publisher = Publisher("ada/denoiser", "every-eval")
    told = []
    for step, largest in ((100, 1000), (200, 1000), (300, 1 << 30), (400, 1000)):
        hub.largest = largest
        publisher.evaluated(evaluate(run, step))
        settle(publisher)
        told.append(capfd.readouterr().err)
        if step == 300:
            assert contents(run).items() <= on_the_hub(hub).items()
    assert [text.count("warning: the push to the Hub failed") for text in told] == [1, 0, 0, 1]
    assert told[0].count("\n") == 1 and "the upload to 'ada/denoiser' broke off" in told[0]
    assert told[1] == told[2] == ""


def test_run_without_weights_to_keep_goes_on(hub: HubServer, run, capfd):
    publisher = Publisher("ada/denoiser", "every-eval")
    shutil.rmtree(run / "best")
    publisher.evaluated(run / "best")
    assert "warning: the push to the Hub failed" in capfd.readouterr().err


def test_connection_lost_midway_is_tried_again_until_the_weights_are_whole(hub: HubServer, run, monkeypatch, capfd):
    publisher = Publisher("ada/denoiser")
    hub.cuts, hub.cut_at, hub.cut_after = 1, "PUT /storage", 50_000
    publisher.finish(run / "best")
    assert hub.cuts == 0
    assert contents(run).items() <= on_the_hub(hub).items()
    assert "broke off, push again: " in capfd.readouterr().err
    monkeypatch.setitem(http_backoff.__kwdefaults__, "max_retries", 5)
    hub.cuts = 1
    publisher.finish(evaluate(run, 200))  # by the Hub's client itself
    assert contents(run).items() <= on_the_hub(hub).items()
    assert "next try" not in capfd.readouterr().err


def test_connection_lost_for_good_says_how_to_push_by_hand(hub: HubServer, run, monkeypatch):
    publisher = Publisher("ada/denoiser")
    hub.cuts, hub.cut_at, hub.cut_after = 100, "PUT /storage", 50_000
    with pytest.raises(UserError, match=r"broke off.* The weights are in '.*/x/best'; push them with") as caught:
        publisher.finish(run / "best")
    assert "\n" not in str(caught.value)
    assert on_the_hub(hub).keys() == {".gitattributes"}
    hub.cuts = 0
    command = re.search("`(.*)`", str(caught.value))
    assert command is not None
    program, *arguments = shlex.split(command[1])
    assert program == "hf-denoise" and main(arguments) == 0
    by_hand = on_the_hub(hub)
    assert contents(run).items() <= by_hand.items()
    publisher.finish(run / "best")
    assert on_the_hub(hub) == by_hand


def test_rights_lost_midway_are_not_tried_again(hub: HubServer, run, monkeypatch):
    monkeypatch.setattr(publishing, "PAUSES", (1000.0,))
    publisher = Publisher("ada/denoiser")
    monkeypatch.setitem(hub.tokens, "hf_ada", ("ada", "read"))
    with pytest.raises(UserError, match=r"refused the token .*HTTP 403.*hf-denoise push .*/best ada/denoiser`"):
        publisher.finish(run / "best")
