"""What became of a batch: the summary that ends it, and what the report file says of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from liif_cli.engine.results import BatchReport, ImageResult
from liif_cli.errors import printable
from liif_cli.io.discover import unread_kind
from liif_cli.io.place import is_object
from liif_cli.ui.format import counted, duration, megapixels, rate, shown, size_of

LISTED = 8
"""Names on a line at most."""
STATUSES = ("done", "skipped", "failed", "interrupted")


def print_summary(report: BatchReport, console: Console) -> None:
    """Counts, pixels and time of a batch, and the failed files once more: a table on a terminal."""
    counts = {
        status: sum(result.status == status for result in report.results) for status in STATUSES
    }
    pixels = sum(result.pixels for result in report.results if result.status == "done")
    work = sum(result.work for result in report.results if result.status == "done")
    values = [(status, str(count)) for status, count in counts.items() if count]
    if pixels:
        values += [("pixels", megapixels(pixels)), ("speed", rate(work, report.seconds))]
    values.append(("time", duration(report.seconds)))
    if console.is_terminal:
        table = Table(box=box.SIMPLE_HEAD)
        for name, _ in values:
            table.add_column(name, justify="right")
        table.add_row(*(value for _, value in values))
        console.print(table)
    else:
        _line(console, ", ".join(f"{name} {value}" for name, value in values))
    if written := _written(report.results):
        _line(console, shown(written))
    # what is wrong with each was said when it failed, and is in the report
    failed = [result.input for result in report.results if result.status == "failed"]
    if failed:
        count = f"[bold red]failed: {len(failed)} of {len(report.results)}[/]"
        _line(console, f"{count}: {shown(_names(failed))}")
    if report.left_out:
        _line(console, shown(left_out(report.left_out)))
    if report.out_of_time:
        _line(console, f"{report.out_of_time}: {_rest(report)}; the same command resumes")
    elif report.interrupted:
        _line(console, "interrupted; the same command resumes")


def report_data(report: BatchReport) -> dict[str, Any]:
    """What a report file says of a batch: counts, and what became of each image."""
    return {
        "out_of_time": report.out_of_time or None,
        "seconds": round(report.seconds, 3),
        "seconds_left": None if report.seconds_left is None else round(report.seconds_left),
        "counts": {
            status: sum(result.status == status for result in report.results) for status in STATUSES
        },
        "images": [_image(result) for result in report.results],
        "left_out": [
            {"input": printable(path), "kind": unread_kind(path)} for path in report.left_out
        ],
    }


def left_out(paths: Sequence[Path]) -> str:
    """A line that says which files look like images and are not read, some of them by name."""
    return f"left out, of kinds that are not read: {counted(len(paths), 'file')}: {_names(paths)}"


def _names(paths: Sequence[Path]) -> str:
    """Some of the files' names, and how many more there are."""
    names = ", ".join(path.name for path in paths[:LISTED])
    return names + (f" and {len(paths) - LISTED} more" if len(paths) > LISTED else "")


def _written(results: Sequence[ImageResult]) -> str:
    """Where the outputs of this run are, and what they take; empty where there are none."""
    outputs = [
        result.output for result in results if result.status == "done" and result.output is not None
    ]
    if not outputs:
        return ""
    sizes = [_size(output) for output in outputs]
    total = "" if None in sizes else f", {size_of(sum(size or 0 for size in sizes))}"
    if len(outputs) == 1:
        return f"wrote {outputs[0]}{total}"
    folder = outputs[0].parent
    while any(folder not in output.parents for output in outputs):
        folder = folder.parent
    return f"wrote {folder}/: {counted(len(outputs), 'image')}{total}"


def _size(path: Path) -> int | None:
    """Bytes of a file; None of what is more than one, or lies elsewhere."""
    try:
        single = path.is_file() and not is_object(path) and path.suffix.lower() != ".dzi"
        return path.stat().st_size if single else None
    except OSError:
        return None


def _image(result: ImageResult) -> dict[str, Any]:
    speed = result.work / result.seconds / 1e6 if result.seconds > 0 else None
    shape = result.out_shape
    return {
        "input": printable(result.input),
        "output": printable(result.output) if result.output else None,
        "status": result.status,
        "width": shape[1] if shape else None,
        "height": shape[0] if shape else None,
        "pixels": result.pixels,
        "rendered": result.work,
        "seconds": round(result.seconds, 3),
        "mpx_per_s": round(speed, 4) if speed is not None else None,
        "cleanup": result.cleanup,
        "gray": result.gray,
        "error": result.error,
    }


def _rest(report: BatchReport) -> str:
    """What is left of a batch whose time is up."""
    left = sum(result.status == "interrupted" for result in report.results)
    rest = f"{left} of {len(report.results)} images left"
    seconds = report.seconds_left
    return rest if seconds is None else f"{rest}, about {duration(seconds)} of work"


def _line(console: Console, markup: str) -> None:
    console.print(markup, highlight=False, soft_wrap=True)
