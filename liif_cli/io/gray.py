"""Whether an image of three colours is gray: found out once, of the whole image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.base import ImageInfo, Pixels, Source
from liif_cli.io.unpack import BandSource

_ROWS = 512
_WINDOW_BYTES = 16 * 2**20
_PROBE = 64
"""Side of the windows that are looked at first."""


def is_gray(source: Source, *, bands: bool = False) -> bool:
    """Whether all three colours of an image are equal, to the bit, in every pixel.

    Images of one colour, and bands that are not colours, need not be looked at: False. Colour under
    transparent pixels counts. A few small windows come first, so that most colour images are not
    read any further; a gray one is read as a whole, in windows of 16 MiB.

    Args:
        source: an open image; a format without random access keeps what it decoded.
        bands: read it band by band, in the order of the file, keeping nothing: for sources that
            are unpacked later (``io/unpack.py``).

    Raises:
        InputError: the file is damaged, or a float sample is not finite.
    """
    info = source.info
    if info.colours != 3:
        return False
    if bands:
        return all(equal_colours(pixels) for _, pixels in cast(BandSource, source).bands())
    probes = (source.read(window) for window in _probes(info))
    windows = (source.read(window) for window in large_windows(info))
    return all(map(equal_colours, probes)) and all(map(equal_colours, windows))


def equal_colours(pixels: Pixels) -> bool:
    """Whether the first three channels of pixels (h, w, c) are equal."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))


def large_windows(info: ImageInfo) -> TileGrid:
    """Windows of about 16 MiB that cover an image, row by row."""
    across = _WINDOW_BYTES // (_ROWS * info.channels * info.dtype.itemsize)
    return TileGrid(info.height, info.width, _ROWS, max(_ROWS, across))


def _probes(info: ImageInfo) -> Iterator[Window]:
    """The middle, then the middles of the quarters."""
    height, width = min(_PROBE, info.height), min(_PROBE, info.width)
    for row, col in ((2, 2), (1, 1), (1, 3), (3, 1), (3, 3)):
        yield Window(
            (info.height - height) * row // 4, (info.width - width) * col // 4, height, width
        )
