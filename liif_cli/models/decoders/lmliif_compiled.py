"""LM-LIIF's query by compiled code: packs arrays for ``lmliif_kernel``.

That module imports numba, and is itself imported only where there is no machine code of it yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from liif_cli.models import machine_code
from liif_cli.models.decoders.ensemble import AxisMembers

LANES = 16
"""Outputs of the kernel's largest tile."""
BLOCK = 128
"""Pixels of the kernel's block."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Tables:
    """Weights as the kernel takes them: behind each other, padded."""

    values: Array
    code: int
    width: int
    padded: int
    depth: int

    @property
    def space(self) -> int:
        """Numbers that the kernel works in."""
        hidden = (self.depth - 1) * self.padded * (self.padded + 1)
        return hidden + (2 * self.padded + 6) * BLOCK + 2 * self.width + self.padded


def tables(weights: Sequence[Array]) -> Tables:
    """Packs weights for the kernel.

    Args:
        weights: of the short code (width, code), of rel (width, 2), the first bias with the cell
            folded in (width,), hidden (depth - 1, width, width) and their biases (depth - 1,
            width), last (3, width) and its bias (3,). All of one type, float32 or float64.
    """
    of_code, of_rel, bias, hidden, biases, last, last_bias = weights
    width = len(bias)
    extra = -width % LANES
    parts = (
        np.pad(of_code.T, ((0, 0), (0, extra))),
        of_rel,
        bias,
        np.pad(hidden, ((0, 0), (0, extra), (0, extra))),
        np.pad(biases, ((0, 0), (0, extra))),
        np.pad(last, ((0, 1), (0, extra))),
        np.pad(last_bias, (0, 1)),
    )
    values = np.concatenate([part.ravel() for part in parts])
    return Tables(values, of_code.shape[1], width, width + extra, len(hidden) + 1)


def add_colours(
    modulation: Array, weights: Tables, rows: PackedAxis, cols: PackedAxis, out: Array
) -> None:
    """Add the weighted colours of a band of codes to a tile.

    Args:
        modulation: (h, w, code + 2 depth width), float32 or float64, contiguous.
        weights: what ``tables`` gave, of that type.
        rows: pairs of output rows and the band's codes.
        cols: pairs of output columns and the band's codes.
        out: (tile height, tile width, 3), of that type, contiguous, added to.

    Raises:
        ValueError: arrays of another type or layout.
    """
    kind = weights.values.dtype
    for array in (modulation, out):
        if array.dtype != kind or not array.flags.c_contiguous:
            raise ValueError(f"got {array.dtype} {array.strides}, expected contiguous {kind}")
    sizes = np.array(
        [
            *modulation.shape,
            weights.code,
            weights.width,
            weights.padded,
            weights.depth,
            rows.runs.shape[1],
            rows.pairs.shape[1],
            cols.runs.shape[1],
            cols.pairs.shape[1],
            *out.shape[:2],
        ],
        np.int64,
    )
    space = machine_code.aligned(weights.space, kind)
    arrays = (
        sizes,
        modulation,
        weights.values,
        rows.runs,
        rows.pairs,
        cols.runs,
        cols.pairs,
        space,
        out,
    )
    kernel(kind.name)(*(array.ctypes.data for array in arrays))


@cache
def kernel(kind: str) -> Any:
    """The compiled query for numbers of that kind, "float32" or "float64"."""
    return machine_code.kernel("liif_cli.models.decoders.lmliif_kernel", kind, 9)


@dataclass(frozen=True)
class PackedAxis:
    """Members of an axis as the kernel takes them.

    Bounds, code and first index of each run (4, runs), int64: indices of a run are consecutive.
    """

    runs: Array
    pairs: Array
    """Rel and weight (2, pairs)."""


def packed_axis(members: AxisMembers, kind: np.dtype[Any]) -> PackedAxis:
    """Packs the members of an axis for the kernel of that type, float32 or float64."""
    starts, stops = members.bounds()
    runs = np.stack([starts, stops, members.code[starts], members.index[starts]])
    return PackedAxis(runs.astype(np.int64), np.stack([members.rel, members.weight]).astype(kind))
