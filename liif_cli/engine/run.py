"""One image from its plan to its finished file."""

from __future__ import annotations

import dataclasses
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np

from liif_cli import __version__
from liif_cli.engine.beside import output_info
from liif_cli.engine.canvas import Canvas
from liif_cli.engine.claims import Claims, InWork, Owner, claim_path, task_claim_path
from liif_cli.engine.events import (
    DoneElsewhere,
    ExportStarted,
    ImageDone,
    Listener,
    TaskDone,
    Warned,
)
from liif_cli.engine.heap import give_back
from liif_cli.engine.record import (
    OutputState,
    Record,
    finished_store,
    output_state,
    remove_stale_work,
)
from liif_cli.engine.render import render_task
from liif_cli.engine.unfinished import Unfinished, store_attributes, store_path, unpacked_path
from liif_cli.errors import Interrupted, OutputError, RenderError
from liif_cli.geometry.window import Window
from liif_cli.io import exporter_for
from liif_cli.io.atomic import atomic_path, drop, output_errors, stale
from liif_cli.io.base import (
    ArrayPixels,
    PartPixels,
    PixelReader,
    Pixels,
    Source,
)
from liif_cli.io.exporters.zarr import finish
from liif_cli.io.place import is_object, location
from liif_cli.io.pyramid import Weighing
from liif_cli.io.refusals import damaged as damaged_input
from liif_cli.io.shards import KEPT, SCRATCH
from liif_cli.io.tilestore import TileStore, is_draft
from liif_cli.io.unpack import BandSource, remove_unpacked, unpack
from liif_cli.models.model import Model
from liif_cli.plan.plan import RenderPlan, RenderTask

log = logging.getLogger(__name__)


_AT_ONCE = 8
"""Tasks of others' slices that are begun before the next look at what is left."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """A part of the tasks of an image: from ``start`` on, from 0 to 1, a ``share`` of them."""

    start: float = 0.0
    share: float = 1.0


ALL_TASKS = Slice()


class ImageRun:
    """The work on one image. Tasks may be rendered by several threads at once.

    Args:
        plan: the image's plan.
        source: its input, open; closed at the end.
        model: network on the plan's device and in its precision.
        listen: told of every finished task and of the end.
        stop: set when the work should end early; what a store holds by then stays.
        exact: gives the network in fp32, for tasks that overflow a lower precision.
        started: when the input was opened, on the monotonic clock.
        claims: of this process, that of the output among them; let go of at the end, and for the
            time in which other processes may share the tasks.
        replaces: fingerprint of the unfinished store of other work that may be dropped.
        strict: an input that its decoder had to mend is an error, not a warning.
        patient: leave a task alone that another process has claimed; else it is rendered by both,
            and the first one's pixels stay.
    """

    def __init__(
        self,
        plan: RenderPlan,
        source: Source,
        model: Model,
        listen: Listener,
        stop: threading.Event,
        exact: Callable[[], Model],
        started: float,
        claims: Claims,
        replaces: str = "",
        *,
        strict: bool = False,
        patient: bool = True,
    ) -> None:
        # for the colour profile and the resolution, of the file as it was
        self.plan, self.info, self.model = plan, source.info, model
        self.listen, self.stop, self.exact = listen, stop, exact
        self.input, self.output = location(plan.input), location(plan.output)
        self.store_path = store_path(self.output)
        self.unpacked = unpacked_path(self.output)
        self.started, self.claims, self.replaces = started, claims, replaces
        self.error: Exception | None = None
        # what is in work elsewhere, so that the image is not finished
        self.elsewhere: dict[Path, Owner] = {}
        # out of time: tasks were left out, so that the image is not finished
        self.cut = False
        self.strict = strict
        # does not wait for others' tasks, but does them as well
        self.patient = patient
        self.task_seconds = 0.0
        # pixels that this run has to render
        self.rendered = plan.pixels
        # taken by the first one who says it
        self._told_of_damage = threading.Lock()
        self._source: Source | None = source
        self._canvas: Canvas | None = None

    def open(self, *, tidy: bool = True) -> int:
        """Open the store or the memory; returns pixels that are done already.

        Args:
            tidy: look for what killed processes left of the output.

        Raises:
            InputError: the input cannot be unpacked.
            OutputError: the output folder cannot be written.
            InWork: a store of other work, which others are at.
        """
        plan = self.plan
        if plan.via_store and self._in_place and plan.region != plan.canvas:
            raise OutputError(
                f"cannot write {self.output}",
                got="a part that begins inside of a shard, as Zarr in a bucket",
                expected=f"--roi from multiples of {plan.shard} on",
                cure="choose another --format, or write it to a folder",
            )
        if tidy or plan.via_store:
            with output_errors(self.output):
                self._rescue()
                remove_stale_work(self.output)
        if plan.unpack and self._source is not None:
            self._source = self._unpacked(self._source)
        self._canvas = Canvas(plan, self._open_store() if plan.via_store else None)
        if plan.via_store:
            levels = exporter_for(plan.output_format).levels and plan.pyramid != "none"
            if levels and plan.region == plan.canvas:
                with self._in_work_if_lost(), output_errors(self.output):
                    self._canvas.grow(Weighing.of(output_info(plan, self.info)))
            # from here on the shards are anybody's
            self.claims.release(claim_path(self.output))
        self.rendered = self._canvas.to_render
        return plan.pixels - self.rendered

    def _unpacked(self, source: Source) -> Source:
        log.info("%s: unpacking it to %s", self.input, self.unpacked)
        try:
            # the plan says so of sources only that have bands
            return unpack(
                cast("BandSource", source), self.unpacked, self.plan.input_digest, self._check_stop
            )
        finally:
            source.close()

    @property
    def _in_place(self) -> bool:
        """Whether the store is the output, as a Zarr output is in a bucket."""
        return self.store_path == self.output

    def _rescue(self) -> None:
        """Bring the finished pixels back that a killed process was about to give their name.

        The same for a finished store that lacks shards: it becomes an unfinished one.
        """
        if self._in_place:
            if output_state(self.output, self.plan) is OutputState.DAMAGED:
                TileStore.reopen(self.output)
            return
        if self.store_path.exists() or not self.plan.via_store:
            return
        places = stale(self.output)
        if output_state(self.output, self.plan) is OutputState.DAMAGED:
            places.append(self.output)
        for place in places:
            store = finished_store(place)
            if store is not None and store.fingerprint == self.plan.store_fingerprint:
                place.rename(self.store_path)
                return

    def _open_store(self) -> TileStore:
        plan = self.plan
        if self._in_place and finished_store(self.output) and not is_draft(self.output):
            # of other work, which may be overwritten: the batch has asked before
            with output_errors(self.output):
                drop(self.output)
        if self.store_path.exists():
            try:
                return TileStore.open(self.store_path, plan.store_fingerprint)
            except OutputError as error:
                claim = claim_path(self.output)
                if others := self.claims.others(self.output):
                    raise InWork(others) from error
                now = Unfinished.read(self.output)
                if now is not None and now.fingerprint != self.replaces:
                    # begun since the plan was made, which has to take its cut
                    raise InWork({claim: Owner()}) from error
                # the batch has asked before: there is nothing in it, or it may be overwritten
                log.debug("starting afresh: %s", error)
                with output_errors(self.store_path):
                    drop(self.store_path)
        return TileStore.create(
            self.store_path,
            height=plan.canvas.height,
            width=plan.canvas.width,
            channels=plan.channels,
            dtype=np.dtype(plan.dtype),
            chunk=plan.chunk,
            shard=plan.shard,
            fingerprint=plan.store_fingerprint,
            level=KEPT if plan.output_format == "zarr" else SCRATCH,
            attributes=store_attributes(plan, f"liif {__version__}"),
        )

    def tasks(self, part: Slice = ALL_TASKS) -> Iterator[RenderTask]:
        """Tasks that are left to render: those of a slice first, in their order.

        Then what is left of the others', at random, with a new look every few of them at what
        others have done by then: of thousands of tasks nearly all are.
        """
        canvas = self._opened
        tasks = list(self.plan.tasks())
        first = int(part.start * len(tasks))
        tasks = tasks[first:] + tasks[:first]
        own = math.ceil(part.share * len(tasks))
        yield from filter(canvas.is_left, tasks[:own])
        rest = tasks[own:]
        random.shuffle(rest)
        while rest and canvas.store is not None:
            canvas.look()
            rest = list(filter(canvas.is_left, rest))
            yield from rest[:_AT_ONCE]
            rest = rest[_AT_ONCE:]

    def render(self, task: RenderTask) -> None:
        """Render one task and put its pixels where they belong; in fp32 where it must be.

        A task of a store that another process is at is left to it; shards that are there stay.

        Raises:
            RenderError: a colour that is NaN or infinite in fp32 as well.
        """
        if self._opened.store is None:
            self._render_task(task, list(self._opened.outputs(task)))
            return
        if self.lost:
            return
        claim = task_claim_path(self.output, task.number)
        with output_errors(self.output):
            owner = self.claims.take(claim)
        if owner is not None and self.patient:
            self.elsewhere[claim] = owner
            return
        started = time.monotonic()
        try:
            if outputs := self._left(task):
                self._render_task(task, outputs)
                self.task_seconds = time.monotonic() - started
        finally:
            self.claims.release(claim)

    @property
    def lost(self) -> bool:
        """Whether the store is gone: another process finished it, or began something else."""
        return self._canvas is not None and self._canvas.lost

    @property
    def _opened(self) -> Canvas:
        if self._canvas is None:
            raise OutputError(f"{self.output} was finished before it was opened")
        return self._canvas

    def _left(self, task: RenderTask) -> list[Window]:
        """Windows of a task that nobody has rendered by now."""
        left = []
        for window in self._opened.outputs(task):
            if self._opened.has(window):
                self.listen(DoneElsewhere(self.input, window.pixels))
            else:
                left.append(window)
        return left

    def _render_task(self, task: RenderTask, outputs: list[Window]) -> None:
        try:
            self._render(self.model, self.plan, task, outputs)
        except RenderError as error:
            if self.plan.precision == "fp32":
                raise
            log.info("%s, task %d: %s; again in fp32", self.input, task.number, error)
            exact = dataclasses.replace(self.plan, precision="fp32")
            self._render(self.exact(), exact, task, outputs)

    def _render(
        self, model: Model, plan: RenderPlan, task: RenderTask, outputs: list[Window]
    ) -> None:
        """Render what is left of ``outputs``, which empties as its windows are done."""
        assert self._source is not None
        parts = render_task(model, plan, task, self._read, iter(tuple(outputs)), self.stop.is_set)
        for window, pixels in parts:
            self._opened.put(window, pixels)
            outputs.remove(window)
            self.listen(TaskDone(self.input, window.pixels))
        give_back()

    def _read(self, window: Window) -> Pixels:
        """A window of the input; says once that the file is damaged.

        Raises:
            InputError: it is, and that is an error.
        """
        assert self._source is not None
        pixels = self._source.read(window)
        if damage := self._source.damage:
            if self.strict:
                raise damaged_input(self.input, damage)
            if self._told_of_damage.acquire(blocking=False):
                self.listen(Warned(f"{self.input}: damaged, its decoder says: {damage}"))
        return pixels

    def share(self) -> float:
        """The part of the output that a later run finds done, 0 to 1."""
        return self._canvas.share if self._canvas is not None else 0.0

    def finish(self) -> None:
        """Write the output under its final name, and its record just before.

        Shards that turn out to be damaged are rendered again.

        Raises:
            OutputError: permission, a full disk, or a limit of the format.
            Interrupted: the work should end early; the store stays.
            InWork: another process is at it, or was and finished it.
        """
        pixels = self._opened.pixels
        with self._in_work_if_lost():
            self._finish(pixels)

    @contextmanager
    def _in_work_if_lost(self) -> Iterator[None]:
        """What fails for want of the store is not an error: another process finished it or took it.

        Only one that took over the claim of this one, for want of a sign of life or while both
        removed that of a dead process, can have done so.
        """
        try:
            yield
        except OutputError as error:
            if not self.lost:
                raise
            raise InWork({claim_path(self.output): Owner()}) from error

    def _finish(self, pixels: TileStore | ArrayPixels) -> None:
        if isinstance(pixels, TileStore):
            self._join(pixels)
        pixels.on_read = self._check_stop
        self.listen(ExportStarted(self.input))
        try:
            self._export(pixels)
        except OutputError:
            if not self._mend():
                raise
            self._export(pixels)
        self._clean()
        self.close()
        seconds = time.monotonic() - self.started
        self.listen(ImageDone(self.input, self.output, self.rendered, seconds))

    def _clean(self) -> None:
        """Remove what the finished output was made from."""
        try:
            if self.plan.via_store and not self._in_place:
                drop(self.store_path)
            if self.plan.unpack:
                remove_unpacked(self.unpacked)
        except OSError as error:
            # the output is whole, and a later run removes the rest
            log.warning("%s: %s: cannot be removed", error.filename, error.strerror)

    def _join(self, store: TileStore) -> None:
        """Take the image for this process alone, now that every shard is there."""
        with output_errors(self.output):
            owner = self.claims.take(claim_path(self.output))
        if owner is not None:
            raise InWork({claim_path(self.output): owner})
        missing = next(store.base.missing(), None)
        if store.lost or missing is not None:
            raise InWork(self.claims.others(self.output) or {claim_path(self.output): Owner()})
        self.claims.others(self.output)
        store.remove_partials()

    def _export(self, pixels: TileStore | ArrayPixels) -> None:
        plan = self.plan
        info = output_info(plan, self.info)
        exporter = exporter_for(plan.output_format)
        part: PixelReader = pixels
        if isinstance(pixels, TileStore) and plan.region != plan.canvas:
            part = PartPixels(pixels, plan.region.relative_to(plan.canvas))
        if self._in_place and isinstance(pixels, TileStore):
            record = Record(plan.identity(), 0, 0, plan.model, gray=plan.gray)

            def before(size: int) -> None:
                self._check_stop()
                # as with files, the record is there before the output
                dataclasses.replace(record, size=size).write(self.output)

            finish(pixels, self.output, info, before)
            Record.of(plan, self.output).write(self.output)
            return
        with atomic_path(self.output) as partial:
            try:
                exporter.export(part, partial, info)
                self._check_stop()
                record = Record.of(plan, partial)
                record.write(self.output)
            except BaseException:
                # an exporter may have moved the store to where it would be removed now
                if isinstance(pixels, TileStore) and pixels.path != self.store_path:
                    pixels.move(self.store_path)
                raise
        if is_object(self.output):
            # its time of change is the server's
            record.put(self.output)

    def _check_stop(self) -> None:
        """Raises Interrupted when the work should end early."""
        if self.stop.is_set():
            raise Interrupted(f"{self.input} was interrupted", cure="run the same command again")

    def _mend(self) -> bool:
        """Render the damaged shards of the store again; False where there are none.

        Those of its reduced levels are removed, and made again by the export.
        """
        shards, of_levels = self._opened.discard_damaged()
        if not shards:
            return of_levels > 0
        log.warning("%s: %d damaged shards are rendered again", self.input, shards)
        for task in self.tasks():
            self.render(task)
        return True

    def close(self) -> None:
        """Let go of the input and of pixels in memory; a store on disk stays."""
        if self._source is not None:
            self._source.close()
        self._source = self._canvas = None
        self.claims.release(claim_path(self.output))
