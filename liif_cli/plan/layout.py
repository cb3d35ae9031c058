"""How an image is cut, and the memory that this takes: the best way that fits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from liif_cli.geometry.window import Window
from liif_cli.plan import cutting
from liif_cli.plan.cutting import Cutting
from liif_cli.plan.memory import LEVELS_BYTES, RESERVE, STREAM_BYTES, refuse
from liif_cli.plan.passes import pass_count
from liif_cli.plan.plan import Cut
from liif_cli.plan.spec import InputFacts, Machine, ModelCost, OutputFacts, RenderSpec

_HELD = ("output", "exporter")


@dataclass(frozen=True)
class Layout:
    """One way to cut an image: sides in output pixels, bytes of the whole process."""

    via_store: bool
    task: tuple[int, int]
    shard: int
    chunk: int
    tile: int
    workers: int
    memory: dict[str, int]
    unpack: bool = False

    @property
    def total(self) -> int:
        return sum(self.memory.values())


@dataclass(frozen=True)
class LayoutRequest:
    """What the layout of an image depends on.

    Attributes:
        spec: what was asked for.
        source: the input.
        output: where it goes, and what its format can do.
        out_shape: (height, width) of the output.
        cost: of the network at that scale.
        machine: what there is to render it with.
    """

    spec: RenderSpec
    source: InputFacts
    output: OutputFacts
    out_shape: tuple[int, int]
    cost: ModelCost
    machine: Machine

    def layout(self, resume: Cut | None = None) -> Layout:
        """The first cut that fits the memory: those with the least recompute come first.

        Args:
            resume: how a half-rendered store of the same output is cut, which is kept.

        Raises:
            PlanError: none fits; the message has the smallest need.
        """
        if self.spec.roi is not None and not self.output.streams:
            # the whole need not fit, only the part
            streamed = dataclasses.replace(self.output, streams=True)
            return dataclasses.replace(self, output=streamed).layout(resume)
        smallest: Layout | None = None
        for way, unpack in self._ways_to_read():
            for layout in way._layouts(resume):
                if layout.total <= self.machine.allowed_bytes:
                    return dataclasses.replace(layout, unpack=unpack)
                if smallest is None or layout.total < smallest.total:
                    smallest = layout
        assert smallest is not None
        raise refuse(
            f"memory for {self.source.path} at {self.out_shape[1]}x{self.out_shape[0]}",
            smallest.total,
            self.machine.allowed_bytes,
            smallest.memory,
            "raise --max-memory"
            + (
                ", or make the input a tiled TIFF, which is read by window (for instance: "
                "vips tiffsave IN OUT.tif --tile --compression zstd)"
                if self._large_input
                else ""
            )
            + (
                ""
                if self.output.streams
                else f", or use a format that streams instead of {self.output.format}"
            ),
        )

    def part(self, whole: Layout, region: Window) -> Layout:
        """The layout of a part: the cut of the whole, and what a part needs less to hold.

        Args:
            whole: the layout of the whole output.
            region: the part, in output pixels.

        Raises:
            PlanError: the part does not fit the memory, and its format does not stream.
        """
        memory = {name: size for name, size in whole.memory.items() if name not in _HELD}
        streams = self.output.streams
        small = region.pixels * self._sample_bytes <= self._most_in_memory
        if self.output.format != "zarr" and (small or not streams):
            memory["output"] = held_output(region.pixels, self.source, self.output)
            part = dataclasses.replace(whole, via_store=False, memory=memory)
            if part.total <= self.machine.allowed_bytes:
                return part
            if not streams:
                raise refuse(
                    f"memory for {self.source.path}",
                    part.total,
                    self.machine.allowed_bytes,
                    part.memory,
                    "raise --max-memory, or use a format that streams instead of "
                    f"{self.output.format}",
                )
            del memory["output"]
        memory["exporter"] = STREAM_BYTES
        return dataclasses.replace(whole, via_store=True, memory=memory)

    @property
    def _large_input(self) -> bool:
        return self.source.decoded_bytes > self.machine.allowed_bytes // cutting.INPUT_SHARE

    @property
    def _sample_bytes(self) -> int:
        """Bytes per pixel."""
        return self.source.shape[2] * np.dtype(self.source.dtype).itemsize

    @property
    def _most_in_memory(self) -> int:
        """Bytes of an output above which it goes through the store."""
        return min(self.machine.allowed_bytes // cutting.MEMORY_SHARE, cutting.MEMORY_MOST)

    def _ways_to_read(self) -> list[tuple[LayoutRequest, bool]]:
        """The input kept in memory, or unpacked to the disk; the better way first."""
        ways = [(self, False)]
        if (unpacked := self.source.unpack_bytes) is not None:
            source = dataclasses.replace(self.source, decoded_bytes=unpacked)
            ways.append((dataclasses.replace(self, source=source), True))
            if self._large_input:
                ways.reverse()
        return ways

    def _layouts(self, resume: Cut | None) -> Iterator[Layout]:
        """Ways to cut an image, the best first: in memory where allowed, then by a store."""
        if resume is not None:
            for workers in self._workers():
                for side in _shorter(resume):
                    memory = self._by_store(workers, side, resume.shard, resume.tile)
                    yield Layout(
                        True, side, resume.shard, resume.chunk, resume.tile, workers, memory
                    )
            return
        image = self._image
        pixels = math.prod(self.out_shape)
        small = pixels * self._sample_bytes <= self._most_in_memory
        if self.output.format != "zarr" and (small or not self.output.streams):
            tile = self.spec.tile or cutting.TILE
            output = {"output": held_output(pixels, self.source, self.output)}
            for workers in self._workers():
                for side in image.tasks_in_memory(workers):
                    tasks = self._tasks(workers, side, math.prod(side), tile)
                    memory = {**self._fixed(), **output, **tasks}
                    yield Layout(False, side, cutting.SHARD, cutting.CHUNK, tile, workers, memory)
        if self.output.streams:
            for workers in self._workers():
                for shard, chunk, tile in image.shards():
                    for side in image.tasks_of_shards(shard, workers):
                        memory = self._by_store(workers, side, shard, tile)
                        yield Layout(True, side, shard, chunk, tile, workers, memory)

    @property
    def _image(self) -> Cutting:
        return Cutting(
            in_shape=self.source.shape[:2],
            out_shape=self.out_shape,
            cost=self.cost,
            allowed=self.machine.allowed_bytes,
            tile=self.spec.tile,
            alone=self.machine.alone,
        )

    def _workers(self) -> Iterator[int]:
        """All workers, then one: the second half of a machine is worth more than larger tasks."""
        yield self.machine.workers
        if self.machine.workers > 1:
            yield 1

    def _fixed(self) -> dict[str, int]:
        """Bytes that do not depend on how the image is cut."""
        return {
            "process and model": self.machine.base_bytes,
            "reserve": RESERVE,
            "decoded input": self.source.decoded_bytes,
        }

    def _by_store(
        self, workers: int, side: tuple[int, int], shard: int, tile: int
    ) -> dict[str, int]:
        """Bytes of everything where a store takes the shards."""
        tasks = self._tasks(workers, side, 2 * shard**2, tile)
        return {**self._fixed(), "exporter": STREAM_BYTES, **tasks}

    def _tasks(
        self, workers: int, side: tuple[int, int], collected: int, tile: int
    ) -> dict[str, int]:
        """Bytes of tasks of ``side`` that each hold ``collected`` finished pixels."""
        task = self._image.task(side)
        peak = task.peak_bytes(
            self.cost,
            collected=collected,
            sample_bytes=self._sample_bytes,
            ensemble=self.spec.self_ensemble,
            passes=pass_count(self.source.shape[2], self.source.alpha),
            alpha=self.source.alpha,
        )
        if self.machine.device != "cpu":
            itemsize = np.dtype(self.source.dtype).itemsize
            peak += task.pinned_bytes(tile, self.source.shape[2], itemsize)
        return {f"{workers} task{'s' * (workers > 1)}": workers * peak}


def _shorter(resume: Cut) -> Iterator[tuple[int, int]]:
    """Tasks for the shards of a half-rendered store: its own, then smaller ones."""
    yield resume.task
    for count in range(max(resume.task) // resume.shard - 1, 0, -1):
        yield resume.shard * count, resume.shard * count


def held_output(pixels: int, source: InputFacts, output: OutputFacts) -> int:
    """Bytes of an output that is kept in memory, and of writing it from there."""
    item, channels = np.dtype(source.dtype).itemsize, source.shape[2]
    raw = pixels * channels * item
    codec = STREAM_BYTES if output.streams else output.memory * pixels * max(3, channels) * item
    levels = min(LEVELS_BYTES, 2 * raw) if output.levels else 0
    return raw + int(codec) + levels
