"""Pushes that fail, at once or later."""

import re
import shlex
import shutil

import pytest
from hub_server import HubServer
from huggingface_hub.utils import http_backoff
from published_runs import HANDWRITTEN, contents, evaluate, on_the_hub, settle

from hf_denoise.cli.main import main
from hf_denoise.errors import UserError
from hf_denoise.training import publishing
from hf_denoise.training.publishing import Publisher

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ada")]


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
