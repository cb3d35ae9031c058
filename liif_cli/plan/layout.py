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
from liif_cli.plan.memory import RESERVE, STREAM_BYTES, refuse
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


def layout_of(
    spec: RenderSpec,
    source: InputFacts,
    output: OutputFacts,
    out_shape: tuple[int, int],
    cost: ModelCost,
    machine: Machine,
    resume: Cut | None,
) -> Layout:
    """The first cut that fits the memory: those with the least recompute come first."""
    smallest: Layout | None = None
    if spec.roi is not None and not output.streams:
        # the whole need not fit, only the part
        output = dataclasses.replace(output, streams=True)
    for way, unpack in _ways_to_read(source, machine):
        for layout in _layouts(spec, way, output, out_shape, cost, machine, resume):
            if layout.total <= machine.allowed_bytes:
                return dataclasses.replace(layout, unpack=unpack)
            if smallest is None or layout.total < smallest.total:
                smallest = layout
    assert smallest is not None
    raise refuse(
        f"memory for {source.path} at {out_shape[1]}x{out_shape[0]}",
        smallest.total,
        machine.allowed_bytes,
        smallest.memory,
        "raise --max-memory"
        + (
            ", or make the input a tiled TIFF, which is read by window (for instance: "
            "vips tiffsave IN OUT.tif --tile --compression zstd)"
            if source.decoded_bytes > machine.allowed_bytes // cutting.INPUT_SHARE
            else ""
        )
        + ("" if output.streams else f", or use a format that streams instead of {output.format}"),
    )


def _ways_to_read(source: InputFacts, machine: Machine) -> list[tuple[InputFacts, bool]]:
    """The input kept in memory, or unpacked to the disk; the better way first."""
    ways = [(source, False)]
    if source.unpack_bytes is not None:
        ways.append((dataclasses.replace(source, decoded_bytes=source.unpack_bytes), True))
        if source.decoded_bytes > machine.allowed_bytes // cutting.INPUT_SHARE:
            ways.reverse()
    return ways


def _layouts(
    spec: RenderSpec,
    source: InputFacts,
    output: OutputFacts,
    out_shape: tuple[int, int],
    cost: ModelCost,
    machine: Machine,
    resume: Cut | None,
) -> Iterator[Layout]:
    """Ways to cut an image, the best first: in memory where that is allowed, then by a store."""
    sample_bytes = source.shape[2] * np.dtype(source.dtype).itemsize
    raw = math.prod(out_shape) * sample_bytes
    allowed = machine.allowed_bytes
    image = Cutting(
        in_shape=source.shape[:2],
        out_shape=out_shape,
        cost=cost,
        allowed=allowed,
        tile=spec.tile,
        alone=machine.alone,
    )
    fixed = {
        "process and model": machine.base_bytes,
        "reserve": RESERVE,
        "decoded input": source.decoded_bytes,
    }

    def tasks(workers: int, side: tuple[int, int], collected: int, tile: int) -> dict[str, int]:
        task = image.task(side)
        peak = task.peak_bytes(
            cost,
            collected=collected,
            sample_bytes=sample_bytes,
            ensemble=spec.self_ensemble,
            passes=pass_count(source.shape[2], source.alpha),
            alpha=source.alpha,
        )
        if machine.device != "cpu":
            peak += task.pinned_bytes(tile, source.shape[2], np.dtype(source.dtype).itemsize)
        return {f"{workers} task{'s' * (workers > 1)}": workers * peak}

    if resume is not None:
        for workers in _fewer(machine.workers):
            for side in _shorter(resume):
                of_tasks = tasks(workers, side, 2 * resume.shard**2, resume.tile)
                memory = {**fixed, "exporter": STREAM_BYTES, **of_tasks}
                yield Layout(True, side, resume.shard, resume.chunk, resume.tile, workers, memory)
        return
    if output.format != "zarr":
        hold = {"output": held_output(math.prod(out_shape), source, output)}
        tile = spec.tile or cutting.TILE
        if not output.streams or raw <= min(allowed // cutting.MEMORY_SHARE, cutting.MEMORY_MOST):
            for workers in _fewer(machine.workers):
                for side in image.tasks_in_memory(workers):
                    memory = {**fixed, **hold, **tasks(workers, side, math.prod(side), tile)}
                    yield Layout(False, side, cutting.SHARD, cutting.CHUNK, tile, workers, memory)
    if output.streams:
        for workers in _fewer(machine.workers):
            for shard, chunk, tile in image.shards():
                for side in image.tasks_of_shards(shard, workers):
                    of_tasks = tasks(workers, side, 2 * shard**2, tile)
                    memory = {**fixed, "exporter": STREAM_BYTES, **of_tasks}
                    yield Layout(True, side, shard, chunk, tile, workers, memory)


def _shorter(resume: Cut) -> Iterator[tuple[int, int]]:
    """Tasks for the shards of a half-rendered store: its own, then smaller ones."""
    yield resume.task
    for count in range(max(resume.task) // resume.shard - 1, 0, -1):
        yield resume.shard * count, resume.shard * count


def _fewer(workers: int) -> Iterator[int]:
    """All workers, then one: the second half of a machine is worth more than larger tasks."""
    yield workers
    if workers > 1:
        yield 1


def part_of(
    whole: Layout, region: Window, source: InputFacts, output: OutputFacts, machine: Machine
) -> Layout:
    """The layout of a part: the cut of the whole, and what a part needs less to hold."""
    raw = region.pixels * source.shape[2] * np.dtype(source.dtype).itemsize
    memory = {name: size for name, size in whole.memory.items() if name not in _HELD}
    small = raw <= min(machine.allowed_bytes // cutting.MEMORY_SHARE, cutting.MEMORY_MOST)
    if output.format != "zarr" and (small or not output.streams):
        hold = held_output(region.pixels, source, output)
        part = dataclasses.replace(whole, via_store=False, memory={**memory, "output": hold})
        if part.total <= machine.allowed_bytes:
            return part
        if not output.streams:
            raise refuse(
                f"memory for {source.path}",
                part.total,
                machine.allowed_bytes,
                part.memory,
                f"raise --max-memory, or use a format that streams instead of {output.format}",
            )
    return dataclasses.replace(whole, via_store=True, memory={**memory, "exporter": STREAM_BYTES})


def held_output(pixels: int, source: InputFacts, output: OutputFacts) -> int:
    """Bytes of an output that is kept in memory, and of writing it from there."""
    item, channels = np.dtype(source.dtype).itemsize, source.shape[2]
    codec = STREAM_BYTES if output.streams else output.memory * pixels * max(3, channels) * item
    return pixels * channels * item + int(codec)
