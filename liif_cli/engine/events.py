"""What the engine tells while it works. The progress bar, plain lines and reports listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from liif_cli.plan.plan import RenderPlan


@dataclass(frozen=True)
class BatchStarted:
    """The inputs are known; ``images`` of them."""

    images: int


@dataclass(frozen=True)
class Warned:
    """Something that the user should know; ``message`` is one line."""

    message: str


@dataclass(frozen=True)
class PlanMade:
    """The plan of one image stands and its work begins. ``done_pixels`` were there already."""

    plan: RenderPlan
    done_pixels: int = 0


@dataclass(frozen=True)
class TaskDone:
    """``pixels`` more output pixels of ``input`` are rendered."""

    input: Path
    pixels: int


@dataclass(frozen=True)
class DoneElsewhere:
    """``pixels`` more output pixels of ``input`` are there, which another process rendered."""

    input: Path
    pixels: int


@dataclass(frozen=True)
class PassedOver:
    """``input`` is looked at again later; ``reason`` says who is at work on it."""

    input: Path
    reason: str


@dataclass(frozen=True)
class ExportStarted:
    """All pixels of ``input`` are there; the output file is being written."""

    input: Path


@dataclass(frozen=True)
class ImageDone:
    """``output`` is finished. ``pixels`` are those that this run had to render, ``seconds`` is wall
    time since its plan."""

    input: Path
    output: Path
    pixels: int
    seconds: float


@dataclass(frozen=True)
class ImageSkipped:
    """``output`` was finished before, by the same input, model and options."""

    input: Path
    output: Path


@dataclass(frozen=True)
class ImageFailed:
    """No output for ``input``; ``error`` is one line."""

    input: Path
    error: str


@dataclass(frozen=True)
class EndedElsewhere:
    """Another process finished ``input``, or set it aside; ``error`` is empty or one line."""

    input: Path
    error: str


@dataclass(frozen=True)
class BatchDone:
    """Everything that could be done is done."""

    done: int
    skipped: int
    failed: int
    seconds: float


Event = (
    BatchStarted
    | Warned
    | PlanMade
    | TaskDone
    | DoneElsewhere
    | PassedOver
    | ExportStarted
    | ImageDone
    | ImageSkipped
    | ImageFailed
    | EndedElsewhere
    | BatchDone
)
Listener = Callable[[Event], None]
