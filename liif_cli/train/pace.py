"""When a training reports, validates and saves, and what of its time that takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from liif_cli.train.presets import Preset
from liif_cli.train.stepclock import Speed

LOG_SECONDS = 30.0
"""Between reports at most, however slow the iterations are."""
VALIDATION_PART = 0.05
"""Of the time at most, however fast they are."""


class Pace:
    """The turns of one run of a training, at which it reports, and at some of them does more.

    Args:
        preset: network and recipe.
        clock: seconds from anywhere.
        iteration: iterations that earlier runs did.
        seconds: what they took.
        log_every: iterations between reports.
        validate_every: iterations between validations.
        save_seconds: between saves.
    """

    def __init__(
        self,
        preset: Preset,
        clock: Callable[[], float],
        *,
        iteration: int,
        seconds: float,
        log_every: int,
        validate_every: int,
        save_seconds: float,
    ) -> None:
        self._preset, self._clock = preset, clock
        self._before, self._start = seconds, clock()
        self._log_every, self._validate_every = log_every, validate_every
        self._log_seconds = min(LOG_SECONDS, preset.time / 20 or LOG_SECONDS)
        self._save_seconds = save_seconds
        self._speed = Speed(iteration, self._start)
        self._steps = 0
        self._now = self._logged = self._saved = self._start
        self._validated, self._validation = -math.inf, 0.0
        self._saving: float | None = None

    @property
    def seconds(self) -> float:
        """Of training so far, earlier runs included."""
        return self._before + self._clock() - self._start

    def step(self, iteration: int) -> float:
        """Tell that ``iteration`` ended now; returns the seconds of training so far."""
        self._now = self._clock()
        self._steps += 1
        self._speed.step(iteration, self._now)
        return self._before + self._now - self._start

    def reports(self, iteration: int) -> bool:
        """Whether a turn is due after ``iteration``."""
        return iteration % self._log_every == 0 or self._now - self._logged >= self._log_seconds

    def take_steps(self) -> tuple[int, float]:
        """Iterations since the last turn, and how many per second."""
        steps, self._steps = self._steps, 0
        return steps, steps / max(1e-9, self._clock() - self._logged)

    def validates(self, iteration: int) -> bool:
        """Whether this turn validates: a validation is worth a part of the time."""
        due = iteration % self._validate_every == 0
        # a budget wants to know early what one costs
        due = due or (self._preset.time > 0 and not self._validation)
        return due and self._now - self._validated >= self._validation / VALIDATION_PART

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Around a validation, with its report."""
        began = self._clock()
        yield
        self._validated, self._validation = began, self._clock() - began

    @property
    def saves(self) -> bool:
        """Whether this turn saves. The first does: does the disk take it, and at what cost?"""
        return self._saving is None or self._now - self._saved > self._save_seconds

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around a save."""
        self._saved = self._clock()
        yield
        self._saving = self._clock() - self._saved

    @property
    def reserve(self) -> float:
        """Seconds to keep of a budget: for the last validation, the last state, the weights."""
        return min(self._validation + 2 * (self._saving or 0.0), self._preset.time / 2)

    def end_turn(self) -> float:
        """Tell that the turn is over; returns the seconds of training so far."""
        self._logged = self._clock()
        return self._before + self._logged - self._start

    def progress(self, iteration: int, seconds: float, *, done: bool) -> tuple[int, float]:
        """Iterations of the whole training, by a budget an estimate, and the part behind."""
        if not self._preset.time:
            return self._preset.iterations, 1.0 if done else iteration / self._preset.iterations
        left = 0.0 if done else self._preset.time - seconds
        expected = self._speed.expected(iteration, self._clock(), left)
        return expected, 1.0 if done else min(1.0, seconds / self._preset.time)
