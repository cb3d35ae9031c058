"""What a user sees of a bench: progress while it runs, then a table a set."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from liif_cli.bench.compare import main_input
from liif_cli.bench.job import BenchResult, Listen, Say
from liif_cli.bench.job import Progress as BenchProgress
from liif_cli.bench.results import BenchReport, SetInfo
from liif_cli.bench.tables import (
    Grid,
    Row,
    by_scale,
    count,
    grids,
    left_out_lines,
    markdown,
    measures,
    table_rows,
    title,
)
from liif_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from liif_cli.io.atomic import write_atomically

FILE_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


@contextmanager
def bench_progress(*, quiet: bool) -> Iterator[tuple[Say, Listen]]:
    """(say, listen): a bar on a terminal, a line a set and scale elsewhere; all on stderr."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield from _lines(quiet)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("loading", total=None)

        def listen(progress: BenchProgress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                description=escape(progress.what),
            )

        yield lambda line: console.print(escape(line), highlight=False, soft_wrap=True), listen


def _lines(quiet: bool) -> Iterator[tuple[Say, Listen]]:
    last = ""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def listen(progress: BenchProgress) -> None:
        nonlocal last
        column = ", ".join(progress.what.split(", ")[:2])
        if column != last and not quiet:
            last = column
            say(f"{column} ({progress.done} of {progress.total} done)")

    yield say, listen


def show(
    result: BenchResult,
    out: Path | None,
    json_file: str | None,
    markdown_file: str | None = None,
    *,
    quiet: bool,
    ssim: bool,
    time: bool,
) -> int:
    """Print and write a result; returns the exit code.

    Tables make way to stderr for JSON or Markdown on stdout.

    Raises:
        OutputError: a file cannot be written.
    """
    if not quiet:
        console = Console(stderr="-" in (json_file, markdown_file))
        print_report(result.report, console, ssim=ssim, time=time)
    if json_file:
        write_json(result.report, json_file)
    if markdown_file:
        _write(markdown(result.report), markdown_file)
    if out:
        write_folder(result.report, out)
    if result.interrupted:
        click.echo("interrupted; with --out the same command resumes", err=True)
        return EXIT_INTERRUPTED
    return EXIT_FAILED if result.problems else EXIT_OK


def print_report(
    report: BenchReport, console: Console, *, ssim: bool = False, time: bool = False
) -> None:
    """The header, and for each set tables of PSNR; tables of SSIM and of speed when asked.

    One by scale where there is one input, else one by input for each scale. Speed does not depend
    on the input, and is always by scale.
    """
    if not console.is_terminal:
        console.width = max(console.width, FILE_WIDTH)
    _line(console, header_line(report))
    for entry in report.sets:
        kinds = measures(report, entry)
        for grid in grids(report, entry):
            for what in kinds if not ssim else [kinds[0], "ssim", *kinds[1:]]:
                _print_table(report, entry, what, grid, console)
        if time:
            grid = by_scale(report, entry, main_input(report))
            _print_table(report, entry, "time", grid, console)
        for line in left_out_lines(report, entry):
            _line(console, line)


def header_line(report: BenchReport) -> str:
    """The machine, the threads, the versions, the commit and the weights, on one line."""
    header = report.header
    parts = [f"{header.cpu}, {header.threads} of {header.cores} cores", header.device]
    parts += [f"{name} {version}" for name, version in header.versions.items()]
    if header.commit:
        parts.append(f"commit {header.commit}")
    parts += [
        f"{method.name} {method.digest[:8]}" for method in report.methods if method.parameters
    ]
    return ", ".join(parts)


def _print_table(
    report: BenchReport, entry: SetInfo, what: str, grid: Grid, console: Console
) -> None:
    images = count(report, entry, what)
    _line(console, f"\n{title(report, entry, what, grid)}, {images}", style="bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    # in a narrow terminal names fold, figures never do
    table.add_column("method", overflow="fold")
    for column in grid.columns:
        table.add_column(column.head, justify="right", no_wrap=True)
    for row in table_rows(report, entry, what, grid):
        table.add_row(*_styled(row, marked=not console.is_terminal))
    console.print(table)


def _styled(row: Row, *, marked: bool) -> list[str]:
    """A row in rich's markup; a best value has a star where there is no bold type (``marked``)."""
    bold = "{}*" if marked else "[bold green]{}[/]"
    figures = [bold.format(figure.text) if figure.best else figure.text for figure in row.figures]
    label = escape(row.label)
    return [f"[dim]{label}, cited[/]" if row.method.cited else label, *figures]


def write_json(report: BenchReport, target: str) -> None:
    """The report as JSON to a file, or to stdout for "-".

    Raises:
        OutputError: the file cannot be written.
    """
    _write(json.dumps(report.to_json(), indent=1) + "\n", target)


def _write(text: str, target: str) -> None:
    if target == "-":
        click.echo(text, nl=False)
    else:
        write_atomically(Path(target), text.encode())


def write_folder(report: BenchReport, folder: Path) -> None:
    """report.json, report.html and the plots in the folder of results.

    Raises:
        OutputError: a file cannot be written.
    """
    from liif_cli.bench.html import write_html
    from liif_cli.bench.plots import write_plots

    write_json(report, str(folder / "report.json"))
    write_plots(report, folder)
    write_html(report, folder)


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(escape(text), highlight=False, soft_wrap=True, style=style)
