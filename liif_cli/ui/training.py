"""What the user sees while a network trains: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from liif_cli.train.report import TrainReport
from liif_cli.ui.format import duration
from liif_cli.ui.progress import LINE_SECONDS, Clock


class TrainingLines:
    """One line at a time, every ``LINE_SECONDS`` and whenever the quality was measured."""

    def __init__(
        self, stream: TextIO, *, quiet: bool = False, clock: Clock = time.monotonic
    ) -> None:
        self.stream, self.quiet, self.clock = stream, quiet, clock
        self.first: tuple[float, float] | None = None
        self.last = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def report(self, entry: TrainReport) -> None:
        """Say how far the training is, when a line is due."""
        now = self.clock()
        if self.first is None:
            self.first = entry.progress, now
        ends = entry.progress >= 1
        if now - self.last < LINE_SECONDS and entry.psnr is None and not ends:
            return
        self.last = now
        line = f"iteration {entry.iteration} of {entry.iterations}: {figures(entry)}"
        gained, spent = entry.progress - self.first[0], now - self.first[1]
        if gained > 0 and not ends:
            line += f", {duration(spent * (1 - entry.progress) / gained)} left"
        self.say(line)

    def say(self, message: str) -> None:
        """Write one line."""
        if not self.quiet:
            print(message, file=self.stream, flush=True)


class TrainingBar:
    """A bar with the newest figures."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            expand=True,
            speed_estimate_period=600,
        )
        self.task: TaskID | None = None

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

    def report(self, entry: TrainReport) -> None:
        """Move the bar."""
        if self.task is None:
            self.task = self.progress.add_task("training", total=1.0, figures="")
        text = f"{entry.iteration}/{entry.iterations} {figures(entry)}"
        self.progress.update(self.task, completed=entry.progress, figures=text)
        if entry.psnr is not None:
            self.say(f"iteration {entry.iteration}: {figures(entry)}")

    def say(self, message: str) -> None:
        """Write one line above the bar."""
        self.progress.console.print(escape(message), highlight=False, soft_wrap=True)


def training_progress(*, quiet: bool) -> TrainingLines | TrainingBar:
    """The right one for this stderr."""
    console = Console(stderr=True)
    if console.is_terminal and not quiet:
        return TrainingBar(console)
    return TrainingLines(sys.stderr, quiet=quiet)


def figures(entry: TrainReport) -> str:
    """Loss, learning rate, speed, share of the time for data and, where measured, PSNR."""
    text = f"loss {entry.loss:.4f}, lr {entry.lr:.2e}"
    if entry.rate:
        text += f", {entry.rate:.3g} it/s, data {entry.data_share:.0%}"
    if entry.psnr is not None:
        text += f", PSNR {entry.psnr:.2f} dB"
    return text if entry.lossy_psnr is None else f"{text}, of JPEG {entry.lossy_psnr:.2f} dB"
