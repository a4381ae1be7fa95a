"""Values in proportion to light, as raw files are developed to, and the colour space of screens, sRGB.

A network that knows photographs sees shadows and lights in their usual proportion in sRGB alone: in linear values most
of a picture is nearly black. The curve is that of IEC 61966-2-1.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]

_STRIP = 256  # rows at a time
# Columns of the matrix from sRGB to the D50 white of profiles (Bradford), as the profiles of sRGB have them.
_PRIMARIES = {"rXYZ": (0.4360, 0.2225, 0.0139), "gXYZ": (0.3851, 0.7169, 0.0971), "bXYZ": (0.1431, 0.0606, 0.7141)}
_D50 = (0.9642, 1.0, 0.8249)


def srgb_from_linear(linear: Samples, white: float = 1.0) -> NDArray[np.float32]:
    """(H, W, C) linear values from 0 up to `white`, of any dtype, in the curve of sRGB with white at 1."""
    encoded = np.empty(linear.shape, np.float32)
    for top in range(0, len(linear), _STRIP):
        rows = linear[top : top + _STRIP].astype(np.float32) / np.float32(white)
        curve = 1.055 * np.maximum(rows, 1e-9) ** np.float32(1 / 2.4) - 0.055
        encoded[top : top + _STRIP] = np.where(rows <= 0.0031308, 12.92 * rows, curve)
    return encoded


def linear_from_srgb(encoded: Samples) -> NDArray[np.float32]:
    """The way back."""
    linear = np.empty(encoded.shape, np.float32)
    for top in range(0, len(encoded), _STRIP):
        rows = encoded[top : top + _STRIP].astype(np.float32)
        curve = ((np.maximum(rows, 0) + 0.055) / 1.055) ** np.float32(2.4)
        linear[top : top + _STRIP] = np.where(rows <= 0.04045, rows / 12.92, curve)
    return linear


def linear_profile() -> bytes:
    """An ICC profile (version 2.4) of linear values with the primaries of sRGB: without one they are shown too dark."""
    text = b"Linear sRGB"
    tags = {
        "desc": b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 8 + 3 + 67),
        "cprt": b"text" + bytes(4) + b"No copyright\0",
        "wtpt": _xyz(_D50),
        **{name: _xyz(value) for name, value in _PRIMARIES.items()},
        **{name: b"curv" + bytes(8) for name in ("rTRC", "gTRC", "bTRC")},  # no entries: the identity
    }
    place = 128 + 4 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name.encode() + struct.pack(">II", place + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    size = place + len(content)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    rest = b"acsp" + bytes(28) + _fixed(_D50)
    return (head + date + rest).ljust(128, b"\0") + table + content


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _fixed(values: tuple[float, float, float]) -> bytes:
    return struct.pack(">3i", *(round(value * 65536) for value in values))
