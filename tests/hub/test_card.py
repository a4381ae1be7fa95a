"""The model card: what it says is what was measured, and nothing in it can break its YAML or its Markdown."""

import json
import math
import re
import shutil
import subprocess
import sys
from email.message import Message
from pathlib import Path

import pytest
import yaml
from card_reports import CONFIG, RESULT, TRAINING, metadata, section
from hub_server import card_errors
from huggingface_hub import ModelCard, ModelCardData

import hf_denoise.hub.card
from hf_denoise.hub.card import has_text, recipe_yaml, render_card

TILES = {**RESULT, "dataset": "tiles", "degradation": "mixture", "defect_psnr": 29.06, "input_defect_psnr": 21.5}


def rows(text: str) -> list[list[str]]:
    """The cells of the lines of a Markdown table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_model_index_holds_every_measured_number():
    card = render_card(CONFIG, {"results": [RESULT, TILES], "training": None}, model_id="ada/denoiser")
    entries = metadata(card)["model-index"][0]["results"]
    found = {
        (entry["dataset"]["name"], metric["type"]): metric["value"] for entry in entries for metric in entry["metrics"]
    }
    assert found == {
        ("CBSD68 sigma25", "psnr"): RESULT["psnr"],
        ("CBSD68 sigma25", "ssim"): RESULT["ssim"],
        ("tiles", "psnr"): TILES["psnr"],
        ("tiles", "ssim"): TILES["ssim"],
        ("tiles", "defect_psnr"): 29.06,
    }
    assert [entry["dataset"]["config"] for entry in entries] == ["gaussian:25", "mixture"]
    assert card_errors(str(card)) == []


def test_metadata_says_what_the_model_is():
    data = metadata(render_card(CONFIG, {"results": [RESULT]}, model_id="ada/denoiser"))
    assert (data["library_name"], data["pipeline_tag"]) == ("hf_denoise", "image-to-image")
    assert data["metrics"] == ["psnr", "ssim"]
    assert "image-denoising" in data["tags"]


@pytest.mark.parametrize("junk", [None, 3, {}, {"license": None}, {"license": ["mit"]}, {"license_name": "ours"}])
def test_a_licence_that_nobody_gave_is_not_made_up(junk):
    card = render_card(CONFIG, {"license": junk, "results": [RESULT]})
    assert not {"license", "license_name", "license_link"} & metadata(card).keys()
    assert "No licence is known for these weights" in section(card, "Licence")
    assert card_errors(str(card)) == []


def test_a_licence_that_was_given_is_in_the_metadata_and_the_text():
    ours = {"license": "other", "license_name": "turin-line", "license_link": "LICENSE"}
    card = render_card(CONFIG, {"license": {"license": "mit"}, "training": {"licences": ["x"]}}, licence=ours)
    assert {key: metadata(card)[key] for key in ours} == ours
    assert section(card, "Licence").strip().startswith("The weights: turin-line (LICENSE). The licences of the data")
    assert "The weights: mit." in section(render_card(CONFIG, {"license": {"license": "mit"}}), "Licence")


def test_table_shows_input_and_output():
    results = rows(section(render_card(CONFIG, {"results": [RESULT, TILES]}), "Results"))
    assert results == [
        ["CBSD68 (test)", "68", "gaussian:25", "20.17 → 30.91", "0.4012 → 0.8812", "-"],
        ["tiles (test)", "68", "mixture", "20.17 → 30.91", "0.4012 → 0.8812", "21.50 → 29.06"],
    ]


def test_no_defect_column_without_masks():
    assert len(rows(section(render_card(CONFIG, {"results": [RESULT]}), "Results"))[0]) == 5


PEER = {"psnr": 30.71, "ssim": 0.872, "defect_psnr": 28.4, "contrast_kept": 0.66, "sigma": 25.0, "intervals": {}}


CLASS = {
    "images": 6,
    "psnr": 29.36,
    "input_psnr": 20.17,
    "defect_psnr": 28.5,
    "contrast_kept": 0.97,
    "input_contrast_kept": 1.0,
    "intervals": {"contrast_kept": [0.83, 1.0]},
    "peers": {"bm3d": PEER},
}


FULL = {
    **TILES,
    "contrast_kept": 0.9612,
    "input_contrast_kept": 1.002,
    "intervals": {"psnr": [29.75, 31.39], "ssim": None, "contrast_kept": [0.94, 1.0]},
    "peers": {"bm3d": PEER},
    "classes": {"blowhole": CLASS},
}


def test_contrast_intervals_and_peers_are_shown_where_they_were_measured():
    text = section(render_card(CONFIG, {"results": [FULL]}), "Results")
    overall, classes = text.split("By class of defect")
    assert rows(overall) == [
        [
            *("tiles (test)", "68", "mixture", "this model", "20.17 → 30.91 (29.75 to 31.39)", "0.4012 → 0.8812"),
            *("21.50 → 29.06", "1.00 → 0.96 (0.94 to 1.00)"),
        ],
        ["tiles (test)", "68", "mixture", "bm3d, told sigma 25", "30.71", "0.8720", "28.40", "0.66"],
    ]
    assert rows(classes) == [
        [
            *("tiles (test)", "mixture", "blowhole", "6", "this model", "20.17 → 29.36", "28.50"),
            "1.00 → 0.97 (0.83 to 1.00)",
        ],
        ["tiles (test)", "mixture", "blowhole", "6", "bm3d", "30.71", "28.40", "0.66"],
    ]
    assert "median" in text and "bootstrap" in text and "other denoisers" in text
    plainer = section(render_card(CONFIG, {"results": [RESULT]}), "Results")
    assert not any(word in plainer for word in ("median", "bootstrap", "other denoisers", "By class"))


def test_model_index_has_the_contrast_kept_and_no_peer():
    card = render_card(CONFIG, {"results": [FULL]}, model_id="ada/denoiser")
    metrics = {metric["type"]: metric["value"] for metric in metadata(card)["model-index"][0]["results"][0]["metrics"]}
    assert metrics == {"psnr": FULL["psnr"], "ssim": FULL["ssim"], "defect_psnr": 29.06, "contrast_kept": 0.9612}
    assert card_errors(str(card)) == []


@pytest.mark.parametrize("junk", [3, "x", ["x"], {"x": 3}, {"x": {"psnr": "y", "intervals": 3}}])
def test_report_of_somebody_else_does_not_break_the_card(junk):
    """`evaluation.json` comes from the Hub with a model."""
    result = {**RESULT, "intervals": junk, "peers": junk, "classes": junk}
    assert rows(section(render_card(CONFIG, {"results": [result]}), "Results"))[0][-1] == "0.4012 → 0.8812"


@pytest.mark.parametrize("report", [None, {}, {"results": []}, {"results": [], "training": TRAINING}])
def test_unmeasured_model_says_so(report):
    card = render_card(CONFIG, report)
    assert "has not been measured" in section(card, "Results")
    assert not rows(section(card, "Results"))
    assert "model-index" not in metadata(card)
    assert card_errors(str(card)) == []


def test_partial_report_leaves_gaps_not_numbers():
    """What training knows of its own validation: no images count, no input, no SSIM."""
    card = render_card(CONFIG, {"results": [{"dataset": "photos", "degradation": "gaussian:0-55", "psnr": 31.5}]})
    assert rows(section(card, "Results")) == [["photos", "-", "gaussian:0-55", "31.50", "-"]]


def test_infinite_and_missing_values_stay_out_of_the_model_index():
    result = {**RESULT, "psnr": math.inf, "ssim": math.nan, "defect_psnr": math.nan}
    card = render_card(CONFIG, {"results": [result, TILES]})
    entries = metadata(card)["model-index"][0]["results"]
    assert [entry["dataset"]["name"] for entry in entries] == ["tiles"]
    json.dumps(entries, allow_nan=False)
    assert rows(section(card, "Results"))[0][3:] == ["20.17 → ∞", "0.4012 → -", "-"]


@pytest.mark.parametrize("text", ["# Ours", "---\nlicense: mit\n---\n\nOurs", "Ours\n---\na: b\n---\n"])
def test_card_with_text(tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    assert has_text(tmp_path / "README.md")


@pytest.mark.parametrize(
    "text", ["", "\n", "---\nlicense: mit\n---\n", "---\r\nlicense: mit\r\n---\r\n\r\n", "---\na: b\n---"]
)
def test_card_with_metadata_alone(tmp_path, text):
    (tmp_path / "README.md").write_bytes(text.encode())
    assert not has_text(tmp_path / "README.md")


def test_architecture_comes_from_the_config():
    facts = dict(rows(section(render_card({**CONFIG, "residual": False, "gate_window": 0}, None), "Architecture")))
    assert facts["Encoder"] == "resnet18"
    assert facts["Encoder levels"] == "4, the deepest at stride 16"
    assert facts["Global residual"] == "no"
    assert facts["Channel gates pool over"] == "the whole image"


def test_usage_names_the_repository():
    text = section(render_card(CONFIG, None, model_id="ada/denoiser"), "How to use it")
    assert 'Denoiser.from_pretrained("ada/denoiser")' in text
    assert "--model ada/denoiser" in text


HOSTILE = [
    "{{ 7 * 7 }}{% raw %}",
    "a: b\n---\nlicense: mit",
    "x | y | z",
    "'\"#&*!%@`[]<b>\n\n# Head",
    "- {a: [1",
    "```\n# x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text):
    result = {**RESULT, "dataset": text, "degradation": text, "split": text}
    named = {**result, "peers": {text: PEER}, "classes": {text: CLASS}}
    training = {"data": text, "hardware": text, "recipe": {text: text}, "licences": [text]}
    training["revision"] = result["revision"] = text
    training["origin"] = {"name": text, "base_model": text, "revision": text, "data": text}
    licence = {"license": "other", "license_name": text, "license_link": text}
    report = {"license": licence, "results": [result], "training": training}
    card = render_card({**CONFIG, "encoder": text}, report, model_id=text)
    assert yaml.safe_load(recipe_yaml({"training": training})) == {text: text}
    reread = ModelCard(str(card))
    assert isinstance(reread.data, ModelCardData) and reread.data.eval_results is not None
    one_line = " ".join(text.split())
    assert card_errors(str(card)) == []
    assert metadata(card)["license"] == reread.data.license == "other"
    assert metadata(card)["license_name"] == one_line and "base_model" not in metadata(card)
    assert reread.data.eval_results[0].dataset_name == one_line
    plain = render_card(CONFIG, {"results": [RESULT], "training": {**TRAINING, "licences": ["x"]}})
    heads = [[line for line in c.text.splitlines() if re.match("#+ ", line)] for c in (reread, plain)]
    assert len(heads[0]) == len(heads[1])
    assert len(rows(section(reread, "Results"))[0]) == 5
    assert "49" not in card.text.split("## References")[0]
    assert reread.text == card.text
    named_text = section(render_card(CONFIG, {"results": [named]}), "Results")
    assert len(rows(named_text.split("By class")[0])[1]) == 6
    assert len(rows(named_text.split("By class")[1])[0]) == 8


def test_template_travels_inside_an_installed_package(tmp_path):
    """A wheel has no parent checkout: the template lies inside the package."""
    (tmp_path / "hf_denoise").mkdir()
    (tmp_path / "hf_denoise" / "__init__.py").touch()
    shutil.copytree(Path(hf_denoise.hub.card.__file__).parent, tmp_path / "hf_denoise" / "hub")
    shutil.copy(hf_denoise.hub.card.template_path(), tmp_path / "hf_denoise" / "model_card.md")
    code = (
        "from hf_denoise.hub.card import render_card\n"
        "print(render_card({'encoder': 'resnet18'}, None).data.library_name)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "hf_denoise"


@pytest.mark.parametrize(
    "dataset, degradation, name",
    [
        ("cbsd68", "gaussian:25", "CBSD68 sigma25"),
        ("Kodak-24", "gaussian:50", "Kodak24 sigma50"),
        ("mvtec_ad", "as in the data", "MVTec AD"),
        ("urban100", "gaussian:0-55", "Urban100"),
        ("our line", "gaussian:25", "our line"),
    ],
)
def test_test_sets_have_the_names_of_the_field_in_the_model_index(dataset, degradation, name):
    card = render_card(CONFIG, {"results": [{**RESULT, "dataset": dataset, "degradation": degradation}]})
    assert metadata(card)["model-index"][0]["results"][0]["dataset"]["name"] == name


def test_install_line_names_the_repository_of_the_metadata(monkeypatch):
    def distribution(*urls: str) -> Message:
        message = Message()
        for url in urls:
            message["Project-URL"] = url
        return message

    where = "https://example.org/ada/hf_denoise"
    for urls, line in (
        ((f"Repository, {where}",), f'pip install "hf_denoise @ git+{where}"'),
        (("Documentation, https://example.org", f"Source, {where}"), f'pip install "hf_denoise @ git+{where}"'),
        ((), "pip install hf_denoise"),
    ):
        monkeypatch.setattr(hf_denoise.hub.card, "metadata", lambda name, urls=urls: distribution(*urls))
        assert f"```bash\n{line}\n```" in section(render_card(CONFIG, None), "How to use it")
