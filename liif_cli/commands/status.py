"""``liif status``: how far the work on a plan is."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from liif_cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, printable
from liif_cli.ui import options, types

if TYPE_CHECKING:
    from liif_cli.engine.work import PlanStatus

_EVERY = 5.0


@click.command()
@click.argument("plan", type=types.PLACE)
@click.option("--watch", is_flag=True, help="Say it again every five seconds until all is done.")
@click.option(
    "--tries",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    metavar="N",
    help="As for 'liif work'.",
)
@options.json_option
@options.verbose_option
@click.pass_context
def status(
    ctx: click.Context, /, plan: Path, watch: bool, tries: int, as_json: bool, verbose: bool
) -> None:
    """Say how far the work on PLAN is: what is done, in work, failed, and how long it will take.

    \b
    Examples:
      liif status plan.jsonl
      liif status plan.jsonl --watch
      liif status plan.jsonl --json

    Exit codes: 0 all done, 1 all ended and some failed, 3 not all ended.
    """
    from liif_cli.engine.work import plan_status

    while True:
        status_of_plan = plan_status(plan, tries)
        for line in (
            [json.dumps(_data(status_of_plan))]
            if as_json
            else _lines(status_of_plan, verbose=verbose)
        ):
            click.echo(line)
        if not (watch and status_of_plan.left):
            break
        time.sleep(_EVERY)
    if status_of_plan.left:
        ctx.exit(EXIT_INTERRUPTED)
    ctx.exit(EXIT_FAILED if status_of_plan.failed else EXIT_OK)


def _data(found: PlanStatus) -> dict[str, Any]:
    return {
        "images": found.images,
        "done": found.done,
        "failed": {printable(name): error for name, error in found.failed.items()},
        "in_work": {printable(name): share for name, share in found.in_work.items()},
        "left": found.left,
        "seconds_left": None if found.seconds_left is None else round(found.seconds_left),
    }


def _lines(found: PlanStatus, *, verbose: bool) -> list[str]:
    from liif_cli.ui.format import duration

    parts = [f"{found.done} of {found.images} done"]
    if found.in_work:
        parts.append(f"{len(found.in_work)} in work")
    if found.failed:
        parts.append(f"{len(found.failed)} failed")
    if found.left and found.seconds_left is not None:
        parts.append(f"about {duration(found.seconds_left)} left")
    lines = [", ".join(parts)]
    lines += [
        f"  in work: {printable(name)}" + (f", {share:.0%}" if share is not None else "")
        for name, share in found.in_work.items()
        if verbose or share is not None
    ]
    lines += [f"  failed: {printable(name)}: {error}" for name, error in found.failed.items()]
    return lines
