"""The model card: a template filled in from a model's config and its measured report, never by hand."""

import re
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from hf_denoise.hub.ids import is_hub_id
from hf_denoise.hub.licence import Licence, known_licence
from hf_denoise.hub.tables import (
    LABELS,
    classes_table,
    columns,
    escape,
    finite,
    has_intervals,
    number,
    peers_of,
    plain,
    results_table,
    survival_table,
)

MARKER = "<!-- Rendered by hf_denoise and replaced at the next save; delete this line to keep changes made by hand. -->"
AS_IN_DATA = "as in the data"  # in place of a degradation, where the data bring degraded images
# Test sets as papers and leaderboards write them, by their letters and digits.
FIELD_NAMES = {
    re.sub(r"[^a-z0-9]", "", name.lower()): name
    for name in ("BSD68", "CBSD68", "Kodak24", "McMaster", "Set12", "Set14", "Urban100", "SIDD", "DND", "MVTec AD")
}
CARD_METRICS = ("psnr", "ssim", "defect_psnr", "contrast_kept")


def template_path() -> Path:
    """The card template: inside the package where that is a wheel, beside it in a source checkout."""
    inside = Path(__file__).parents[1] / "model_card.md"
    return inside if inside.is_file() else inside.parents[1] / inside.name


def is_handwritten(card: Path) -> bool:
    """Whether `card` is a README.md that somebody wrote or edited, which a save must not replace."""
    return card.is_file() and MARKER not in card.read_text(encoding="utf-8", errors="replace")


def has_text(card: Path) -> bool:
    """Whether `card` says more than its metadata, which is all that the Hub writes for a new repository."""
    return bool(REGEX_YAML_BLOCK.sub("", card.read_text(encoding="utf-8", errors="replace"), count=1).strip())


def render_card(
    config: dict[str, Any],
    report: dict[str, Any] | None,
    *,
    model_id: str | None = None,
    curves: str | None = None,
    licence: Licence | None = None,
) -> ModelCard:
    """Render the card of a `DenoisingUNet`.

    Args:
        config: the options of the network, as in `config.json`.
        report: measured metrics and the training run, as in `evaluation.json`: `{"results": [...], "training": {...}}`.
            PSNR in dB. None, or an empty list of results: the card says that the model was not measured.
        model_id: the repository on the Hub, "user/name", where it is known.
        curves: name of the picture of the learning curves that lies beside the card, where there is one.
        licence: of the weights; None or empty: that in the report, and where there is none the card says so.

    Returns:
        The card. Every finite number of `report["results"]` is also in its `model-index`, unrounded.
    """
    report = report or {}
    results = report.get("results") or []
    encoder = plain(config.get("encoder", "ResNet"))
    title = plain(model_id).rpartition("/")[2] if model_id else f"hf_denoise {encoder}"
    evaluations = list(model_index(results))
    training = report.get("training") or {}
    licence = licence or known_licence(report.get("license"))
    parent = origin_of(training).get("base_model")
    data = ModelCardData(
        library_name="hf_denoise",
        pipeline_tag="image-to-image",
        license=licence.get("license"),
        license_name=licence.get("license_name"),
        license_link=licence.get("license_link"),
        base_model=parent if is_hub_id(parent) else None,
        tags=["image-denoising", "image-restoration", "unet", "scse", "timm", "pytorch_model_hub_mixin"],
        # A report names a local folder without its path, so that what has the form of an id is one.
        datasets=[training["data"]] if is_hub_id(training.get("data")) else None,
        metrics=sorted({evaluation.metric_type for evaluation in evaluations}) or None,
        model_name=title if evaluations else None,
        eval_results=evaluations or None,
    )
    return ModelCard.from_template(
        data,
        template_path=str(template_path()),
        marker=MARKER,
        title=escape(title),
        model_id=plain(model_id) if model_id else "path/to/this/folder",
        install=install_line(),
        results=results_table(results, CARD_METRICS) if results else "",
        classes=classes_table(results, ("psnr", "defect_psnr", "contrast_kept")),
        survival=survival_table(results),
        shown=columns(results, CARD_METRICS),
        intervals=has_intervals(results),
        peers=any(peers_of(result) for result in results),
        training=training_facts(training),
        licence={field: escape(value) for field, value in licence.items()},
        curves=curves,
        architecture={"encoder": escape(encoder), "facts": architecture_facts(config)},
    )


def install_line() -> str:
    """The command that installs this package: from its repository where its metadata name one, else from the index."""
    try:
        urls = metadata("hf_denoise").get_all("Project-URL") or []
    except PackageNotFoundError:  # a source checkout that is not installed
        urls = []
    named = dict(url.split(", ", 1) for url in urls)
    repository = next((url for label, url in named.items() if label.lower() in ("repository", "source")), None)
    return f'pip install "hf_denoise @ git+{repository}"' if repository else "pip install hf_denoise"


def field_name(dataset: str, degradation: Any) -> str:
    """What the field calls a test set and its noise, such as "CBSD68 sigma25"; other names stay as they are."""
    known = FIELD_NAMES.get(re.sub(r"[^a-z0-9]", "", dataset.lower()))
    sigma = re.fullmatch(r"gaussian:(\d+(?:\.\d+)?)", str(degradation))
    return f"{known} sigma{sigma[1]}" if known and sigma else known or dataset


def model_index(results: Iterable[dict[str, Any]]) -> Iterable[EvalResult]:
    """One `EvalResult` per data set, degradation and metric; an infinite or missing value has no place in JSON."""
    for result in results:
        dataset = plain(result.get("dataset", "unknown"))
        for metric in CARD_METRICS:
            if finite(result.get(metric)):
                yield EvalResult(
                    task_type="image-to-image",
                    task_name="Image denoising",
                    dataset_type=re.sub(r"[^\w./-]+", "-", dataset).lower(),
                    dataset_name=field_name(dataset, result.get("degradation")),
                    dataset_split=plain(result["split"]) if result.get("split") else None,
                    dataset_revision=plain(result["revision"]) if result.get("revision") else None,
                    dataset_config=plain(result["degradation"]) if result.get("degradation") else None,
                    metric_type=metric,
                    metric_name=LABELS[metric],
                    metric_value=result[metric],
                )


def training_facts(training: dict[str, Any]) -> dict[str, Any] | None:
    """What the card says of the training run; None where nothing was recorded."""
    revision = f" at commit {escape(training['revision'])}" if training.get("revision") else ""
    facts = [
        ("Started from", origin_sentence(training)),
        ("Data", escape(training["data"]) + revision if training.get("data") else None),
        ("Degraded images", escape(training["degradation"]) if training.get("degradation") else None),
        ("Steps", f"{training['steps']:,}" if finite(training.get("steps")) else None),
        ("Time", f"{training['minutes']:.0f} minutes" if finite(training.get("minutes")) else None),
        ("Hardware", escape(training["hardware"]) if training.get("hardware") else None),
    ]
    validation = training.get("validation")  # there where the results are those of an evaluation
    if isinstance(validation, dict) and finite(validation.get("psnr")):
        said = f"PSNR {number(validation['psnr'], 2)} dB, SSIM {number(validation.get('ssim'), 4)}"
        facts.append(("Validation while training", said))
    summary = training.get("summary")
    if isinstance(summary, dict):
        facts += [(escape(name), escape(value)) for name, value in summary.items()]
    recipe = training.get("recipe")
    if not training:
        return None
    return {
        "facts": [(name, value) for name, value in facts if value],
        "recipe": yaml_block(recipe) if recipe else None,
        "licences": [escape(licence) for licence in training.get("licences") or []],
    }


def origin_of(training: dict[str, Any]) -> dict[str, Any]:
    """The model that a training started from, as `hf_denoise.hub.ancestry.inherited` says it; empty without one."""
    origin = training.get("origin")
    return origin if isinstance(origin, dict) else {}


def origin_sentence(training: dict[str, Any]) -> str | None:
    """What a training started from, in words."""
    origin = origin_of(training)
    if not origin.get("name"):
        return None
    commit = f" at commit {escape(origin['revision'])}" if origin.get("revision") else ""
    return escape(origin["name"]) + commit + (f", trained on {escape(origin['data'])}" if origin.get("data") else "")


def architecture_facts(config: dict[str, Any]) -> list[tuple[str, str]]:
    """The options of the network in words."""

    def yes_no(option: bool) -> str:
        return "yes" if option else "no"

    wording: dict[str, tuple[str, Callable[[Any], str]]] = {
        "encoder": ("Encoder", str),
        "encoder_levels": ("Encoder levels", lambda levels: f"{levels}, the deepest at stride {2**levels}"),
        "decoder_channels": ("Decoder channels, deepest first", lambda widths: "-".join(map(str, widths))),
        "decoder_depths": ("Residual blocks, deepest first", lambda depths: "-".join(map(str, depths))),
        "full_resolution_skip": ("Full-resolution skip", yes_no),
        "residual": ("Global residual", yes_no),
        "gate_window": (
            "Channel gates pool over",
            lambda side: f"a window of {side} x {side} pixels" if side else "the whole image",
        ),
    }
    return [(name, escape(say(config[key]))) for key, (name, say) in wording.items() if key in config]


def recipe_yaml(report: dict[str, Any] | None) -> str | None:
    """The recipe of a training run as `train.py --config` takes it; None where it was not recorded."""
    training = (report or {}).get("training") or {}
    recipe = training.get("recipe")
    if not isinstance(recipe, dict) or not recipe:
        return None
    data = plain(training.get("data") or "DATA")
    if training.get("revision"):
        data += f", commit {plain(training['revision'])}"
    head = f"# Trained on {data}. Again: accelerate launch train.py --config recipe.yaml --data DATA --output runs/x\n"
    return head + yaml_text({name: value for name, value in recipe.items() if value is not None})


def yaml_text(options: dict[str, Any]) -> str:
    """Options as YAML, a line each."""
    plain_options = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    return yaml.safe_dump(plain_options, sort_keys=False, allow_unicode=True, default_flow_style=None)


def yaml_block(options: Any) -> str:
    """A fenced YAML block; the fence is longer than any run of backticks inside."""
    text = yaml_text(options).strip()
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}yaml\n{text}\n{fence}"
