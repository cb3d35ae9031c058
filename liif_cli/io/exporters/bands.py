"""How finished pixels are walked through: in bands of rows that fit a budget."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.base import PixelReader

# rows of a tile store's inner chunk: lower bands would decode the same chunks again
_ROWS = 512
_BAND_BYTES = 32 * 2**20
_MOST_WORKERS = 8


def codec_workers() -> int:
    """Threads for compression: the cores this process may use, 8 at most."""
    if hasattr(os, "sched_getaffinity"):
        return min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
    return min(_MOST_WORKERS, os.cpu_count() or 1)


def pixel_bytes(pixels: PixelReader) -> int:
    """Bytes per pixel."""
    return pixels.channels * np.dtype(pixels.dtype).itemsize


def bands(pixels: PixelReader, budget: int = _BAND_BYTES) -> Iterator[Window]:
    """Windows of the full width from top to bottom, of ``budget`` bytes at most where possible."""
    rows = _ROWS
    while rows > 1 and rows * pixels.width * pixel_bytes(pixels) > budget:
        rows //= 2
    return iter(TileGrid(pixels.height, pixels.width, rows, pixels.width))


def whole(pixels: PixelReader) -> Window:
    """The window of all pixels."""
    return Window.whole(pixels.height, pixels.width)
