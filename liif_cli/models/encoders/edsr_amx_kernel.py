"""The body of EDSR by AMX's matrix instructions, written for numba: depth first.

All layers run together: a band of rows goes in at the top, and each layer computes as many rows,
one further up than the layer before it, so that what a layer gives is in the cache when the next
one reads it. Of a layer's input, the last two rows stay for the next band; the others lie where
those of another layer did.
"""

from __future__ import annotations

from typing import Any

from numba import types

from liif_cli.models.amx import ACROSS, DEPTH, DOWN
from liif_cli.models.amx_kernel import (
    Finish,
    computing,
    configure,
    finishing,
    release,
    splitting,
)
from liif_cli.models.device import PRODUCTS
from liif_cli.models.encoders.edsr_amx import KEPT
from liif_cli.models.machine_code import Compiled
from liif_cli.models.vectors import (
    behind,
    compile_kernel,
    copy_numbers,
    inlined,
    number_at,
    zero_numbers,
)


def compiled(kind: str) -> Compiled:
    """Compiles ``add_body`` for "bf16" or "bf16x3"."""
    numbers, indices = types.CPointer(types.float32), types.CPointer(types.int64)
    function = _add_body(PRODUCTS[kind])
    return compile_kernel(function, (indices, numbers, numbers, numbers, numbers))


def _add_body(products: int) -> Any:
    split = splitting(products)
    to_rectify = Finish(products, rectify=True)
    to_add = Finish(products, add=True, keep=True)
    to_end = Finish(0, add=True, keep=True)
    first, second, last = (computing(products, end) for end in (to_rectify, to_add, to_end))
    end_first, end_second, end_last = map(finishing, (to_rectify, to_add, to_end))
    kinds = 2 if products == 3 else 1
    inline = inlined()

    @inline
    def place_of(slot, band, line, wide, kept, old, new):
        """Where in space a layer's row is: of the last band, of this one, of the next one's."""
        if slot < KEPT:
            return kept + (old + slot) * line
        if slot < band:
            return wide + (slot - KEPT) * line
        return kept + (new + slot - band) * line

    @inline
    def compute_row(
        layer, layers, space, starts, line, weights, sums, others, exact, target, width, channels
    ):
        """A row of a layer's result."""
        pixel, group = channels // 2, kinds * 9 * channels * ACROSS // 2
        bias = behind(weights, channels // ACROSS * group)
        turn = 0
        done = (sums, bias, others, exact, target, channels, ACROSS, 0)
        for start in range(0, width, DOWN):
            of = (starts[0] + start * pixel, starts[1] + start * pixel, starts[2] + start * pixel)
            for out in range(0, channels, ACROSS):
                into = behind(sums, turn * DOWN * ACROSS)
                of_outs = behind(weights, out // ACROSS * group)
                if layer == layers - 1:
                    last(space, of, line, pixel, 3, channels // DEPTH, of_outs, into, line, done)
                elif layer % 2 == 1:
                    second(space, of, line, pixel, 3, channels // DEPTH, of_outs, into, line, done)
                else:
                    first(space, of, line, pixel, 3, channels // DEPTH, of_outs, into, line, done)
                at = start * channels + out
                done = (
                    into, behind(bias, out), behind(others, at), behind(exact, at),
                    behind(target, (start + 1) * pixel + out // 2),
                    channels, ACROSS, min(DOWN, width - start),
                )  # fmt: skip
                turn = 1 - turn
        if layer == layers - 1:
            end_last(line, done)
        elif layer % 2 == 1:
            end_second(line, done)
        else:
            end_first(line, done)

    def add_body(sizes, config, feat_at, weights_at, space_at):
        """Add the body's result to what went into it.

        Args:
            sizes: height, width, channels, blocks, rows that go in at once (2 or more).
            config: what ``amx.tile_config`` gave.
            feat_at: (height, width, channels), replaced by itself plus the body's result.
            weights_at: of each layer the weights as ``amx.packed`` lays them out and the bias
                (channels), behind each other.
            space_at: zeros, ``space`` of them.
        """
        height, width, channels = number_at(sizes, 0), number_at(sizes, 1), number_at(sizes, 2)
        layers, band = 2 * number_at(sizes, 3) + 1, number_at(sizes, 4)
        pixel = channels // 2
        # the high parts of a row, then the low ones, with a column of zeros on either side
        line = ((width + DOWN - 1) // DOWN * DOWN + 2) * pixel
        both, row = kinds * line, width * channels
        of_layer = kinds * 9 * channels * channels // 2 + channels
        # what layers take, then what blocks add to: the rows that do not stay, then those that do
        wide_at = 2 * DOWN * ACROSS
        kept_at = wide_at + 2 * (band - KEPT) * both
        exact_wide_at = kept_at + layers * 2 * KEPT * both
        exact_kept_at = exact_wide_at + 2 * (band - KEPT) * row
        old, new = 0, KEPT
        configure(config)
        for step in range(0, height + layers, band):
            for number in range(band):
                slot = KEPT + number
                into = behind(space_at, place_of(slot, band, both, wide_at, kept_at, old, new))
                if step + number < height:
                    of = behind(feat_at, (step + number) * row)
                    to = place_of(slot, band, row, exact_wide_at, exact_kept_at, old, new)
                    split(of, behind(into, pixel), line, row)
                    copy_numbers(of, behind(space_at, to), row)
                else:
                    zero_numbers(into, both)
            for layer in range(layers):
                wide = wide_at + layer % 2 * (band - KEPT) * both
                next_wide = wide_at + (layer + 1) % 2 * (band - KEPT) * both
                kept = kept_at + layer * 2 * KEPT * both
                next_kept = kept + 2 * KEPT * both
                block = layer // 2
                exact_wide = exact_wide_at + block % 2 * (band - KEPT) * row
                next_exact_wide = exact_wide_at + (block + 1) % 2 * (band - KEPT) * row
                exact_kept = exact_kept_at + block * 2 * KEPT * row
                next_exact_kept = exact_kept + 2 * KEPT * row
                weights = behind(weights_at, layer * of_layer)
                for number in range(band):
                    y, slot = step + number - layer - 1, KEPT + number
                    target = behind(
                        space_at, place_of(slot, band, both, next_wide, next_kept, old, new)
                    )
                    if 0 <= y < height:
                        starts = (
                            place_of(number, band, both, wide, kept, old, new),
                            place_of(number + 1, band, both, wide, kept, old, new),
                            place_of(number + 2, band, both, wide, kept, old, new),
                        )
                        adds = place_of(number, band, row, exact_wide, exact_kept, old, new)
                        gives = place_of(
                            slot, band, row, next_exact_wide, next_exact_kept, old, new
                        )
                        others, exact = behind(space_at, adds), behind(space_at, gives)
                        if layer == layers - 1:
                            others = exact = behind(feat_at, y * row)
                        compute_row(
                            layer, layers, space_at, starts, line, weights, space_at,
                            others, exact, target, width, channels,
                        )  # fmt: skip
                    elif layer < layers - 1:
                        zero_numbers(target, both)
            old, new = new, old
        release()

    return add_body
