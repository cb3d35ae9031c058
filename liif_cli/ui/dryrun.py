"""The plan of a batch, printed on stdout instead of carried out."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from liif_cli.engine.batch import PlannedImage, plan_batch
from liif_cli.engine.probe import estimate_seconds
from liif_cli.errors import EXIT_FAILED, EXIT_OK
from liif_cli.plan.spec import RenderSpec
from liif_cli.ui.format import duration, megapixels, named, sides, size_of
from liif_cli.ui.progress import batch_progress, plan_details

COLUMNS = ("input", "output", "size", "tasks", "memory", "of", "disk", "about")


def dry_run_batch(
    input: Path, output: Path, spec: RenderSpec, *, suffix: str, verbose: bool
) -> int:
    """Print every image's plan; returns the exit code, 1 where an image would fail.

    Raises:
        UsageError: input and output do not fit together, or an unknown model.
    """
    with batch_progress(quiet=False, verbose=False) as listen:
        planned = plan_batch(input, output, spec, suffix=suffix, listen=listen)
        seconds = [_seconds(image) for image in planned]
    console = Console()
    if console.is_terminal:
        _print_table(planned, seconds, console)
    else:
        _print_lines(planned, seconds, console)
    if verbose:
        for image in planned:
            if image.plan:
                _line(console, f"{image.input}: {plan_details(image.plan)}")
    failed = sum(image.plan is None for image in planned)
    finished = sum(image.skipped for image in planned)
    pixels = sum(image.plan.pixels for image in planned if image.plan and not image.skipped)
    _line(
        console,
        f"{len(planned)} images, {failed} of them would fail and {finished} are finished; "
        f"{megapixels(pixels)} in about {duration(sum(seconds))}; nothing was written",
    )
    return EXIT_FAILED if failed else EXIT_OK


def _seconds(image: PlannedImage) -> float:
    return estimate_seconds(image.plan) if image.plan and not image.skipped else 0.0


def _cells(image: PlannedImage, seconds: float) -> tuple[str, ...] | None:
    """One text a column, None for an image without a plan."""
    plan = image.plan
    if plan is None:
        return None
    return (
        plan.input,
        plan.output,
        f"{sides(plan.in_shape)} -> {sides(plan.out_shape)}",
        str(len(plan.task_grid)),
        size_of(plan.projected_mem),
        size_of(plan.allowed_mem),
        size_of(plan.projected_disk),
        "finished before" if image.skipped else duration(seconds),
    )


def _print_table(planned: list[PlannedImage], seconds: list[float], console: Console) -> None:
    table = Table()
    for number, name in enumerate(COLUMNS):
        table.add_column(name, overflow="fold", justify="left" if number < 2 else "right")
    errors = []
    for image, estimate in zip(planned, seconds, strict=True):
        cells = _cells(image, estimate)
        if cells:
            table.add_row(*map(escape, cells))
        else:
            errors.append(f"error: {named(image.input, image.error or '')}")
    console.print(table)
    for error in errors:
        _line(console, error)


def _print_lines(planned: list[PlannedImage], seconds: list[float], console: Console) -> None:
    for image, estimate in zip(planned, seconds, strict=True):
        cells = _cells(image, estimate)
        if cells is None:
            _line(console, f"error: {named(image.input, image.error or '')}")
            continue
        _, output, size, tasks, memory, allowed, disk, time = cells
        _line(
            console,
            f"{image.input} -> {output}: {size}, {tasks} tasks, memory {memory} of {allowed}, "
            f"disk {disk}, {time if image.skipped else f'about {time}'}",
        )


def _line(console: Console, text: str) -> None:
    console.print(escape(text), highlight=False, soft_wrap=True)
