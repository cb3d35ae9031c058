"""The plan of a batch, printed on stdout instead of carried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from liif_cli.engine.dryrun import PlannedImage, plan_batch
from liif_cli.engine.estimate import estimate_batch
from liif_cli.errors import EXIT_FAILED, EXIT_OK
from liif_cli.plan.disk import batch_disk
from liif_cli.plan.plan import RenderPlan
from liif_cli.plan.spec import RenderSpec
from liif_cli.ui.format import (
    counted,
    deviations,
    duration,
    megapixels,
    named,
    shown,
    sides,
    size_of,
)
from liif_cli.ui.progress import batch_progress, plan_details
from liif_cli.ui.report import left_out


def dry_run_batch(
    input: Path | Sequence[Path],
    output: Path,
    spec: RenderSpec,
    *,
    suffix: str,
    verbose: bool,
    renamed: Callable[[PlannedImage], PlannedImage] = lambda image: image,
) -> int:
    """Print every image's plan; returns the exit code, 1 where an image would fail.

    ``renamed`` gives what is shown of an image.

    Raises:
        UsageError: input and output do not fit together, or an unknown model.
    """
    with batch_progress(quiet=False, verbose=False) as listen:
        batch = plan_batch(input, output, spec, suffix=suffix, listen=listen)
        estimate = estimate_batch(batch)
    planned = [renamed(image) for image in batch.images]
    seconds = [image.alone for image in estimate.images]
    console = Console()
    if console.is_terminal:
        _print_table(planned, seconds, console)
    else:
        _print_lines(planned, seconds, console)
    if verbose:
        for image in planned:
            if image.plan:
                _line(console, f"{image.input}: {plan_details(image.plan)}")
    if batch.left_out:
        _line(console, left_out(batch.left_out))
    failed = sum(image.plan is None for image in planned)
    finished = sum(image.skipped for image in planned)
    plans = [image.plan for image in planned if image.plan and not image.skipped]
    _line(
        console,
        f"{counted(len(planned), 'image')}, {failed} of them would fail and {finished} are "
        f"finished; {megapixels(sum(plan.pixels for plan in plans))} and "
        f"{size_of(batch_disk(plans))} of disk at most, in about {duration(estimate.total)}, "
        f"{duration(estimate.start)} of which to start; nothing was written",
    )
    return EXIT_FAILED if failed else EXIT_OK


def _costs(image: PlannedImage, plan: RenderPlan, seconds: float) -> tuple[str, ...]:
    """Tasks, memory, disk and time."""
    return (
        counted(plan.task_count, "task"),
        f"memory {size_of(plan.projected_mem)} of {size_of(plan.allowed_mem)}",
        f"disk {size_of(plan.projected_disk)}",
        "finished before" if image.skipped else f"about {duration(seconds)}",
    )


def _print_table(planned: list[PlannedImage], seconds: list[float], console: Console) -> None:
    image_column = Column("image", overflow="fold")
    table = Table(image_column, "size", "tasks", "memory", "disk", "time", show_lines=True)
    for image, estimate in zip(planned, seconds, strict=True):
        plan = image.plan
        if plan is None:
            continue
        tasks, memory, disk, time = _costs(image, plan, estimate)
        table.add_row(
            f"{shown(plan.input)}\n-> {shown(plan.output)}",
            "\n".join([sides(plan.in_shape), f"-> {sides(plan.region.shape)}", *deviations(plan)]),
            tasks.partition(" ")[0],
            memory.partition(" ")[2].replace(" of", "\nof"),
            disk.partition(" ")[2],
            time,
        )
    console.print(table)
    for image in planned:
        if image.plan is None:
            _line(console, f"error: {named(image.input, image.error or 'no plan')}")


def _print_lines(planned: list[PlannedImage], seconds: list[float], console: Console) -> None:
    for image, estimate in zip(planned, seconds, strict=True):
        plan = image.plan
        if plan is None:
            _line(console, f"error: {named(image.input, image.error or 'no plan')}")
            continue
        sizes = f"{sides(plan.in_shape)} -> {sides(plan.region.shape)}"
        costs = ", ".join([*deviations(plan), *_costs(image, plan, estimate)])
        _line(console, f"{plan.input} -> {plan.output}: {sizes}, {costs}")


def _line(console: Console, text: str) -> None:
    console.print(shown(text), highlight=False, soft_wrap=True)
