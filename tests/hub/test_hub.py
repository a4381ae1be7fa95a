"""Saving a model, and pushing it."""

import json
import resource

import numpy as np
import pytest
import torch
from hub_server import HubServer, card_errors
from huggingface_hub import ModelCard, ModelCardData
from safetensors.torch import load_file, save_file
from saved_models import REPORT, RESULT, build, expected, files_of, output, run_python

from hf_denoise.errors import UserError
from hf_denoise.hub.card import MARKER
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.training.upload import push

MODEL_FILES = ["README.md", "config.json", "evaluation.json", "model.safetensors"]


def test_saved_folder_is_complete_and_loads_the_same(saved, load):
    assert sorted(files_of(saved)) == MODEL_FILES
    model = load(saved)
    assert torch.equal(output(model), expected())
    assert model.report == REPORT
    assert not model.training


def test_card_follows_the_report_of_each_save(saved):
    model = build()
    model.save_pretrained(saved)
    assert "has not been measured" in (saved / "README.md").read_text()
    assert not (saved / "evaluation.json").exists()
    model.report = {"results": [{**RESULT, "psnr": 12.34}]}
    model.save_pretrained(saved)
    assert [result.metric_value for result in ModelCard.load(saved / "README.md").data.eval_results] == [12.34, 0.8812]


def test_card_edited_by_hand_is_kept(saved):
    card = saved / "README.md"
    card.write_text(card.read_text().replace(MARKER, "") + "\nTested on our line in Turin.\n")
    edited = card.read_text()
    build().save_pretrained(saved)
    assert card.read_text() == edited


def test_full_disk_leaves_the_old_model_whole(saved, load):
    before = files_of(saved)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError):
            build(seed=1).save_pretrained(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_of(saved) == before


def test_half_precision_weights_load_into_a_float32_model(saved, load):
    weights = load_file(saved / "model.safetensors")
    halved = {name: t.half() if t.is_floating_point() else t for name, t in weights.items()}
    save_file(halved, saved / "model.safetensors")
    model = load(saved)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    np.testing.assert_allclose(output(model), expected(), atol=2e-3)
    assert not torch.equal(output(model), expected())


@pytest.mark.slow
def test_push_then_load_in_a_clean_home(hub: HubServer, saved, tmp_path):
    """By environment variables alone, as a user does it."""
    code = """
url = push(sys.argv[1], "ada/denoiser")
model = DenoisingUNet.from_pretrained("ada/denoiser")
model.save_pretrained(sys.argv[2])
print(json.dumps({"url": url, "report": model.report}))
"""
    done = run_python(code, saved, tmp_path / "again", HF_HOME=str(tmp_path / "home"), HF_TOKEN="hf_ada")
    assert done == {"url": f"{hub.url}/ada/denoiser", "report": REPORT}
    assert torch.equal(output(DenoisingUNet.from_pretrained(tmp_path / "again")), expected())
    assert any(path.is_file() for path in (tmp_path / "home").rglob("model.safetensors"))


def test_push_is_one_commit_of_the_files_of_the_model(hub: HubServer, saved):
    (saved / "events.out.tfevents").write_bytes(b"logs")
    before = files_of(saved)
    push(saved, "ada/denoiser", token="hf_ada")
    repo = hub.repos["models", "ada/denoiser"]
    assert len(repo.messages["main"]) == 2  # the Hub's own first one, and ours
    assert sorted(repo.files.keys() - {".gitattributes"}) == sorted([*MODEL_FILES, "recipe.yaml"])
    assert repo.files["model.safetensors"] == (saved / "model.safetensors").read_bytes()
    assert files_of(saved) == before
    assert not repo.private


def test_card_on_the_hub_has_the_measured_numbers(hub: HubServer, saved):
    push(saved, "ada/denoiser", token="hf_ada")
    files = hub.repos["models", "ada/denoiser"].files
    card = ModelCard(files["README.md"].decode())
    assert isinstance(card.data, ModelCardData) and card.data.eval_results is not None
    found = {(r.dataset_config, r.metric_type): r.metric_value for r in card.data.eval_results}
    measured = json.loads(files["evaluation.json"])["results"]
    assert measured == REPORT["results"]
    assert found == {(r["degradation"], metric): r[metric] for r in measured for metric in ("psnr", "ssim")}
    assert card.data.model_name == "denoiser"
    assert 'Denoiser.from_pretrained("ada/denoiser")' in card.text
    assert card_errors(str(card)) == []


def test_push_again_replaces_model_and_numbers(hub: HubServer, saved, load):
    push(saved, "ada/denoiser", token="hf_ada")
    build(seed=7).save_pretrained(saved)
    push(saved, "ada/denoiser", token="hf_ada")
    repo = hub.repos["models", "ada/denoiser"]
    assert "evaluation.json" not in repo.files
    assert b"has not been measured" in repo.files["README.md"]
    assert len(repo.messages["main"]) == 3
    model = load("ada/denoiser")
    assert model.report is None
    assert torch.equal(output(model), expected(7))


def test_push_takes_the_owner_from_the_token(hub: HubServer, saved):
    assert push(saved, "denoiser", token="hf_bob") == f"{hub.url}/bob/denoiser"
    assert b'from_pretrained("bob/denoiser")' in hub.repos["models", "bob/denoiser"].files["README.md"]


def test_push_to_a_branch_leaves_main_alone(hub: HubServer, saved, load):
    push(saved, "ada/denoiser", token="hf_ada")
    build(seed=7).save_pretrained(saved)
    assert push(saved, "ada/denoiser", token="hf_ada", branch="try/7") == f"{hub.url}/ada/denoiser/tree/try/7"
    assert torch.equal(output(load("ada/denoiser")), expected())
    other = load("ada/denoiser", revision="try/7")
    assert torch.equal(output(other), expected(7))
    assert other.report is None


def test_private_model_is_seen_by_its_owner_alone(hub: HubServer, saved, load):
    push(saved, "ada/secret", private=True, token="hf_ada")
    assert torch.equal(output(load("ada/secret", token="hf_ada")), expected())
    for token, cache in ((None, "a"), ("hf_bob", "b")):
        with pytest.raises(UserError, match=r"'ada/secret' is neither .* nor a Hub repository that you may see"):
            load("ada/secret", token=token, cache_dir=saved / cache)


def test_push_keeps_a_card_written_by_hand(hub: HubServer, saved):
    (saved / "README.md").write_text("---\nlicense: mit\n---\n# Ours\n")
    push(saved, "ada/denoiser", token="hf_ada")
    assert hub.repos["models", "ada/denoiser"].files["README.md"] == b"---\nlicense: mit\n---\n# Ours\n"


def test_the_model_can_push_itself(hub: HubServer, load):
    model = build()
    model.report = REPORT
    model.push_to_hub("ada/denoiser", token="hf_ada")
    repo = hub.repos["models", "ada/denoiser"]
    assert len(repo.messages["main"]) == 2
    assert b'from_pretrained("ada/denoiser")' in repo.files["README.md"]
    assert load("ada/denoiser").report == REPORT
    model.report = None
    model.push_to_hub("ada/denoiser", token="hf_ada")
    assert "evaluation.json" not in repo.files
    assert torch.equal(output(load("ada/denoiser")), output(model))


def test_the_model_pushes_itself_by_the_rules_of_push(hub: HubServer):
    earlier = dict.fromkeys(("evaluation.json", "recipe.yaml", "log.csv", "curves.png", "notes.txt"), b"old")
    ours = b"---\nlicense: mit\n---\n# Ours\n"
    hub.host("ada/denoiser", {**earlier, "README.md": ours})
    hub.host("ada/new", {"README.md": b"---\nlicense: mit\n---\n"})
    model = build()
    model.report = REPORT
    for repo_id in ("ada/denoiser", "ada/new"):
        model.push_to_hub(repo_id, token="hf_ada", delete_patterns="*.md")  # of what is not pushed
    files = hub.repos["models", "ada/denoiser"].files
    assert sorted(files) == sorted([*MODEL_FILES, "recipe.yaml", "notes.txt"])
    assert (files["README.md"], files["notes.txt"]) == (ours, b"old")
    assert json.loads(files["evaluation.json"]) == REPORT
    assert b"patch: 96" in files["recipe.yaml"]
    card = ModelCard(hub.repos["models", "ada/new"].files["README.md"].decode())
    assert isinstance(card.data, ModelCardData)
    assert card.data.license == "mit"
    assert "## Results" in card.text


def test_the_model_pushes_the_card_written_by_hand_beside_it(hub: HubServer, saved):
    (saved / "README.md").write_text("# Ours\n")
    build(seed=7).save_pretrained(saved, push_to_hub=True, repo_id="ada/denoiser", token="hf_ada")
    files = hub.repos["models", "ada/denoiser"].files
    assert files["README.md"] == b"# Ours\n"
    assert files["model.safetensors"] == (saved / "model.safetensors").read_bytes()


def test_the_model_pushes_what_its_caller_chooses(hub: HubServer, saved):
    push(saved, "ada/denoiser", token="hf_ada")
    repo = hub.repos["models", "ada/denoiser"]
    before = repo.files
    model = build(seed=7)
    model.push_to_hub("ada/denoiser", token="hf_ada", allow_patterns="README.md", commit_message="The card")
    assert repo.messages["main"][-1] == "The card"
    assert repo.files == {**before, "README.md": repo.files["README.md"]}
    assert b"has not been measured" in repo.files["README.md"]
    model.push_to_hub("ada/denoiser", token="hf_ada", ignore_patterns="README.md", delete_patterns=["*.json", ".git*"])
    assert sorted(repo.files) == [".gitattributes", "README.md", "config.json", "model.safetensors"]


@pytest.mark.parametrize(
    "repo_id, token, message",
    [
        ("ada/denoiser", "hf_wrong", r"the Hub refused the token for 'ada/denoiser' \(HTTP 401\)"),
        ("ada/denoiser", "hf_reader", r"the Hub refused the token for 'ada/denoiser' \(HTTP 403\)"),
        ("bob/denoiser", "hf_ada", r"the Hub refused the token for 'bob/denoiser' \(HTTP 403\)"),
        ("ada/denoiser", None, "no token for the Hub; log in with 'hf auth login'"),
        ("not a repo", "hf_ada", "'not a repo' is neither an existing folder nor a Hub id of the form user/name"),
        ("a/b/c", "hf_ada", "'a/b/c' is neither an existing folder nor a Hub id of the form user/name"),
    ],
)
def test_push_refused(hub: HubServer, saved, repo_id, token, message):
    with pytest.raises(UserError, match=message) as caught:
        push(saved, repo_id, token=token)
    assert "\n" not in str(caught.value)
    assert not hub.repos


def test_push_of_a_card_that_the_hub_refuses(hub: HubServer, saved):
    (saved / "README.md").write_text("---\nlicense: [mit]\n---\n# Ours\n")
    with pytest.raises(UserError, match=r"the Hub refuses the card '.*/README.md'; .*license"):
        push(saved, "ada/denoiser", token="hf_ada")
    assert list(hub.repos["models", "ada/denoiser"].files) == [".gitattributes"]


def test_push_that_breaks_off(hub: HubServer, saved, load):
    hub.largest = 1000
    with pytest.raises(UserError, match=r"the upload to 'ada/denoiser' broke off, push again: .*403") as caught:
        push(saved, "ada/denoiser", token="hf_ada")
    assert "\n" not in str(caught.value)
    assert list(hub.repos["models", "ada/denoiser"].files) == [".gitattributes"]
    hub.largest = 1 << 30
    push(saved, "ada/denoiser", token="hf_ada")
    assert torch.equal(output(load("ada/denoiser")), expected())


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_push_needs_a_whole_model(hub: HubServer, saved, missing):
    (saved / missing).unlink()
    with pytest.raises(UserError, match=f"has no {missing}"):
        push(saved, "ada/denoiser", token="hf_ada")
    with pytest.raises(UserError, match="is not a folder"):
        push(saved / "best", "ada/denoiser", token="hf_ada")
    assert not hub.requests
