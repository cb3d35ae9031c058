"""What compiled Winograd convolutions are made of, written for numba: see ``models.winograd``."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from liif_cli.models.vectors import (
    ALIGN,
    CONTRACT,
    VECTOR,
    plus,
    spread,
    vector_at,
)
from liif_cli.models.winograd import ACROSS, BLOCK, DEPTH, DOWN


def four(builder, base, index, step):
    """LLVM: four vectors, ``step`` numbers from each other."""
    vectors = []
    for _ in range(4):
        vectors.append(builder.load(vector_at(builder, base, index), align=ALIGN))
        index = builder.add(index, step)
    return vectors


@intrinsic
def transform(context, source, rows, target, stride, channels):
    """B^T d B of a tile.

    ``rows`` are where its 4 x 4 inputs' rows begin in ``source``. Place k of channel c goes to
    ``target`` at k * stride + (c // DEPTH) * BLOCK * DEPTH + c % DEPTH.
    """

    def generate(context, builder, signature, args):
        source, rows, target, stride, channels = args
        starts = cgutils.unpack_tuple(builder, rows)
        add, sub = builder.fadd, builder.fsub
        step = ir.Constant(channels.type, VECTOR)
        with cgutils.for_range_slice(builder, step.type(0), channels, step) as (channel, _):
            first, second, third, fourth = (
                four(builder, source, builder.add(start, channel), channels) for start in starts
            )
            of_rows = (
                [sub(a, c) for a, c in zip(first, third, strict=True)],
                [add(b, c) for b, c in zip(second, third, strict=True)],
                [sub(c, b) for b, c in zip(second, third, strict=True)],
                [sub(b, d) for b, d in zip(second, fourth, strict=True)],
            )
            depth = ir.Constant(channels.type, DEPTH)
            index = builder.add(
                builder.mul(builder.sdiv(channel, depth), depth.type(BLOCK * DEPTH)),
                builder.srem(channel, depth),
            )
            for a, b, c, d in of_rows:
                for value in (sub(a, c), add(b, c), sub(c, b), sub(b, d)):
                    builder.store(value, vector_at(builder, target, index), align=ALIGN)
                    index = builder.add(index, stride)
        return context.get_dummy_value()

    return types.void(source, rows, target, stride, channels), generate


def add_products(builder, sums, values, weights, depth, stride, across):
    """LLVM: sums[t, o] += sum over c < ``depth`` of values[t, c] weights[c, o].

    Sums stay in registers: each vector of weights that is read serves all rows t, each value all
    vectors (Goto, van de Geijn: Anatomy of high-performance matrix multiplication, 2008).

    Args:
        builder: where it is written.
        sums: variables on the stack, which LLVM moves to registers: ``DOWN`` times ``across``.
        values: (DOWN, ..), rows ``stride`` numbers from each other.
        weights: (depth, across * VECTOR), contiguous.
        depth: a whole number of LLVM's, as ``stride``.
        stride: see ``values``.
        across: vectors of channels out.
    """
    with cgutils.for_range(builder, depth) as loop:
        row = builder.mul(loop.index, depth.type(across * VECTOR))
        read = [
            builder.load(
                vector_at(builder, weights, plus(builder, row, number * VECTOR)), align=ALIGN
            )
            for number in range(across)
        ]
        for tile in range(DOWN):
            index = builder.add(loop.index, builder.mul(stride, stride.type(tile)))
            value = spread(builder, values, index)
            for number, weight in enumerate(read):
                total = sums[tile * across + number]
                product = builder.fmul(value, weight, flags=CONTRACT)
                added = builder.fadd(builder.load(total), product, flags=CONTRACT)
                builder.store(added, total)


def _multiplying(across: int) -> Any:
    """The function of compiled code

        multiply(values, weights, result, begin, stride)

    that sets result[t, o] = (0 or result[t, o]) + sum over c < DEPTH of values[t, c] weights[c, o]
    for ``DOWN`` tiles t and ``across`` vectors of channels out. values (.., DEPTH), weights (DEPTH,
    across * VECTOR), result (.., stride); ``begin`` says that sums begin at 0.
    """

    @intrinsic
    def multiply(context, values, weights, result, begin, stride):
        return types.void(values, weights, result, begin, stride), generate

    def generate(context, builder, signature, args):
        values, weights, result, begin, stride = args
        zero = ir.Constant(ir.VectorType(values.type.pointee, VECTOR), [0.0] * VECTOR)
        places = [
            vector_at(
                builder,
                result,
                plus(builder, builder.mul(stride, stride.type(tile)), number * VECTOR),
            )
            for tile in range(DOWN)
            for number in range(across)
        ]
        sums = [cgutils.alloca_once_value(builder, zero) for _ in places]
        with builder.if_then(builder.not_(begin)):
            for total, place in zip(sums, places, strict=True):
                builder.store(builder.load(place, align=ALIGN), total)
        depth = ir.Constant(stride.type, DEPTH)
        add_products(builder, sums, values, weights, depth, depth, across)
        for total, place in zip(sums, places, strict=True):
            builder.store(builder.load(total), place, align=ALIGN)
        return context.get_dummy_value()

    return multiply


multiply, multiply_one = _multiplying(ACROSS), _multiplying(1)


def untransformed(builder, products, stride, bias, channel):
    """LLVM: A^T m A + bias of a tile, vectors of channels: its 2 rows of 2 columns.

    Place k of the 16 is at products[k * stride + channel]; the bias at bias[channel].
    """
    add, sub = builder.fadd, builder.fsub
    rows = [builder.mul(stride, stride.type(4 * row)) for row in range(4)]
    first, second, third, fourth = (
        four(builder, products, builder.add(channel, row), stride) for row in rows
    )
    of_rows = (
        [add(add(a, b), c) for a, b, c in zip(first, second, third, strict=True)],
        [sub(sub(b, c), d) for b, c, d in zip(second, third, fourth, strict=True)],
    )
    offset = builder.load(vector_at(builder, bias, channel), align=ALIGN)
    return [
        (add(add(add(a, b), c), offset), add(sub(sub(b, c), d), offset)) for a, b, c, d in of_rows
    ]
