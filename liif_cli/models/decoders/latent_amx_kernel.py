"""LM-LIIF's latent MLP by AMX's matrix instructions, written for numba.

Its first layer takes the 3 x 3 codes around each: a convolution. ``DOWN`` codes of a row go through
all layers before the next ones do, so that what a layer gives is in the cache when the next one
reads it.
"""

from __future__ import annotations

from typing import Any

from numba import types

from liif_cli.models.amx import ACROSS, DEPTH, DOWN
from liif_cli.models.amx_kernel import configure, layers_of, release, splitting
from liif_cli.models.device import PRODUCTS
from liif_cli.models.machine_code import Compiled
from liif_cli.models.vectors import behind, compile_kernel, inlined, number_at


def compiled(kind: str) -> Compiled:
    """Compiles ``modulate`` for "bf16" or "bf16x3"."""
    numbers, indices = types.CPointer(types.float32), types.CPointer(types.int64)
    function = _modulate(PRODUCTS[kind])
    return compile_kernel(function, (indices, numbers, numbers, numbers, numbers, numbers))


def _modulate(products: int) -> Any:
    split = splitting(products)
    hidden_layer, last_layer = layers_of(products, rectify=False)
    kinds = 2 if products == 3 else 1
    inline = inlined()

    @inline
    def padded(width):
        return (width + ACROSS - 1) // ACROSS * ACROSS

    def modulate(sizes, config, feat_at, weights_at, space_at, result_at):
        """Set the latent MLP's result for a rectangle of codes.

        Args:
            sizes: height, width, channels of feat; top, bottom, left, right of the codes; the
                number of layers, and the width of each, which vectors divide.
            config: what ``amx.tile_config`` gave.
            feat_at: (height, width, channels).
            weights_at: of each layer the weights as ``amx.packed`` lays them out and the bias, with
                zeros to a multiple of ``ACROSS``, behind each other.
            space_at: zeros, ``space`` of them.
            result_at: (bottom - top, right - left, width of the last layer).
        """
        height, width, channels = number_at(sizes, 0), number_at(sizes, 1), number_at(sizes, 2)
        top, bottom = number_at(sizes, 3), number_at(sizes, 4)
        left, right = number_at(sizes, 5), number_at(sizes, 6)
        layers = number_at(sizes, 7)
        answers = number_at(sizes, 7 + layers)
        widest = 0
        for layer in range(layers - 1):
            widest = max(widest, padded(number_at(sizes, 8 + layer)))
        pixel, codes = channels // 2, right - left
        # three rows of feat and a row of zeros: the high parts of each, then the low ones
        line = ((codes + DOWN - 1) // DOWN * DOWN + 2) * pixel
        row_of_parts = kinds * line
        no_row = 3 * row_of_parts
        sums = behind(space_at, 4 * row_of_parts)
        hidden_at = 4 * row_of_parts + 2 * DOWN * ACROSS
        one_hidden = kinds * DOWN * widest // 2
        from_column, to_column = max(0, left - 1), min(width, right + 1)
        configure(config)
        read = max(0, top - 1)
        for row in range(top, bottom):
            while read < min(row + 2, height):
                split(
                    behind(feat_at, (read * width + from_column) * channels),
                    behind(space_at, read % 3 * row_of_parts + (from_column - left + 1) * pixel),
                    line,
                    (to_column - from_column) * channels,
                )
                read += 1
            rows = (
                (row - 1) % 3 * row_of_parts if row else no_row,
                row % 3 * row_of_parts,
                (row + 1) % 3 * row_of_parts if row + 1 < height else no_row,
            )
            for start in range(0, codes, DOWN):
                count = min(DOWN, codes - start)
                at = start * pixel
                starts = (rows[0] + at, rows[1] + at, rows[2] + at)
                depth, outs = channels // DEPTH, padded(number_at(sizes, 8))
                target = hidden_at
                hidden_layer(
                    space_at, starts, line, pixel, 3, depth, weights_at, 9, sums,
                    behind(space_at, target), outs, count,
                )  # fmt: skip
                weights = behind(weights_at, kinds * 9 * channels * outs // 2 + outs)
                for layer in range(1, layers - 1):
                    source, target = target, hidden_at + layer % 2 * one_hidden
                    depth, outs = outs // DEPTH, padded(number_at(sizes, 8 + layer))
                    hidden_layer(
                        space_at, (source,), DOWN * depth * DEPTH // 2, depth * DEPTH // 2, 1,
                        depth, weights, 1, sums, behind(space_at, target), outs, count,
                    )  # fmt: skip
                    weights = behind(weights, kinds * depth * DEPTH * outs // 2 + outs)
                depth = outs // DEPTH
                result = behind(result_at, ((row - top) * codes + start) * answers)
                last_layer(
                    space_at, target, depth, weights, sums, result, padded(answers), answers, count
                )
        release()

    return modulate
