"""What the numbers of a float image mean, and whether it is gray: measured once, by windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liif_cli.io.base import Source
from liif_cli.io.gray import equal_colours, large_windows

Range = tuple[float, float]

UNIT: Range = (0.0, 1.0)


@dataclass(frozen=True)
class Measured:
    """What is known of samples before they are rendered.

    ``ranges``: black and white, of all colours together or a pair a band; none for whole numbers.
    ``gray``: whether three colours are equal everywhere (``io/gray.py``), None where nobody looked.
    """

    ranges: tuple[Range, ...] = ()
    gray: bool | None = None


def measure(source: Source) -> Measured:
    """What a float image's samples span, and whether it is gray; whole numbers are not read.

    Whole numbers span their type, whatever values there are. Float samples within [0, 1] are taken
    as they are; others span what the file states, widened by what it holds, or what it holds. Alpha
    is in [0, 1] always. Float images are read as a whole for this, in windows of 16 MiB.

    Raises:
        InputError: the file is damaged, or a float sample is not finite.
    """
    info = source.info
    if info.dtype.kind != "f":
        return Measured(gray=None if info.colours == 3 else False)
    gray = info.colours == 3
    low, high = np.full(info.channels, np.inf), np.full(info.channels, -np.inf)
    for window in large_windows(info):
        pixels = source.read(window)
        low = np.minimum(low, pixels.min(axis=(0, 1)))
        high = np.maximum(high, pixels.max(axis=(0, 1)))
        gray = gray and equal_colours(pixels)
    low, high = low[: info.colours], high[: info.colours]
    if info.colours in (1, 3):
        low, high = low.min(keepdims=True), high.max(keepdims=True)
    pairs = zip(low, high, strict=True)
    return Measured(tuple(_range(float(a), float(b), info.stated_range) for a, b in pairs), gray)


def _range(low: float, high: float, stated: Range | None) -> Range:
    if stated is not None:
        low, high = min(low, stated[0]), max(high, stated[1])
    elif low >= 0 and high <= 1:
        return UNIT
    # a band of one value
    return (low, high) if high > low else (low, low + 1)
