"""Where the time of the steps goes, and how many more there will be."""

from __future__ import annotations

import time

import torch


class StepClock:
    """Share of the steps' time that goes into making batches.

    Call ``mark`` three times a step: at its start, when its batch is made, at its end. On CUDA the
    marks are events, which the device passes in its own time; nothing waits for them before
    ``take``.
    """

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.events: list[torch.cuda.Event] = []
        self.times: list[float] = []

    def mark(self) -> None:
        """One of a step's three marks."""
        if self.cuda:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self.events.append(event)
        else:
            self.times.append(time.perf_counter())

    def take(self) -> float:
        """The share in [0, 1] since the last call; 0 without a step."""
        if self.events:
            self.events[-1].synchronize()
            self.times = [self.events[0].elapsed_time(event) for event in self.events]
        starts, made, ends = (self.times[part::3] for part in range(3))
        total = sum(ends) - sum(starts)
        share = (sum(made) - sum(starts)) / total if total > 0 else 0.0
        self.events, self.times = [], []
        return share


class Speed:
    """Iterations to come, by the pace of this run without its first, slower steps."""

    SKIPPED = 5

    def __init__(self, iteration: int, now: float) -> None:
        self.first, self.start = iteration, now
        self.steady = iteration + self.SKIPPED

    def step(self, iteration: int, now: float) -> None:
        """Tell that ``iteration`` ended at ``now``."""
        if iteration == self.steady:
            self.first, self.start = iteration, now

    def expected(self, iteration: int, now: float, left: float) -> int:
        """Iterations in all when ``left`` seconds are left."""
        if iteration <= self.first or now <= self.start:
            return iteration
        return iteration + round((iteration - self.first) / (now - self.start) * max(0.0, left))
