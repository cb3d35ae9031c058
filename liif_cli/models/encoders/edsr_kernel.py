"""The body of EDSR, written for numba: Winograd convolutions, depth first.

All layers run together: a few rows go in at the top, and each layer computes those rows of its own
that its inputs complete, so that rows are in the cache when they are read again. A layer's input is
a ring of rows with a column of zeros on either side. Tiles begin at even rows and columns of the
image, so that results do not depend on how many rows go in at once.
"""

from __future__ import annotations

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
    put_number,
    rectified,
    vector_at,
)
from liif_cli.models.winograd import ACROSS, BLOCK, DEPTH, DOWN, PAD
from liif_cli.models.winograd_kernel import multiply, transform, untransformed

_inlined = inlined()


def compiled(kind: str) -> Compiled:
    """Compiles ``add_body`` for numbers of that kind, "float32"."""
    numbers, indices = types.CPointer(getattr(types, kind)), types.CPointer(types.int64)
    return compile_kernel(add_body, (indices, indices, numbers, numbers, numbers))


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
        step = channels.type(VECTOR)
        with cgutils.for_range_slice(builder, step.type(0), channels, step) as (channel, _):
            pixels = untransformed(builder, products, stride, bias, channel)
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
                return builder.fadd(
                    builder.load(vector_at(builder, others, index), align=ALIGN), value
                )

            # all are read before any is written: the places may be the same
            left = [answer(row, 0) for row in range(2)]
            with builder.if_then(both):
                right = [answer(row, 1) for row in range(2)]
                for row in (1, 0):
                    index = builder.add(starts[row], channels)
                    builder.store(right[row], vector_at(builder, target, index), align=ALIGN)
            for row in (1, 0):
                place = vector_at(builder, target, starts[row])
                builder.store(left[row], place, align=ALIGN)
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
                    multiply(
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
    height, width, channels = number_at(sizes, 0), number_at(sizes, 1), number_at(sizes, 2)
    layers, band, ring = 2 * number_at(sizes, 3) + 1, number_at(sizes, 4), number_at(sizes, 5)
    tiles = (width + 1) // 2
    line = (2 * tiles + 2) * channels
    of_layer = (16 * channels + 1) * channels
    stride = BLOCK * channels + PAD
    no_row = layers * ring * line
    values = behind(space_at, no_row + line)
    products = behind(values, 16 * stride)
    fed = 0
    while number_at(done, layers - 1) < height:
        for row in range(fed, min(fed + band, height)):
            place = (row % ring) * line + channels
            copy_numbers(
                behind(feat_at, row * width * channels), behind(space_at, place), width * channels
            )
        fed = min(fed + band, height)
        known = fed
        for layer in range(layers):
            weights = behind(weights_at, layer * of_layer)
            bias = behind(weights, of_layer - channels)
            source, target = layer * ring * line, (layer + 1) * ring * line + channels
            first = number_at(done, layer)
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
                        transform(space_at, starts, into, stride, channels)
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
            put_number(done, layer, last)
            known = last
