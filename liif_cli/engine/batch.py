"""A folder of images: planned one by one, rendered on one pool, each failing alone.

Tasks of the next image start when threads become free, so that reading, computing and writing of
neighbours overlap; an image only starts beside others when their memory adds up to what is allowed.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from liif_cli.engine.claims import Claims
from liif_cli.engine.cost import model_cost
from liif_cli.engine.deaths import Deaths
from liif_cli.engine.digest import input_digest
from liif_cli.engine.events import (
    BatchDone,
    BatchStarted,
    Event,
    Listener,
)
from liif_cli.engine.machine import (
    measure_machine,
    other_automatic,
    resolve_device,
    resolve_precision,
)
from liif_cli.engine.notices import Notices
from liif_cli.engine.outputs import Outputs
from liif_cli.engine.pool import JobThreads
from liif_cli.engine.record import (
    Record,
)
from liif_cli.engine.results import BatchReport
from liif_cli.engine.run import ALL_TASKS
from liif_cli.engine.sampling import render_array
from liif_cli.engine.schedule import Scheduler, Settled
from liif_cli.engine.timewindow import TimeWindow
from liif_cli.engine.unfinished import (
    Unfinished,
    remembered_gray,
)
from liif_cli.errors import (
    InputError,
    OutputError,
    RenderError,
    UsageError,
)
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.cell import DEFAULT_CELL, SCALED, CellPolicy
from liif_cli.io import EXPORTERS, exporter_for, open_source
from liif_cli.io.base import ImageInfo, Source, View
from liif_cli.io.discover import Pair, discover_all, matching, unread
from liif_cli.io.place import location
from liif_cli.io.values import WHOLE, measure
from liif_cli.models.device import PRECISION_DTYPES, PRODUCTS, has_bf16, matrix_code_here
from liif_cli.models.loader import LoadedModel, load_model
from liif_cli.models.model import Model
from liif_cli.plan.cutting import TILE
from liif_cli.plan.plan import Cut, RenderPlan
from liif_cli.plan.planner import make_plan
from liif_cli.plan.spec import (
    WHOLE_INPUT_PIXELS,
    InputFacts,
    Machine,
    ModelCost,
    OutputFacts,
    RenderSpec,
)

log = logging.getLogger(__name__)

ALWAYS = TimeWindow()
"""A batch without a time at which it ends."""


@dataclass(frozen=True)
class Draft:
    """A plan before anyone looked at the pixels of whole numbers.

    ``looked``: somebody did, and ``plan.gray`` is known; it is False until then. ``replaces`` is
    the fingerprint of a half-rendered store of other work.
    """

    plan: RenderPlan
    info: ImageInfo
    looked: bool
    replaces: str = ""


class Batch:
    """The planning half of a batch: inputs, model and machine.

    Args:
        input: a file or a folder, or several.
        output: file or folder.
        spec: what is asked for.
        suffix: put behind the stem of every output's name.
        listen: told of everything.
        write: False where nothing is rendered.
        pairs: the images in the order of the work, where that is known; else they are looked for.

    Attributes:
        part: which tasks of an image of many come first, so that several processes meet as late
            as they can.

    Raises:
        UsageError: nothing to do, a clash of outputs, an unknown model or device, an option that
            the model has no use for.
        CheckpointError: weights that cannot be used.
    """

    def __init__(
        self,
        input: Path | Sequence[Path],
        output: Path,
        spec: RenderSpec,
        *,
        suffix: str,
        listen: Listener,
        write: bool = True,
        pairs: list[Pair] | None = None,
    ) -> None:
        marks = [time.perf_counter()]
        self.spec = spec
        self._listener, self._lock = listen, threading.Lock()
        self._taken: dict[str, Path] = {}
        self.claims = Claims()
        self.outputs = Outputs(spec, self.claims, write=write)
        self.notices = Notices(spec, self.listen)
        self.left_out: list[Path] = []
        self.part = ALL_TASKS
        inputs = [input] if isinstance(input, Path) else list(input)
        self.pairs: list[Pair] = pairs or discover_all(
            inputs,
            output,
            suffix=suffix,
            format=spec.format,
            name=spec.name,
            keep_extension=spec.keep_extension,
            left_out=self.left_out,
        )
        if spec.strict:
            roots = [one for one in inputs if one.is_dir()]
            for path in self.left_out:
                root = next(root for root in roots if path.is_relative_to(root))
                self.pairs.append(unread(path, root))
            self.left_out = []
        if spec.include or spec.exclude:
            self.pairs = matching(self.pairs, spec.include, spec.exclude)
            if not self.pairs:
                raise UsageError(
                    "--include and --exclude",
                    got="patterns that leave no image",
                    cure="check them: '*.tif' means names, 'sub/*' paths below the folder",
                )
        folder = self.pairs[0].fixed.parent if self.pairs[0].fixed else output
        self.deaths = Deaths(folder, again=spec.overwrite, write=write)
        self.listen(BatchStarted(len(self.pairs)))
        marks.append(time.perf_counter())
        device = resolve_device(spec.device)
        self.loaded: LoadedModel = load_model(spec.model, device, via=spec.via)
        self.precision = resolve_precision(spec.precision, device, self.loaded.model)
        _check_cleanup(spec, self.loaded)
        self.spec = dataclasses.replace(spec, cell=_cell_policy(spec, self.loaded))
        self.model = self.loaded.in_precision(self.precision)
        self._device = device
        self._say_precision()
        marks.append(time.perf_counter())
        self._warm_up(device)
        marks.append(time.perf_counter())
        log.info(
            "looking for images took %.1f s, loading the network %.1f s, its first pixels %.1f s",
            *(after - before for before, after in pairwise(marks)),
        )
        machine = measure_machine(spec, device)
        self.machine: Machine = dataclasses.replace(
            machine, alone=len(self.pairs) < machine.workers
        )

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
        return self.loaded.in_precision("fp32")

    def _say_precision(self) -> None:
        """Which instructions for bfloat16 are used, and which could be, for ``-v``."""
        if self._device.type != "cpu":
            return
        if self.precision in PRODUCTS and matrix_code_here():
            log.info("matrix instructions (AMX) run in %s what they can", self.precision)
        elif self.precision == "bf16x3":
            log.info("bf16x3 is computed in float32: there are no matrix instructions for it here")
        if self.spec.precision == "auto" and has_bf16(self._device):
            log.info("this processor has bfloat16: --precision bf16 is faster, and near fp32")

    def listen(self, event: Event) -> None:
        """Pass an event on, one thread at a time."""
        with self._lock:
            self._listener(event)

    def opened(self, pair: Pair) -> Source:
        """The input of a pair, opened.

        Raises:
            LiifError: it cannot be read.
        """
        if pair.error is not None:
            raise pair.error
        spec = self.spec
        return open_source(pair.input, View(spec.page or 1, spec.select, spec.level))

    def draft(self, pair: Pair) -> Draft:
        """The plan of one image, as far as it can be made without decoding it.

        Raises:
            LiifError: it cannot be read, or cannot be made.
        """
        source = self.opened(pair)
        info = source.info
        try:
            self._check_size(info)
            self.deaths.check(info, self.spec.page)
            if info.dtype not in WHOLE:
                self.deaths.begin(pair.input)  # measured by decoding it
            measured = measure(source)
        finally:
            source.close()
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
            select=self.spec.select,
            level=self.spec.level,
            unpack_bytes=info.unpack_bytes,
            cleanup=info.cleanup,
            nodata=info.nodata,
            linear=info.linear,
            mask=info.mask,
        )
        out_shape = self.spec.size.output_shape(info.height, info.width)
        outputs = [
            self.outputs.facts(pair.output(name), name) for name in self._formats(pair, info.format)
        ]
        precision = resolve_precision(
            self.spec.precision, self._device, self.loaded.model, facts.dtype
        )

        cost = self._cost(info, out_shape, precision)

        def planned(outputs: list[OutputFacts], resume: Cut | None = None) -> RenderPlan:
            return make_plan(
                self.spec,
                facts,
                outputs,
                cost,
                self.machine,
                model_digest=self.loaded.digest,
                precision=precision,
                resume=resume,
            )

        plan = planned(outputs)
        begun = Unfinished.read(location(plan.output))
        record = Record.read(location(plan.output))
        if self.spec.precision == "auto":
            before = begun.identity if begun is not None else record.identity if record else {}
            if other_automatic(before, plan.identity()):
                precision = before["precision"]
                cost = self._cost(info, out_shape, precision)
                plan = planned(outputs)
        gray = measured.gray
        if gray is None:
            gray = remembered_gray(plan, begun, record)
        plan = dataclasses.replace(plan, gray=bool(gray))
        if begun is not None and not begun.difference(plan, self.spec.tile):
            plan = planned([output for output in outputs if output.path == plan.output], begun.cut)
            plan = dataclasses.replace(plan, gray=bool(gray))
        first = self._taken.setdefault(plan.output, pair.input)
        if first != pair.input:
            raise OutputError(
                "two inputs would write one output",
                got=f"{first} and {pair.input} to {plan.output}",
                cure="give --keep-extension, or rename one of them",
            )
        replaces = begun.fingerprint if begun is not None and begun.half else ""
        return Draft(plan, info, looked=gray is not None, replaces=replaces)

    def _cost(self, info: ImageInfo, out_shape: tuple[int, int], precision: str) -> ModelCost:
        """What rendering an image at that size takes in that precision."""
        return model_cost(
            self.loaded.in_precision(precision),
            AxisMap(info.height, out_shape[0]),
            AxisMap(info.width, out_shape[1]),
            tile=self.spec.tile or TILE,
            sample_bytes=PRECISION_DTYPES[precision].itemsize,
        )

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
        if own == "tiff" and pair.wanted == "ome-tiff":
            own = pair.wanted  # as its name says
        return list(dict.fromkeys([own if own in EXPORTERS else "png", "tiff"]))


def upscale_batch(
    input: Path | Sequence[Path],
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
    batch.notices.of_sizes(batch.pairs, batch.opened)
    return run_batch(batch, until, started=started)


def run_batch(
    batch: Batch,
    until: TimeWindow = ALWAYS,
    *,
    settled: Settled | None = None,
    order: list[Pair] | None = None,
    started: float | None = None,
) -> BatchReport:
    """Do the work of a batch, and close it.

    Args:
        batch: whose listener is told of everything.
        until: when to begin nothing new.
        settled: says of an image what other processes made of it, without a look at it.
        order: of the results; that of the work where it is not given.
        started: when it began, on the monotonic clock.
    """
    started = time.monotonic() if started is None else started
    stop = threading.Event()
    scheduler = Scheduler(batch, stop, until, settled)
    interrupted = False
    try:
        JobThreads(batch.machine.workers).run(scheduler.jobs(), stop)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        batch.claims.close()
        batch.deaths.close()
    seconds = time.monotonic() - started
    results = scheduler.results(order)
    # everything may have been done by then all the same
    out_of_time = until.over and any(result.status == "interrupted" for result in results)
    report = BatchReport(
        results,
        seconds,
        interrupted or out_of_time,
        out_of_time=until.said if out_of_time and not interrupted else "",
        seconds_left=scheduler.seconds_left(seconds),
        left_out=tuple(batch.left_out),
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


def _cell_policy(spec: RenderSpec, loaded: LoadedModel) -> CellPolicy:
    """The policy for a model; an interpolation kernel has no pixel size to be told."""
    if loaded.model.encoder is None:
        if spec.cell is not None:
            raise UsageError(
                "--cell", got=f"--model {spec.model}", expected="a network", cure="leave --cell out"
            )
        return SCALED
    return (spec.cell or DEFAULT_CELL).of_model(loaded.largest_scale)
