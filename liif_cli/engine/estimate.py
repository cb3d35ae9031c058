"""How long a command will take, from short measurements of its own parts on its own images.

Start, planning and reading were done for the plan already, and are taken as they were measured.
What is rendered is counted in pixels and measured on a small window (``probe``); what is written is
measured by writing a piece of each kind of output to a temporary folder.
"""

from __future__ import annotations

import math
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from liif_cli.engine.dryrun import PlannedBatch
from liif_cli.engine.probe import render_seconds
from liif_cli.geometry.window import Window
from liif_cli.io import exporter_for, open_source
from liif_cli.io.base import ArrayPixels, OutputInfo, Pixels
from liif_cli.io.place import location
from liif_cli.io.tilestore import TileStore
from liif_cli.plan.plan import RenderPlan

SAMPLE_SIDE = 1024
"""Side of the piece of an output that is written to measure how long that takes, in pixels."""


@dataclass(frozen=True)
class ImageEstimate:
    """Seconds that one image takes: ``read`` and ``write`` in all, ``render`` of one thread.

    ``threads`` is how many render at once, and ``write_cpu`` the processor time of writing. Putting
    what is rendered into a store is part of rendering.
    """

    read: float = 0.0
    render: float = 0.0
    write: float = 0.0
    write_cpu: float = 0.0
    threads: int = 1

    @property
    def alone(self) -> float:
        """Wall seconds from its start to its end, with the machine to itself."""
        return self.read + self.render / self.threads + self.write

    @property
    def cpu(self) -> float:
        """Seconds of one core."""
        return self.read + self.render + self.write_cpu


@dataclass(frozen=True)
class BatchEstimate:
    """Seconds of a whole command: ``start`` and ``planning`` as measured, and its images."""

    start: float
    planning: float
    images: tuple[ImageEstimate, ...]

    @property
    def total(self) -> float:
        """Wall seconds. Images of a batch overlap: cores are busy, but for the longest one."""
        working = [image for image in self.images if image.cpu > 0]
        threads = max((image.threads for image in working), default=1)
        shared = sum(image.cpu for image in working) / threads
        longest = max((image.alone for image in working), default=0.0)
        return self.start + self.planning + max(shared, longest)


def estimate_batch(planned: PlannedBatch) -> BatchEstimate:
    """Estimate what was planned; images that fail or are finished take no time."""
    machine = _Measured()
    images = [
        ImageEstimate()
        if image.plan is None or image.skipped
        else machine.image(image.plan, decoded=image.decoded)
        for image in planned.images
    ]
    if len([image for image in images if image.cpu > 0]) > 1:
        images = [replace(image, threads=planned.workers) for image in images]
    return BatchEstimate(planned.start, planned.seconds, tuple(images))


@dataclass(frozen=True)
class _WriteSpeed:
    """Seconds for an output pixel: of a thread to keep it until all are there, wall seconds of
    making the file of all, and seconds of one core of that.
    """

    store: float = 0.0
    export: float = 0.0
    cpu: float = 0.0


class _Measured:
    """What is measured of the first image of each kind, for the others of its kind."""

    def __init__(self) -> None:
        self._reads: dict[tuple[object, ...], tuple[float, bool, Pixels]] = {}
        self._writes: dict[tuple[object, ...], _WriteSpeed] = {}

    def image(self, plan: RenderPlan, *, decoded: bool) -> ImageEstimate:
        """One image; ``decoded`` says that planning did that, and a run would keep it."""
        kind = location(plan.input).suffix.lower(), plan.dtype, plan.channels, plan.page
        if kind not in self._reads:
            self._reads[kind] = _read(plan)
        rate, by_window, pixels = self._reads[kind]
        if by_window:
            read = rate * sum(task.read.pixels for task in plan.tasks())
        else:
            read = 0.0 if decoded else rate * plan.in_shape[0] * plan.in_shape[1]
        side = tuple(min(SAMPLE_SIDE, length) for length in plan.region.shape)
        form = plan.output_format, plan.compression, plan.pyramid, plan.via_store, plan.alpha
        made = (*kind, *form, *(round(math.log2(length)) for length in side))
        if made not in self._writes:
            self._writes[made] = _write(plan, _piece(pixels, plan, (side[0], side[1])))
        speed = self._writes[made]
        return ImageEstimate(
            read=read,
            render=render_seconds(plan) + speed.store * plan.pixels,
            write=speed.export * plan.pixels,
            write_cpu=speed.cpu * plan.pixels,
            threads=min(plan.workers, plan.task_count),
        )


def _read(plan: RenderPlan) -> tuple[float, bool, Pixels]:
    """Seconds for a pixel read, whether windows are read alone, and the pixels of one."""
    begun = time.perf_counter()
    with closing(open_source(location(plan.input), plan.view)) as source:
        by_window = source.info.by_window
        height, width = (min(SAMPLE_SIDE, length) for length in plan.in_shape)
        window = Window(
            (plan.in_shape[0] - height) // 2, (plan.in_shape[1] - width) // 2, height, width
        )
        pixels = np.ascontiguousarray(source.read(window))
    seconds = time.perf_counter() - begun
    whole = plan.in_shape[0] * plan.in_shape[1]
    return seconds / (window.pixels if by_window else whole), by_window, pixels


def _piece(pixels: Pixels, plan: RenderPlan, side: tuple[int, int]) -> Pixels:
    """A piece of the output of (height, width) ``side``, as well as a plain resize can tell."""
    height, width = (
        max(1, min(length, math.ceil(wanted / scale)))
        for length, wanted, scale in zip(pixels.shape[:2], side, plan.scale, strict=True)
    )
    resized = cv2.resize(pixels[:height, :width], side[::-1], interpolation=cv2.INTER_CUBIC)
    return resized.reshape(*side, -1).astype(plan.dtype)


def _write(plan: RenderPlan, piece: Pixels) -> _WriteSpeed:
    """Measure on a piece of the output; what is done once in a process is done before that."""
    speed = _WriteSpeed()
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            speed = _write_once(plan, piece, Path(folder))
    return speed


def _write_once(plan: RenderPlan, piece: Pixels, folder: Path) -> _WriteSpeed:
    height, width, channels = piece.shape
    pixels: TileStore | ArrayPixels
    begun = time.perf_counter()
    if plan.via_store:
        pixels = TileStore.create(
            folder / "store",
            height=height,
            width=width,
            channels=channels,
            dtype=np.dtype(plan.dtype),
            chunk=plan.chunk,
            shard=plan.shard,
            fingerprint="",
        )
        for shard in pixels.base.missing():
            pixels.base.write_shard(shard, piece[shard.to_slices()])
    else:
        pixels = ArrayPixels(piece.astype(plan.dtype))
    store = time.perf_counter() - begun
    info = OutputInfo(
        alpha=plan.alpha,
        compression=plan.compression,
        pyramid=plan.pyramid,
        quality=plan.quality,
    )
    begun, cpu = time.perf_counter(), time.process_time()
    exporter_for(plan.output_format).export(pixels, folder / location(plan.output).name, info)
    export, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return _WriteSpeed(*(part / (height * width) for part in (store, export, cpu)))
