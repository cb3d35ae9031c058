"""LM-LIIF's latent MLP on the codes of a window, written for numba.

Its first layer takes the 3 x 3 codes around each: a convolution, which is Winograd's here. Two rows
of codes go through all layers, ``BLOCK`` tiles of the convolution at a time, so that what a layer
gives is in the second-level cache when the next one reads it. Tiles begin at even rows and columns
of the window, so that results do not depend on which codes are asked for.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from liif_cli.models.machine_code import Compiled
from liif_cli.models.vectors import (
    ALIGN,
    VECTOR,
    behind,
    compile_kernel,
    copy_numbers,
    inlined,
    number_at,
    plus,
    rectified,
    vector_at,
)
from liif_cli.models.winograd import ACROSS, BLOCK, DEPTH, DOWN, PAD
from liif_cli.models.winograd_kernel import (
    add_products,
    multiply,
    multiply_one,
    transform,
    untransformed,
)

COLUMNS = 2 * BLOCK
"""Codes of a row that go through the layers together."""

_inlined = inlined()


def compiled(kind: str) -> Compiled:
    """Compiles ``modulate`` for numbers of that kind, "float32"."""
    numbers, indices = types.CPointer(getattr(types, kind)), types.CPointer(types.int64)
    return compile_kernel(modulate, (indices, numbers, numbers, numbers, numbers))


@intrinsic
def _finish(context, products, stride, bias, target, line, width, channels):
    """Set a tile of 2 x 2 codes to relu(A^T m A + bias).

    Rows of ``target`` are ``line`` numbers from each other, codes ``width``.
    """

    def generate(context, builder, signature, args):
        products, stride, bias, target, line, width, channels = args
        step = channels.type(VECTOR)
        with cgutils.for_range_slice(builder, step.type(0), channels, step) as (channel, _):
            start = channel
            for row in untransformed(builder, products, stride, bias, channel):
                for value, index in zip(row, (start, builder.add(start, width)), strict=True):
                    place = vector_at(builder, target, index)
                    builder.store(rectified(builder, value), place, align=ALIGN)
                start = builder.add(start, line)
        return context.get_dummy_value()

    return types.void(products, stride, bias, target, line, width, channels), generate


def _layer(across: int, rectify: bool) -> Any:
    """The function of compiled code

        layer(values, weights, bias, result, depth, width, count)

    that sets result[t, o] = bias[o] + sum over c < depth of values[t, c] weights[c, o], rectified
    if asked, for ``count`` codes t, ``DOWN`` at most, and ``across`` vectors of outputs. values
    (DOWN, depth), weights (depth, across * VECTOR), result (.., width).
    """

    @intrinsic
    def layer(context, values, weights, bias, result, depth, width, count):
        return types.void(values, weights, bias, result, depth, width, count), generate

    def generate(context, builder, signature, args):
        values, weights, bias, result, depth, width, count = args
        starts = [
            builder.load(vector_at(builder, bias, count.type(number * VECTOR)), align=ALIGN)
            for number in range(across)
        ]
        sums = [cgutils.alloca_once_value(builder, start) for _ in range(DOWN) for start in starts]
        add_products(builder, sums, values, weights, depth, depth, across)
        for tile in range(DOWN):
            there = builder.icmp_signed("<", ir.Constant(count.type, tile), count)
            with builder.if_then(there):
                begin = builder.mul(width, width.type(tile))
                for number in range(across):
                    answer = builder.load(sums[tile * across + number])
                    answer = rectified(builder, answer) if rectify else answer
                    place = vector_at(builder, result, plus(builder, begin, number * VECTOR))
                    builder.store(answer, place, align=ALIGN)
        return context.get_dummy_value()

    return layer


_HIDDEN, _HIDDEN_ONE = _layer(ACROSS, rectify=True), _layer(1, rectify=True)
_LAST, _LAST_ONE = _layer(ACROSS, rectify=False), _layer(1, rectify=False)


@_inlined
def _unfolded(values, weights, products, hidden, stride, channels, width, count):
    """The convolution's outputs of ``count`` tiles, whose inputs are transformed."""
    bias = behind(weights, 16 * channels * width)
    for out in range(0, width, ACROSS * VECTOR):
        whole = out + ACROSS * VECTOR <= width
        outputs = ACROSS * VECTOR if whole else VECTOR
        step = BLOCK * outputs + PAD
        for place in range(16):
            for depth in range(0, channels, DEPTH):
                part = behind(weights, (place * width + out) * channels + depth * outputs)
                for tile in range(0, count, DOWN):
                    into = behind(products, place * step + tile * outputs)
                    of = behind(values, place * stride + depth * BLOCK + tile * DEPTH)
                    if whole:
                        multiply(of, part, into, depth == 0, ACROSS * VECTOR)
                    else:
                        multiply_one(of, part, into, depth == 0, VECTOR)
        for tile in range(count):
            into = behind(hidden, 2 * tile * width + out)
            of = behind(products, tile * outputs)
            _finish(of, step, behind(bias, out), into, COLUMNS * width, width, outputs)


@_inlined
def _connected(values, weights, result, depth, width, count, last):
    """A layer of ``count`` codes: (count, depth) to (count, width)."""
    bias = behind(weights, depth * width)
    for out in range(0, width, ACROSS * VECTOR):
        part, start = behind(weights, depth * out), behind(bias, out)
        for code in range(0, count, DOWN):
            of, into = behind(values, code * depth), behind(result, code * width + out)
            left = min(DOWN, count - code)
            if out + ACROSS * VECTOR <= width:
                if last:
                    _LAST(of, part, start, into, depth, width, left)
                else:
                    _HIDDEN(of, part, start, into, depth, width, left)
            elif last:
                _LAST_ONE(of, part, start, into, depth, width, left)
            else:
                _HIDDEN_ONE(of, part, start, into, depth, width, left)


def modulate(sizes, feat_at, weights_at, space_at, result_at):
    """Set the latent MLP's result for a rectangle of codes.

    Args:
        sizes: height, width, channels of feat; top, bottom, left, right of the codes; the number
            of layers, and the width of each.
        feat_at: (height, width, channels).
        weights_at: the first layer's transformed weights and its bias, then those of each of the
            others and its bias, as ``winograd.in_columns`` lays them out, behind each other.
        space_at: zeros: a ring of four rows of feat, a row of zeros, what the transforms fill, and
            twice what a layer gives.
        result_at: (bottom - top, right - left, width of the last layer).
    """
    height, width, channels = number_at(sizes, 0), number_at(sizes, 1), number_at(sizes, 2)
    top, bottom = number_at(sizes, 3), number_at(sizes, 4)
    left, right = number_at(sizes, 5), number_at(sizes, 6)
    layers = number_at(sizes, 7)
    hidden_width = number_at(sizes, 8)
    widest = hidden_width
    for layer in range(1, layers - 1):
        widest = max(widest, number_at(sizes, 8 + layer))
    answers = number_at(sizes, 7 + layers)
    first_tile, tiles = left // 2, (right + 1) // 2 - left // 2
    line = (2 * tiles + 2) * channels
    stride = BLOCK * channels + PAD
    no_row = 4 * line
    values = behind(space_at, no_row + line)
    products = behind(values, 16 * stride)
    buffer = behind(products, 16 * (BLOCK * ACROSS * VECTOR + PAD))
    other = behind(buffer, (2 * COLUMNS + DOWN) * widest)
    from_column = max(0, 2 * first_tile - 1)
    columns = min(width, 2 * (first_tile + tiles) + 1) - from_column
    read_at = (from_column - 2 * first_tile + 1) * channels
    read = max(0, top // 2 * 2 - 1)
    for row in range(top // 2 * 2, bottom, 2):
        while read < min(row + 3, height):
            copy_numbers(
                behind(feat_at, (read * width + from_column) * channels),
                behind(space_at, read % 4 * line + read_at),
                columns * channels,
            )
            read += 1
        inputs = (
            (row - 1) % 4 * line if row else no_row,
            row % 4 * line,
            (row + 1) % 4 * line if row + 1 < height else no_row,
            (row + 2) % 4 * line if row + 2 < height else no_row,
        )
        for start in range(0, tiles, BLOCK):
            count = min(BLOCK, tiles - start)
            for tile in range(count):
                x = 2 * (start + tile) * channels
                a, b, c, d = inputs
                into = behind(values, tile * DEPTH)
                transform(space_at, (a + x, b + x, c + x, d + x), into, stride, channels)
            _unfolded(values, weights_at, products, buffer, stride, channels, hidden_width, count)
            begin = 2 * (first_tile + start)
            from_code, to_code = max(left, begin), min(right, begin + 2 * count)
            for y in range(max(top, row), min(bottom, row + 2)):
                weights = behind(weights_at, (16 * channels + 1) * hidden_width)
                depth = hidden_width
                where = (y - row) * COLUMNS + from_code - begin
                of, into = behind(buffer, where * depth), other
                for layer in range(1, layers - 1):
                    outputs = number_at(sizes, 8 + layer)
                    _connected(of, weights, into, depth, outputs, to_code - from_code, False)
                    weights = behind(weights, (depth + 1) * outputs)
                    depth = outputs
                    of = into
                    into = behind(other, COLUMNS * widest if layer % 2 else 0)
                into = behind(result_at, ((y - top) * (right - left) + from_code - left) * answers)
                _connected(of, weights, into, depth, answers, to_code - from_code, True)
