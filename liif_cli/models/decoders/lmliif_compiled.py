"""LM-LIIF's query, compiled by numba: code by code, with the modulations folded into matrices.

For each LR code the output pixels of which it is a member are a run of rows times a run of columns.
They are taken in blocks of ``BLOCK`` pixels, laid out so that a vector register holds pixels; the
folded weights are scalars that stay in registers. Widths are padded to a multiple of ``LANES`` with
zeros, which changes no result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from liif_cli.models.decoders.ensemble import AxisMembers

BLOCK = 128
"""Pixels of a block: two layers' values and the folded matrices stay in the first-level cache."""
LANES = 16
"""Inputs whose weights are held in registers at once."""

_FAST = {"contract", "nsz", "arcp"}
Array = npt.NDArray[Any]


def _compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit with the machine code kept between runs, where there is a folder for it."""

    def compile_lazily(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(nogil=True, fastmath=_FAST, cache=True, **options)(function)
        except RuntimeError:  # no folder that can be written, as in some containers
            return numba.njit(nogil=True, fastmath=_FAST, **options)(function)

    return compile_lazily


def tables(weights: Sequence[Array]) -> tuple[Array, ...]:
    """Weights as the kernel takes them, padded.

    Args:
        weights: of the short code (width, code), of rel (width, 2), the first bias with the cell
            folded in (width,), hidden (depth - 1, width, width) and their biases (depth - 1,
            width), last (3, width) and its bias (3,).
    """
    of_code, of_rel, bias, hidden, biases, last, last_bias = weights
    extra = -len(bias) % LANES
    return (
        np.ascontiguousarray(of_code),
        np.ascontiguousarray(of_rel),
        np.ascontiguousarray(bias),
        np.pad(hidden, ((0, 0), (0, extra), (0, extra))),
        np.pad(biases, ((0, 0), (0, extra))),
        np.pad(last, ((0, 0), (0, extra))),
        np.ascontiguousarray(last_bias),
    )


def add_colours(
    modulation: Array,
    weights: tuple[Array, ...],
    rows: AxisMembers,
    cols: AxisMembers,
    out: Array,
) -> None:
    """Add the weighted colours of a band of codes to a tile.

    Args:
        modulation: (h, w, code + 2 depth width), float32 or float64.
        weights: what ``tables`` gave.
        rows: pairs of output rows and the band's codes.
        cols: pairs of output columns and the band's codes.
        out: (tile height, tile width, 3), added to.
    """
    _query(modulation, *weights, *_runs(rows), *_runs(cols), out)


def _runs(members: AxisMembers) -> tuple[Array, Array, Array, Array, Array]:
    """Of an axis: bounds (runs, 2), codes and first indices of runs; rel and weight of pairs.

    Indices of a run are consecutive, so its first one stands for all.
    """
    runs = members.runs()
    bounds = np.array([(run.start, run.stop) for run in runs], np.int64)
    starts = bounds[:, 0]
    return bounds, members.code[starts], members.rel, members.weight, members.index[starts]


@_compiled(inline="always")
def _layer(weight, bias, values, result, outputs, width, count, rectify):
    """result[o, p] = bias[o] + sum of weight[o, i] values[i, p], rectified if asked."""
    zero = values.dtype.type(0)
    for o in range(outputs):
        for base in range(0, width, LANES):
            w = weight[o, base : base + LANES]
            w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
            w8, w9, w10, w11 = w[8], w[9], w[10], w[11]
            w12, w13, w14, w15 = w[12], w[13], w[14], w[15]
            v = values[base : base + LANES]
            if base == 0:
                b = bias[o]
                for p in range(count):
                    result[o, p] = b
            for p in range(count):
                result[o, p] += (
                    w0 * v[0, p] + w1 * v[1, p] + w2 * v[2, p] + w3 * v[3, p]
                    + w4 * v[4, p] + w5 * v[5, p] + w6 * v[6, p] + w7 * v[7, p]
                    + w8 * v[8, p] + w9 * v[9, p] + w10 * v[10, p] + w11 * v[11, p]
                    + w12 * v[12, p] + w13 * v[13, p] + w14 * v[14, p] + w15 * v[15, p]
                )  # fmt: skip
        if rectify:
            for p in range(count):
                result[o, p] = max(result[o, p], zero)


@_compiled()
def _query(
    modulation, of_code, of_rel, bias, hidden, biases, last, last_bias,
    row_bounds, row_codes, row_rel, row_weight, row_first,
    col_bounds, col_codes, col_rel, col_weight, col_first,
    out,
):  # fmt: skip
    padded, width = last.shape[1], len(bias)
    code = of_code.shape[1]
    depth = len(hidden) + 1
    kind = out.dtype
    zero, one = kind.type(0), kind.type(1)
    of_y, of_x, start = np.empty(width, kind), np.empty(width, kind), np.empty(width, kind)
    folded = np.zeros((max(1, depth - 1), padded, padded), kind)
    shifted = np.zeros((max(1, depth - 1), padded), kind)
    # the padding of both stays zero
    values, other = np.zeros((padded, BLOCK), kind), np.zeros((padded, BLOCK), kind)
    colours = np.empty((3, BLOCK), kind)
    rel_y, rel_x = np.empty(BLOCK, kind), np.empty(BLOCK, kind)
    share = np.empty(BLOCK, kind)
    for a in range(len(row_codes)):
        row_start, row_stop = row_bounds[a, 0], row_bounds[a, 1]
        for b in range(len(col_codes)):
            col_start, col_stop = col_bounds[b, 0], col_bounds[b, 1]
            m = modulation[row_codes[a], col_codes[b]]
            for o in range(width):
                scale = one + m[code + o]
                total = bias[o]
                for i in range(code):
                    total += of_code[o, i] * m[i]
                start[o] = scale * total + m[code + depth * width + o]
                of_y[o] = scale * of_rel[o, 0]
                of_x[o] = scale * of_rel[o, 1]
            for layer in range(depth - 1):
                at = code + (layer + 1) * width
                for o in range(width):
                    scale = one + m[at + o]
                    for i in range(padded):
                        folded[layer, o, i] = scale * hidden[layer, o, i]
                    shifted[layer, o] = scale * biases[layer, o] + m[at + depth * width + o]
            columns = col_stop - col_start
            total_pixels = (row_stop - row_start) * columns
            for first in range(0, total_pixels, BLOCK):
                count = min(BLOCK, total_pixels - first)
                row, col = first // columns, first % columns
                for p in range(count):
                    rel_y[p] = row_rel[row_start + row]
                    rel_x[p] = col_rel[col_start + col]
                    share[p] = row_weight[row_start + row] * col_weight[col_start + col]
                    col += 1
                    if col == columns:
                        row, col = row + 1, 0
                for o in range(width):
                    s, y, x = start[o], of_y[o], of_x[o]
                    for p in range(count):
                        values[o, p] = max(s + y * rel_y[p] + x * rel_x[p], zero)
                for layer in range(depth - 1):
                    if layer % 2 == 0:
                        _layer(
                            folded[layer], shifted[layer], values, other, width, padded, count, True
                        )
                    else:
                        _layer(
                            folded[layer], shifted[layer], other, values, width, padded, count, True
                        )
                if depth % 2 == 1:
                    _layer(last, last_bias, values, colours, 3, padded, count, False)
                else:
                    _layer(last, last_bias, other, colours, 3, padded, count, False)
                row, col = first // columns, first % columns
                for p in range(count):
                    target = out[row_first[a] + row, col_first[b] + col]
                    target[0] += share[p] * colours[0, p]
                    target[1] += share[p] * colours[1, p]
                    target[2] += share[p] * colours[2, p]
                    col += 1
                    if col == columns:
                        row, col = row + 1, 0
