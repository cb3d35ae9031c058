"""LIIF's hidden layers by AMX's matrix instructions, written for numba.

``DOWN`` rows of values go through all layers before the next ones do, so that what a layer gives is
in the cache when the next one reads it.
"""

from __future__ import annotations

from typing import Any

from numba import types

from liif_cli.models.amx import ACROSS, DEPTH, DOWN
from liif_cli.models.amx_kernel import configure, layers_of, release, splitting
from liif_cli.models.device import PRODUCTS
from liif_cli.models.machine_code import Compiled
from liif_cli.models.vectors import behind, compile_kernel, number_at


def compiled(kind: str) -> Compiled:
    """Compiles ``hide`` for "bf16" or "bf16x3"."""
    numbers, indices = types.CPointer(types.float32), types.CPointer(types.int64)
    function = _hide(PRODUCTS[kind])
    return compile_kernel(function, (indices, numbers, numbers, numbers, numbers, numbers))


def _hide(products: int) -> Any:
    split = splitting(products)
    hidden_layer, last_layer = layers_of(products, rectify=True)
    kinds = 2 if products == 3 else 1

    def hide(sizes, config, values_at, weights_at, space_at, result_at):
        """Set the rectified results of the hidden layers.

        Args:
            sizes: rows of values, the number of layers, the width of the values and of each layer,
                which ``ACROSS`` divides.
            config: what ``amx.tile_config`` gave.
            values_at: (rows, width), rectified.
            weights_at: of each layer the weights as ``amx.packed`` lays them out and the bias,
                behind each other.
            space_at: zeros, ``space`` of them: two sums, and twice what a layer takes.
            result_at: (rows, width of the last layer).
        """
        rows, layers, first = number_at(sizes, 0), number_at(sizes, 1), number_at(sizes, 2)
        answers, widest = number_at(sizes, 2 + layers), first
        for layer in range(1, layers):
            widest = max(widest, number_at(sizes, 2 + layer))
        source_at, one = 2 * DOWN * ACROSS, kinds * DOWN * widest // 2
        configure(config)
        for start in range(0, rows, DOWN):
            count = min(DOWN, rows - start)
            source, width = source_at, first
            low = DOWN * width // 2
            split(behind(values_at, start * width), behind(space_at, source), low, count * width)
            weights = weights_at
            for layer in range(1, layers):
                target, outs = source_at + layer % 2 * one, number_at(sizes, 2 + layer)
                depth = width // DEPTH
                hidden_layer(
                    space_at, (source,), DOWN * width // 2, width // 2, 1, depth, weights, 1,
                    space_at, behind(space_at, target), outs, count,
                )  # fmt: skip
                weights = behind(weights, kinds * width * outs // 2 + outs)
                source, width = target, outs
            result = behind(result_at, start * answers)
            last_layer(
                space_at, source, width // DEPTH, weights, space_at, result, answers, answers, count
            )
        release()

    return hide
