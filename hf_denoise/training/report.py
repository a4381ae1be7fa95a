"""What a run says of itself: in its report, and through it in the model card."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from hf_denoise.hub.card import AS_IN_DATA
from hf_denoise.training.batches import TrainingData
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.schedule import Progress

# What belongs to this run, and not to the next one by its recipe.
NOT_IN_RECIPE = (
    *("data", "output", "resume", "resume_from_checkpoint", "push_to_hub", "hub_strategy", "hub_private"),
    *("license", "license_name", "license_link"),
    *TrainConfig.SECRETS,
)


def training_report(
    config: TrainConfig,
    data: TrainingData,
    progress: Progress,
    scores: dict[str, float],
    hardware: str,
    ancestry: dict[str, Any],
    summary: dict[str, str],
) -> dict[str, Any]:
    """What the model card says of a run.

    Args:
        config: of the run.
        data: of the run; its degradation and revision go into the report.
        progress: where the run is.
        scores: of the evaluation at this step; empty where there was none.
        hardware: what it runs on, in words.
        ancestry: as `hf_denoise.hub.ancestry.inherited` gives it, as far as it is known.
        summary: more lines for the card.
    """
    measured = {name: score for name, score in scores.items() if math.isfinite(score)}
    commit = {"revision": data.revision} if data.revision else {}
    name = name_of(config, data)
    result = {"dataset": name, **commit, "split": "validation", "degradation": data.degradation, **measured}
    licence = {"license": ancestry["license"]} if "license" in ancestry else {}
    training = {
        **{key: value for key, value in ancestry.items() if key != "license"},
        "data": name,
        **commit,
        "degradation": data.degradation,
        "recipe": recipe_of(config, data),
        "steps": progress.step,
        "megapixels": round(progress.pixels / 1e6, 6),
        "minutes": round(progress.minutes, 1),
        "hardware": hardware,
        "summary": summary,
    }
    return {**licence, "results": [result] if measured else [], "training": training}


def recipe_of(config: TrainConfig, data: TrainingData) -> dict[str, Any]:
    """The options by which another run would be one like this."""
    recipe = {option: value for option, value in dataclasses.asdict(config).items() if option not in NOT_IN_RECIPE}
    if data.degradation == AS_IN_DATA:
        del recipe["degradation"]  # it was not used
    if config.init_from and Path(config.init_from).exists():
        recipe["init_from"] = Path(config.init_from).name  # the folders above it stay private
    return recipe


def hyperparameters(config: TrainConfig, data: TrainingData) -> dict[str, Any]:
    """The data and the recipe as trackers take them: numbers, words and truth values; options without a value not."""
    recipe = {"data": name_of(config, data), **recipe_of(config, data)}
    words = {
        name: " ".join(map(str, value)) if isinstance(value, list | tuple) else value for name, value in recipe.items()
    }
    return {name: value for name, value in words.items() if value is not None}


def name_of(config: TrainConfig, data: TrainingData) -> str:
    """What the data are called where others read it: the folders above them stay private."""
    return config.data if data.revision else Path(config.data).resolve().name
