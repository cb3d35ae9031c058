"""The quality of a JPEG, from its quantisation tables."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.int64]
"""Quantiser steps (8, 8); row and column are the vertical and the horizontal frequency."""

# ITU-T T.81, table K.1, luminance
_STANDARD: Table = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_ROW, _COL = np.indices((8, 8))
# diagonals, up and down by turns (T.81, figure A.6)
_ZIGZAG = np.lexsort((np.where((_ROW + _COL) % 2, _ROW, _COL).ravel(), (_ROW + _COL).ravel()))
_BYTE, _WORD = 255, 32767
# mean magnitudes of the DCT of photos in levels of 8 bits, fitted to 26 of them (decisions/0012)
_MAGNITUDE, _FALL = 57.5, 1.25
_FAR = 60.0


def read_tables(segment: bytes) -> dict[int, Table]:
    """Tables of a DQT segment (without its marker and length) by their destination, 0 to 3.

    Raises:
        ValueError: the segment is too short, or says something that no table can.
    """
    tables: dict[int, Table] = {}
    at = 0
    while at < len(segment):
        words, destination = segment[at] >> 4, segment[at] & 15
        if words > 1 or destination > 3:
            raise ValueError(f"a quantisation table of kind {segment[at]:#04x}")
        kind: Any = ">u2" if words else "u1"
        table = np.empty(64, np.int64)
        table[_ZIGZAG] = np.frombuffer(segment, kind, 64, at + 1)
        tables[destination] = table.reshape(8, 8)
        at += 1 + 64 * (1 + words)
    return tables


def standard_table(quality: int, most: int = _BYTE) -> Table:
    """The luminance table of libjpeg at a quality of 1 to 100; no step is above ``most``.

    As jpeg_quality_scaling and jpeg_add_quant_table in libjpeg's jcparam.c.
    """
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    table: Table = ((_STANDARD * scale + 50) // 100).clip(1, most)
    return table


def expected_loss(table: Table) -> float:
    """The mean squared error that a table costs a photo, in levels of 8 bits.

    Every frequency (row, col) but the mean, (0, 0), is taken to be Laplacian with a mean magnitude
    of 57.5 / (row^2 + col^2)^(1.25 / 2), and is rounded to whole steps. The mean is wide against
    any step, and costs a twelfth of the step's square.
    """
    radius = np.hypot(_ROW, _COL).ravel()[1:]
    rate = radius**_FALL / _MAGNITUDE
    steps = np.maximum(table, 1).astype(np.float64).ravel()
    # far beyond any magnitude nothing more is lost, and the exponentials below overflow
    step = np.minimum(steps[1:], _FAR / rate)

    def integral(x: Any) -> Any:
        # the antiderivative of x^2 rate exp(-rate x)
        return -(x**2 + 2 * x / rate + 2 / rate**2) * np.exp(-rate * x)

    half = step / 2
    in_zero = integral(half) - integral(0.0)
    in_others = (integral(half) - integral(-half)) / np.expm1(rate * step)
    return float((in_zero + in_others).sum() + steps[0] ** 2 / 12) / 64


@cache
def _standard_losses(most: int) -> npt.NDArray[np.float64]:
    """Logarithms of the losses of qualities 1 to 100."""
    return np.log([expected_loss(standard_table(quality, most)) for quality in range(1, 101)])


def quality_of(table: Table) -> int:
    """The quality, 1 to 100, at which libjpeg's luminance table costs as much as this one.

    Of libjpeg's own tables it is the quality that made them.
    """
    # libjpeg goes beyond bytes only where it need not write a baseline JPEG
    most = _BYTE if table.max() <= _BYTE else _WORD
    distance = np.abs(_standard_losses(most) - np.log(expected_loss(table)))
    return 1 + int(np.argmin(distance))
