"""What the card of a run says of where its weights come from, and under which licence; pushed to a Hub for real."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hub_server import HubServer, card_errors
from PIL import Image
from train_command import ROOT, here, write_pictures

from hf_denoise.cli.main import main

pytestmark = pytest.mark.slow

FEW = ("--max-steps", "1", "--batch", "1", "--patch", "32", "--validation-images", "1", "--precision", "no")
NOTICE = "BSDS500 and the ImageNet samples: non-commercial research and education"


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("photos"), 4)


@pytest.fixture(autouse=True)
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ada")


def trained(photos: Path, output: Path, *options: str) -> Path:
    result = here(photos, output, *FEW, *options)
    assert result.returncode == 0, result.stderr
    return output


def on_the_hub(hub: HubServer, repo_id: str) -> tuple[dict, str]:
    """Metadata and text of a card."""
    card = hub.repos["models", repo_id].files["README.md"].decode()
    assert card_errors(card) == []
    _, metadata, text = card.split("---\n", 2)
    return yaml.safe_load(metadata), text


def test_a_fine_tuned_model_has_the_licence_the_notices_and_the_name_of_what_it_started_from(hub, photos, tmp_path):
    trained(photos, tmp_path / "first", "--init-from", "packaged", "--push-to-hub", "ada/first")
    metadata, text = on_the_hub(hub, "ada/first")
    assert metadata["license"] == "apache-2.0" and "base_model" not in metadata  # the package is not on the Hub
    assert "- Started from: the weights in hf\\_denoise" in text and "trained on 962 photographs" in text
    assert f"- {NOTICE}" in text
    commit = hub.repos["models", "ada/first"].resolve("main")
    # A child of that, with a licence of its own, and after a resume without the option.
    own = ("--license", "other", "--license-name", "turin-line", "--license-link", "https://example.org/turin")
    trained(photos, tmp_path / "second", "--init-from", "ada/first", *own)
    more = here(photos, tmp_path / "second", "--resume", "--max-steps", "2", "--push-to-hub", "ada/second")
    assert more.returncode == 0, more.stderr
    metadata, text = on_the_hub(hub, "ada/second")
    assert (metadata["base_model"], metadata["license"], metadata["license_name"]) == (
        "ada/first",
        "other",
        "turin-line",
    )
    assert f"- Started from: ada/first at commit {commit}, trained on photos" in text
    assert f"- {NOTICE}" in text and "The weights: turin-line (https://example.org/turin)." in text
    assert "license" not in hub.repos["models", "ada/second"].files["recipe.yaml"].decode()
    # A grandchild by way of a folder: the nearest model on the Hub is its base.
    trained(photos, tmp_path / "third", "--init-from", str(tmp_path / "second" / "best"), "--push-to-hub", "ada/third")
    metadata, text = on_the_hub(hub, "ada/third")
    assert (metadata["base_model"], metadata["license_name"]) == ("ada/first", "turin-line")
    assert "- Started from: best" in text and str(tmp_path) not in text and f"- {NOTICE}" in text


def test_a_card_on_the_hub_that_says_another_licence_than_the_report_counts(hub, photos, tmp_path):
    trained(photos, tmp_path / "first", "--license", "mit", "--push-to-hub", "ada/parent")
    repo = hub.repos["models", "ada/parent"]
    card = repo.files["README.md"].replace(b"license: mit", b"license: cc-by-nc-4.0")
    hub.host("ada/parent", {**repo.files, "README.md": card})
    trained(photos, tmp_path / "second", "--init-from", "ada/parent", "--push-to-hub", "ada/child")
    metadata, text = on_the_hub(hub, "ada/child")
    assert metadata["license"] == "cc-by-nc-4.0" and "The weights: cc-by-nc-4.0." in text


def test_without_a_licence_the_card_says_so_until_push_gives_one(hub, photos, tmp_path, capsys):
    best = trained(photos, tmp_path / "run", "--push-to-hub", "ada/unknown") / "best"
    metadata, text = on_the_hub(hub, "ada/unknown")
    assert "license" not in metadata and "No licence is known for these weights" in text
    for license in ("mit", "cc0-1.0"):  # the second replaces what is there by now
        assert main(["push", str(best), "ada/unknown", "--license", license]) == 0
        metadata, text = on_the_hub(hub, "ada/unknown")
        assert metadata["license"] == license and f"The weights: {license}." in text
    assert main(["push", str(best), "ada/unknown"]) == 0
    assert on_the_hub(hub, "ada/unknown")[0]["license"] == "cc0-1.0"
    for options, sentence in (
        (["--license-name", "ours"], "--license other"),
        (["--license", "other"], "add --license-name"),
    ):
        assert main(["push", str(best), "ada/unknown", *options]) == 2
        assert sentence in capsys.readouterr().err
        assert sentence in here(photos, tmp_path / "no", *FEW, *options).stderr


def test_a_run_that_began_before_origins_were_recorded_goes_on_with_that_of_the_package(photos, tmp_path):
    run = trained(photos, tmp_path / "run", "--init-from", "packaged")
    file = run / "last" / "evaluation.json"
    report = json.loads(file.read_text())
    del report["license"], report["training"]["origin"], report["training"]["licences"]
    file.write_text(json.dumps(report))
    more = here(photos, run, "--resume", "--max-steps", "2")
    assert more.returncode == 0, more.stderr
    report = json.loads(file.read_text())
    assert report["license"] == {"license": "apache-2.0"} and NOTICE in report["training"]["licences"]


def test_the_card_shows_the_newest_report_of_these_weights_and_none_of_others(hub, photos, tmp_path, capsys, caplog):
    best = trained(photos, tmp_path / "run", "--seed", "1") / "best"
    measure = ["evaluate", "--data", str(photos), "--model", str(best), "--split", "all", "--peers", "nl-means"]
    assert main([*measure, "--sigma", "15"]) == 0
    assert main([*measure, "--sigma", "40", "-o", str(tmp_path / "run" / "later")]) == 0
    told = (tmp_path / "run" / "later" / "evaluation.json").read_bytes()
    assert main([*measure, "--sigma", "50", "-o", str(tmp_path / "run" / "later")]) == 2
    assert "holds a report already; choose another --output, or replace it with --overwrite" in capsys.readouterr().err
    assert (tmp_path / "run" / "later" / "evaluation.json").read_bytes() == told
    assert main(["push", str(best), "ada/measured"]) == 0
    results = json.loads(hub.repos["models", "ada/measured"].files["evaluation.json"])["results"]
    assert [result["degradation"] for result in results] == ["gaussian:40"]
    metadata, text = on_the_hub(hub, "ada/measured")
    (entry,) = metadata["model-index"][0]["results"]
    assert entry["metrics"][0]["value"] == results[0]["psnr"]
    assert "| gaussian:40 | this model |" in text and "| gaussian:40 | nl-means, told sigma 40 |" in text
    assert f"{results[0]['input_psnr']:.2f} → {results[0]['psnr']:.2f}" in text
    assert "- Validation while training: PSNR " in text
    both = ["--report", str(tmp_path / "run" / "best-report"), str(tmp_path / "run" / "later")]
    assert main(["push", str(best), "ada/measured", *both]) == 0
    assert "| gaussian:15 | this model |" in on_the_hub(hub, "ada/measured")[1]
    # Other weights in the same place: the reports are not theirs.
    more = here(photos, tmp_path / "run", "--resume", "--max-steps", "9", "--learning-rate", "0.01")
    assert more.returncode == 0, more.stderr
    last = str(tmp_path / "run" / "last")
    assert main(["push", last, "ada/measured"]) == 0
    assert "later is not of the weights in" in caplog.text
    assert "gaussian:40" not in on_the_hub(hub, "ada/measured")[1]
    capsys.readouterr()
    assert main(["push", last, "ada/measured", *both]) == 2
    assert f"--report '{tmp_path}/run/best-report' is not of the weights in '{last}'" in capsys.readouterr().err
    assert main(["push", last, "ada/measured", "--report", str(tmp_path)]) == 2
    assert "has no evaluation.json" in capsys.readouterr().err
    assert main([*measure, "--sigma", "50", "-o", str(tmp_path / "run" / "later"), "--overwrite"]) == 0
    assert main(["push", str(best), "ada/measured"]) == 0
    assert "| gaussian:50 | this model |" in on_the_hub(hub, "ada/measured")[1]


def test_what_the_card_tells_a_stranger_to_run_runs(hub, photos, tmp_path):
    trained(photos, tmp_path / "run", "--push-to-hub", "ada/shared")
    _, text = on_the_hub(hub, "ada/shared")
    usage = text.split("## How to use it")[1].split("\n## ")[0]
    install, command = re.findall(r"```bash\n(.*?)\n```", usage, re.DOTALL)
    assert re.fullmatch(r'pip install (hf_denoise|"hf_denoise @ git\+\S+")', install)
    Image.open(photos / "00.png").save(tmp_path / "noisy.jpg")
    # A stranger has no token, and nothing in the cache.
    env = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
    env |= {"HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    snippets = re.findall(r"```python\n(.*?)\n```", usage, re.DOTALL)
    assert len(snippets) == 2
    subprocess.run([sys.executable, "-c", "\n".join(snippets)], cwd=tmp_path, env=env, check=True, timeout=120)
    (tmp_path / "denoised.png").unlink()
    subprocess.run(command, shell=True, cwd=tmp_path, env=env, check=True, timeout=120)
    assert Image.open(tmp_path / "denoised.png").size == (64, 64)
    assert "HF_DENOISE_MODEL=ada/shared python app.py" in usage
