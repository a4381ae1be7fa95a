"""Animations: their frames with the time that each is shown, read and written by Pillow."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from PIL import Image

from hf_denoise.imaging.heif import with_colours
from hf_denoise.imaging.png_chunks import with_chunks

MAX_PIXELS = 250_000_000
"""Of all frames together: they are kept in memory until the last."""
_GIF_COLOURS = 256
_ALPHA_FLAG = 0x10


@dataclass
class Timing:
    """When the frames of an animation are shown.

    Attributes:
        durations: of each frame, in milliseconds.
        loop: how often all are shown, 0 for ever; None where the file does not say, which means once.
        still: the first picture is no part of the animation, but what programs show that know none.
    """

    durations: list[float] = field(default_factory=list)
    loop: int | None = None
    still: bool = False


def load_frame(image: Image.Image, number: int) -> Image.Image:
    """A frame as it is seen, with all that earlier ones have left: in RGB or RGBA, or grey."""
    image.seek(number)
    image.load()
    if image.mode in ("L", "RGB", "RGBA"):
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def note_timing(image: Image.Image, timing: Timing) -> None:
    """Add the duration of the frame that was loaded last."""
    if not timing.durations:
        timing.loop = image.info.get("loop")
        timing.still = bool(image.info.get("default_image"))
    timing.durations.append(float(image.info.get("duration") or 0))


def write_animation(
    file: BinaryIO,
    format: str,
    frames: Sequence[Image.Image],
    timing: Timing,
    options: dict[str, Any],
    metadata: dict[str, Any],
    colours: bytes,
) -> None:
    """Write an animation.

    Args:
        file: open for writing.
        format: "GIF", "PNG", "WEBP" or "AVIF".
        frames: of one size, in L, RGB or RGBA.
        timing: of as many frames.
        options: Pillow's, for the compression.
        metadata: as `Picture` has it, of what the format holds.
        colours: of an AVIF, see `with_colours`.
    """
    durations = [*map(round, timing.durations)] if format != "PNG" else list(timing.durations)
    more: dict[str, Any] = {} if timing.loop is None else {"loop": timing.loop}
    if format == "GIF":
        clear = any(frame.mode == "RGBA" for frame in frames)
        frames = [_as_gif(frame) for frame in frames]
        more |= {"disposal": 2 if clear else 1}
    if format == "PNG" and timing.still:
        more |= {"default_image": True}
        durations = durations[1:]
    if format == "PNG" and timing.loop is None:
        more |= {"loop": 1}
    if format == "WEBP":
        more |= {"loop": 1 if timing.loop is None else timing.loop, "background": (0, 0, 0, 0)}
    encoded = io.BytesIO()
    frames[0].save(
        encoded,
        format,
        save_all=True,
        append_images=list(frames[1:]),
        duration=durations,
        **more,
        **options,
        **metadata,
    )
    if format == "PNG":
        for piece in with_chunks(encoded.getbuffer(), metadata):
            file.write(piece)
    elif format == "WEBP":
        file.write(_with_alpha_flag(encoded.getvalue(), any(frame.mode == "RGBA" for frame in frames)))
    else:
        file.write(with_colours(encoded.getvalue(), colours) if format == "AVIF" else encoded.getbuffer())


def _with_alpha_flag(encoded: bytes, clear: bool) -> bytes:
    """A WebP that says that it has alpha: libwebp forgets where what is seen fills a rectangle of every frame."""
    if not clear or encoded[12:16] != b"VP8X":
        return encoded
    return encoded[:20] + bytes([encoded[20] | _ALPHA_FLAG]) + encoded[21:]


def _as_gif(frame: Image.Image) -> Image.Image:
    """A frame in the colours that suit it best, without dithering, which is noise; one of them for what is clear."""
    if frame.mode == "L":
        return frame
    alpha = frame.getchannel("A") if frame.mode == "RGBA" else None
    spare = 0 if alpha is None else 1
    method = Image.Quantize.MEDIANCUT
    image = frame.convert("RGB").quantize(_GIF_COLOURS - spare, method, dither=Image.Dither.NONE)
    if alpha is not None:
        image.paste(_GIF_COLOURS - 1, mask=alpha.point(lambda opacity: 255 * (opacity < 128)))
        image.info["transparency"] = _GIF_COLOURS - 1
    return image
