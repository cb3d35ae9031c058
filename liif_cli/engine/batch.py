"""A folder of images: planned one by one, rendered on one pool, each failing alone.

Tasks of the next image start when threads become free, so that reading, computing and writing of
neighbours overlap; an image only starts beside others when their memory adds up to what is allowed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from liif_cli.engine.deaths import Deaths
from liif_cli.engine.events import (
    BatchDone,
    BatchStarted,
    Event,
    ImageFailed,
    ImageSkipped,
    Listener,
    PlanMade,
    Warned,
)
from liif_cli.engine.executors import EXECUTORS, Executor, Job
from liif_cli.engine.machine import measure_machine, resolve_device, resolve_precision
from liif_cli.engine.record import (
    OutputState,
    difference,
    output_state,
    remove_stale_records,
    repair,
)
from liif_cli.engine.render import PRECISION_DTYPES, model_cost, render_array
from liif_cli.engine.run import ImageRun
from liif_cli.engine.timewindow import TimeWindow
from liif_cli.engine.unfinished import Unfinished, remembered_gray, store_path, unpacked_bytes
from liif_cli.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    InputError,
    Interrupted,
    LiifError,
    OutputError,
    RenderError,
    UsageError,
    printable,
)
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.cell import DEFAULT_CELL, SCALED, CellPolicy
from liif_cli.geometry.size import aspect_change
from liif_cli.io import EXPORTERS, exporter_for, open_source
from liif_cli.io.base import ImageInfo, Source
from liif_cli.io.discover import Pair, discover
from liif_cli.io.gray import is_gray
from liif_cli.io.values import measure
from liif_cli.models.loader import LoadedModel, load_model
from liif_cli.models.model import Model
from liif_cli.plan.plan import Cut, RenderPlan
from liif_cli.plan.planner import TILE, make_plan
from liif_cli.plan.spec import WHOLE_INPUT_PIXELS, InputFacts, Machine, OutputFacts, RenderSpec

log = logging.getLogger(__name__)

ALWAYS = TimeWindow()
"""A batch without a time at which it ends."""

ASPECT_TOLERANCE = 0.01
LISTED = 8
"""Images named in a warning before the rest are only counted."""


@dataclass(frozen=True)
class ImageResult:
    """How one image ended: ``status`` is done, skipped, failed or interrupted.

    ``cleanup`` and ``gray`` are those of its plan.
    """

    input: Path
    output: Path | None
    status: str
    out_shape: tuple[int, int] | None = None
    pixels: int = 0
    seconds: float = 0.0
    error: str | None = None
    cleanup: float = 0.0
    gray: bool = False


@dataclass(frozen=True)
class BatchReport:
    """How a batch ended, in the order of its inputs.

    ``out_of_time`` is the option by which time was up before everything was done, empty otherwise;
    ``seconds_left`` about how long the rest will take, None where nothing tells.
    """

    results: list[ImageResult]
    seconds: float
    interrupted: bool = False
    out_of_time: str = ""
    seconds_left: float | None = None

    @property
    def exit_code(self) -> int:
        """0 all done or skipped, 1 some failed, 3 interrupted."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        failed = any(result.status == "failed" for result in self.results)
        return EXIT_FAILED if failed else EXIT_OK


@dataclass(frozen=True)
class PlannedImage:
    """One image of a dry run: a plan, or the reason why there is none."""

    input: Path
    plan: RenderPlan | None = None
    info: ImageInfo | None = None
    error: str | None = None
    skipped: bool = False


@dataclass(frozen=True)
class Draft:
    """A plan before anyone looked at the pixels of whole numbers.

    ``looked``: somebody did, and ``plan.gray`` is known; it is False until then.
    """

    plan: RenderPlan
    info: ImageInfo
    looked: bool


class Batch:
    """The planning half of a batch: inputs, model and machine.

    Args:
        input: file or folder.
        output: file or folder.
        spec: what is asked for.
        suffix: put behind the stem of every output's name.
        listen: told of everything.
        write: False where nothing is rendered.

    Raises:
        UsageError: nothing to do, a clash of outputs, an unknown model or device, an option that
            the model has no use for.
        CheckpointError: weights that cannot be used.
    """

    def __init__(
        self,
        input: Path,
        output: Path,
        spec: RenderSpec,
        *,
        suffix: str,
        listen: Listener,
        write: bool = True,
    ) -> None:
        self.spec = spec
        self._listener, self._lock = listen, threading.Lock()
        self._taken: dict[str, Path] = {}
        self._write, self._cleaned = write, set[Path]()
        self.pairs: list[Pair] = discover(input, output, suffix=suffix, format=spec.format)
        folder = self.pairs[0].fixed.parent if self.pairs[0].fixed else output
        self.deaths = Deaths(folder, again=spec.overwrite, write=write)
        self.listen(BatchStarted(len(self.pairs)))
        device = resolve_device(spec.device)
        self.precision = resolve_precision(spec.precision, device)
        self.loaded: LoadedModel = load_model(spec.model, device, via=spec.via)
        _check_cleanup(spec, self.loaded)
        self.spec = dataclasses.replace(spec, cell=_cell(spec, self.loaded))
        self.model = self.loaded.model.in_precision(PRECISION_DTYPES[self.precision])
        self._device = device
        self._exact: Model | None = None
        self._exact_lock = threading.Lock()
        self._warm_up(device)
        self.machine: Machine = measure_machine(spec, device)

    def _warm_up(self, device: torch.device) -> None:
        """Import and compile what a render needs, so that the measured memory holds it."""
        for name in EXPORTERS:
            exporter_for(name)
        pixels = np.full((8, 8, 3), 128, np.uint8)
        try:
            render_array(self.model, pixels, (16, 16), device=str(device), precision=self.precision)
        except RenderError:
            # a lower precision overflows; tasks that do are rendered again in fp32
            render_array(self.exact(), pixels, (16, 16), device=str(device))

    def exact(self) -> Model:
        """The network in fp32, loaded when it is first asked for."""
        with self._exact_lock:
            if self._exact is None:
                self._exact = load_model(self.spec.model, self._device, via=self.spec.via).model
            return self._exact

    def listen(self, event: Event) -> None:
        """Pass an event on, one thread at a time."""
        with self._lock:
            self._listener(event)

    def warn_of_sizes(self) -> None:
        """Say which images change their aspect or shrink, before any work."""
        squeezed, shrunk = [], []
        for pair in self.pairs:
            try:
                source = self._open(pair)
                shape = (source.info.height, source.info.width)
                source.close()
                out_shape = self.spec.size.output_shape(*shape)
            except Exception:
                continue  # it fails by itself, with its own message, when its turn comes
            change = aspect_change(shape, out_shape)
            # a side that was rounded to whole pixels is no change of aspect that anyone asked for
            rounding = 1 / min(out_shape)
            if abs(change) > ASPECT_TOLERANCE + rounding:
                wider = "wider" if change > 0 else "narrower"
                squeezed.append(f"{pair.input.name} ({abs(change):.0%} {wider})")
            if out_shape[0] < shape[0] or out_shape[1] < shape[1]:
                shrunk.append(pair.input.name)
        if squeezed:
            self.listen(
                Warned(
                    f"the aspect changes of {_listed(squeezed)}; "
                    "--fit inside or --fit cover keeps it"
                )
            )
        if shrunk:
            self.listen(
                Warned(
                    f"a scale below 1 for {_listed(shrunk)}: the output is smaller than the input"
                )
            )

    def _open(self, pair: Pair) -> Source:
        """The input of a pair, opened.

        Raises:
            LiifError: it cannot be read.
        """
        if pair.error is not None:
            raise pair.error
        return open_source(pair.input, self.spec.page)

    def draft(self, pair: Pair) -> Draft:
        """The plan of one image, as far as it can be made without decoding it.

        Raises:
            LiifError: it cannot be read, or cannot be made.
        """
        source = self._open(pair)
        info = source.info
        try:
            self._check_size(info)
            self.deaths.check(info, self.spec.page)
            if info.dtype.kind == "f":
                self.deaths.begin(pair.input)  # measured by decoding it
            measured = measure(source)
        finally:
            source.close()
        if info.pages > 1 and self.spec.page is None:
            log.info("%s: the first of %d pages; --page takes another", pair.input, info.pages)
        facts = InputFacts(
            path=str(pair.input),
            format=info.format,
            shape=info.shape,
            dtype=np.dtype(info.dtype).name,
            digest=input_digest(pair.input),
            decoded_bytes=info.decoded_bytes,
            alpha=info.alpha,
            ranges=measured.ranges,
            page=info.page,
            unpack_bytes=info.unpack_bytes,
            cleanup=info.cleanup,
        )
        out_shape = self.spec.size.output_shape(info.height, info.width)
        cost = model_cost(
            self.model,
            AxisMap(info.height, out_shape[0]),
            AxisMap(info.width, out_shape[1]),
            tile=self.spec.tile or TILE,
            sample_bytes=PRECISION_DTYPES[self.precision].itemsize,
        )
        outputs = [
            self._output_facts(pair.output(name), name) for name in self._formats(pair, info.format)
        ]

        def planned(outputs: list[OutputFacts], resume: Cut | None = None) -> RenderPlan:
            return make_plan(
                self.spec,
                facts,
                outputs,
                cost,
                self.machine,
                model_digest=self.loaded.digest,
                precision=self.precision,
                resume=resume,
            )

        plan = planned(outputs)
        found = Unfinished.read(Path(plan.output))
        gray = measured.gray if measured.gray is not None else remembered_gray(plan, found)
        plan = dataclasses.replace(plan, gray=bool(gray))
        if found is not None and not found.difference(plan, self.spec.tile):
            plan = planned([output for output in outputs if output.path == plan.output], found.cut)
            plan = dataclasses.replace(plan, gray=bool(gray))
        first = self._taken.setdefault(plan.output, pair.input)
        if first != pair.input:
            raise OutputError(
                "two inputs would write one output",
                got=f"{first} and {pair.input} to {plan.output}",
                cure="rename one of them, or give --format",
            )
        return Draft(plan, info, looked=gray is not None)

    def warn_of_dropped(self, info: ImageInfo) -> None:
        """Say what of an image's metadata its output will not have."""
        for what in info.dropped:
            self.listen(Warned(f"{info.path}: {what}"))

    def _check_size(self, info: ImageInfo) -> None:
        """Refuse what may be a decompression bomb before a pixel of it is decoded.

        Raises:
            InputError: more pixels than an input may have.
        """
        limit = self.spec.max_input_pixels
        if limit is None and not info.by_window:
            limit = WHOLE_INPUT_PIXELS
        if limit is not None and info.height * info.width > limit:
            raise InputError(
                str(info.path),
                got=f"{info.width}x{info.height}, {info.width * info.height:,} pixels",
                expected=f"at most {limit:,}",
                cure="raise --max-input-pixels if the file is to be trusted",
            )

    def _formats(self, pair: Pair, own: str) -> list[str]:
        """Formats to try for an output: what was asked for; else the input's own, then TIFF."""
        if pair.wanted is not None and (pair.fixed is not None or self.spec.format != "auto"):
            return [pair.wanted]
        return list(dict.fromkeys([own if own in EXPORTERS else "png", "tiff"]))

    def _output_facts(self, path: Path, name: str) -> OutputFacts:
        exporter = exporter_for(name)
        folder = path.parent
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
            raise OutputError(
                f"cannot write {path}",
                got="a read-only file system" if read_only else f"no permission to write {folder}",
                expected="a place to write",
                cure="choose another folder",
            )
        unfinished = Unfinished.read(path)
        return OutputFacts(
            path=str(path),
            format=name,
            disk_free=shutil.disk_usage(folder).free,
            disk_held=(unfinished.held if unfinished else 0) + unpacked_bytes(path),
            max_side=exporter.max_side,
            dtypes=exporter.dtypes,
            streams=exporter.streams,
            channels=exporter.channels,
            compressions=exporter.compressions,
            pyramids=exporter.pyramids,
            disk=exporter.disk,
        )

    def look(
        self, plan: RenderPlan, state: OutputState, source: Source
    ) -> tuple[RenderPlan, OutputState]:
        """A plan that knows whether its input is gray, and what lies at its output then.

        Args:
            plan: one of whose input nobody knows.
            state: of its output, with an input that is not gray.
            source: its input; what is decoded of a whole file stays in it.

        Raises:
            InputError: the file is damaged.
            OutputError: see ``state``.
        """
        if not is_gray(source, bands=plan.unpack):
            return plan, state
        plan = dataclasses.replace(plan, gray=True)
        return plan, self.state(plan)

    def state(self, plan: RenderPlan) -> OutputState:
        """What lies at the plan's output.

        Raises:
            OutputError: something else, finished or half rendered, that may not be overwritten.
        """
        output = Path(plan.output)
        if self._write and output.parent not in self._cleaned:
            self._cleaned.add(output.parent)
            remove_stale_records(output.parent)
        state = output_state(output, plan, remember=self._write)
        found = Unfinished.read(output)
        differs = found.difference(plan, self.spec.tile) if found is not None else ""
        half = found is not None and found.path == store_path(output)
        if half and differs and not self.spec.overwrite:
            raise OutputError(
                f"{output} is half rendered with other options or from another input",
                got=differs,
                expected="what it was begun with",
                cure="run the command that began it, or use --overwrite to start afresh",
            )
        if state is OutputState.OTHER and not self.spec.overwrite:
            raise OutputError(
                f"{output} exists",
                got=difference(output, plan),
                expected="no file, or the same one finished before",
                cure="use --overwrite to replace it",
            )
        if self.spec.verify and state is OutputState.FINISHED and repair(output):
            return OutputState.DAMAGED
        return state


def upscale_batch(
    input: Path,
    output: Path,
    spec: RenderSpec,
    *,
    suffix: str = "",
    listen: Listener,
    until: TimeWindow = ALWAYS,
) -> BatchReport:
    """Upscale a file or a folder.

    Args:
        input: an image, or a folder walked recursively.
        output: a folder, or a file when ``input`` is one.
        spec: what is asked for.
        suffix: put behind the stem of every output's name.
        listen: told of everything; called by one thread at a time.
        until: when to begin nothing new.

    Raises:
        LiifError: nothing could be started (see ``Batch``). Failures of single images are reported,
            not raised, and so is an interrupt.
    """
    started = time.monotonic()
    batch = Batch(input, output, spec, suffix=suffix, listen=listen)
    batch.warn_of_sizes()
    stop = threading.Event()
    scheduler = _Scheduler(batch, stop, until)
    interrupted = False
    try:
        executor: Executor = EXECUTORS.load("threads")(batch.machine.workers)
        executor.run(scheduler.jobs(), stop)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        batch.deaths.close()
    seconds = time.monotonic() - started
    results = scheduler.results()
    # everything may have been done by then all the same
    out_of_time = until.over and any(result.status == "interrupted" for result in results)
    report = BatchReport(
        results,
        seconds,
        interrupted or out_of_time,
        out_of_time=until.said if out_of_time and not interrupted else "",
        seconds_left=scheduler.seconds_left(seconds),
    )
    statuses = [result.status for result in report.results]
    batch.listen(
        BatchDone(
            statuses.count("done"),
            statuses.count("skipped"),
            statuses.count("failed"),
            report.seconds,
        )
    )
    return report


def plan_batch(
    input: Path, output: Path, spec: RenderSpec, *, suffix: str = "", listen: Listener
) -> list[PlannedImage]:
    """Plan a file or a folder without doing anything.

    Raises:
        LiifError: nothing could be started (see ``Batch``).
    """
    batch = Batch(input, output, spec, suffix=suffix, listen=listen, write=False)
    batch.warn_of_sizes()
    planned = []
    for pair in batch.pairs:
        try:
            draft = batch.draft(pair)
            plan, state = draft.plan, batch.state(draft.plan)
            if not draft.looked:
                with closing(open_source(pair.input, plan.page)) as source:
                    plan, state = batch.look(plan, state, source)
            skipped = state is OutputState.FINISHED
            if not skipped:
                batch.warn_of_dropped(draft.info)
            planned.append(PlannedImage(pair.input, plan, draft.info, skipped=skipped))
        except Exception as error:
            planned.append(PlannedImage(pair.input, error=_one_line(error)))
    return planned


class _Scheduler:
    """Turns a batch into jobs, and keeps the result of every image."""

    def __init__(self, batch: Batch, stop: threading.Event, until: TimeWindow) -> None:
        self.batch, self.stop, self.until = batch, stop, until
        self._shares: dict[Path, float] = {}
        self._before = 0.0
        self._results: dict[Path, ImageResult] = {}
        self._memory = 0
        self._running = 0
        self._changed = threading.Condition()

    def results(self) -> list[ImageResult]:
        """Results in the order of the inputs; images that never ended count as interrupted."""
        return [
            self._results.get(pair.input) or ImageResult(pair.input, None, "interrupted")
            for pair in self.batch.pairs
        ]

    def seconds_left(self, seconds: float) -> float | None:
        """How long the rest will take, if an image takes as long as one of this run's ``seconds``.

        Images are counted with the share that is rendered. None where nothing was rendered.
        """
        done = sum(result.status == "done" for result in self._results.values())
        left = len(self.batch.pairs) - len(self._results) - sum(self._shares.values())
        work = done + sum(self._shares.values()) - self._before
        return seconds * left / work if work > 0 and left > 0 else None

    def jobs(self) -> Iterator[Job]:
        """Jobs of every image, one image after the other."""
        for pair in self.batch.pairs:
            if self.stop.is_set() or self.until.over:
                return
            try:
                draft = self.batch.draft(pair)
                state = self.batch.state(draft.plan)
                if draft.looked and state is OutputState.FINISHED:
                    self._skip(draft.plan)
                    continue
                self._admit(draft.plan)
            except Exception as error:
                self._fail(pair.input, error)
                continue
            run: ImageRun | None = None
            try:
                run = self._run(draft, state)
                done = run.open() if run is not None else 0
            except Exception as error:
                if run is not None:
                    run.close()
                self._release(draft.plan)
                self._fail(pair.input, error)
                continue
            if run is None:
                self._release(draft.plan)
                self._skip(draft.plan)
                continue
            self._before += done / run.plan.pixels
            self.batch.listen(PlanMade(run.plan, done))
            self.batch.warn_of_dropped(draft.info)
            yield from _ImageJobs(run, self).jobs()

    def _run(self, draft: Draft, state: OutputState) -> ImageRun | None:
        """The run of an image, its input open; None where it is finished after all."""
        batch, plan, started = self.batch, draft.plan, time.monotonic()
        batch.deaths.begin(Path(plan.input))
        source = open_source(Path(plan.input), plan.page)
        try:
            if not draft.looked:
                plan, state = batch.look(plan, state, source)
            if state is not OutputState.FINISHED:
                return ImageRun(
                    plan, source, batch.model, batch.listen, self.stop, batch.exact, started
                )
        except BaseException:
            source.close()
            raise
        source.close()
        return None

    def _admit(self, plan: RenderPlan) -> None:
        """Wait until the image's memory fits beside those in flight."""
        extra = plan.projected_mem - self.batch.machine.base_bytes
        room = self.batch.machine.allowed_bytes - self.batch.machine.base_bytes
        with self._changed:
            while self._running and self._memory + extra > room and not self.stop.is_set():
                self._changed.wait(0.5)
            self._running += 1
            self._memory += extra

    def _release(self, plan: RenderPlan) -> None:
        with self._changed:
            self._running -= 1
            self._memory -= plan.projected_mem - self.batch.machine.base_bytes
            self._changed.notify_all()

    def _skip(self, plan: RenderPlan) -> None:
        source, target = Path(plan.input), Path(plan.output)
        self.batch.deaths.end(source)
        self._results[source] = ImageResult(
            source, target, "skipped", plan.region.shape, cleanup=plan.cleanup, gray=plan.gray
        )
        self.batch.listen(ImageSkipped(source, target))

    def _fail(self, source: Path, error: Exception) -> None:
        log.debug("%s failed", source, exc_info=error)
        self.batch.deaths.end(source)
        message = _one_line(error)
        self._results[source] = ImageResult(source, None, "failed", error=message)
        self.batch.listen(ImageFailed(source, message))

    def ended(self, run: ImageRun) -> None:
        """Called by the last job of an image."""
        if run.error is not None:
            run.close()
            self._fail(run.input, run.error)
        elif self.stop.is_set() or run.cut:
            self._shares[run.input] = run.share()
            run.close()
            # the process lives, so that this is no death
            self.batch.deaths.end(run.input)
        else:
            try:
                run.finish()
            except Interrupted:
                run.close()
            except Exception as error:
                run.close()
                self._fail(run.input, error)
            else:
                self.batch.deaths.end(run.input)
                self._results[run.input] = ImageResult(
                    run.input,
                    run.output,
                    "done",
                    run.plan.region.shape,
                    run.plan.pixels,
                    time.monotonic() - run.started,
                    cleanup=run.plan.cleanup,
                    gray=run.plan.gray,
                )
        self._release(run.plan)


class _ImageJobs:
    """The jobs of one image; whichever ends last finishes the image."""

    def __init__(self, run: ImageRun, scheduler: _Scheduler) -> None:
        self.run, self.scheduler = run, scheduler
        self._open = 1  # the generator itself, until it has handed out every task
        self._lock = threading.Lock()

    def jobs(self) -> Iterator[Job]:
        try:
            for task in self.run.tasks():
                if self.run.error is not None or self.scheduler.stop.is_set():
                    break
                if self._out_of_time():
                    break
                with self._lock:
                    self._open += 1

                def job(task=task) -> None:  # type: ignore[no-untyped-def]
                    try:
                        ended = self.run.error is not None or self.scheduler.stop.is_set()
                        if not ended and not self._out_of_time():
                            self.run.render(task)
                    except Exception as error:
                        self.run.error = self.run.error or error
                    finally:
                        self._close_one()

                yield job
        finally:
            self._close_one()

    def _out_of_time(self) -> bool:
        """Whether no task may begin any more; an image that nothing on the disk holds is ended."""
        if self.run.plan.via_store and self.scheduler.until.over:
            self.run.cut = True
        return self.run.cut

    def _close_one(self) -> None:
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            self.scheduler.ended(self.run)


def _check_cleanup(spec: RenderSpec, loaded: LoadedModel) -> None:
    """Refuse a level that the model could not be told; "none" and "auto" fit every model.

    Raises:
        UsageError: it could not.
    """
    if spec.cleanup and not loaded.model.takes_cleanup:
        raise UsageError(
            "--cleanup",
            got=f"{spec.cleanup:g} for --model {spec.model}, which cannot be told",
            expected="a model that can be told how lossy an image is",
            cure="leave --cleanup out, or choose one that 'liif models' lists with cleanup",
        )


def _cell(spec: RenderSpec, loaded: LoadedModel) -> CellPolicy:
    """The policy for a model; an interpolation kernel has no pixel size to be told."""
    if loaded.model.encoder is None:
        if spec.cell is not None:
            raise UsageError(
                "--cell", got=f"--model {spec.model}", expected="a network", cure="leave --cell out"
            )
        return SCALED
    return (spec.cell or DEFAULT_CELL).of_model(loaded.largest_scale)


def input_digest(path: Path) -> str:
    """SHA-256 of a file's content; of a store, of the names, sizes and times of its files."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for entry in sorted(path.rglob("*")):
        if entry.is_file():
            status = entry.stat()
            name = entry.relative_to(path).as_posix()
            line = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(os.fsencode(line))
    return digest.hexdigest()


def _one_line(error: Exception) -> str:
    """The message of an error; of one that is not ours, with its type."""
    text = printable(" ".join(str(error).split()))
    if isinstance(error, LiifError):
        return text
    if isinstance(error, MemoryError):
        return "out of memory; lower --max-memory or --tile"
    return f"unexpected {type(error).__name__}: {text}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return shown + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
