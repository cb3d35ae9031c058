"""Where the finished pixels of one image are collected: in memory, or in a store on the disk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from liif_cli.geometry.window import Window
from liif_cli.io.atomic import output_errors
from liif_cli.io.base import ArrayPixels, Pixels
from liif_cli.io.place import location
from liif_cli.io.pyramid import GrowingLevels, Weighing
from liif_cli.io.tilestore import TileStore
from liif_cli.plan.plan import RenderPlan, RenderTask


class Canvas:
    """The pixels of the plan's region, as far as they are rendered; of a store, by whole shards.

    Threads may use it at once, and other processes its store: what is left to render is what was
    missing when this one last looked.

    Args:
        plan: the image's plan.
        store: of the plan's canvas; None keeps the pixels in memory.

    Raises:
        OutputError: the store cannot be read.
    """

    def __init__(self, plan: RenderPlan, store: TileStore | None = None) -> None:
        self._plan, self.store = plan, store
        self._levels: GrowingLevels | None = None
        self._array: ArrayPixels | None = None
        if store is None:
            self._array = ArrayPixels(np.empty((*plan.region.shape, plan.channels), plan.dtype))
        self._missing: set[Window] = set()
        self.look()

    def grow(self, weighing: Weighing) -> None:
        """From now on make the reduced levels of the store while its shards are put.

        Raises:
            OutputError: the arrays of the levels cannot be made.
        """
        if self.store is not None:
            self._levels = GrowingLevels(self.store, weighing)

    @property
    def pixels(self) -> TileStore | ArrayPixels:
        """The pixels of the store, or of the memory."""
        pixels = self.store or self._array
        assert pixels is not None
        return pixels

    def look(self) -> None:
        """Look for what others have done by now."""
        if self.store is not None:
            self._missing = set(self.store.base.missing())

    @property
    def to_render(self) -> int:
        """Pixels that were missing when this process last looked."""
        if self.store is None:
            return self._plan.pixels
        return sum(self._rendered(shard).pixels for shard in self._missing)

    @property
    def share(self) -> float:
        """The part of the output that a later run finds done, 0 to 1."""
        if self.store is None:
            return 0.0
        missing = sum(self._rendered(shard).pixels for shard in self.store.base.missing())
        return 1 - missing / self._plan.pixels

    @property
    def lost(self) -> bool:
        """Whether the store is gone: another process finished it, or began something else."""
        return self.store is not None and self.store.lost

    def outputs(self, task: RenderTask) -> Iterator[Window]:
        """Windows of the whole output that the task has still to render."""
        if self.store is None:
            yield task.output.intersect(self._plan.region)
            return
        for shard in self.store.grid.split(task.output.relative_to(self._plan.canvas)):
            if shard in self._missing:
                yield self._rendered(shard)

    def is_left(self, task: RenderTask) -> bool:
        """Whether anything of a task was not done when this process last looked."""
        return any(True for _ in self.outputs(task))

    def has(self, window: Window) -> bool:
        """Whether a window of ``outputs`` is done by now, by whomever."""
        if self.store is None:
            return False
        base = self.store.base
        return base.has_shard(*base.position(window.relative_to(self._plan.canvas)))

    def put(self, window: Window, pixels: Pixels) -> None:
        """Keep the pixels (window.height, window.width, channels) of a window of ``outputs``.

        Raises:
            OutputError: permission, a full disk.
        """
        if self._array is not None:
            self._array.array[window.relative_to(self._plan.region).to_slices()] = pixels
        if self.store is None:
            return
        place = window.relative_to(self._plan.canvas)
        shard = self.store.grid.holder(place)
        if shard != place:
            # black beside a part that begins inside of a shard
            full = np.zeros((*shard.shape, pixels.shape[2]), pixels.dtype)
            full[place.relative_to(shard).to_slices()] = pixels
            pixels = full
        with output_errors(location(self._plan.output)):
            self.store.base.write_shard(shard, pixels)
            if self._levels is not None:
                self._levels.add(shard, pixels)

    def discard_damaged(self) -> tuple[int, int]:
        """Remove what cannot be read whole of the store; counts of shards: of it, of its levels.

        The store's are to be rendered again; an export makes those of the levels.

        Raises:
            OutputError: permission.
        """
        if self.store is None:
            return 0, 0
        places = self.store.base.discard_damaged()
        levels = self._levels.discard_damaged() if self._levels is not None else 0
        self.look()
        return len(places), levels

    def _rendered(self, shard: Window) -> Window:
        """What is rendered of a shard, in pixels of the whole output."""
        canvas = self._plan.canvas
        return shard.shift(canvas.row_off, canvas.col_off).intersect(self._plan.region)
