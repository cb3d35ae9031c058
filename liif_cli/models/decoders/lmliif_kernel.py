"""LM-LIIF's query, written for numba: code by code, with the modulations folded into matrices.

For each LR code the output pixels of which it is a member are a run of rows times a run of columns.
They are taken in blocks of ``BLOCK`` pixels, whole rows of the run where they fit, laid out so that
a vector register holds pixels. Widths are padded to a multiple of ``LANES`` with zeros, which
changes no result.

``query`` takes pointers, returns nothing, raises nothing and allocates nothing, so that its machine
code needs nothing of numba when it runs: ``liif_cli.models.machine_code`` keeps it between runs.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from liif_cli.models.machine_code import Compiled
from liif_cli.models.vectors import (
    CONTRACT,
    REGISTERS,
    VECTOR,
    array,
    behind,
    compile_kernel,
    everywhere,
    inlined,
    plus,
    rectified,
    spread,
    vector_at,
)

BLOCK = 128
"""Pixels of a block: two layers' values and the folded matrices stay in the first-level cache."""

_FAST = {"contract", "nsz", "arcp"}
_inlined = inlined(_FAST)


def compiled(kind: str) -> Compiled:
    """Compiles ``query`` for numbers of that kind, "float32" or "float64"."""
    numbers, indices = types.CPointer(getattr(types, kind)), types.CPointer(types.int64)
    arguments = (indices, numbers, numbers, indices, numbers, indices, numbers, numbers, numbers)
    return compile_kernel(query, arguments, _FAST)


_SUMS = REGISTERS // 2
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
            context.make_array(kind)(context, builder, value=given).data
            for kind, given in zip(signature.args[:4], args[:4], strict=True)
        )
        output, pixel, width = args[4:]
        number = context.get_data_type(signature.args[0].dtype)
        vector = ir.VectorType(number, VECTOR)
        # arrays are aligned to their numbers only
        align = context.get_abi_sizeof(number)

        def place(base, line, column):
            index = builder.add(builder.mul(line, ir.Constant(line.type, BLOCK)), column)
            return vector_at(builder, base, index)

        lines = [plus(builder, output, number) for number in range(outputs)]
        columns = [plus(builder, pixel, number * VECTOR) for number in range(vectors)]
        # LLVM moves these from the stack to registers
        sums = [[cgutils.alloca_once(builder, vector) for _ in columns] for _ in lines]
        for line, of_line in zip(lines, sums, strict=True):
            start = spread(builder, bias, line)
            for total in of_line:
                builder.store(start, total)
        with cgutils.for_range(builder, width) as loop:
            read = [builder.load(place(values, loop.index, at), align=align) for at in columns]
            for line, of_line in zip(lines, sums, strict=True):
                factor = spread(builder, weight, builder.add(builder.mul(line, width), loop.index))
                for value, total in zip(read, of_line, strict=True):
                    product = builder.fmul(factor, value, flags=CONTRACT)
                    added = builder.fadd(builder.load(total), product, flags=CONTRACT)
                    builder.store(added, total)
        for line, of_line in zip(lines, sums, strict=True):
            for at, total in zip(columns, of_line, strict=True):
                answer = builder.load(total)
                if rectify:
                    answer = rectified(builder, answer)
                builder.store(answer, place(result, line, at), align=align)
        return context.get_dummy_value()

    return tile


_FULL_TILE, _HALF_TILE, _QUARTER_TILE = _tile(4, FULL), _tile(8, HALF), _tile(16, QUARTER)
_LAST_TILE, _LAST_VECTOR = _tile(4, FULL, rectify=False), _tile(4, 1, rectify=False)


@_inlined
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


@_inlined
def _last_layer(weight, bias, values, result, padded, count):
    """The same for the 3 colours and a fourth row that means nothing, without ReLU."""
    pixel = 0
    while count - pixel > VECTOR:
        _LAST_TILE(weight, bias, values, result, 0, pixel, padded)
        pixel += FULL * VECTOR
    if pixel < count:
        _LAST_VECTOR(weight, bias, values, result, 0, pixel, padded)


@intrinsic
def _scale(context, source, factor, target, count):
    """target[i] = factor source[i], for i < ``count``, a multiple of ``VECTOR``."""

    def generate(context, builder, signature, args):
        source, factor, target, count = args
        align = context.get_abi_sizeof(factor.type)
        factors = everywhere(builder, factor)
        step = count.type(VECTOR)
        with cgutils.for_range_slice(builder, count.type(0), count, step) as (index, _):
            value = builder.load(vector_at(builder, source, index), align=align)
            place = vector_at(builder, target, index)
            builder.store(builder.fmul(factors, value), place, align=align)
        return context.get_dummy_value()

    return types.void(source, source.dtype, target, count), generate


@intrinsic
def _add_products(context, matrix, factors, target, rows, columns):
    """target[o] += sum over i < ``rows`` of factors[i] matrix[i, o], in that order.

    ``columns`` is a multiple of ``VECTOR``.
    """

    def generate(context, builder, signature, args):
        matrix, factors, target, rows, columns = args
        align = context.get_abi_sizeof(target.type.pointee)
        step = columns.type(VECTOR)
        with cgutils.for_range_slice(builder, columns.type(0), columns, step) as (column, _):
            place = vector_at(builder, target, column)
            total = cgutils.alloca_once_value(builder, builder.load(place, align=align))
            with cgutils.for_range(builder, rows) as loop:
                index = builder.add(builder.mul(loop.index, columns), column)
                value = builder.load(vector_at(builder, matrix, index), align=align)
                factor = spread(builder, factors, loop.index)
                product = builder.fmul(factor, value, flags=CONTRACT)
                added = builder.fadd(builder.load(total), product, flags=CONTRACT)
                builder.store(added, total)
            builder.store(builder.load(total), place, align=align)
        return context.get_dummy_value()

    return types.void(matrix, factors, target, rows, columns), generate


@intrinsic
def _first_layer(context, start, of_y, of_x, rel_y, rel_x, values, width, count):
    """values[o, p] = relu(start[o] + of_y[o] rel_y[p] + of_x[o] rel_x[p]), by whole vectors of p.

    All are pointers; values (width, BLOCK).
    """

    def generate(context, builder, signature, args):
        start, of_y, of_x, rel_y, rel_x, values, width, count = args
        align = context.get_abi_sizeof(values.type.pointee)
        step = count.type(VECTOR)
        with cgutils.for_range_slice(builder, count.type(0), count, step) as (pixel, _):
            y, x = (
                builder.load(vector_at(builder, base, pixel), align=align)
                for base in (rel_y, rel_x)
            )
            with cgutils.for_range(builder, width) as loop:
                total = spread(builder, start, loop.index)
                for base, value in ((of_y, y), (of_x, x)):
                    factor = spread(builder, base, loop.index)
                    product = builder.fmul(factor, value, flags=CONTRACT)
                    total = builder.fadd(total, product, flags=CONTRACT)
                index = builder.add(builder.mul(loop.index, width.type(BLOCK)), pixel)
                place = vector_at(builder, values, index)
                builder.store(rectified(builder, total), place, align=align)
        return context.get_dummy_value()

    return types.void(start, of_y, of_x, rel_y, rel_x, values, width, count), generate


@_inlined
def _spread(row_rel, col_rel, rel_y, rel_x):
    """Relative coordinates of a block's pixels, row by row."""
    for row in range(len(row_rel)):
        at = row * len(col_rel)
        for col in range(len(col_rel)):
            rel_y[at + col] = row_rel[row]
            rel_x[at + col] = col_rel[col]


@_inlined
def _add(colours, row_weight, col_weight, out):
    """Add a block's colours (4, BLOCK) to its pixels (rows, columns, 3), weighted."""
    for row in range(len(row_weight)):
        at = row * len(col_weight)
        for col in range(len(col_weight)):
            weight = row_weight[row] * col_weight[col]
            out[row, col, 0] += weight * colours[0, at + col]
            out[row, col, 1] += weight * colours[1, at + col]
            out[row, col, 2] += weight * colours[2, at + col]


def query(
    sizes, modulation_at, weights_at,
    row_runs_at, row_pairs_at, col_runs_at, col_pairs_at,
    space_at, out_at,
):  # fmt: skip
    """Add the weighted colours of a band of codes to a tile.

    Args:
        sizes: of the modulation (height, width, channels); of the short code, a layer, a layer
            padded, layers; runs and pairs of rows, of columns; of the tile (height, width).
        modulation_at: (height, width, channels).
        weights_at: of the short code (code, padded), of rel (width, 2), the first bias (width),
            hidden (depth - 1, padded, padded), their biases (depth - 1, padded), last (4, padded),
            its bias (4), behind each other.
        row_runs_at: first pair, the last's successor, code and first index of each run (4, runs).
        row_pairs_at: relative coordinate and weight of each pair (2, pairs).
        col_runs_at: the same of columns.
        col_pairs_at: the same of columns.
        space_at: zeros, ``space`` of them.
        out_at: the tile (height, width, 3), added to.
    """
    height, across_codes, channels, code, width, padded, depth = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]
    )  # fmt: skip
    modulation = array(modulation_at, (height, across_codes, channels))
    at = code * padded
    of_rel = array(behind(weights_at, at), (width, 2))
    at += width * 2
    bias = array(behind(weights_at, at), (width,))
    at += width
    hidden_at = behind(weights_at, at)
    at += (depth - 1) * padded * padded
    biases = array(behind(weights_at, at), (depth - 1, padded))
    at += (depth - 1) * padded
    last = array(behind(weights_at, at), (4, padded))
    at += 4 * padded
    last_bias = array(behind(weights_at, at), (4,))

    row_runs, row_pairs = array(row_runs_at, (4, sizes[7])), array(row_pairs_at, (2, sizes[8]))
    col_runs, col_pairs = array(col_runs_at, (4, sizes[9])), array(col_pairs_at, (2, sizes[10]))
    row_rel, row_weight, col_rel, col_weight = (
        row_pairs[0],
        row_pairs[1],
        col_pairs[0],
        col_pairs[1],
    )
    out = array(out_at, (sizes[11], sizes[12], 3))

    # the padding of all stays zero
    folded = array(space_at, (depth - 1, padded, padded))
    at = (depth - 1) * padded * padded
    shifted = array(behind(space_at, at), (depth - 1, padded))
    at += (depth - 1) * padded
    values_at = behind(space_at, at)
    values = array(values_at, (padded, BLOCK))
    at += padded * BLOCK
    other = array(behind(space_at, at), (padded, BLOCK))
    at += padded * BLOCK
    colours = array(behind(space_at, at), (4, BLOCK))
    at += 4 * BLOCK
    rel_y_at, rel_x_at = behind(space_at, at), behind(space_at, at + BLOCK)
    rel_y, rel_x = array(rel_y_at, (BLOCK,)), array(rel_x_at, (BLOCK,))
    at += 2 * BLOCK
    of_y_at, of_x_at = behind(space_at, at), behind(space_at, at + width)
    of_y, of_x = array(of_y_at, (width,)), array(of_x_at, (width,))
    start_at = behind(space_at, at + 2 * width)
    start = array(start_at, (padded,))

    # of the arrays' type: a number of Python's would make all that it touches float64
    one = bias.dtype.type(1)
    for a in range(row_runs.shape[1]):
        row_start, row_stop = row_runs[0, a], row_runs[1, a]
        for b in range(col_runs.shape[1]):
            col_start, col_stop = col_runs[0, b], col_runs[1, b]
            m = modulation[row_runs[2, a], col_runs[2, b]]
            for o in range(width):
                start[o] = bias[o]
            code_at = (row_runs[2, a] * across_codes + col_runs[2, b]) * channels
            _add_products(weights_at, behind(modulation_at, code_at), start_at, code, padded)
            for o in range(width):
                scale = one + m[code + o]
                start[o] = scale * start[o] + m[code + depth * width + o]
                of_y[o] = scale * of_rel[o, 0]
                of_x[o] = scale * of_rel[o, 1]
            for layer in range(depth - 1):
                at = code + (layer + 1) * width
                for o in range(width):
                    scale = one + m[at + o]
                    line = (layer * padded + o) * padded
                    _scale(behind(hidden_at, line), scale, behind(space_at, line), padded)
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
                    _first_layer(
                        start_at, of_y_at, of_x_at, rel_y_at, rel_x_at, values_at, width, count
                    )
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
                    top = row_runs[3, a] + row - row_start
                    left = col_runs[3, b] + col - col_start
                    _add(
                        colours,
                        row_weight[row : row + lines],
                        col_weight[col : col + length],
                        out[top : top + lines, left : left + length],
                    )
