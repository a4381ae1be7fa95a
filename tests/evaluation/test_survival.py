"""What survives, in an evaluation: the same small defects for all methods, pooled over a few images, and shown."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.ndimage import gaussian_filter

from hf_denoise.data.triplets import load_triplets
from hf_denoise.distributed.processes import Processes
from hf_denoise.evaluation.report import Evaluation, best_methods, report_markdown, report_page
from hf_denoise.evaluation.run import evaluate
from hf_denoise.evaluation.summary import INPUT, MODEL, jsonable
from hf_denoise.evaluation.survival import spread
from hf_denoise.hub.card import render_card
from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.probing.pooling import pool_responses, pooled_report
from hf_denoise.probing.report import probe_plane
from hf_denoise.probing.responses import measure_responses

blur = cast(Denoiser, lambda noisy: gaussian_filter(noisy, (1.5, 1.5, 0)).clip(0, 1))
PEERS = {"copy": lambda noisy, sigma: noisy, "$-&<b>": lambda noisy, sigma: gaussian_filter(noisy, (4, 4, 0))}


def photos(folder: Path, count: int, size: int = 144) -> Any:
    folder.mkdir()
    for number in range(count):
        crop = skimage.data.astronaut()[50 * number : 50 * number + size, 60 : 60 + size]
        Image.fromarray(crop).save(folder / f"{number}.png")
    return load_triplets(str(folder), splits=(0.0, 0.0, 1.0))["test"]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    triplets = photos(tmp_path_factory.mktemp("survival") / "photos", 2)
    return evaluate(blur, triplets, "gaussian:12", peers=PEERS, name="photos")[0]


@pytest.mark.slow
def test_survival_tells_methods_apart_and_is_measured_alike(evaluation: Evaluation) -> None:
    survival = evaluation.result["survival"]
    assert list(survival) == [MODEL, *PEERS]
    assert evaluation.result["survival_images"] == ["0", "1"]
    for kind, copied in survival["copy"].items():
        assert copied["share"] == pytest.approx([1] * len(copied["share"]), abs=0.05), kind
        assert copied["limit_80"] == {"grey_levels": copied["contrasts"][0], "where": "below"}
        others = [survival[method][kind] for method in (MODEL, "$-&<b>")]
        assert all(other["contrasts"] == copied["contrasts"] for other in others)
        # The same probes, but for those that would leave the range of what a method made of their place.
        assert all(other["places"] == pytest.approx(copied["places"], rel=0.15) for other in others)
        assert min(copied["places"]) >= 20, "of both images"
        assert max(others[1]["share"]) < max(others[0]["share"]) < 1.02
    kept = {kind: np.mean(found["share"]) for kind, found in survival[MODEL].items()}
    assert kept["scratch 1 px"] < kept["scratch 3 px"] < kept["pit 8 px"]
    # A blur is linear: what it keeps does not depend on the contrast, which has the noise in its middle.
    assert np.ptp(survival[MODEL]["scratch 2 px"]["share"]) < 0.2
    assert survival[MODEL]["pit 8 px"]["contrasts"][0] == pytest.approx(12 / 4, rel=0.3)
    json.dumps(jsonable(evaluation.result), allow_nan=False)


class TwoInTurn(Processes):
    """Two processes that work one after the other."""

    def share(self, items: Sequence[Any], work: Callable[[Sequence[Any]], list[Any]]) -> list[Any]:
        parts = [work(items[rank::2]) for rank in range(2)]
        return [parts[number % 2][number // 2] for number in range(len(items))]


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    triplets = photos(tmp_path / "photos", 3)
    one, two = (
        evaluate(blur, triplets, "poisson-gaussian:12", processes=processes)[0]
        for processes in (Processes(), TwoInTurn(0, 2))
    )
    assert one.result == two.result
    assert "survival" in one.result


def test_small_images_have_no_room_for_probes_and_few_are_probed(tmp_path: Path) -> None:
    result = evaluate(blur, photos(tmp_path / "photos", 2, 100), "gaussian:12")[0].result
    assert "survival" not in result
    assert "survives" not in report_markdown([result])
    assert [sorted(spread(count)) for count in (0, 1, 3, 4, 100)] == [[], [0], [0, 1, 2], [0, 1, 2, 3], [0, 33, 66, 99]]


def test_pooled_probes_are_those_of_all_pictures() -> None:
    rng = np.random.default_rng(0)
    planes = [rng.normal(0.5, 0.05, (96, 96)).astype(np.float32) for _ in range(3)]
    halved, contrasts = (lambda noisy: 0.5 + 0.5 * (noisy - 0.5)), (4, 8, 16)
    responses = [measure_responses(plane, halved, contrasts=contrasts) for plane in planes]
    report = pooled_report(responses)
    single = probe_plane(planes[0], halved, contrasts=contrasts)
    assert len(report.responses.value) == sum(len(own.value) for own in responses)
    assert report.curve().places.sum() > 2 * single.curve().places.sum()
    assert report.curve().share == pytest.approx([0.5] * 3, abs=0.01)
    assert "more than half" in report.sentence() or "lose" in report.sentence()
    with pytest.raises(ValueError, match="the same"):
        pool_responses([responses[0], measure_responses(planes[1], halved, contrasts=(4, 8))])


@pytest.mark.slow
def test_reports_show_the_limits_beside_the_structure(evaluation: Evaluation) -> None:
    markdown = report_markdown([jsonable(evaluation.result)])
    assert "structure removed of 0 is no proof that nothing was lost" in markdown
    _, table = markdown.split("What survives: ")
    lines = [line.split(" | ") for line in table.splitlines() if line.startswith("| photos")]
    assert [line[2] for line in lines] == ["this model", "copy", r"$-&\<b\>"]
    least = min(found["contrasts"][0] for found in evaluation.result["survival"]["copy"].values())
    assert lines[1][3] == f"≤ {least:.1f} (≤ {least:.1f})"
    page = report_page([evaluation], {"Data": "photos", "Version": ""})
    assert 'aria-label="What survives, gaussian:12"' in page
    assert "share kept of small defects over their contrast, scratch 2 px, pit 4 px" in page
    assert "0 is no proof" in page and "0 is best" not in page
    assert "Scratch 2 px kept from" in page, "beside the structure of a single picture"
    assert "<b>" not in page.split("What survives</h3>")[1].split("</table>")[0]


def test_no_method_is_best_by_the_structure_that_was_found() -> None:
    peers = {"copy": {"structure": 0.0, "psnr": 20.0, "intervals": {}}}
    summary = {"structure": 0.1, "psnr": 30.0, "intervals": {}, "peers": peers}
    assert best_methods(summary, [INPUT, MODEL, "copy"], "structure") == []
    assert best_methods(summary, [INPUT, MODEL, "copy"], "psnr") == [MODEL]


@pytest.mark.slow
def test_the_card_says_what_survives_where_it_was_measured(evaluation: Evaluation) -> None:
    result = jsonable(evaluation.result)
    text = render_card({"encoder": "resnet18"}, {"results": [result]}).text
    assert "### What survives" in text and "| this model |" in text
    others: tuple[Any, ...] = (None, [], {}, {"model": {}}, {"model": {"scratch 2 px": 3}})
    for survival in others:
        assert "What survives" not in render_card({}, {"results": [{**result, "survival": survival}]}).text
    odd = {"model": {"scratch 2 px": {"limit_80": {"grey_levels": "<b>", "where": []}, "limit_50": {"grey_levels": 7}}}}
    assert "| - (7.0) |" in render_card({}, {"results": [{**result, "survival": odd}]}).text
