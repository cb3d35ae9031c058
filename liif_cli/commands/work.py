"""``liif work``: do a plan's work, beside other workers."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from liif_cli.errors import UsageError
from liif_cli.ui import options, types

_ARRAYS = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ("AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE", ""),
    ("JOB_COMPLETION_INDEX", "", ""),
)
"""Variables of arrays of jobs: the index, how many there are, and the first index."""


@click.command()
@click.argument("plan", type=types.PLACE)
@click.option(
    "--index",
    type=click.IntRange(min=0),
    metavar="I",
    help="Which of several workers this is, from 0. [default: from SLURM_ARRAY_TASK_ID, "
    "JOB_COMPLETION_INDEX or AWS_BATCH_JOB_ARRAY_INDEX, else 0]",
)
@click.option(
    "--of",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many workers there are. [default: from the same source, else 1]",
)
@options.executor_options
@click.option(
    "--tries",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    metavar="N",
    help="How often an image may fail, all workers together, before it is set aside.",
)
@click.option("--retry-failed", is_flag=True, help="Try images once more that were set aside.")
@click.option(
    "--mixed",
    is_flag=True,
    help="Allow a machine whose results may differ in the last bit: other versions, another "
    "kind of processor or device.",
)
@options.report_option
@options.unwatched_options
@options.quiet_option
@options.verbose_option
@click.pass_context
def work(
    ctx: click.Context,
    /,
    plan: Path,
    index: int | None,
    of: int | None,
    executor: str,
    workers: int | None,
    scheduler: str,
    tries: int,
    retry_failed: bool,
    mixed: bool,
    stop_after: float | None,
    stop_at: datetime.time | None,
    log_file: Path | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Do the work of PLAN, a file of `liif plan`, until none is left.

    Start it as often as there are machines or cores: workers share the images, and the tasks of
    large ones, and take over what a dead worker had begun. The folders of the plan are shared by
    all of them. The same command resumes.

    \b
    Examples:
      liif work plan.jsonl
      liif work plan.jsonl --index 2 --of 8
      liif work plan.jsonl --executor processes --workers 4
      liif work plan.jsonl --executor dask --scheduler tls://scheduler:8786
      sbatch --array=0-7 --wrap "liif work plan.jsonl"

    Exit codes: 0 all of the plan is done, 1 some failed, 2 wrong usage or a machine that the plan
    does not allow (starting it again does not help), 3 interrupted.
    """
    if quiet and verbose:
        raise UsageError("--quiet", got="--verbose as well", cure="leave one out")
    alone = executor == "threads"
    if not alone and (index is not None or of is not None):
        raise UsageError("--index", got=f"--executor {executor}", cure="leave --index and --of out")
    if alone and workers is not None:
        raise UsageError("--workers", got="--executor threads", cure="give another --executor")
    given = (("--stop-after", stop_after), ("--stop-at", stop_at), ("--log-file", log_file))
    for name, value in given:
        if not alone and value is not None:
            raise UsageError(name, got=f"--executor {executor}", cure="leave it out")
    place, count = (index or 0, of or 1) if not alone else _place(index, of)

    from rich.console import Console

    from liif_cli.commands.upscale import time_window
    from liif_cli.engine.executors import EXECUTORS, Machines
    from liif_cli.engine.results import BatchReport
    from liif_cli.engine.work import WorkOrder
    from liif_cli.engine.work import work as do_work
    from liif_cli.ui.eventlog import logged
    from liif_cli.ui.progress import batch_progress
    from liif_cli.ui.report import print_summary, report_data

    order = WorkOrder(str(plan.absolute()), place, count, tries, mixed, retry_failed)
    if alone:
        until = time_window(stop_after, stop_at)
        progress = batch_progress(quiet=quiet, verbose=verbose)
        with progress as shown, logged(log_file, shown) as listen:
            result = do_work(order, listen, until)
    else:

        def say(line: str) -> None:
            if not quiet:
                click.echo(line, err=True)

        machines = Machines(workers or 0, scheduler)
        reports = EXECUTORS.load(executor)(order, machines, say)
        result = BatchReport.joined(list(reports.values()))
    report = ctx.obj.get("report")
    if report:
        report.result = report_data(result)
    if not quiet:
        print_summary(result, Console(stderr=True))
    ctx.exit(result.exit_code)


def _place(index: int | None, of: int | None) -> tuple[int, int]:
    """(index, how many) as given, or of an array of jobs.

    Raises:
        UsageError: an index without a number, or outside of it.
    """
    import os

    source = "--index"
    for name, size, first in _ARRAYS:
        if index is None and os.environ.get(name, "").isdecimal():
            source = name
            index = int(os.environ[name]) - int(os.environ.get(first, "0") or 0)
            if of is None and os.environ.get(size, "").isdecimal():
                of = int(os.environ[size])
    if index is not None and of is None:
        raise UsageError(
            source, got=f"index {index} and no number of workers", cure="give --of N as well"
        )
    if index is None and of is not None and of > 1:
        raise UsageError("--of", got="no index", cure="give --index I as well")
    index, of = index or 0, of or 1
    if not 0 <= index < of:
        raise UsageError(source, got=f"{index} of {of}", expected=f"0 to {of - 1}")
    return index, of
