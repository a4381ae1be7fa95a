"""Saving, publishing and loading over real HTTP against the Hub of `hub_server.py`, and all that can go wrong."""

import functools
import io
import json
import os
import pickle
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from hub_server import HubServer, card_errors
from huggingface_hub import HfApi, ModelCard, ModelCardData
from PIL import Image
from safetensors.torch import load_file, save, save_file

from hf_denoise.data.making import make_triplets
from hf_denoise.data.triplets import load_triplets
from hf_denoise.errors import UserError
from hf_denoise.hub.card import MARKER
from hf_denoise.hub.files import dataset_revision
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.model.unet import DenoisingUNet
from hf_denoise.training.upload import push

SMALL = {"encoder": "resnet10t", "encoder_levels": 2, "decoder_channels": (8, 8), "decoder_depths": (1, 0)}
RESULT = {
    "dataset": "CBSD68",
    "split": "test",
    "degradation": "gaussian:25",
    "images": 68,
    "psnr": 30.91,
    "ssim": 0.8812,
}
REPORT = {
    "results": [
        {**RESULT, "input_psnr": 20.17, "input_ssim": 0.4012},
        {**RESULT, "degradation": "jpeg:40", "psnr": 33.2},
    ],
    "training": {
        "data": "962 photographs",
        "recipe": {"patch": 96},
        "steps": 25000,
        "minutes": 110.0,
        "hardware": "CPU",
    },
}
MODEL_FILES = ["README.md", "config.json", "evaluation.json", "model.safetensors"]
IMAGE = torch.rand(1, 3, 45, 38, generator=torch.Generator().manual_seed(1))


def build(seed: int = 0, **options) -> DenoisingUNet:
    """A small network that changes its input: a new residual one is the identity."""
    torch.manual_seed(seed)
    model = DenoisingUNet(**{**SMALL, **options}).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    return model


def output(model: DenoisingUNet) -> torch.Tensor:
    with torch.inference_mode():
        return model(IMAGE)


@functools.cache
def expected(seed: int = 0) -> torch.Tensor:
    return output(build(seed))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = build()
    model.report = REPORT
    folder = tmp_path_factory.mktemp("original") / "model"
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def saved(original: Path, tmp_path: Path) -> Path:
    """A folder with a measured model."""
    return shutil.copytree(original, tmp_path / "model")


@pytest.fixture
def load(tmp_path: Path):
    """`from_pretrained` with a cache of its own."""
    return lambda name, **options: DenoisingUNet.from_pretrained(name, **{"cache_dir": tmp_path / "cache", **options})


def closed_port() -> socket.socket:
    """A port that is taken but where nobody listens: connections are refused as long as the socket lives."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


def run_python(code: str, *arguments: object, **environment: str) -> dict:
    """Run a script in a process of its own, as a user would; it prints one line of JSON."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


PRELUDE = """
import json, os, sys
from hf_denoise.errors import UserError
from hf_denoise.training.upload import push
from hf_denoise.model.unet import DenoisingUNet

def sentence(action, *arguments, **options):
    try:
        action(*arguments, **options)
    except UserError as error:
        return str(error)
"""


# --- saving


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


# --- publishing


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


# --- loading what is not there, or not right


@pytest.mark.slow
def test_revisions(hub: HubServer, saved, load, tmp_path):
    repo = hub.host("ada/denoiser", files_of(saved))
    first = repo.tags["v1"] = repo.resolve("main")
    for seed, branch in ((7, "main"), (8, "try/8")):
        build(seed).save_pretrained(tmp_path / str(seed))
        hub.host("ada/denoiser", files_of(tmp_path / str(seed)), branch=branch)
    image = np.random.default_rng(1).random((45, 38, 3), dtype=np.float32)
    for revision, seed in ((None, 7), ("main", 7), (first, 0), ("v1", 0), ("try/8", 8)):
        model = load("ada/denoiser", revision=revision)
        assert torch.equal(output(model), expected(seed)), revision
        assert model.report == (REPORT if seed == 0 else None)
        denoiser = Denoiser.from_pretrained("ada/denoiser", revision=revision, precision="float32")
        assert np.array_equal(denoiser(image), Denoiser(model, precision="float32")(image)), revision
    with pytest.raises(UserError, match="'ada/denoiser' has no such revision"):
        Denoiser.from_pretrained("ada/denoiser", revision="v9")
    with pytest.raises(UserError, match="'ada/denoiser' has no such revision"):
        load("ada/denoiser", revision="v9")


@pytest.mark.parametrize(
    "repo_id, token, message",
    [
        ("ada/nothing", None, "'ada/nothing' is neither an existing folder nor a Hub repository that you may see"),
        ("ada/nothing", "hf_ada", "'ada/nothing' is neither an existing folder nor a Hub repository that you may see"),
        ("ada/denoiser", "hf_wrong", r"the Hub refused the token for 'ada/denoiser' \(HTTP 401\)"),
        ("ada/gated", "hf_bob", "'ada/gated' is gated on the Hub"),
        ("./no/such folder", None, "'./no/such folder' does not exist: '.' has no 'no'"),
        ("ada/card-only", None, "'ada/card-only' has no config.json"),
    ],
)
def test_load_refused(hub: HubServer, saved, load, repo_id, token, message):
    hub.host("ada/denoiser", files_of(saved))
    hub.host("ada/gated", files_of(saved), gated=True)
    hub.host("ada/card-only", {"README.md": b"# A card"})
    with pytest.raises(UserError, match=message) as caught:
        load(repo_id, token=token)
    assert "\n" not in str(caught.value)


def test_file_instead_of_folder(saved, load):
    with pytest.raises(UserError, match="is a file; give the folder it is in"):
        load(saved / "model.safetensors")


def test_packaged_weights_are_not_those_of_a_folder_of_that_name(saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    by_default, by_name = Denoiser.from_pretrained(), DenoisingUNet.from_pretrained("packaged")
    saved.rename("packaged")
    assert torch.equal(output(Denoiser.from_pretrained().model), output(by_default.model))
    assert torch.equal(output(DenoisingUNet.from_pretrained("packaged")), output(by_name))
    assert torch.equal(output(DenoisingUNet.from_pretrained("./packaged")), expected())


class Trap:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def test_pickle_is_never_read(hub: HubServer, saved, load, tmp_path):
    files = files_of(saved)
    del files["model.safetensors"]
    files["pytorch_model.bin"] = pickle.dumps(Trap(tmp_path / "trace"))
    hub.host("ada/pickled", files)
    with pytest.raises(UserError, match=r"'ada/pickled' has no model.safetensors, and only safetensors"):
        load("ada/pickled")
    hub.host("ada/disguised", {**files, "model.safetensors": files["pytorch_model.bin"]})
    with pytest.raises(UserError, match="cut short or not a safetensors file"):
        load("ada/disguised")
    assert not any("pytorch_model.bin" in request for request in hub.requests)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("keep", [0, 7, 1000, -1])
def test_truncated_weights(hub: HubServer, saved, load, keep):
    files = files_of(saved)
    hub.host("ada/cut", {**files, "model.safetensors": files["model.safetensors"][:keep]})
    with pytest.raises(UserError, match=r"model.safetensors of 'ada/cut' is cut short or not a safetensors file"):
        load("ada/cut")


@pytest.mark.parametrize(
    "config, message",
    [
        (b"{", "config.json of 'ada/odd' is not JSON"),
        (b"\xff\xfe", "config.json of 'ada/odd' is not JSON"),
        (b"[]", "config.json of 'ada/odd' must hold one JSON object, not a list"),
        ({"hidden_size": 768}, "unknown option 'hidden_size'"),
        ({"self": 1}, "unknown option 'self'"),
        ({"decoder_batch_norm": True}, "sets 'decoder_batch_norm', which is no longer supported; use the version of"),
        ({"encoder_levels": "two"}, "option 'encoder_levels' must be of type int, not \"two\""),
        ({"encoder_levels": True}, "option 'encoder_levels' must be of type int, not true"),
        ({"residual": "no"}, "option 'residual' must be of type bool"),
        ({"decoder_channels": [8, "8"]}, "option 'decoder_channels' must be a list of whole numbers"),
        ({"decoder_channels": [8]}, "describes no network that can be built: decoder_channels and decoder_depths"),
        ({"decoder_channels": [8, -8]}, "option 'decoder_channels' must be a list of whole numbers"),
        ({"encoder": "resnet10x"}, "describes no network that can be built: encoder 'resnet10x' is not a ResNet"),
        ({"encoder": "resnet18"}, "the weights in 'ada/odd' do not fit its config.json"),
        ({"decoder_channels": [8, 16]}, "the weights in 'ada/odd' do not fit its config.json"),
        ({"full_resolution_skip": False}, "the weights in 'ada/odd' do not fit its config.json"),
    ],
)
def test_config_that_does_not_fit(hub: HubServer, saved, load, config, message):
    files = files_of(saved)
    if isinstance(config, dict):
        config = json.dumps({**json.loads(files["config.json"]), **config}).encode()
    hub.host("ada/odd", {**files, "config.json": config})
    with pytest.raises(UserError, match=message) as caught:
        load("ada/odd")
    assert "\n" not in str(caught.value)


def test_config_of_an_earlier_version(saved, load):
    """`decoder_batch_norm` was an option; without it every network is as it was."""
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "decoder_batch_norm": False}))
    assert "decoder_batch_norm" not in load(saved)._hub_mixin_config


@pytest.mark.parametrize("report", [b"{", b"[]", b'{"results": 3}', b'{"results": [3]}', b'{"training": "long"}'])
def test_report_that_is_none(hub: HubServer, saved, load, report):
    hub.host("ada/odd", {**files_of(saved), "evaluation.json": report})
    with pytest.raises(UserError, match=r"evaluation.json of 'ada/odd'"):
        load("ada/odd")


def test_missing_and_extra_weights(saved, load):
    weights = load_file(saved / "model.safetensors")
    less = {name: tensor for name, tensor in weights.items() if name != "head.bias"}
    for changed, key in (({**weights, "extra": torch.zeros(1)}, "extra"), (less, "head.bias")):
        save_file(changed, saved / "model.safetensors")
        with pytest.raises(UserError, match=f"do not fit its config.json: .*{key}"):
            load(saved)


# --- ImageNet weights of the encoder, and life without a network


@pytest.fixture(scope="module")
def imagenet() -> dict[str, torch.Tensor]:
    """Stands for timm's ImageNet weights: the right names and shapes, other numbers than a new network has."""
    torch.manual_seed(3)
    return timm.create_model("resnet18", pretrained=False).state_dict()


def host_imagenet(hub: HubServer, weights: dict[str, torch.Tensor]) -> None:
    config = timm.get_pretrained_cfg("resnet18")
    assert config is not None
    files = {
        "model.safetensors": save({name: tensor.contiguous() for name, tensor in weights.items()}),
        "config.json": json.dumps({"architecture": "resnet18"}).encode(),
    }
    hub.host(f"timm/{config.architecture}.{config.tag}", files)


def test_encoder_starts_from_imagenet_weights_and_is_saved_with_them(hub: HubServer, imagenet, tmp_path):
    host_imagenet(hub, imagenet)
    model = DenoisingUNet(encoder="resnet18", encoder_pretrained=True)
    encoder = model.encoder.state_dict()
    assert len(encoder) == 60  # the stem and the two stages that three levels use
    for name, tensor in encoder.items():
        assert torch.equal(tensor, imagenet[name]), name
    torch.nn.init.normal_(model.head.weight, std=0.1)
    model.save_pretrained(tmp_path / "model")
    asked = len(hub.requests)
    again = DenoisingUNet.from_pretrained(tmp_path / "model")
    assert torch.equal(output(again), output(model.eval()))
    assert len(hub.requests) == asked


@pytest.mark.slow
def test_no_network_and_offline_mode(hub: HubServer, saved, load, imagenet, tmp_path):
    """What is cached or on disk still loads; everything else is one sentence."""
    hub.host("ada/denoiser", files_of(saved))
    load("ada/denoiser")
    model = DenoisingUNet(encoder="resnet18")
    model.encoder.load_state_dict({name: imagenet[name] for name in model.encoder.state_dict()})
    model._hub_mixin_config["encoder_pretrained"] = True  # as an older or foreign config may say
    model.save_pretrained(tmp_path / "from_imagenet")
    assert json.loads((tmp_path / "from_imagenet" / "config.json").read_text())["encoder_pretrained"]
    code = """
folder, cache, from_imagenet = sys.argv[1:]
load = DenoisingUNet.from_pretrained
offline = os.environ.get("HF_HUB_OFFLINE") == "1"
print(json.dumps({
    "cached": load("ada/denoiser", cache_dir=cache).report is not None,
    "encoder": load(from_imagenet).encoder.conv1.weight.double().sum().item(),
    "messages": {
        "load": sentence(load, "ada/other", cache_dir=cache),
        "revision": sentence(load, "ada/denoiser", revision="v2", cache_dir=cache),
        "push": sentence(push, folder, "ada/new", token="hf_ada"),
        "push itself": sentence(load(folder).push_to_hub, "ada/new", token="hf_ada"),
    },
    "imagenet": offline and sentence(DenoisingUNet, encoder="resnet18", encoder_pretrained=True),
}))
"""
    arguments = (saved, tmp_path / "cache", tmp_path / "from_imagenet")
    with closed_port() as nobody:
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home")}
        down = run_python(code, *arguments, **environment)
        offline = run_python(code, *arguments, HF_HUB_OFFLINE="1", **environment)
    for found, reason in ((down, "the Hub could not be reached for 'ada/"), (offline, "HF_HUB_OFFLINE is set")):
        assert found["cached"]
        assert found["encoder"] == pytest.approx(imagenet["conv1.weight"].double().sum().item())
        for case, message in found["messages"].items():
            assert reason in message, case
    assert "encoder 'resnet18'" in offline["imagenet"] and "--no-encoder-pretrained" in offline["imagenet"]


@pytest.mark.slow
def test_cache_that_cannot_be_written(hub: HubServer, saved, tmp_path):
    """As on a read-only or full disk, which root would not notice: the place of the cache is inside a file."""
    host_imagenet(hub, {"conv1.weight": torch.zeros(1)})
    hub.host("ada/denoiser", files_of(saved))
    (tmp_path / "file").write_bytes(b"")
    code = """
print(json.dumps([
    sentence(DenoisingUNet.from_pretrained, "ada/denoiser"),
    sentence(DenoisingUNet, encoder="resnet18", encoder_pretrained=True),
    sentence(push, sys.argv[1], "ada/denoiser"),
]))
"""
    messages = run_python(code, saved, HF_HOME=str(tmp_path / "file" / "home"), HF_TOKEN="hf_ada")
    for message in messages:
        assert f"could not write to the cache '{tmp_path / 'file'}" in message
        assert "(Not a directory); free space or set HF_HOME to a folder that can be written" in message
        assert "\n" not in message
    assert "--no-encoder-pretrained" in messages[1]
    assert hub.repos["models", "ada/denoiser"].messages["main"] == ["hosted"]


# --- data sets


def test_triplets_from_the_hub(hub: HubServer, tmp_path):
    datasets = pytest.importorskip("datasets")
    images = np.random.default_rng(0).integers(0, 255, (10, 2, 20, 24, 3), dtype=np.uint8)
    features = {"name": datasets.Value("string"), "clean": datasets.Image(), "degraded": datasets.Image()}
    rows = [{"name": str(k), "clean": png(clean), "degraded": png(noisy)} for k, (clean, noisy) in enumerate(images)]
    datasets.Dataset.from_list(rows, features=datasets.Features(features)).to_parquet(tmp_path / "train.parquet")
    parquet = (tmp_path / "train.parquet").read_bytes()
    hub.host("ada/triplets", {"data/train-00000-of-00001.parquet": parquet}, kind="datasets")
    triplets = load_triplets("ada/triplets")
    assert {split: len(table) for split, table in triplets.items()} == {"train": 7, "validation": 2, "test": 1}
    for table in triplets.values():
        for row in table:
            clean, noisy = images[int(row["name"])]
            assert np.array_equal(row["clean"], clean) and np.array_equal(row["degraded"], noisy)
    loaded = hub.repos["datasets", "ada/triplets"].resolve("main")
    assert dataset_revision("ada/triplets") == loaded
    hub.host("ada/triplets", {"README.md": b"# Newer"}, kind="datasets")
    assert dataset_revision("ada/triplets") == loaded  # the newer one was not read
    assert dataset_revision("ada/nothing") is dataset_revision(tmp_path) is dataset_revision("no such folder") is None
    with pytest.raises(UserError, match="ada/nothing"):
        load_triplets("ada/nothing")


@pytest.mark.parametrize("way", ["folder", "datasets"])
def test_made_triplets_go_to_the_hub_and_come_back(hub: HubServer, tmp_path, way):
    """Uploaded as the folder they are, as `hf upload` does it, or by `datasets`."""
    datasets = pytest.importorskip("datasets")
    rng = np.random.default_rng(0)
    for number in range(4):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(60, 200, (64, 72, 3), np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    made = make_triplets(tmp_path / "photos", tmp_path / "made")
    if way == "folder":
        api = HfApi(token="hf_ada")
        api.create_repo("ada/made", repo_type="dataset")
        api.upload_folder(repo_id="ada/made", folder_path=tmp_path / "made", repo_type="dataset")
        files = hub.repos["datasets", "ada/made"].files
        assert {"README.md", "contact-sheet.jpg"} < files.keys()
    else:
        datasets.load_dataset(str(tmp_path / "made")).push_to_hub("ada/made", token="hf_ada")
    local, remote = load_triplets(tmp_path / "made"), load_triplets("ada/made")
    assert {split: len(table) for split, table in remote.items()} == {s: sum(c.values()) for s, c in made.items()}
    for split, table in local.items():
        assert table.column_names == remote[split].column_names
        for ours, theirs in zip(table, remote[split], strict=True):
            assert (ours["name"], ours["defect"]) == (theirs["name"], theirs["defect"])
            assert all(np.array_equal(ours[column], theirs[column]) for column in ("clean", "mask", "degraded"))


def png(pixels: np.ndarray) -> dict[str, bytes | None]:
    """An image as `datasets` stores it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}
