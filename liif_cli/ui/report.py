"""What became of a batch: the summary that ends it, and a JSON file for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from liif_cli import __version__
from liif_cli.engine.batch import BatchReport, ImageResult
from liif_cli.errors import UsageError, printable
from liif_cli.io.atomic import write_atomically
from liif_cli.ui.format import duration, megapixels, named, rate, shown

STATUSES = ("done", "skipped", "failed", "interrupted")
REPORT_VERSION = 1


def print_summary(report: BatchReport, console: Console) -> None:
    """Counts, pixels and time of a batch, and the failed files once more: a table on a terminal."""
    counts = {
        status: sum(result.status == status for result in report.results) for status in STATUSES
    }
    pixels = sum(result.pixels for result in report.results if result.status == "done")
    values = [(status, str(count)) for status, count in counts.items() if count]
    if pixels:
        values += [("pixels", megapixels(pixels)), ("speed", rate(pixels, report.seconds))]
    values.append(("time", duration(report.seconds)))
    if console.is_terminal:
        table = Table(box=box.SIMPLE_HEAD)
        for name, _ in values:
            table.add_column(name, justify="right")
        table.add_row(*(value for _, value in values))
        console.print(table)
    else:
        _line(console, ", ".join(f"{name} {value}" for name, value in values))
    failed = [result for result in report.results if result.status == "failed"]
    if failed:
        _line(console, f"[bold red]failed: {len(failed)} of {len(report.results)}[/]")
        for result in failed:
            _line(console, f"  {shown(named(result.input, result.error or 'no reason given'))}")
    if report.interrupted:
        _line(console, "interrupted; the same command goes on where it stopped")


def check_report_path(path: Path) -> None:
    """Refuse a report that could not be written, before the work rather than after it.

    Raises:
        UsageError: its folder is not there, or it is a folder itself.
    """
    if path.is_dir():
        raise UsageError("--report", got=f"{str(path)!r}, a folder", expected="a file")
    if not path.parent.is_dir():
        raise UsageError(
            "--report",
            got=repr(str(path)),
            expected="a file in a folder that is there",
            cure=f"make {path.parent} first",
        )


def write_report(report: BatchReport, path: Path) -> None:
    """Write ``path`` atomically: counts, and what became of each image.

    Raises:
        OutputError: the file cannot be written.
    """
    data = {
        "version": REPORT_VERSION,
        "liif": __version__,
        "exit_code": report.exit_code,
        "interrupted": report.interrupted,
        "seconds": round(report.seconds, 3),
        "counts": {
            status: sum(result.status == status for result in report.results) for status in STATUSES
        },
        "images": [_image(result) for result in report.results],
    }
    write_atomically(path, (json.dumps(data, indent=1) + "\n").encode())


def _image(result: ImageResult) -> dict[str, Any]:
    speed = result.pixels / result.seconds / 1e6 if result.seconds > 0 else None
    shape = result.out_shape
    return {
        "input": printable(result.input),
        "output": printable(result.output) if result.output else None,
        "status": result.status,
        "width": shape[1] if shape else None,
        "height": shape[0] if shape else None,
        "pixels": result.pixels,
        "seconds": round(result.seconds, 3),
        "mpx_per_s": round(speed, 4) if speed is not None else None,
        "cleanup": result.cleanup,
        "gray": result.gray,
        "error": result.error,
    }


def _line(console: Console, markup: str) -> None:
    console.print(markup, highlight=False, soft_wrap=True)
