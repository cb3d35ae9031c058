"""``liif plan``: a batch as a file, for several processes or machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from liif_cli.errors import OutputError, UsageError
from liif_cli.geometry.size import Fit, SizeRequest
from liif_cli.ui import options, requests, types
from liif_cli.ui.groups import GroupedCommand


@click.command(cls=GroupedCommand)
@click.argument("input", type=types.PLACE)
@click.argument("output", type=types.PLACE)
@click.option(
    "-o",
    "--plan",
    "at",
    type=types.PLACE,
    required=True,
    metavar="FILE",
    help="The plan file to write.",
)
@options.size_options
@options.render_options
@options.file_options
@options.overwrite_option
@options.skip_option
@click.option("--suffix", default="", metavar="TEXT", help="Put TEXT behind the output names.")
@options.quiet_option
@options.verbose_option
def plan(
    input: Path,
    output: Path,
    at: Path,
    size: SizeRequest | None,
    scale: SizeRequest | None,
    fit: Fit | None,
    long_side: int | None,
    short_side: int | None,
    megapixels: float | None,
    paper: tuple[float, float] | None,
    dpi: float | None,
    model: str | None,
    suffix: str,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
    **render: Any,
) -> None:
    """Write down what is to be done, for `liif work` on any number of machines.

    INPUT and OUTPUT are as for `liif upscale`, in folders that all machines share. No image is
    opened. Relative paths are relative to the plan file. --overwrite replaces a plan file that is
    there, and is part of the plan: workers replace outputs that were made by something else.

    \b
    Examples:
      liif plan photos/ large/ --scale 4 -o plan.jsonl
      liif plan mosaic.tif poster.zarr --size 300000x200000 --max-memory 4GiB -o plan.jsonl
    """
    wanted = requests.size_request(size, scale, fit, long_side, short_side, megapixels, paper, dpi)
    dpi = dpi or (requests.PRINT_DPI if paper else None)
    if at.exists() and not overwrite:
        raise OutputError(
            f"{at} exists", expected="no file", cure="give --overwrite, or another name"
        )
    if render["page"] is not None and render["select"]:
        raise UsageError("--page", got="--select as well", cure="leave one out")

    from liif_cli.engine.work import make_plan_file
    from liif_cli.models.loader import DEFAULT_MODEL
    from liif_cli.plan.spec import RenderSpec
    from liif_cli.ui.format import counted
    from liif_cli.ui.report import left_out

    model = model or DEFAULT_MODEL
    render["name"] = requests.name_template(render["name"], wanted, model)
    spec = RenderSpec(size=wanted, model=model, dpi=dpi, **render)
    written, unread = make_plan_file(input, output, spec, suffix=suffix, at=at)
    written.write(at)
    if not quiet:
        click.echo(f"{at}: {counted(max(1, len(written.names)), 'image')}", err=True)
        if unread:
            click.echo(left_out(unread), err=True)
