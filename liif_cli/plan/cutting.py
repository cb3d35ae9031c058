"""How an image can be cut into shards and tasks, without regard to how much memory that takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from liif_cli.geometry.grid import TileGrid
from liif_cli.plan.memory import MIB, TaskShape
from liif_cli.plan.spec import ModelCost

SHARD = 2048
"""Side of a store's shard: one object on disk, one unit of resuming."""
ENOUGH_SHARDS = 16
CHUNK = 512
LEAST_CHUNK = 64
"""Smaller ones cost more than they save who reads a part."""
TILE = 512
MEMORY_TASK = 768
"""Side of a task of an image that is rendered in memory, where no halo asks for more."""
HALO_SHARE = 0.10
"""Recompute that a larger task should bring a task below, where memory allows."""
HALO_LIMIT = 0.35
"""Recompute above which a task may take as much memory as it needs."""
MEMORY_SHARE = 8
MEMORY_MOST = 256 * MIB
"""Larger outputs, and those above an eighth of the allowed memory, go through the store: a killed
run then loses a shard, not the image."""
INPUT_SHARE = 8
"""An input that would take more than this part of the allowed memory is unpacked, where it can."""
ALONE_GAIN = 0.8
"""Part of the time of larger tasks that smaller ones may take, to be worth it."""
ALONE_LEAST = 128 * 128
"""Output pixels of a task below which it is over before another thread is awake."""
TASK_SHARE = 16
"""A task is not made twice as large for less recompute when its network would then take more than
this part of the allowed memory."""


@dataclass(frozen=True)
class Cutting:
    """An image and the machine that renders it, as far as they say how it is cut.

    Attributes:
        in_shape: (height, width) of the input.
        out_shape: (height, width) of the output.
        cost: of the network at that scale.
        allowed: bytes that the process may take.
        tile: side of a tile that was asked for, else None.
        alone: no other image keeps workers busy, so that smaller tasks are worth what they
            compute twice.
    """

    in_shape: tuple[int, int]
    out_shape: tuple[int, int]
    cost: ModelCost
    allowed: int
    tile: int | None = None
    alone: bool = False

    def task(self, output: tuple[int, int]) -> TaskShape:
        """A task of that output (height, width)."""
        return TaskShape.of(output, self.in_shape, self.out_shape, self.cost.radius)

    def shards(self) -> Iterator[tuple[int, int, int]]:
        """(shard, chunk, tile) to try, the best first; smaller ones need less memory.

        A small output gets small shards, so that there are enough of them for all threads.
        """
        if (tile := self.tile) is not None:
            # a prime side has no part that is worth a chunk
            parts = (tile // count for count in range(1, tile + 1) if tile % count == 0)
            chunk = next((side for side in parts if LEAST_CHUNK <= side <= 2 * CHUNK), tile)
            yield tile * max(1, SHARD // tile), chunk, tile
            if tile < SHARD // 2:
                yield tile, chunk, tile
            return
        sides = [SHARD, SHARD // 2, SHARD // 4, SHARD // 8]
        while len(sides) > 2 and len(TileGrid(*self.out_shape, sides[0], sides[0])) < ENOUGH_SHARDS:
            del sides[0]
        for shard in sides:
            side = min(shard, CHUNK)
            yield shard, side, min(TILE, side)

    def tasks_of_shards(self, shard: int, workers: int) -> Iterator[tuple[int, int]]:
        """(height, width) of tasks of whole shards, from the first that is large enough down."""
        shards = math.ceil(self.out_shape[0] / shard), math.ceil(self.out_shape[1] / shard)
        for enough in range(1, max(shards) + 1):
            if self._large_enough(self.task((shard * enough, shard * enough))):
                break
        before = None
        for most in range(enough, 0, -1):
            # as few tasks as that allows
            counts = math.ceil(shards[0] / most), math.ceil(shards[1] / most)
            side = self._for_all(counts, shard, workers).output
            if side != before:
                yield side
            before = side

    def tasks_in_memory(self, workers: int) -> Iterator[tuple[int, int]]:
        """(height, width) of tasks of equal size, from the first that is large enough down."""
        choices = []
        side = self.tile or MEMORY_TASK
        while True:
            counts = math.ceil(self.out_shape[0] / side), math.ceil(self.out_shape[1] / side)
            shape = self._equal(counts, 1)
            choices.append(self._for_all(counts, 1, workers).output)
            if shape.output == self.out_shape or self._large_enough(shape):
                break
            side *= 2
        yield from reversed(choices)
        if self.tile is None:
            yield from ((min(n, self.out_shape[0]), min(n, self.out_shape[1])) for n in (512, 256))

    def _large_enough(self, shape: TaskShape) -> bool:
        """Whether a larger task would save little recompute, or take much memory."""
        height, width = shape.window
        share = shape.halo_share(self.cost, self.in_shape)
        most = self.allowed // (TASK_SHARE if share <= HALO_LIMIT else MEMORY_SHARE)
        return share <= HALO_SHARE or self.cost.network_bytes(2 * height, 2 * width) > most

    def _equal(self, counts: tuple[int, int], unit: int) -> TaskShape:
        """Tasks of (rows, cols) ``counts``, as equal as units of ``unit`` pixels can make them."""
        units = [math.ceil(n / unit) for n in self.out_shape]
        return self.task(
            (unit * math.ceil(units[0] / counts[0]), unit * math.ceil(units[1] / counts[1]))
        )

    def _for_all(self, counts: tuple[int, int], unit: int, workers: int) -> TaskShape:
        """Equal tasks of (rows, cols) ``counts``, or smaller ones of which every worker has one.

        In a batch, other images keep the workers busy: there not where those are smaller than a
        tile, or recompute much. Alone, where that takes less time.
        """
        shape = self._equal(counts, unit)
        most = math.prod(math.ceil(n / unit) for n in self.out_shape)
        while (before := math.prod(counts)) < min(workers, most):
            long = shape.output[1] >= shape.output[0]
            counts = counts[0] + (not long), counts[1] + long
            smaller = self._equal(counts, unit)
            if self.alone:
                now = math.ceil(before / workers) * shape.macs(self.cost)
                then = math.ceil(math.prod(counts) / workers) * smaller.macs(self.cost)
                if then > ALONE_GAIN * now or math.prod(smaller.output) < ALONE_LEAST:
                    break
            else:
                if math.prod(smaller.output) < TILE * TILE:
                    break
                if smaller.halo_share(self.cost, self.in_shape) > HALO_SHARE:
                    break
            shape = smaller
        return shape
