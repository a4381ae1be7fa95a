"""What the comparison shows: previews of before and after, and at 1:1 the pixels themselves, a part at a time."""

import uuid
import zlib
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
from gradio import FileData
from PIL import Image

from hf_denoise.arrays import FloatImage
from hf_denoise.imaging.picture import Picture
from hf_denoise.page.companions import Companions, companions_of
from hf_denoise.page.errors import shown_errors
from hf_denoise.page.keeping import Asked, Shown, mix_of
from hf_denoise.page.results import PAGE_SIDE, Box, Result, as_url, in_its_colours, part_of
from hf_denoise.page.stop import Watch, register_request

PART = 4_000_000  # pixels that are sent at once, at most; a screen has about that many


def comparison_of(asked: Asked, pair: tuple[str, str], progress: gr.Progress) -> dict[str, Any]:
    """What `components.Comparison` shows of the result that was asked for.

    Args:
        asked: what with.
        pair: files of its previews.
        progress: where it is no longer in memory.
    """
    known = asked.complete()
    result = known.result(progress)
    place = telling_place(result, companions_of(result, known.reference, known.mask))
    return compared(result, pair, place, f"{known.image}\n{known.mask}")


def compared(result: Result, pair: tuple[str, str], place: tuple[tuple[int, int], int], key: str) -> dict[str, Any]:
    """What `components.Comparison` shows.

    Args:
        result: what is shown.
        pair: files of its previews.
        place: where to look first, see `telling_place`.
        key: of what is the same for the same picture; while it stays, so does the view.
    """
    width, height = result.before.header.size
    return {
        **{name: FileData(path=path).model_dump() for name, path in zip(("before", "after"), pair, strict=True)},
        "width": width,
        "height": height,
        "preview": min(PAGE_SIDE, max(width, height)),
        "at": place[0],
        "span": place[1],
        "key": zlib.crc32(key.encode()),
        "version": uuid.uuid4().hex,
    }


def telling_place(result: Result, companions: Companions) -> tuple[tuple[int, int], int]:
    """Where to look first, (x, y) in pixels, and how far it reaches: the defect, or where most noise was removed."""
    if companions.box is not None:
        down, across = companions.box
        sides = [side.stop - side.start for side in (down, across)]
        return ((across.start + across.stop) // 2, (down.start + down.stop) // 2), max(sides)
    return result.noisiest, 0


def part_of_shown(
    shown: Shown,
    at: float,
    event: gr.EventData,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> dict[str, Any]:
    """A part of the full picture that is shown, before and after.

    Args:
        shown: the result.
        at: see `register_request`.
        event: left, top, width and height of the part in pixels, and `shrink`: so many of them, along a side, are one
            of what is sent.
        progress: where the result is no longer in memory.

    Returns:
        The same, and `before` and `after` as URLs.
    """
    register_request(at, view=False)
    watch = Watch()
    with shown_errors():
        known = shown.asked.complete()
        result = known.result(progress)
        mix = mix_of(result, known.wishes, known.model, progress)
        part = part_urls(result.before, lambda box: mix.part(result, box), event)
        watch.check_view()
        return part


def part_urls(before: Picture, after: Callable[[Box], Picture], event: gr.EventData) -> dict[str, Any]:
    """What `ComparisonPart` takes to the comparison.

    Args:
        before: the upright picture.
        after: gives a part of the result.
        event: see `part_of_shown`.
    """
    wanted = event._data or {}
    box, shrink = _checked(wanted, before.header.size)
    pixels = [picture.rgb for picture in (part_of(before, box), after(box))]
    urls = [as_url(in_its_colours(before, _shrunk(each, shrink), box)) for each in pixels]
    down, across = box
    where = {"left": across.start, "top": down.start}
    size = {"width": across.stop - across.start, "height": down.stop - down.start}
    asked_for = {"shrink": shrink, "version": str(wanted.get("version", ""))[:32]}
    return {**where, **size, **asked_for, "before": urls[0], "after": urls[1]}


def _checked(wanted: dict[str, Any], size: tuple[int, int]) -> tuple[Box, int]:
    """The part that lies in the picture, of no more pixels than are sent at once."""

    def number(name: str, low: int, high: int) -> int:
        try:
            return min(max(int(wanted.get(name, low)), low), high)
        except (TypeError, ValueError, OverflowError):
            return low

    left, top = number("left", 0, size[0] - 1), number("top", 0, size[1] - 1)
    width, height = number("width", 1, size[0] - left), number("height", 1, size[1] - top)
    shrink = max(number("shrink", 1, max(size)), -int(-((width * height / PART) ** 0.5) // 1))
    return (slice(top, top + height), slice(left, left + width)), shrink


def _shrunk(pixels: FloatImage, times: int) -> FloatImage:
    """(H, W, 3) made so many times smaller by the means of squares."""
    if times == 1:
        return pixels
    channels = [Image.fromarray(np.ascontiguousarray(pixels[..., index])).reduce(times) for index in range(3)]
    return np.dstack([np.asarray(channel) for channel in channels])
