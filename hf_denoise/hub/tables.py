"""Measured results as tables in Markdown, for the model card and the report. They may come from any JSON file."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

LABELS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "defect_psnr": "Defect PSNR",
    "contrast_kept": "Contrast kept",
    "structure": "Structure removed",
}
DIGITS = {"psnr": 2, "ssim": 4, "defect_psnr": 2, "contrast_kept": 2, "structure": 3}
ALWAYS = ("psnr", "ssim")
SPECIAL = r"[\\`*_\[\]<>|]"  # characters that Markdown takes for its own
MODEL = "model"  # what the survival of a result calls the model itself
SURVIVORS = ("scratch 1 px", "scratch 2 px", "pit 4 px", "crack")  # of the kinds of defects, those of a small table


def results_table(results: Sequence[dict[str, Any]], metrics: Sequence[str] = tuple(LABELS)) -> str:
    """A line per result, noisy input → denoised, and a line for each peer that was measured beside."""
    shown = columns(results, metrics)
    with_peers = any(peers_of(result) for result in results)
    lines = []
    for result in results:
        first = [data_cell(result), escape(result.get("images") or "-"), escape(result.get("degradation") or "-")]
        method = ["this model"] if with_peers else []
        lines.append([*first, *method, *(change(result, metric) for metric in shown)])
        for name, peer in peers_of(result).items():
            sigma = peer.get("sigma")
            told = f"told sigma {sigma:g}" if finite(sigma) else "told the estimated noise"
            lines.append([*first, f"{escape(name)}, {told}", *(cell(peer, metric) for metric in shown)])
    head = ["Data", "Images", "Degradation", *(["Method"] if with_peers else []), *(LABELS[name] for name in shown)]
    return markdown_table(head, lines, left=("Data", "Degradation", "Method"))


def classes_table(results: Sequence[dict[str, Any]], metrics: Sequence[str] = tuple(LABELS)) -> str:
    """A line per class of defect, noisy input → denoised, and a line for each peer; "" where there are no classes."""
    groups = [(result, name, group) for result in results for name, group in classes_of(result).items()]
    if not groups:
        return ""
    shown = columns([group for _, _, group in groups], metrics)
    with_peers = any(peers_of(group) for _, _, group in groups)
    lines = []
    for result, name, group in groups:
        first = [data_cell(result), escape(result.get("degradation") or "-"), escape(name)]
        first.append(escape(group.get("images") or "-"))
        method = ["this model"] if with_peers else []
        lines.append([*first, *method, *(change(group, metric) for metric in shown)])
        for peer_name, peer in peers_of(group).items():
            lines.append([*first, escape(peer_name), *(cell(peer, metric) for metric in shown)])
    head = ["Data", "Degradation", "Class", "Images", *(["Method"] if with_peers else [])]
    return markdown_table(
        [*head, *(LABELS[name] for name in shown)], lines, left=("Data", "Degradation", "Class", "Method")
    )


def survival_table(results: Sequence[dict[str, Any]]) -> str:
    """A line per result and method: from which contrast on 80 % of small defects is kept, and in brackets half of them.

    "" where that was not measured.
    """
    measured = [result for result in results if survival_of(result)]
    shown = [kind for kind in SURVIVORS if any(kind in kinds for r in measured for kinds in survival_of(r).values())]
    if not shown:
        return ""
    with_peers = any(set(survival_of(result)) - {MODEL} for result in measured)
    lines = []
    for result in measured:
        for method, kinds in survival_of(result).items():
            first = [data_cell(result), escape(result.get("degradation") or "-")]
            name = ["this model" if method == MODEL else escape(method)] if with_peers else []
            lines.append([*first, *name, *(limits_cell(kinds.get(kind)) for kind in shown)])
    head = ["Data", "Degradation", *(["Method"] if with_peers else []), *(kind.capitalize() for kind in shown)]
    return markdown_table(head, lines, left=("Data", "Degradation", "Method"))


def survival_of(result: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """What was found of each kind of small defect, by method and kind; empty where it was not measured."""
    found = {method: _groups(kinds) for method, kinds in _groups(result.get("survival")).items()}
    return {method: kinds for method, kinds in found.items() if kinds}


def limits_cell(found: dict[str, Any] | None) -> str:
    """Both limits of a kind of defect: "14 (6.0)"."""
    return f"{limit(found, 'limit_80')} ({limit(found, 'limit_50')})" if found else "-"


def limit(found: dict[str, Any], name: str) -> str:
    """A contrast in grey levels from which on some share is kept; with a sign where it is the end of what was tried."""
    value = found.get(name)
    if not isinstance(value, dict) or not finite(value.get("grey_levels")):
        return "-"
    sign = {"below": "≤ ", "above": "> "}.get(str(value.get("where")), "")
    return sign + number(value["grey_levels"], 0 if value["grey_levels"] >= 9.95 else 1)


def columns(groups: Sequence[dict[str, Any]], metrics: Sequence[str]) -> list[str]:
    """The metrics with a number in any of the groups, and those that every image has."""
    return [name for name in metrics if name in ALWAYS or any(finite(group.get(name)) for group in groups)]


def has_intervals(results: Iterable[dict[str, Any]]) -> bool:
    """Whether any result has a confidence interval."""
    return any(interval_of(result, name) for result in results for name in LABELS)


def peers_of(group: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name and numbers of the peers of a result or class."""
    return _groups(group.get("peers"))


def classes_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name and numbers of the classes of defect of a result."""
    return _groups(result.get("classes"))


def _groups(value: Any) -> dict[str, dict[str, Any]]:
    return {k: group for k, group in value.items() if isinstance(group, dict)} if isinstance(value, dict) else {}


def data_cell(result: dict[str, Any]) -> str:
    """Data set and split."""
    return escape(result.get("dataset", "unknown")) + (f" ({escape(result['split'])})" if result.get("split") else "")


def change(group: dict[str, Any], metric: str) -> str:
    """Noisy input → denoised, or the denoised value alone where the input was not measured."""
    before = number(group.get(f"input_{metric}"), DIGITS[metric])
    after = cell(group, metric)
    return f"{before} → {after}" if before != "-" else after


def cell(group: dict[str, Any], metric: str) -> str:
    """A number with its confidence interval, where it has one."""
    text = number(group.get(metric), DIGITS[metric])
    bounds = interval_of(group, metric)
    if bounds:
        low, high = (number(bound, DIGITS[metric]) for bound in bounds)
        text += f" ({low} to {high})"
    return text


def interval_of(group: dict[str, Any], metric: str) -> list[float] | None:
    """The confidence interval of a metric: [low, high], or None."""
    intervals = group.get("intervals")
    bounds = intervals.get(metric) if isinstance(intervals, dict) else None
    return bounds if isinstance(bounds, list) and len(bounds) == 2 and all(map(finite, bounds)) else None


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]], left: Sequence[str]) -> str:
    """A table in Markdown; the columns whose head is in `left` are aligned left, the others right."""
    rules = ["---" if name in left else "---:" for name in head]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rules, *lines))


def finite(value: Any) -> bool:
    """Whether `value` is a number that JSON can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, digits: int) -> str:
    """A measured number for a table; a dash where there is none."""
    if not isinstance(value, int | float) or math.isnan(value):
        return "-"
    return f"{value:.{digits}f}" if math.isfinite(value) else "∞" if value > 0 else "-∞"


def plain(value: Any) -> str:
    """Text on one line."""
    return " ".join(str(value).split())


def escape(value: Any) -> str:
    """Text on one line that stays text in Markdown, in a table cell too."""
    return re.sub(rf"({SPECIAL})", r"\\\1", plain(value))


def unescape(markdown: str) -> str:
    """Markdown as it is read on a terminal: without the backslashes of `escape`."""
    return re.sub(rf"\\({SPECIAL})", r"\1", markdown)
