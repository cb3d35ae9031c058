"""LM-LIIF's query, compiled by numba: code by code, with the modulations folded into matrices.

For each LR code the output pixels of which it is a member are a run of rows times a run of columns.
They are taken in blocks of ``BLOCK`` pixels, whole rows of the run where they fit, laid out so that
a vector register holds pixels. Widths are padded to a multiple of ``LANES`` with zeros, which
changes no result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from liif_cli.models.decoders.ensemble import AxisMembers

BLOCK = 128
"""Pixels of a block: two layers' values and the folded matrices stay in the first-level cache."""
LANES = 16
"""Outputs of the largest tile."""

_CONTRACT = ("contract",)
_INDEX = ir.IntType(32)
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
        np.pad(last, ((0, 1), (0, extra))),
        np.pad(last_bias, (0, 1)),
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


def _registers() -> tuple[int, int]:
    """Numbers of float32 in this processor's vector registers, and how many sums they may hold."""
    # of the processor that numba compiles for, which its settings may name
    named = getattr(config, "CPU_FEATURES", None)
    features = (named or binding.get_host_cpu_features().flatten()).split(",")
    if "+avx512f" in features:
        return 16, 16
    if "+avx2" in features:
        return 8, 8
    return 4, 16 if "+neon" in features else 8


VECTOR, _SUMS = _registers()
FULL, HALF, QUARTER = (max(1, _SUMS // outputs) for outputs in (4, 8, 16))
"""Vectors of pixels of the tiles of 4, 8 and 16 outputs."""


def _tile(outputs: int, vectors: int, rectify: bool = True) -> Any:
    """The function of compiled code

        tile(weight, bias, values, result, output, pixel, width)

    that sets result[o, p] = bias[o] + sum over i < width of weight[o, i] values[i, p], rectified if
    asked, for ``outputs`` outputs from ``output`` and ``vectors`` vectors of pixels from ``pixel``.
    All arrays are contiguous: weight (.., width), bias (..,), values and result (.., BLOCK). Sums
    stay in registers over all inputs: each vector of values that is read serves all outputs of the
    tile, each weight all of its vectors (Goto, van de Geijn: Anatomy of high-performance matrix
    multiplication, 2008). Loops of numba would leave them in memory, so this is written in LLVM's
    vector types, of which the compiler makes what the processor has.
    """

    @intrinsic
    def tile(context, weight, bias, values, result, output, pixel, width):
        signature = types.void(weight, bias, values, result, output, pixel, width)
        return signature, generate

    def generate(context, builder, signature, args):
        weight, bias, values, result = (
            context.make_array(kind)(context, builder, value=array).data
            for kind, array in zip(signature.args[:4], args[:4], strict=True)
        )
        output, pixel, width = args[4:]
        number = context.get_data_type(signature.args[0].dtype)
        vector = ir.VectorType(number, VECTOR)
        undefined = ir.Constant(vector, ir.Undefined)
        zeros = ir.Constant(ir.VectorType(_INDEX, VECTOR), [0] * VECTOR)
        # arrays are aligned to their numbers only
        align = context.get_abi_sizeof(number)

        def plus(value, offset):
            return builder.add(value, ir.Constant(value.type, offset))

        def spread(base, index):
            """The number there, in every place of a vector."""
            one = builder.load(builder.gep(base, [index]))
            one = builder.insert_element(undefined, one, ir.Constant(_INDEX, 0))
            return builder.shuffle_vector(one, undefined, zeros)

        def place(base, line, column):
            index = builder.add(builder.mul(line, ir.Constant(line.type, BLOCK)), column)
            return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())

        lines = [plus(output, number) for number in range(outputs)]
        columns = [plus(pixel, number * VECTOR) for number in range(vectors)]
        # LLVM moves these from the stack to registers
        sums = [[cgutils.alloca_once(builder, vector) for _ in columns] for _ in lines]
        for line, of_line in zip(lines, sums, strict=True):
            start = spread(bias, line)
            for total in of_line:
                builder.store(start, total)
        with cgutils.for_range(builder, width) as loop:
            read = [builder.load(place(values, loop.index, at), align=align) for at in columns]
            for line, of_line in zip(lines, sums, strict=True):
                factor = spread(weight, builder.add(builder.mul(line, width), loop.index))
                for value, total in zip(read, of_line, strict=True):
                    product = builder.fmul(factor, value, flags=_CONTRACT)
                    added = builder.fadd(builder.load(total), product, flags=_CONTRACT)
                    builder.store(added, total)
        zero = ir.Constant(vector, [0.0] * VECTOR)
        for line, of_line in zip(lines, sums, strict=True):
            for at, total in zip(columns, of_line, strict=True):
                answer = builder.load(total)
                if rectify:
                    # in this order what is no number stays, as in torch
                    below = builder.fcmp_ordered("<", answer, zero)
                    answer = builder.select(below, zero, answer)
                builder.store(answer, place(result, line, at), align=align)
        return context.get_dummy_value()

    return tile


_FULL_TILE, _HALF_TILE, _QUARTER_TILE = _tile(4, FULL), _tile(8, HALF), _tile(16, QUARTER)
_LAST_TILE, _LAST_VECTOR = _tile(4, FULL, rectify=False), _tile(4, 1, rectify=False)


@_compiled()
def _hidden_layer(weight, bias, values, result, padded, count):
    """result[o, p] = relu(bias[o] + sum of weight[o, i] values[i, p]).

    For whole vectors of pixels: those beyond ``count`` are computed too and mean nothing. Where few
    are left, a tile takes fewer pixels and more outputs, so that as many sums are under way.
    """
    pixel = 0
    while count - pixel > HALF * VECTOR:
        for output in range(0, padded, 4):
            _FULL_TILE(weight, bias, values, result, output, pixel, padded)
        pixel += FULL * VECTOR
    while count - pixel > (HALF - 1) * VECTOR:
        for output in range(0, padded, 8):
            _HALF_TILE(weight, bias, values, result, output, pixel, padded)
        pixel += HALF * VECTOR
    if pixel < count:
        for output in range(0, padded, 16):
            _QUARTER_TILE(weight, bias, values, result, output, pixel, padded)


@_compiled()
def _last_layer(weight, bias, values, result, padded, count):
    """The same for the 3 colours and a fourth row that means nothing, without ReLU."""
    pixel = 0
    while count - pixel > VECTOR:
        _LAST_TILE(weight, bias, values, result, 0, pixel, padded)
        pixel += FULL * VECTOR
    if pixel < count:
        _LAST_VECTOR(weight, bias, values, result, 0, pixel, padded)


@_compiled()
def _spread(row_rel, col_rel, rel_y, rel_x):
    """Relative coordinates of a block's pixels, row by row."""
    for row in range(len(row_rel)):
        at = row * len(col_rel)
        for col in range(len(col_rel)):
            rel_y[at + col] = row_rel[row]
            rel_x[at + col] = col_rel[col]


@_compiled()
def _add(colours, row_weight, col_weight, out):
    """Add a block's colours (4, BLOCK) to its pixels (rows, columns, 3), weighted."""
    for row in range(len(row_weight)):
        at = row * len(col_weight)
        for col in range(len(col_weight)):
            weight = row_weight[row] * col_weight[col]
            out[row, col, 0] += weight * colours[0, at + col]
            out[row, col, 1] += weight * colours[1, at + col]
            out[row, col, 2] += weight * colours[2, at + col]


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
    colours = np.empty((4, BLOCK), kind)
    rel_y, rel_x = np.empty(BLOCK, kind), np.empty(BLOCK, kind)
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
            across = min(columns, BLOCK)
            down = BLOCK // across
            for row in range(row_start, row_stop, down):
                lines = min(down, row_stop - row)
                for col in range(col_start, col_stop, across):
                    length = min(across, col_stop - col)
                    count = lines * length
                    _spread(row_rel[row : row + lines], col_rel[col : col + length], rel_y, rel_x)
                    for o in range(width):
                        s, y, x = start[o], of_y[o], of_x[o]
                        for p in range(count):
                            values[o, p] = max(s + y * rel_y[p] + x * rel_x[p], zero)
                    for layer in range(depth - 1):
                        if layer % 2 == 0:
                            _hidden_layer(
                                folded[layer], shifted[layer], values, other, padded, count
                            )
                        else:
                            _hidden_layer(
                                folded[layer], shifted[layer], other, values, padded, count
                            )
                    if depth % 2 == 1:
                        _last_layer(last, last_bias, values, colours, padded, count)
                    else:
                        _last_layer(last, last_bias, other, colours, padded, count)
                    top, left = row_first[a] + row - row_start, col_first[b] + col - col_start
                    _add(
                        colours,
                        row_weight[row : row + lines],
                        col_weight[col : col + length],
                        out[top : top + lines, left : left + length],
                    )
