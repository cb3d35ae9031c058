"""The body of EDSR, written for numba: Winograd convolutions, depth first.

Each 3 x 3 convolution is F(2 x 2, 3 x 3) of Lavin and Gray (Fast Algorithms for Convolutional
Neural Networks, CVPR 2016, arXiv 1509.09308, section 4.1): of a tile of 2 x 2 pixels, 4 x 4 inputs
d are transformed to B^T d B, multiplied place by place with the transformed weights and added up
over the channels, which is a product of matrices for each of the 16 places, and transformed back to
A^T m A. That takes 16 products per tile, channel in and channel out, where 36 would be needed.

All layers run together: a few rows go in at the top, and each layer computes those rows of its own
that its inputs complete, so that rows are in the cache when they are read again. A layer's input is
a ring of rows with a column of zeros on either side. Tiles begin at even rows and columns of the
image, so that results do not depend on how many rows go in at once.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from liif_cli.models.machine_code import Compiled
from liif_cli.models.vectors import (
    CONTRACT,
    REGISTERS,
    VECTOR,
    behind,
    compile_kernel,
    inlined,
    plus,
    rectified,
    spread,
    vector_at,
)

BLOCK = 48
"""Tiles that are transformed before they are multiplied: both stay in the second-level cache."""
DEPTH = 32
"""Channels in that are added up in registers; their number is a multiple of it."""
ACROSS = 2
"""Vectors of channels out that are added up in registers."""
DOWN = 12 if REGISTERS == 32 else 6
"""Tiles that are: with two vectors of weights and one number, their sums fill the registers."""
PAD = 16
"""Numbers between the 16 matrices of a block: else they would share places of the cache."""
_ALIGN = 4

_inlined = inlined()


def compiled(kind: str) -> Compiled:
    """Compiles ``add_body`` for numbers of that kind, "float32"."""
    numbers, indices = types.CPointer(getattr(types, kind)), types.CPointer(types.int64)
    return compile_kernel(add_body, (indices, indices, numbers, numbers, numbers))


def _four(builder, base, index, step):
    """LLVM: four vectors, ``step`` numbers from each other."""
    vectors = []
    for _ in range(4):
        vectors.append(builder.load(vector_at(builder, base, index), align=_ALIGN))
        index = builder.add(index, step)
    return vectors


@intrinsic
def _at(context, pointer, index):
    """The number there."""

    def generate(context, builder, signature, args):
        return builder.load(builder.gep(args[0], [args[1]]))

    return pointer.dtype(pointer, index), generate


@intrinsic
def _put(context, pointer, index, value):
    """Set the number there."""

    def generate(context, builder, signature, args):
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(pointer, index, pointer.dtype), generate


@intrinsic
def _copy(context, source, target, count):
    """Copy numbers, a multiple of ``VECTOR``."""

    def generate(context, builder, signature, args):
        source, target, count = args
        step = ir.Constant(count.type, VECTOR)
        with cgutils.for_range_slice(builder, step.type(0), count, step) as (index, _):
            vector = builder.load(vector_at(builder, source, index), align=_ALIGN)
            builder.store(vector, vector_at(builder, target, index), align=_ALIGN)
        return context.get_dummy_value()

    return types.void(source, target, count), generate


@intrinsic
def _transform(context, source, rows, target, stride, channels):
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
                _four(builder, source, builder.add(start, channel), channels) for start in starts
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
                    builder.store(value, vector_at(builder, target, index), align=_ALIGN)
                    index = builder.add(index, stride)
        return context.get_dummy_value()

    return types.void(source, rows, target, stride, channels), generate


@intrinsic
def _multiply(context, values, weights, result, begin, channels):
    """result[t, o] = (0 or result[t, o]) + sum over c < DEPTH of values[t, c] weights[c, o].

    For ``DOWN`` tiles t and ``ACROSS`` vectors of channels out, whose sums stay in registers (Goto,
    van de Geijn: Anatomy of high-performance matrix multiplication, 2008). values (.., DEPTH),
    weights (DEPTH, ACROSS * VECTOR), result (.., channels); ``begin`` says that sums begin at 0.
    """

    def generate(context, builder, signature, args):
        values, weights, result, begin, channels = args
        vector = ir.VectorType(values.type.pointee, VECTOR)
        zero = ir.Constant(vector, [0.0] * VECTOR)

        def constant(number):
            return ir.Constant(channels.type, number)

        places = [
            vector_at(
                builder,
                result,
                plus(builder, builder.mul(channels, constant(tile)), across * VECTOR),
            )
            for tile in range(DOWN)
            for across in range(ACROSS)
        ]
        # LLVM moves these from the stack to registers
        sums = [cgutils.alloca_once_value(builder, zero) for _ in places]
        with builder.if_then(builder.not_(begin)):
            for total, place in zip(sums, places, strict=True):
                builder.store(builder.load(place, align=_ALIGN), total)
        with cgutils.for_range(builder, constant(DEPTH)) as loop:
            row = builder.mul(loop.index, constant(ACROSS * VECTOR))
            read = [
                builder.load(
                    vector_at(builder, weights, plus(builder, row, across * VECTOR)), align=_ALIGN
                )
                for across in range(ACROSS)
            ]
            for tile in range(DOWN):
                value = spread(builder, values, plus(builder, loop.index, tile * DEPTH))
                for across, weight in enumerate(read):
                    total = sums[tile * ACROSS + across]
                    product = builder.fmul(value, weight, flags=CONTRACT)
                    added = builder.fadd(builder.load(total), product, flags=CONTRACT)
                    builder.store(added, total)
        for total, place in zip(sums, places, strict=True):
            builder.store(builder.load(total), place, align=_ALIGN)
        return context.get_dummy_value()

    return types.void(values, weights, result, begin, channels), generate


def _finished(adds):
    """The function of compiled code

        finish(products, stride, bias, others, others_at, target, target_at, channels, both)

    that sets a tile of 2 x 2 pixels to A^T m A + bias: rectified, or where it ``adds`` with those
    of ``others``. Rows begin at ``others_at`` and ``target_at``, both pairs; ``both``: the tile has
    two columns. Of a tile with one row, both are the same place, and the first row stays there.
    """

    @intrinsic
    def finish(
        context, products, stride, bias, others, others_at, target, target_at, channels, both
    ):
        signature = types.void(
            products, stride, bias, others, others_at, target, target_at, channels, both
        )
        return signature, generate

    def generate(context, builder, signature, args):
        products, stride, bias, others, others_at, target, target_at, channels, both = args
        add, sub = builder.fadd, builder.fsub
        step = ir.Constant(channels.type, VECTOR)
        with cgutils.for_range_slice(builder, step.type(0), channels, step) as (channel, _):
            rows = [builder.mul(stride, stride.type(4 * row)) for row in range(4)]
            first, second, third, fourth = (
                _four(builder, products, builder.add(channel, row), stride) for row in rows
            )
            of_rows = (
                [add(add(a, b), c) for a, b, c in zip(first, second, third, strict=True)],
                [sub(sub(b, c), d) for b, c, d in zip(second, third, fourth, strict=True)],
            )
            offset = builder.load(vector_at(builder, bias, channel), align=_ALIGN)
            pixels = [
                (add(add(add(a, b), c), offset), add(sub(sub(b, c), d), offset))
                for a, b, c, d in of_rows
            ]
            starts = [builder.add(at, channel) for at in cgutils.unpack_tuple(builder, target_at)]
            others_from = [
                builder.add(at, channel) for at in cgutils.unpack_tuple(builder, others_at)
            ]

            def answer(row, column):
                value = pixels[row][column]
                if not adds:
                    return rectified(builder, value)
                index = others_from[row]
                index = builder.add(index, channels) if column else index
                return add(builder.load(vector_at(builder, others, index), align=_ALIGN), value)

            # all are read before any is written: the places may be the same
            left = [answer(row, 0) for row in range(2)]
            with builder.if_then(both):
                right = [answer(row, 1) for row in range(2)]
                for row in (1, 0):
                    index = builder.add(starts[row], channels)
                    builder.store(right[row], vector_at(builder, target, index), align=_ALIGN)
            for row in (1, 0):
                place = vector_at(builder, target, starts[row])
                builder.store(left[row], place, align=_ALIGN)
        return context.get_dummy_value()

    return finish


_RECTIFY, _ADD = _finished(adds=False), _finished(adds=True)


@_inlined
def _products(values, weights, products, stride, channels, count):
    """The product of matrices for each of the 16 places, of ``count`` tiles."""
    for place in range(16):
        for out in range(0, channels, ACROSS * VECTOR):
            for depth in range(0, channels, DEPTH):
                part = (place * channels + out) * channels + depth * ACROSS * VECTOR
                for tile in range(0, count, DOWN):
                    _multiply(
                        behind(values, place * stride + depth * BLOCK + tile * DEPTH),
                        behind(weights, part),
                        behind(products, place * stride + tile * channels + out),
                        depth == 0,
                        channels,
                    )


def add_body(sizes, done, feat_at, weights_at, space_at):
    """Add the body's result to what went into it.

    Args:
        sizes: height, width, channels, blocks, rows that go in at once (even), rows of a ring.
        done: zeros (2 blocks + 1); rows that each layer has computed.
        feat_at: (height, width, channels), replaced by itself plus the body's result.
        weights_at: of each layer the transformed weights (16, channels / (ACROSS VECTOR), channels,
            ACROSS VECTOR) and the bias (channels), behind each other.
        space_at: zeros, ``space`` of them: a ring of rows for each layer, a row of zeros, and what
            the transforms fill.
    """
    height, width, channels = _at(sizes, 0), _at(sizes, 1), _at(sizes, 2)
    layers, band, ring = 2 * _at(sizes, 3) + 1, _at(sizes, 4), _at(sizes, 5)
    tiles = (width + 1) // 2
    line = (2 * tiles + 2) * channels
    of_layer = (16 * channels + 1) * channels
    stride = BLOCK * channels + PAD
    no_row = layers * ring * line
    values = behind(space_at, no_row + line)
    products = behind(values, 16 * stride)
    fed = 0
    while _at(done, layers - 1) < height:
        for row in range(fed, min(fed + band, height)):
            place = (row % ring) * line + channels
            _copy(
                behind(feat_at, row * width * channels), behind(space_at, place), width * channels
            )
        fed = min(fed + band, height)
        known = fed
        for layer in range(layers):
            weights = behind(weights_at, layer * of_layer)
            bias = behind(weights, of_layer - channels)
            source, target = layer * ring * line, (layer + 1) * ring * line + channels
            first = _at(done, layer)
            # the rows below the image are zeros, and known
            last = min(first + band, height if known == height else (known - 1) // 2 * 2)
            for row in range(first, last, 2):
                below = min(row + 1, height - 1)
                inputs = (
                    source + (row - 1) % ring * line if row else no_row,
                    source + row % ring * line,
                    source + (row + 1) % ring * line if row + 1 < height else no_row,
                    source + (row + 2) % ring * line if row + 2 < height else no_row,
                )
                outputs = (target + row % ring * line, target + below % ring * line)
                # what goes into a block is two rings before what comes out
                others = (outputs[0] - 2 * ring * line, outputs[1] - 2 * ring * line)
                in_feat = (row * width * channels, below * width * channels)
                for start in range(0, tiles, BLOCK):
                    count = min(BLOCK, tiles - start)
                    for tile in range(count):
                        x = 2 * (start + tile) * channels
                        a, b, c, d = inputs
                        starts = (a + x, b + x, c + x, d + x)
                        into = behind(values, tile * DEPTH)
                        _transform(space_at, starts, into, stride, channels)
                    _products(values, weights, products, stride, channels, count)
                    for tile in range(count):
                        x = 2 * (start + tile) * channels
                        both = 2 * (start + tile) + 1 < width
                        m = behind(products, tile * channels)
                        to = (outputs[0] + x, outputs[1] + x)
                        if layer == layers - 1:
                            to = (in_feat[0] + x, in_feat[1] + x)
                            _ADD(m, stride, bias, feat_at, to, feat_at, to, channels, both)
                        elif layer % 2 == 1:
                            of = (others[0] + x, others[1] + x)
                            _ADD(m, stride, bias, space_at, of, space_at, to, channels, both)
                        else:
                            _RECTIFY(m, stride, bias, space_at, to, space_at, to, channels, both)
            last = max(first, last)
            _put(done, layer, last)
            known = last
