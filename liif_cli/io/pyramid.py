"""Reduced levels of an image, each half of the one before, made out of core.

A pixel of a level is the mean of the 2 x 2 pixels under it in the level before, whole numbers
rounded half to even: rounding up instead would lighten each level by an eighth of a step. The last
row or column of an odd side has only its own pixels. So level k is exactly 2**k times coarser, and
ceil(side / 2**k) long.

Colours are weighted by their alpha, so that those of transparent pixels do not show; where all four
are transparent, they count alike. Samples that say that nothing was measured do not count.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liif_cli.errors import OutputError
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.atomic import drop, final_name, output_errors, partial_path
from liif_cli.io.base import ArrayPixels, OutputInfo, PixelReader, Pixels
from liif_cli.io.nodata import equals
from liif_cli.io.shards import SCRATCH, Planes, ShardedArray
from liif_cli.io.tilestore import TileStore

SMALLEST = 512
"""Levels are added until the longer side is below this."""
_SHARD, _CHUNK = 2048, 512
_THREAD_BYTES = 64 * 2**20
_MEMORY_BYTES = 16 * 2**20


def level_shapes(height: int, width: int, below: int = SMALLEST) -> list[tuple[int, int]]:
    """(height, width) of full resolution and of the levels until the longer side is < ``below``."""
    shapes = [(height, width)]
    while max(shapes[-1]) >= below and shapes[-1] != (1, 1):
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    return shapes


def halve(values: npt.NDArray[Any], axes: tuple[int, int] = (-2, -1)) -> npt.NDArray[Any]:
    """Mean of 2 x 2 over the two axes; whole numbers half to even, floats in their own type."""
    rows, cols = (axis % values.ndim for axis in axes)
    width = [(0, 0)] * values.ndim
    for axis in (rows, cols):
        width[axis] = (0, values.shape[axis] % 2)
    if any(pad for _, pad in width):
        values = np.pad(values, width, mode="edge")
    whole = values.dtype in (np.uint8, np.uint16)
    if not whole and values.dtype != np.float32:
        # types that few images have, added up in one that holds them all
        exact = values.astype(np.float64)
        pairs = _every_second(exact, rows, 0) + _every_second(exact, rows, 1)
        mean = (_every_second(pairs, cols, 0) + _every_second(pairs, cols, 1)) / 4
        return np.asarray(
            (np.rint(mean) if values.dtype.kind in "iu" else mean).astype(values.dtype)
        )
    wide: Any = {1: np.uint16, 2: np.uint32}[values.dtype.itemsize] if whole else values.dtype
    pairs = np.add(_every_second(values, rows, 0), _every_second(values, rows, 1), dtype=wide)
    total = _every_second(pairs, cols, 0) + _every_second(pairs, cols, 1)
    if not whole:
        return np.asarray(total * values.dtype.type(0.25))
    total += 1 + ((total >> 2) & 1)
    total >>= 2
    return np.asarray(total.astype(values.dtype))


def _every_second(values: npt.NDArray[Any], axis: int, start: int) -> npt.NDArray[Any]:
    cut = [slice(None)] * values.ndim
    cut[axis] = slice(start, None, 2)
    return values[tuple(cut)]


@dataclass(frozen=True)
class Weighing:
    """What counts how much in a reduced level: by ``alpha``, the last channel; not ``nodata``."""

    alpha: bool = False
    nodata: float | None = None

    @classmethod
    def of(cls, info: OutputInfo) -> Weighing:
        """That of an output."""
        reference = info.georeference
        return cls(info.alpha, reference.nodata_value if reference is not None else None)

    def halve(self, planes: Planes) -> Planes:
        """Planes (channels, h, w) of half the size."""
        holes = self._holes(planes)
        if holes is not None:
            planes = np.where(holes, planes.dtype.type(0), planes)
        plain = halve(planes)
        if self.alpha:
            plain[:-1] = _weighted(planes[:-1], planes[-1:], plain[:-1])
        if holes is not None:
            measured = (~holes).astype(np.float32)
            plain = _weighted(planes, measured, plain)
            plain[halve(measured) == 0] = self.nodata
        return plain

    def _holes(self, planes: Planes) -> npt.NDArray[np.bool_] | None:
        """Samples (channels, h, w) that were not measured; None where all were."""
        if self.nodata is None:
            return None
        holes = equals(planes, self.nodata)
        if self.alpha:
            holes[-1] = False
        if planes.shape[0] - self.alpha == 3:
            holes[:3] = holes[:3].all(axis=0)
        return holes if holes.any() else None


PLAIN = Weighing()


def _weighted(planes: Planes, weights: npt.NDArray[Any], plain: Planes) -> Planes:
    """Means of 2 x 2 of (channels, h, w) by weights (channels or 1, h, w); ``plain`` by none."""
    wide = weights.astype(np.float64)
    total = halve(wide)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = halve(planes * wide) / total
    if plain.dtype.kind in "iu":
        mean = np.rint(mean)
    return np.where(total > 0, mean, plain).astype(plain.dtype)


def build_levels(
    base: ShardedArray, folder: Path, workers: int, weighing: Weighing = PLAIN
) -> list[ShardedArray]:
    """Make what is missing of the levels "1", "2", ... of ``base`` as arrays in ``folder``.

    Shards that are there already stay, so that a pyramid that was cut short is resumed. A
    level's shard is half as long as one of ``base``: it comes from exactly one of those.

    Returns:
        ``base`` and the levels.

    Raises:
        OutputError: a damaged shard, permission, a full disk.
    """
    shard = _level_shard(base)
    return [base, *_build(base, folder, base.chunk, shard, SMALLEST, workers, weighing)]


def _level_shard(base: ShardedArray) -> int:
    return max(base.chunk, base.grid.tile_height // 2 // base.chunk * base.chunk)


class GrowingLevels:
    """The reduced levels of a store, made while its shards are, from what is in memory then.

    A level's shard is made by whoever put the last of the shards under it, in whatever process; two
    that do so at once put the same. What a killed one left out, ``build_levels`` makes. Threads may
    use it at once.

    Args:
        store: that will become an image with its levels.
        weighing: what counts how much.

    Raises:
        OutputError: the arrays of the levels cannot be made.
    """

    def __init__(self, store: TileStore, weighing: Weighing = PLAIN) -> None:
        base, self._weighing = store.base, weighing
        shapes = level_shapes(base.height, base.width)[1:]
        self._levels = [base]
        for number, shape in enumerate(shapes, 1):
            path = store.path / str(number)
            self._levels.append(_level(path, shape, base, base.chunk, _level_shard(base)))

    def discard_damaged(self) -> int:
        """Remove the shards of levels that cannot be read whole; returns how many there were.

        Reads them all. ``build_levels`` makes them again.

        Raises:
            OutputError: permission.
        """
        count = 0
        for level in self._levels[1:]:
            missing = len(list(level.missing()))
            count += len(level.discard_damaged()) - missing
        return count

    def add(self, window: Window, pixels: Pixels) -> None:
        """Halve a shard of full resolution that was put.

        Args:
            window: of the shard.
            pixels: (window.height, window.width, channels).

        Raises:
            OutputError: a damaged shard below, permission, a full disk.
        """
        self._add(0, window, pixels)

    def _add(self, number: int, window: Window, pixels: Pixels | None) -> None:
        if number + 1 >= len(self._levels):
            return
        finer, level = self._levels[number : number + 2]
        half = Window.between(
            window.row_off // 2,
            -(-window.row_stop // 2),
            window.col_off // 2,
            -(-window.col_stop // 2),
        )
        for part in level.grid.split(half):
            shard = level.grid.holder(part)
            if level.has_shard(*level.position(shard)):
                continue
            below = _below(shard, finer)
            if pixels is not None and below.intersect(window) == below:
                source: PixelReader = _Moved(ArrayPixels(pixels), finer, window)
            elif all(finer.has_shard(*finer.position(one)) for one in finer.grid.split(below)):
                source = finer
            else:
                continue
            _make(source, level, shard, self._weighing)
            self._add(number + 1, shard, None)


class _Moved:
    """Pixels of a window of a level, read as the level is."""

    def __init__(self, pixels: ArrayPixels, level: PixelReader, window: Window) -> None:
        self.pixels, self.window = pixels, window
        self.height, self.width, self.channels = level.height, level.width, level.channels
        self.dtype = level.dtype

    def read(self, window: Window) -> Pixels:
        """Pixels (window.height, window.width, channels), a view."""
        return self.pixels.read(window.relative_to(self.window))


@contextmanager
def reduced_levels(
    pixels: PixelReader,
    path: Path,
    workers: int,
    below: int = SMALLEST,
    weighing: Weighing = PLAIN,
) -> Iterator[list[PixelReader]]:
    """Full resolution and the reduced levels, for the time that an exporter needs them.

    Those of a finished store are used, and those that grew in one that is not. Others are made, in
    memory where they are small, or in a hidden folder beside ``path`` that is removed at the end.

    Args:
        pixels: full resolution.
        path: the file to write, which says where the levels may lie.
        workers: threads.
        below: levels are added until the longer side is below this.
        weighing: what counts how much.

    Raises:
        OutputError: a damaged shard, permission, a full disk.
    """
    ready: list[PixelReader] = [pixels]
    wanted = len(level_shapes(pixels.height, pixels.width, below))
    if isinstance(pixels, TileStore):
        if pixels.finished:
            ready += pixels.levels()[1:]
        elif wanted > 1 and (pixels.path / "1").exists():
            ready += build_levels(pixels.base, pixels.path, workers, weighing)[1:]
    if len(ready) < wanted and _bytes(ready[-1]) // 3 > _MEMORY_BYTES:
        folder = partial_path(final_name(path))
        try:
            # down to where memory will do
            ready += _build(ready[-1], folder, _CHUNK, _SHARD // 2, SMALLEST, workers, weighing)
            yield _in_memory(ready[:wanted], wanted, weighing)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    else:
        yield _in_memory(ready[:wanted], wanted, weighing)


def _in_memory(levels: list[PixelReader], count: int, weighing: Weighing) -> list[PixelReader]:
    while len(levels) < count:
        finer = levels[-1]
        height, width = level_shapes(finer.height, finer.width, 1)[1]
        array = np.empty((height, width, finer.channels), finer.dtype)
        for window in TileGrid(height, width, _CHUNK, _SHARD):
            planes = np.moveaxis(finer.read(_below(window, finer)), 2, 0)
            array[window.to_slices()] = np.moveaxis(weighing.halve(planes), 0, 2)
        levels = [*levels, ArrayPixels(array)]
    return levels


def _bytes(pixels: PixelReader) -> int:
    return pixels.height * pixels.width * pixels.channels * np.dtype(pixels.dtype).itemsize


def _build(
    base: PixelReader,
    folder: Path,
    chunk: int,
    shard: int,
    below: int,
    workers: int,
    weighing: Weighing,
) -> list[ShardedArray]:
    """The levels after ``base``."""
    levels: list[ShardedArray] = []
    for number, shape in enumerate(level_shapes(base.height, base.width, below)[1:], 1):
        level = _level(folder / str(number), shape, base, chunk, shard)
        _fill(levels[-1] if levels else base, level, workers, weighing)
        levels.append(level)
    return levels


def _level(
    path: Path, shape: tuple[int, int], base: PixelReader, chunk: int, shard: int
) -> ShardedArray:
    """The array of a level, made anew where it is not what it should be."""
    # a folder without metadata is what another process is about to make
    while (path / "zarr.json").is_file():
        try:
            level = ShardedArray.open(path)
            facts = (level.height, level.width, level.channels, level.dtype, level.chunk)
            same = facts == (*shape, base.channels, base.dtype, chunk)
            if same and level.grid.tile_height == shard:
                return level
        except OutputError:
            pass  # its metadata are damaged
        with output_errors(path):
            drop(path)
    try:
        return ShardedArray.create(
            path,
            height=shape[0],
            width=shape[1],
            channels=base.channels,
            dtype=base.dtype,
            chunk=chunk,
            shard=shard,
            level=base.zstd_level if isinstance(base, ShardedArray) else SCRATCH,
        )
    except OutputError:
        # another process was faster
        if not (path / "zarr.json").is_file():
            raise
        return ShardedArray.open(path)


def _fill(finer: PixelReader, level: ShardedArray, workers: int, weighing: Weighing) -> None:
    """Make the missing shards of ``level`` from the finer one, in threads."""

    def make(window: Window) -> None:
        _make(finer, level, window, weighing)

    raw = level.grid.tile_height * level.grid.tile_width * level.channels * level.dtype.itemsize
    # the shard, what is read for a strip of it, and what the codecs hold of it
    most = max(1, _THREAD_BYTES // (6 * raw))
    _in_threads(make, level.missing(), min(workers, most))


def _make(finer: PixelReader, level: ShardedArray, window: Window, weighing: Weighing) -> None:
    """Make one shard of ``level`` from the finer one."""
    planes: Planes = np.empty((level.channels, *window.shape), level.dtype)
    for strip in TileGrid(window.height, window.width, level.chunk, window.width):
        part = Window(window.row_off + strip.row_off, window.col_off, strip.height, strip.width)
        below = _planes(finer, _below(part, finer))
        planes[(slice(None), *strip.to_slices())] = weighing.halve(below)
    level.write_planes(window, planes)


def _planes(pixels: PixelReader, window: Window) -> Planes:
    if isinstance(pixels, TileStore):
        pixels = pixels.base
    if isinstance(pixels, ShardedArray):
        return pixels.read_planes(window)
    return np.moveaxis(pixels.read(window), 2, 0)


def _below(window: Window, finer: PixelReader) -> Window:
    """The pixels of the finer level under ``window``."""
    return Window(2 * window.row_off, 2 * window.col_off, 2 * window.height, 2 * window.width).clip(
        finer.height, finer.width
    )


def _in_threads(work: Callable[[Window], None], windows: Iterable[Window], workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(work, window) for window in windows]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
