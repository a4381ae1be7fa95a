"""A mistyped path is not looked for on the Hub, and a Hub that is out of reach is said at once."""

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from PIL import Image

from hf_denoise import Denoiser, load_triplets
from hf_denoise.cli.main import main
from hf_denoise.data.dataset_tables import open_stream
from hf_denoise.errors import UserError
from hf_denoise.hub import reach
from hf_denoise.hub.ids import missing_path
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.loop import train


@pytest.mark.parametrize(
    "name, said",
    [
        ("./photos", "'.' has no 'photos'"),
        ("runs/x/bset", "'runs/x' has no 'bset', but 'best'"),
        ("runs/y", "'runs' has no 'y'"),
        ("../nowhere/x", "'..' has no 'nowhere'"),
        ("/no/such", "'/' has no 'no'"),
        ("a/b/c", "it looks like a path"),
        ("a\\b", "it looks like a path"),
        ("ada/", "it looks like a path"),
        ("photos.zip", "it looks like a path"),
        ("my.data/x", "it looks like a path"),
        ("~/nothing-of-that-name", "has no 'nothing-of-that-name'"),
        ("ada/denoiser", None),
        ("ada/denoiser-1.5", None),
        ("timm/resnet18.a1_in1k", None),
    ],
)
def test_what_looks_like_a_path_is_missing_and_never_asked_of_the_hub(hub, tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/x/best").mkdir(parents=True)
    told = missing_path(name)
    assert (told is None) if said is None else (told is not None and said in told)
    if said:
        for use in (load_triplets, Denoiser.from_pretrained, open_stream):
            with pytest.raises(UserError) as caught:
                use(name)
            assert said in str(caught.value) and "\n" not in str(caught.value)
        assert hub.requests == []


@pytest.fixture
def silent_hub(monkeypatch):
    """A network that swallows everything: a port whose queue is full answers nobody, as behind a firewall."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen(0)
        address = port.getsockname()
        held = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(address)
            held.append(client)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{address[1]}")
        yield
        for client in held:
            client.close()


def test_a_hub_that_is_out_of_reach_is_said_within_three_seconds(silent_hub, tmp_path, capsys):
    Image.effect_noise((32, 32), 60).convert("RGB").save(tmp_path / "a.png")
    assert main(["evaluate", "--data", str(tmp_path), "-o", str(tmp_path / "first")]) == 2  # imports, too, take seconds
    for arguments in (
        ["denoise", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png"), "--model", "ada/never-fetched"],
        ["evaluate", "--data", "ada/never-loaded", "-o", str(tmp_path / "report")],
    ):
        start = time.monotonic()
        assert main(arguments) == 2
        assert time.monotonic() - start < 3, arguments
        assert "could not be reached" in capsys.readouterr().err


def test_the_cache_serves_where_the_hub_is_out_of_reach(hub, monkeypatch, tmp_path):
    packaged = Path(__file__).parents[2] / "hf_denoise" / "checkpoints"
    hub.host("ada/cached", {file.name: file.read_bytes() for file in packaged.iterdir()})
    Denoiser.from_pretrained("ada/cached")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        Denoiser.from_pretrained("ada/cached")


def test_data_are_looked_at_before_any_weights_are_fetched(hub, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    arguments = [
        "evaluate",
        "--data",
        str(tmp_path / "empty"),
        "--model",
        "ada/never-fetched",
        "-o",
        str(tmp_path / "x"),
    ]
    assert main(arguments) == 2
    assert "holds no images" in capsys.readouterr().err and hub.requests == []
    config = TrainConfig(data=str(tmp_path / "empty"), output=str(tmp_path / "run"), encoder_pretrained=True)
    with pytest.raises(UserError, match="holds no images"):
        train(config)
    for mistyped in (replace(config, data="runs/x/bset"), replace(config, init_from="runs/x/bset")):
        with pytest.raises(UserError, match=r"^--(data|init-from) 'runs/x/bset' does not exist"):
            train(mistyped)
    assert hub.requests == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_behind_a_proxy_nothing_is_known_of_the_hub(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setattr(reach, "PATIENCE", 0.2)
        assert reach.hub_is_out_of_reach()
        monkeypatch.setenv(variable, "http://proxy.invalid:3128")
        assert not reach.hub_is_out_of_reach()
