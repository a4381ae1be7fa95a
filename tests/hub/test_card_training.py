"""What a card says of the training and the data."""

import pytest
import yaml
from card_reports import CONFIG, RESULT, TRAINING, metadata, section
from hub_server import card_errors

from hf_denoise.hub.card import recipe_yaml, render_card


def test_training_is_shown_as_recorded():
    text = section(render_card(CONFIG, {"results": [], "training": TRAINING}), "Training")
    for fact in ("962 photographs", "25,000", "110 minutes", "2 CPU cores"):
        assert fact in text
    recipe = yaml.safe_load(text.split("```yaml\n")[1].split("\n```")[0])
    assert recipe == {**TRAINING["recipe"], "decoder_channels": [128, 96]}
    assert "Licences" not in text


SHA = "3f5c9a0d" * 5


def test_dataset_on_the_hub_is_named_with_its_commit():
    result = {**RESULT, "dataset": "ada/triplets", "revision": SHA}
    card = render_card(CONFIG, {"results": [result], "training": {"data": "ada/triplets", "revision": SHA}})
    assert metadata(card)["datasets"] == ["ada/triplets"]
    dataset = metadata(card)["model-index"][0]["results"][0]["dataset"]
    assert (dataset["type"], dataset["name"], dataset["revision"]) == ("ada/triplets", "ada/triplets", SHA)
    assert f"- Data: ada/triplets at commit {SHA}" in section(card, "Training")
    assert card_errors(str(card)) == []


@pytest.mark.parametrize("data", ["photos", "962 photographs", "/data/photos", "a/b/c", "a/b\n", 3, None])
def test_other_data_is_no_dataset_of_the_hub(data):
    card = render_card(CONFIG, {"results": [RESULT], "training": {"data": data, "steps": 1}})
    assert "datasets" not in metadata(card)
    assert "at commit" not in card.text


def test_curves_are_shown_where_there_is_a_picture():
    report = {"results": [RESULT], "training": TRAINING}
    assert section(render_card(CONFIG, report, curves="curves.png"), "Training").count("](curves.png)") == 1
    assert "![" not in render_card(CONFIG, report).text


def test_recipe_is_what_the_training_takes():
    recipe = recipe_yaml({"training": {**TRAINING, "recipe": {**TRAINING["recipe"], "max_minutes": None}}})
    assert recipe is not None
    assert yaml.safe_load(recipe) == {**TRAINING["recipe"], "decoder_channels": [128, 96]}
    assert recipe.startswith("# Trained on 962 photographs. Again: accelerate launch train.py --config recipe.yaml")


@pytest.mark.parametrize(
    "report", [None, {}, {"training": {}}, {"training": {"recipe": {}}}, {"training": {"recipe": 3}}]
)
def test_no_recipe_where_none_was_recorded(report):
    assert recipe_yaml(report) is None


def test_licences_appear_only_where_recorded():
    licences = ["BSDS500: non-commercial research and education", "wallpapers: CC BY-SA 4.0"]
    text = section(render_card(CONFIG, {"training": {**TRAINING, "licences": licences}}), "Training")
    assert [line for line in text.split("### Licences")[1].splitlines() if line.startswith("- ")] == [
        f"- {licence}" for licence in licences
    ]
    assert "BSDS" not in str(render_card(CONFIG, {"training": TRAINING}))


def test_unrecorded_training_says_so():
    assert "not recorded" in section(render_card(CONFIG, {"results": [RESULT]}), "Training")
