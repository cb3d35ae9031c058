"""From what is asked and what there is to the plan of one image. Raises before any work."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from liif_cli.errors import OutputError, PlanError, UsageError
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.cell import SCALED, CellPolicy
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.io.limits import compression_limit, holds, kind_of
from liif_cli.plan.memory import MIB, RESERVE, STREAM_BYTES, TaskShape, refuse
from liif_cli.plan.passes import BLEED, pass_count
from liif_cli.plan.plan import Cut, RenderPlan, region_of
from liif_cli.plan.spec import (
    TILE_RANGE,
    InputFacts,
    Machine,
    ModelCost,
    OutputFacts,
    RenderSpec,
)

SHARD = 2048
"""Side of a store's shard: one object on disk, one unit of resuming."""
ENOUGH_SHARDS = 16
CHUNK = 512
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
TASK_SHARE = 16
"""A task is not made twice as large for less recompute when its network would then take more than
this part of the allowed memory."""
INPUT_SHARE = 8
"""An input that would take more than this part of the allowed memory is unpacked, where it can."""
LARGEST_SIDE = 1 << 24
_HELD = ("output", "exporter")
DISK_SLACK = 64 << 20


@dataclass(frozen=True)
class _Layout:
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


def make_plan(
    spec: RenderSpec,
    source: InputFacts,
    outputs: Sequence[OutputFacts],
    cost: ModelCost,
    machine: Machine,
    *,
    model_digest: str,
    precision: str,
    resume: Cut | None = None,
) -> RenderPlan:
    """Plan one image for the first of ``outputs`` that can hold it.

    ``resume`` is how a half-rendered store of the same output is cut: its shards are kept, and its
    tasks as well where memory allows.

    Raises:
        UsageError: a tile side that is out of range.
        PlanError: no format, memory or disk can do; the message carries the arithmetic.
    """
    if spec.tile is not None and not TILE_RANGE[0] <= spec.tile <= TILE_RANGE[1]:
        raise UsageError(
            "--tile", got=str(spec.tile), expected=f"{TILE_RANGE[0]} to {TILE_RANGE[1]} pixels"
        )
    if not cost.exact_tiling:
        raise PlanError(
            f"model {spec.model}",
            got="pixels that depend on the tile they are rendered in",
            expected="a decoder whose tiling is exact",
        )
    height, width, channels = source.shape
    if source.alpha or source.nodata is not None:
        # colour is bled before it is encoded, which takes more pixels around a task's own
        reach = cost.radius[0] + BLEED, cost.radius[1] + BLEED
        cost = dataclasses.replace(cost, radius=reach)
    out_shape = spec.size.output_shape(height, width)
    if max(out_shape) > LARGEST_SIDE:
        raise PlanError(
            f"output of {source.path}",
            got=f"{out_shape[1]}x{out_shape[0]}",
            expected=f"at most {LARGEST_SIDE} pixels a side",
        )
    region = _region(spec, source, out_shape)
    problem: Exception | None = None
    for output in outputs:
        try:
            _check_format(output, region.shape, source)
            compression = _compression(spec, source, output)
            _check_compression(compression, output, source)
            pyramid = _choose("--pyramid", spec.pyramid, output, output.pyramids)
            layout = _layout(spec, source, output, out_shape, cost, machine, resume)
            if spec.roi is not None and resume is None:
                layout = _part_of(layout, region, source, output, machine)
            disk = _disk(layout, output, region, source)
        except (PlanError, OutputError) as error:
            problem = problem or error
            continue
        return RenderPlan(
            input=source.path,
            output=output.path,
            input_format=source.format,
            output_format=output.format,
            input_digest=source.digest,
            model_digest=model_digest,
            in_shape=(height, width),
            out_shape=out_shape,
            channels=channels,
            dtype=source.dtype,
            model=spec.model,
            device=machine.device,
            precision=precision,
            cell=_cell(spec, (height, width), out_shape),
            via=spec.via,
            self_ensemble=spec.self_ensemble,
            radius=cost.radius,
            tile=layout.tile,
            task=layout.task,
            chunk=layout.chunk,
            shard=layout.shard,
            via_store=layout.via_store,
            workers=layout.workers,
            projected_mem=layout.total,
            allowed_mem=machine.allowed_bytes,
            projected_disk=disk,
            alpha=source.alpha,
            ranges=source.ranges,
            page=source.page,
            select=source.select,
            level=source.level,
            strip_metadata=spec.strip_metadata,
            roi=spec.roi,
            unpack=layout.unpack,
            compression=compression,
            quality=_quality(spec, source, output, compression),
            nodata=source.nodata,
            linear=source.linear,
            mask=source.mask,
            dpi=spec.dpi or 0.0,
            pyramid=pyramid,
            cleanup=_cleanup(spec, source, cost),
        )
    raise problem or PlanError(f"no output format for {source.path}")


def _region(spec: RenderSpec, source: InputFacts, out_shape: tuple[int, int]) -> Window:
    """Output pixels to render.

    Raises:
        PlanError: a part that leaves the image, or holds no output pixel.
    """
    if spec.roi is None:
        return Window.whole(*out_shape)
    roi, (height, width) = spec.roi, source.shape[:2]
    got = f"{roi.width}x{roi.height} at {roi.col_off},{roi.row_off}"
    if roi.clip(height, width) != roi:
        raise PlanError(
            f"--roi of {source.path}",
            got=got,
            expected=f"a part of its {width}x{height} pixels",
            cure="give X,Y,W,H in input pixels, X + W and Y + H within the image",
        )
    region = region_of(roi, AxisMap(height, out_shape[0]), AxisMap(width, out_shape[1]))
    if region.height < 1 or region.width < 1:
        raise PlanError(
            f"--roi of {source.path}",
            got=f"{got}, which holds no pixel of an output of {out_shape[1]}x{out_shape[0]}",
            expected="a larger part",
        )
    return region


def _part_of(
    whole: _Layout, region: Window, source: InputFacts, output: OutputFacts, machine: Machine
) -> _Layout:
    """The layout of a part: the cut of the whole, and what a part needs less to hold."""
    raw = region.pixels * source.shape[2] * np.dtype(source.dtype).itemsize
    memory = {name: size for name, size in whole.memory.items() if name not in _HELD}
    small = raw <= min(machine.allowed_bytes // MEMORY_SHARE, MEMORY_MOST)
    if output.format != "zarr" and (small or not output.streams):
        hold = _held_output(region.pixels, source, output)
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


def _held_output(pixels: int, source: InputFacts, output: OutputFacts) -> int:
    """Bytes of an output that is kept in memory, and of writing it from there."""
    item, channels = np.dtype(source.dtype).itemsize, source.shape[2]
    codec = STREAM_BYTES if output.streams else output.memory * pixels * max(3, channels) * item
    return pixels * channels * item + int(codec)


def _cleanup(spec: RenderSpec, source: InputFacts, cost: ModelCost) -> float:
    """How lossy the network is told that the image is."""
    if not cost.takes_cleanup:
        return 0.0
    return source.cleanup if spec.cleanup is None else spec.cleanup


def _cell(spec: RenderSpec, in_shape: tuple[int, int], out_shape: tuple[int, int]) -> CellPolicy:
    """The policy as far as it changes the cells at the scale at which the network is asked."""
    if spec.via is not None:
        out_shape = SizeRequest(scale=(spec.via, spec.via)).output_shape(*in_shape)
    rows, cols = (AxisMap(a, b) for a, b in zip(in_shape, out_shape, strict=True))
    return (spec.cell or SCALED).at(rows, cols)


def _check_format(output: OutputFacts, out_shape: tuple[int, int], source: InputFacts) -> None:
    dtype, channels = source.dtype, source.shape[2]
    if dtype not in output.dtypes:
        raise OutputError(
            f"{output.format} cannot hold {dtype} samples ({output.path})",
            expected=", ".join(output.dtypes),
            cure="use --format tiff or --format zarr",
        )
    if not holds(output.channels, channels, source.alpha):
        raise OutputError(
            f"{output.format} cannot hold {kind_of(channels, source.alpha)} ({output.path})",
            cure="use --format png, webp, tiff or zarr"
            if channels - source.alpha in (1, 3)
            else "use --format tiff or --format zarr",
        )
    if source.nodata is not None and not output.nodata:
        raise OutputError(
            f"{output.format} cannot say where nothing was measured ({output.path})",
            got=f"an input whose nodata is {source.nodata:g}",
            cure="use --format tiff, cog or zarr",
        )
    if output.max_side is not None and max(out_shape) > output.max_side:
        raise OutputError(
            f"{output.format} cannot hold this size ({output.path})",
            got=f"{out_shape[1]}x{out_shape[0]}",
            expected=f"at most {output.max_side} pixels a side",
            cure="use --format tiff or --format zarr",
        )


def _check_compression(compression: str, output: OutputFacts, source: InputFacts) -> None:
    expected = compression_limit(compression, np.dtype(source.dtype), source.shape[2], source.alpha)
    if expected is not None:
        raise OutputError(
            f"{output.format} cannot be compressed so ({output.path})",
            got=f"{source.shape[2]} channels of {source.dtype}",
            expected=expected,
            cure="leave out --compression",
        )


def _compression(spec: RenderSpec, source: InputFacts, output: OutputFacts) -> str:
    """What was asked for; else a WebP without loss stays one, and all others have the default.

    Raises:
        UsageError: the format does not offer it.
    """
    found = _choose("--compression", spec.compression, output, output.compressions)
    if output.format != "webp":
        return found
    same = source.format == "webp" and not source.cleanup
    # as it was before there was a choice, so that outputs of then stay finished
    plain = "" if found == "lossy" else found
    return "lossless" if same and spec.compression == "auto" else plain


def _quality(spec: RenderSpec, source: InputFacts, output: OutputFacts, compression: str) -> int:
    """What was asked for, else that of a lossy input where it is above the format's own; or 0."""
    lossy = output.quality or compression in ("jpeg", "lossy")
    if compression in ("lossless", "png") or not lossy:
        return 0
    own = round(100 - source.cleanup) if source.cleanup and output.quality else 0
    found = spec.quality or max(own, output.quality)
    return 0 if found == output.quality else found


def _choose(option: str, wanted: str, output: OutputFacts, offered: tuple[str, ...]) -> str:
    return choose(option, wanted, output.format, output.path, offered)


def choose(option: str, wanted: str, format: str, path: str, offered: tuple[str, ...]) -> str:
    """What is chosen of what a format offers; empty where it offers nothing.

    Raises:
        UsageError: the format does not offer it.
    """
    if wanted == "auto":
        return offered[0] if offered else ""
    if wanted not in offered:
        raise UsageError(
            option,
            got=f"{wanted} for {path}",
            expected=f"for {format} " + (", ".join(offered) or "no choice at all"),
            cure="leave it out, or choose another --format",
        )
    return wanted


def _sides(spec: RenderSpec, out_shape: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
    """(shard, chunk, tile) to try, the best first; smaller ones need less memory.

    A small output gets small shards, so that there are enough of them for all threads.
    """
    if spec.tile is not None:
        tile = spec.tile
        chunk = next(
            tile // parts
            for parts in range(1, tile + 1)
            if tile % parts == 0 and tile // parts <= 2 * CHUNK
        )
        yield tile * max(1, SHARD // tile), chunk, tile
        if tile < SHARD // 2:
            yield tile, chunk, tile
        return
    shards = [SHARD, SHARD // 2, SHARD // 4, SHARD // 8]
    while len(shards) > 2 and len(TileGrid(*out_shape, shards[0], shards[0])) < ENOUGH_SHARDS:
        del shards[0]
    for shard in shards:
        side = min(shard, CHUNK)
        yield shard, side, min(TILE, side)


def _layout(
    spec: RenderSpec,
    source: InputFacts,
    output: OutputFacts,
    out_shape: tuple[int, int],
    cost: ModelCost,
    machine: Machine,
    resume: Cut | None,
) -> _Layout:
    """The first cut that fits the memory: those with the least recompute come first."""
    smallest: _Layout | None = None
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
            if source.decoded_bytes > machine.allowed_bytes // INPUT_SHARE
            else ""
        )
        + ("" if output.streams else f", or use a format that streams instead of {output.format}"),
    )


def _ways_to_read(source: InputFacts, machine: Machine) -> list[tuple[InputFacts, bool]]:
    """The input kept in memory, or unpacked to the disk; the better way first."""
    ways = [(source, False)]
    if source.unpack_bytes is not None:
        ways.append((dataclasses.replace(source, decoded_bytes=source.unpack_bytes), True))
        if source.decoded_bytes > machine.allowed_bytes // INPUT_SHARE:
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
) -> Iterator[_Layout]:
    """Ways to cut an image, the best first: in memory where that is allowed, then by a store."""
    sample_bytes = source.shape[2] * np.dtype(source.dtype).itemsize
    raw = math.prod(out_shape) * sample_bytes
    in_shape, allowed = source.shape[:2], machine.allowed_bytes
    fixed = {
        "process and model": machine.base_bytes,
        "reserve": RESERVE,
        "decoded input": source.decoded_bytes,
    }

    def tasks(workers: int, side: tuple[int, int], buffer: int, tile: int) -> dict[str, int]:
        task = TaskShape.of(side, in_shape, out_shape, cost.radius)
        peak = task.peak_bytes(
            cost,
            buffer=(buffer, buffer),
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
                of_tasks = tasks(workers, side, resume.shard, resume.tile)
                memory = {**fixed, "exporter": STREAM_BYTES, **of_tasks}
                yield _Layout(True, side, resume.shard, resume.chunk, resume.tile, workers, memory)
        return
    if output.format != "zarr":
        hold = {"output": _held_output(math.prod(out_shape), source, output)}
        tile = spec.tile or TILE
        if not output.streams or raw <= min(allowed // MEMORY_SHARE, MEMORY_MOST):
            for workers in _fewer(machine.workers):
                for side in _memory_sides(spec, out_shape, cost, in_shape, allowed, workers):
                    memory = {**fixed, **hold, **tasks(workers, side, tile, tile)}
                    yield _Layout(False, side, SHARD, CHUNK, tile, workers, memory)
    if output.streams:
        for workers in _fewer(machine.workers):
            for shard, chunk, tile in _sides(spec, out_shape):
                for side in _shard_sides(shard, out_shape, cost, in_shape, allowed, workers):
                    of_tasks = tasks(workers, side, shard, tile)
                    memory = {**fixed, "exporter": STREAM_BYTES, **of_tasks}
                    yield _Layout(True, side, shard, chunk, tile, workers, memory)


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


def _large_enough(
    shape: TaskShape, cost: ModelCost, in_shape: tuple[int, int], allowed: int
) -> bool:
    """Whether a larger task would save little recompute, or take much memory."""
    height, width = shape.window
    share = shape.halo_share(cost, in_shape)
    most = allowed // (TASK_SHARE if share <= HALO_LIMIT else MEMORY_SHARE)
    return share <= HALO_SHARE or cost.network_bytes(2 * height, 2 * width) > most


def _shard_sides(
    shard: int,
    out_shape: tuple[int, int],
    cost: ModelCost,
    in_shape: tuple[int, int],
    allowed: int,
    workers: int,
) -> Iterator[tuple[int, int]]:
    """(height, width) of tasks of whole shards: from the first that is large enough down to one."""
    shards = math.ceil(out_shape[0] / shard), math.ceil(out_shape[1] / shard)
    for enough in range(1, max(shards) + 1):
        shape = TaskShape.of((shard * enough, shard * enough), in_shape, out_shape, cost.radius)
        if _large_enough(shape, cost, in_shape, allowed):
            break
    before = None
    for most in range(enough, 0, -1):
        # as few tasks as that allows
        counts = math.ceil(shards[0] / most), math.ceil(shards[1] / most)
        side = _for_all(counts, shard, out_shape, cost, in_shape, workers).output
        if side != before:
            yield side
        before = side


def _equal(
    counts: tuple[int, int],
    unit: int,
    out_shape: tuple[int, int],
    cost: ModelCost,
    in_shape: tuple[int, int],
) -> TaskShape:
    """Tasks of (rows, cols) ``counts``, as equal as units of ``unit`` pixels can make them."""
    units = [math.ceil(n / unit) for n in out_shape]
    side = unit * math.ceil(units[0] / counts[0]), unit * math.ceil(units[1] / counts[1])
    return TaskShape.of(side, in_shape, out_shape, cost.radius)


def _for_all(
    counts: tuple[int, int],
    unit: int,
    out_shape: tuple[int, int],
    cost: ModelCost,
    in_shape: tuple[int, int],
    workers: int,
) -> TaskShape:
    """Equal tasks of (rows, cols) ``counts``, or smaller ones of which every worker has one.

    Not where those are smaller than a tile, or recompute much: in a batch, other images keep the
    workers busy.
    """
    shape = _equal(counts, unit, out_shape, cost, in_shape)
    most = math.prod(math.ceil(n / unit) for n in out_shape)
    while math.prod(counts) < min(workers, most):
        long = shape.output[1] >= shape.output[0]
        counts = counts[0] + (not long), counts[1] + long
        smaller = _equal(counts, unit, out_shape, cost, in_shape)
        if math.prod(smaller.output) < TILE * TILE:
            break
        if smaller.halo_share(cost, in_shape) > HALO_SHARE:
            break
        shape = smaller
    return shape


def _memory_sides(
    spec: RenderSpec,
    out_shape: tuple[int, int],
    cost: ModelCost,
    in_shape: tuple[int, int],
    allowed: int,
    workers: int,
) -> Iterator[tuple[int, int]]:
    """(height, width) of tasks of equal size, from the first that is large enough down."""
    choices = []
    side = spec.tile or MEMORY_TASK
    while True:
        counts = math.ceil(out_shape[0] / side), math.ceil(out_shape[1] / side)
        shape = _equal(counts, 1, out_shape, cost, in_shape)
        choices.append(_for_all(counts, 1, out_shape, cost, in_shape, workers).output)
        if shape.output == out_shape or _large_enough(shape, cost, in_shape, allowed):
            break
        side *= 2
    yield from reversed(choices)
    if spec.tile is None:
        yield from ((min(n, out_shape[0]), min(n, out_shape[1])) for n in (512, 256))


_DISK_CURE_REMOTE = "free disk space, or set TMPDIR to a folder on another disk"


def disk_slack(needed: int) -> int:
    """Bytes to keep free beside what an output needs: as many again, 64 MiB at most."""
    return min(DISK_SLACK, needed)


def batch_disk(plans: Iterable[RenderPlan]) -> int:
    """Bytes at most on the disk when all of these are done, with slack for one of them at a time.

    Stores count as if none was removed before the others are done.
    """
    needs = [plan.projected_disk for plan in plans]
    slacks = [_slack_of(need) for need in needs]
    return sum(needs) - sum(slacks) + max(slacks, default=0)


def _slack_of(projected: int) -> int:
    """The part of a projected need that is slack."""
    return min(DISK_SLACK, projected // 2)


def _disk(layout: _Layout, output: OutputFacts, region: Window, source: InputFacts) -> int:
    """Bytes at most on the output's disk, uncompressed: the store, and what is made of it."""
    raw = region.pixels * source.shape[2] * np.dtype(source.dtype).itemsize
    # a store becomes a Zarr output as it is, but for a part that begins inside a shard
    aligned = region.row_off % layout.shard == region.col_off % layout.shard == 0
    copied = 0 if aligned or output.format != "zarr" else 1
    parts = {"store": raw} if layout.via_store and not output.remote else {}
    # a store in a bucket, and its levels, take nothing of this machine's disk
    if not (output.remote and layout.via_store and output.format == "zarr"):
        parts[f"{output.format} and its levels"] = int(raw * (copied + output.disk))
    if layout.unpack:
        parts["unpacked input"] = math.prod(source.shape) * np.dtype(source.dtype).itemsize
    parts["slack"] = disk_slack(sum(parts.values()))
    needed = sum(parts.values())
    # what a stopped run left is part of the need, and taken from the disk already
    free = output.disk_free + output.disk_held
    if needed > free:
        raise refuse(
            f"disk space for {output.path}",
            needed,
            free,
            parts,
            _DISK_CURE_REMOTE
            if output.remote
            else "free disk space or give an OUTPUT on another disk",
        )
    return needed
