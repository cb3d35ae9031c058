"""What the numbers of a float image mean: measured once, window by window."""

from __future__ import annotations

import numpy as np

from liif_cli.geometry.grid import TileGrid
from liif_cli.io.base import Source

Range = tuple[float, float]

UNIT: Range = (0.0, 1.0)
_ROWS = 512
_WINDOW_BYTES = 16 * 2**20


def sample_ranges(source: Source) -> tuple[Range, ...]:
    """Black and white, of all colours together or a pair a band; none for whole numbers.

    Whole numbers span their type, whatever values there are. Float samples within [0, 1] are taken
    as they are; others span what the file states, widened by what it holds, or what it holds. Alpha
    is in [0, 1] always. Float images are read as a whole for this, in windows of 16 MiB.

    Raises:
        InputError: the file is damaged, or a float sample is not finite.
    """
    info = source.info
    if info.dtype.kind != "f":
        return ()
    low, high = np.full(info.channels, np.inf), np.full(info.channels, -np.inf)
    across = _WINDOW_BYTES // (_ROWS * info.channels * info.dtype.itemsize)
    for window in TileGrid(info.height, info.width, _ROWS, max(_ROWS, across)):
        pixels = source.read(window)
        low = np.minimum(low, pixels.min(axis=(0, 1)))
        high = np.maximum(high, pixels.max(axis=(0, 1)))
    low, high = low[: info.colours], high[: info.colours]
    if info.colours in (1, 3):
        low, high = low.min(keepdims=True), high.max(keepdims=True)
    return tuple(
        _range(float(a), float(b), info.stated_range) for a, b in zip(low, high, strict=True)
    )


def _range(low: float, high: float, stated: Range | None) -> Range:
    if stated is not None:
        low, high = min(low, stated[0]), max(high, stated[1])
    elif low >= 0 and high <= 1:
        return UNIT
    # a band of one value
    return (low, high) if high > low else (low, low + 1)
