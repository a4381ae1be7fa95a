"""A training run pushed to the Hub of `hub_server.py` while it goes on and at its end, and all that can go wrong."""

import functools
import threading
import time

import pytest
import torch
from hub_server import HubServer, card_errors
from huggingface_hub import ModelCard, ModelCardData
from published_runs import CONFIG, HANDWRITTEN, SHA, contents, evaluate, on_the_hub, settle

from hf_denoise.cli.options import parse
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.publishing import Publisher

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ada")]


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
