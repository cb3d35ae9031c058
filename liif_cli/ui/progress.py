"""What the user sees while a batch runs: bars on a terminal, plain lines elsewhere, errors only.

All of it goes to stderr. Events may come from several threads, and several images may be in flight.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO, assert_never

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

from liif_cli.engine.events import (
    BatchDone,
    BatchStarted,
    DoneElsewhere,
    EndedElsewhere,
    Event,
    ExportStarted,
    ImageDone,
    ImageFailed,
    ImageSkipped,
    PassedOver,
    PlanMade,
    TaskDone,
    Warned,
)
from liif_cli.errors import printable
from liif_cli.plan.plan import RenderPlan
from liif_cli.ui.format import (
    Errors,
    counted,
    deviations,
    duration,
    megapixels,
    rate,
    shown,
    sides,
    size_of,
)

LINE_SECONDS = 10.0
"""A plain line per image at least this often."""
LINE_SHARE = 0.1
"""A plain line per image for this share of its pixels, when LINE_PAUSE has passed."""
LINE_PAUSE = 2.0
NARROW = 70
"""Columns of a terminal below which sizes and speeds are left out."""
LEAST_NAME = 12
"""Characters of a name that are always shown."""
_BESIDE, _BESIDE_NARROW = 30 + 4 + 10 + 3, 14 + 4 + 6 + 3
"""Columns that are not the name's: speed and time, the percentage, a bar, and space between."""

Clock = Callable[[], float]


class Tracker:
    """How far one image is. ``start`` pixels were there before this run began."""

    def __init__(self, plan: RenderPlan, start: int, clock: Clock) -> None:
        self.plan, self.start, self.clock = plan, start, clock
        self.pixels, self.began = start, clock()
        self.exporting = False
        self.line_time, self.line_share = self.began, self.share

    @property
    def share(self) -> float:
        """Part of the output that is rendered, 0 to 1."""
        return self.pixels / self.plan.pixels

    @property
    def start_share(self) -> float:
        """Part of the output that others, or an earlier run, rendered."""
        return self.start / self.plan.pixels

    @property
    def speed(self) -> str:
        """Pixels of this run over its time; empty before there are any."""
        if self.pixels == self.start:
            return ""
        return rate(self.pixels - self.start, self.clock() - self.began)

    @property
    def left(self) -> str:
        """Time left at this run's speed; empty before anything is known."""
        fresh = self.pixels - self.start
        if fresh <= 0 or self.pixels >= self.plan.pixels:
            return ""
        seconds = (self.clock() - self.began) * (self.plan.pixels - self.pixels) / fresh
        return f"{duration(seconds)} left"

    def skip(self, pixels: int) -> None:
        """Count pixels that another process rendered, which say nothing of this run's speed."""
        self.start += pixels
        self.pixels += pixels

    def due(self) -> bool:
        """Whether another plain line is due; asking so when it is, counts as having written it."""
        waited = self.clock() - self.line_time
        grown = self.share - self.line_share
        if waited < LINE_SECONDS and not (waited >= LINE_PAUSE and grown >= LINE_SHARE):
            return False
        self.line_time, self.line_share = self.clock(), self.share
        return True


class BatchProgress(Protocol):
    """Takes the engine's events between entering and leaving."""

    def __call__(self, event: Event) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class PlainProgress:
    """One line at a time, for logs and pipes.

    Args:
        stream: where lines go.
        quiet: errors only.
        verbose: plans in detail.
        clock: seconds, rising.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        quiet: bool = False,
        verbose: bool = False,
        clock: Clock = time.monotonic,
    ) -> None:
        self.stream, self.quiet, self.verbose, self.clock = stream, quiet, verbose, clock
        self.images = self.begun = 0
        self.running: dict[str, Tracker] = {}
        self.lock = threading.Lock()
        self.gone = False
        self._errors = Errors()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.running.clear()

    def __call__(self, event: Event) -> None:
        with self.lock:
            for line in self._lines(event):
                self._write(line)

    def _lines(self, event: Event) -> list[str]:
        if isinstance(event, ImageFailed | EndedElsewhere):
            self.begun += str(event.input) not in self.running
            self.running.pop(str(event.input), None)
            return [f"error: {self._errors.said(event.input, event.error)}"] if event.error else []
        if self.quiet:
            return []
        match event:
            case BatchStarted():
                self.images = event.images
            case Warned():
                return [f"warning: {event.message}"]
            case PlanMade():
                self.begun += 1
                self.running[event.plan.input] = Tracker(event.plan, event.done_pixels, self.clock)
                return self._plan_lines(event)
            case TaskDone():
                tracker = self.running.get(str(event.input))
                if tracker is not None:
                    tracker.pixels += event.pixels
                    if tracker.left and tracker.due():
                        return [f"{event.input}: {_state(tracker)}"]
            case DoneElsewhere():
                tracker = self.running.get(str(event.input))
                if tracker is not None:
                    tracker.skip(event.pixels)
            case PassedOver():
                self.begun -= self.running.pop(str(event.input), None) is not None
                return (
                    [f"{event.input}: {event.reason}, looked at again later"]
                    if event.reason
                    else []
                )
            case ExportStarted():
                tracker = self.running.get(str(event.input))
                # without a store the file is small and soon there
                if self.verbose or (tracker is not None and tracker.plan.via_store):
                    return [f"{event.input}: rendered, writing the file"]
            case ImageDone():
                self.running.pop(str(event.input), None)
                speed = rate(event.pixels, event.seconds)
                return [
                    f"{event.input}: done in {duration(event.seconds)}, {speed}: {event.output}"
                ]
            case ImageSkipped():
                self.begun += str(event.input) not in self.running
                self.running.pop(str(event.input), None)
                return [f"{event.input}: skipped, finished before: {event.output}"]
            case BatchDone() | ImageFailed() | EndedElsewhere():
                pass  # the summary follows, and errors were said above
            case _:
                assert_never(event)
        return []

    def _plan_lines(self, event: PlanMade) -> list[str]:
        plan = event.plan
        line = f"[{self.begun}/{self.images}] {plan.input}: {_sizes(plan)}"
        if event.done_pixels:
            line += f", resumed at {event.done_pixels / plan.pixels:.0%}"
        return [line, f"  {plan_details(plan)}"] if self.verbose else [line]

    def _write(self, line: str) -> None:
        if self.gone:
            return
        try:
            print(printable(line), file=self.stream, flush=True)
        except OSError:
            # nobody reads stderr any more (a closed terminal, a pipe's end): the work goes on
            self.gone = True


class _NameColumn(ProgressColumn):
    """What a bar is of; a long name is cut in its middle, so that the bar and the time have room.

    Args:
        console: whose width counts.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(Column(no_wrap=True))
        self.console = console

    def render(self, task: Task) -> Text:
        sides = task.fields["sides"] if self.console.width >= NARROW else ""
        room = self.console.width - (_BESIDE if sides else _BESIDE_NARROW) - len(sides)
        return Text(_cut(task.description, max(LEAST_NAME, room)) + sides)


class _PercentColumn(ProgressColumn):
    """The percentage, where it is known."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True, min_width=4))

    def render(self, task: Task) -> Text:
        return Text("" if task.total is None else f"{task.percentage:>3.0f}%")


class _StateColumn(ProgressColumn):
    """Speed and time left, asked for at each refresh; the time alone where there is little room."""

    def __init__(self, console: Console) -> None:
        super().__init__(Column(no_wrap=True))
        self.console = console

    def render(self, task: Task) -> Text:
        parts = [part for part in task.fields["state"]() if part]
        return Text(", ".join(parts if self.console.width >= NARROW else parts[-1:]), style="cyan")


def _cut(name: str, room: int) -> str:
    """The name in so many characters: its beginning and its end, which has the suffix."""
    if len(name) <= room:
        return name
    end = room // 2
    return f"{name[: room - end - 1]}…{name[-end:]}"


class BarProgress:
    """One bar for the batch, one for each image in flight."""

    def __init__(
        self, console: Console, *, verbose: bool = False, clock: Clock = time.monotonic
    ) -> None:
        self.verbose, self.clock = verbose, clock
        self.lock = threading.Lock()
        self.running: dict[str, tuple[TaskID, Tracker]] = {}
        self._errors = Errors()
        self.images = self.finished = self.pixels = 0
        # images that this run rendered, without what was there before
        self.rendered = 0.0
        self.began = clock()
        self.progress = Progress(
            _NameColumn(console),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            _PercentColumn(),
            _StateColumn(console),
            console=console,
            # a cleared bar leaves only the lines above it and the summary
            transient=True,
            expand=True,
        )
        self.batch = self.progress.add_task("images", total=None, state=self._batch_state, sides="")

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def __call__(self, event: Event) -> None:
        with self.lock:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case BatchStarted():
                self.images, self.began = event.images, self.clock()
                self.progress.update(self.batch, total=event.images)
            case Warned():
                self._print(f"[yellow]warning:[/] {shown(event.message)}")
            case PlanMade():
                self._begin(event)
            case TaskDone():
                self._advance(event)
            case DoneElsewhere():
                entry = self.running.get(str(event.input))
                if entry is not None:
                    entry[1].skip(event.pixels)
                    self.progress.update(entry[0], completed=entry[1].pixels)
            case PassedOver():
                entry = self.running.pop(str(event.input), None)
                if entry is not None:
                    self.progress.remove_task(entry[0])
                if event.reason:
                    self._print(shown(f"{event.input}: {event.reason}, looked at again later"))
            case ExportStarted():
                entry = self.running.get(str(event.input))
                if entry is not None:
                    entry[1].exporting = True
            case ImageDone():
                if entry := self.running.get(str(event.input)):
                    self.rendered += 1 - entry[1].start_share
                self._end(event.input)
                if self.verbose:
                    speed = rate(event.pixels, event.seconds)
                    self._print(
                        shown(f"{event.output}: done in {duration(event.seconds)}, {speed}")
                    )
            case ImageSkipped():
                self._end(event.input)
                if self.verbose:
                    self._print(shown(f"{event.output}: skipped, finished before"))
            case EndedElsewhere() if not event.error:
                self._end(event.input)
            case ImageFailed() | EndedElsewhere():
                self._end(event.input)
                self._print(
                    f"[bold red]error:[/] {shown(self._errors.said(event.input, event.error))}"
                )
            case BatchDone():
                pass  # the summary follows
            case _:
                assert_never(event)

    def _begin(self, event: PlanMade) -> None:
        plan = event.plan
        tracker = Tracker(plan, event.done_pixels, self.clock)
        task = self.progress.add_task(
            printable(Path(plan.input).name),
            # of a single task nothing is known before its end: the bar moves to and fro
            total=None if plan.task_count == 1 else plan.pixels,
            completed=event.done_pixels,
            state=lambda: _states(tracker),
            sides=f" {sides(plan.region.shape)}",
        )
        self.running[plan.input] = task, tracker
        self.progress.update(self.batch, completed=self._images_done())
        if self.verbose:
            self._print(shown(f"{plan.input}: {_sizes(plan)}"))
            self._print(f"  {shown(plan_details(plan))}")

    def _advance(self, event: TaskDone) -> None:
        entry = self.running.get(str(event.input))
        if entry is not None:
            task, tracker = entry
            tracker.pixels += event.pixels
            self.pixels += event.pixels
            self.progress.update(task, completed=tracker.pixels, total=tracker.plan.pixels)
            self.progress.update(self.batch, completed=self._images_done())

    def _end(self, path: Path) -> None:
        entry = self.running.pop(str(path), None)
        if entry is not None:
            self.progress.remove_task(entry[0])
        self.finished += 1
        self.progress.update(self.batch, completed=self._images_done())

    def _images_done(self) -> float:
        """Images, with the rendered share of those in flight."""
        return self.finished + sum(tracker.share for _, tracker in self.running.values())

    def _images_rendered(self) -> float:
        """Images that this run rendered, with its share of those in flight."""
        trackers = (tracker for _, tracker in self.running.values())
        return self.rendered + sum(one.share - one.start_share for one in trackers)

    def _batch_state(self) -> list[str]:
        spent = self.clock() - self.began
        left, rendered = self.images - self._images_done(), self._images_rendered()
        parts = [f"{self.finished}/{self.images}"]
        if self.pixels:
            parts.append(rate(self.pixels, spent))
        # what was skipped or there before says nothing of how long the rest takes
        if left > 0 and rendered > 0:
            parts.append(f"{duration(spent * left / rendered)} left")
        return parts

    def _print(self, markup: str) -> None:
        self.progress.console.print(markup, highlight=False, soft_wrap=True)


def batch_progress(*, quiet: bool, verbose: bool) -> BatchProgress:
    """The right one for this stderr and these options."""
    console = Console(stderr=True)
    if console.is_terminal and not quiet:
        return BarProgress(console, verbose=verbose)
    return PlainProgress(sys.stderr, quiet=quiet, verbose=verbose)


def plan_details(plan: RenderPlan) -> str:
    """What a plan decided and what it costs, on one line."""
    where = "by way of a tile store" if plan.via_store else "in memory"
    how = "".join(f", {text}" for text in deviations(plan))
    return (
        f"{plan.model} on {plan.device} in {plan.precision}{how}, "
        f"{counted(plan.task_count, 'task')} of {sides(plan.task)} in tiles of {plan.tile}, "
        f"{counted(plan.workers, 'worker')}, {where}; memory "
        f"{size_of(plan.projected_mem)} of {size_of(plan.allowed_mem)}, disk "
        f"{size_of(plan.projected_disk)} at most"
    )


def _sizes(plan: RenderPlan) -> str:
    shapes = f"{sides(plan.in_shape)} -> {sides(plan.region.shape)}"
    return f"{shapes}, {megapixels(plan.pixels)}, {plan.output_format}"


def _state(tracker: Tracker) -> str:
    """The percentage, speed and time left on one line."""
    parts = [] if tracker.exporting else [f"{tracker.share:.0%}"]
    return ", ".join(part for part in (*parts, *_states(tracker)) if part)


def _states(tracker: Tracker) -> list[str]:
    """Speed and time left, or what is done instead of rendering."""
    return ["writing the file"] if tracker.exporting else [tracker.speed, tracker.left]
