"""How the images of a batch ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liif_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, LiifError, printable

_RANKS = ("done", "skipped", "failed", "interrupted")
"""Statuses, the best first."""


@dataclass(frozen=True)
class ImageResult:
    """How one image ended: ``status`` is done, skipped, failed or interrupted.

    ``cleanup`` and ``gray`` are those of its plan. Of its ``pixels`` this run had ``rendered`` to
    do; the others were there.
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
    rendered: int | None = None

    @property
    def work(self) -> int:
        """Pixels that this run rendered."""
        return self.pixels if self.rendered is None else self.rendered


@dataclass(frozen=True)
class BatchReport:
    """How a batch ended, in the order of its inputs.

    ``out_of_time`` is the option by which time was up before everything was done, empty otherwise;
    ``seconds_left`` about how long the rest will take, None where nothing tells. ``left_out`` are
    files that look like images and are not read.
    """

    results: list[ImageResult]
    seconds: float
    interrupted: bool = False
    out_of_time: str = ""
    seconds_left: float | None = None
    left_out: tuple[Path, ...] = ()

    @classmethod
    def joined(cls, reports: Sequence[BatchReport]) -> BatchReport:
        """Of several workers on the same images: what the luckiest made of each.

        Raises:
            ValueError: there is none.
        """
        luckiest: dict[Path, ImageResult] = {}
        for report in reports:
            for result in report.results:
                best = luckiest.setdefault(result.input, result)
                if _RANKS.index(result.status) < _RANKS.index(best.status):
                    luckiest[result.input] = result
        return cls(
            list(luckiest.values()),
            max(report.seconds for report in reports),
            all(report.interrupted for report in reports),
        )

    @property
    def exit_code(self) -> int:
        """0 all done or skipped, 1 some failed, 3 interrupted."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        failed = any(result.status == "failed" for result in self.results)
        return EXIT_FAILED if failed else EXIT_OK


def one_line(error: Exception) -> str:
    """The message of an error; of one that is not ours, with its type."""
    text = printable(" ".join(str(error).split()))
    if isinstance(error, LiifError):
        return text
    if isinstance(error, MemoryError):
        return "out of memory; lower --max-memory or --tile"
    return f"unexpected {type(error).__name__}: {text}"
