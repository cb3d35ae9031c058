"""What a training tells while it runs: reports, the table of them, and the curves drawn of it."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from liif_cli.errors import OutputError
from liif_cli.train.curves import draw


@dataclass(frozen=True)
class TrainReport:
    """Where a training stands.

    Attributes:
        iteration: iterations done.
        iterations: of the whole training; by a time budget, an estimate until the end.
        loss: mean L1 since the last report, on normalised colours.
        lr: learning rate of the last iteration.
        seconds: of training so far, validation and saving included.
        psnr: mean validation PSNR in dB, where it was measured.
        lossy_psnr: the same for inputs that were a JPEG, where the recipe trains for such.
        rate: iterations per second since the last report.
        data_share: part of their time that went into making batches, in [0, 1].
        progress: part of the schedule that is done, in [0, 1].
    """

    iteration: int
    iterations: int
    loss: float
    lr: float
    seconds: float
    psnr: float | None = None
    rate: float = 0.0
    data_share: float = 0.0
    progress: float = 0.0
    lossy_psnr: float | None = None


class TrainLog:
    """The table at ``path`` (CSV, a line a report) and the curves beside it.

    What cannot be written is said once: a training is worth more than its log.

    Args:
        path: of the table, ending in ".log.csv".
        say: told one line.
        fresh: replace the table of another training.
    """

    def __init__(self, path: Path, say: Callable[[str], None], *, fresh: bool) -> None:
        self.path, self.say, self.fresh = path, say, fresh
        self.curves_path = path.with_name(path.name.removesuffix(".log.csv") + ".curves.png")
        self.said: set[str] = set()

    def add(self, report: TrainReport) -> None:
        """Append a line."""
        row = dataclasses.asdict(report)
        try:
            columns = [] if self.fresh or not self.path.exists() else _columns(self.path)
            with self.path.open("a" if columns else "w", newline="") as file:
                # a table of an earlier version keeps its columns
                writer = csv.DictWriter(file, columns or list(row), extrasaction="ignore")
                if not columns:
                    writer.writeheader()
                writer.writerow(row)
            self.fresh = False
        except OSError as error:
            self._say_once(f"cannot write {self.path}: {error.strerror or error}")

    def draw(self) -> None:
        """Draw the table's curves."""
        try:
            draw(self.path, self.curves_path)
        except ImportError:
            self._say_once("no curves are drawn: matplotlib is not installed (liif-cli[plot])")
        except (OSError, OutputError) as error:
            self._say_once(f"no curves are drawn: {error}")

    def _say_once(self, line: str) -> None:
        if line not in self.said:
            self.said.add(line)
            self.say(line)


def _columns(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return next(csv.reader(file), [])
