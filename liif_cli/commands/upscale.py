"""``liif upscale``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from liif_cli.errors import UsageError
from liif_cli.geometry.size import Fit, SizeRequest
from liif_cli.ui import options


@click.command()
@click.argument("input", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@options.size_options
@options.render_options
@options.file_options
@options.overwrite_option
@options.verify_option
@click.option("--suffix", default="", metavar="TEXT", help="Put TEXT behind the output names.")
@click.option(
    "--dry-run", is_flag=True, help="Print what would happen and what it would cost; write nothing."
)
@options.report_option
@options.quiet_option
@options.verbose_option
@click.pass_context
def upscale(
    ctx: click.Context,
    /,
    input: Path,
    output: Path,
    size: SizeRequest | None,
    scale: SizeRequest | None,
    fit: Fit | None,
    model: str | None,
    suffix: str,
    dry_run: bool,
    report: Path | None,
    quiet: bool,
    verbose: bool,
    **render: Any,
) -> None:
    """Upscale INPUT, an image or a folder of images, to OUTPUT.

    A folder is walked with its subfolders and mirrored under OUTPUT. OUTPUT may be a file when
    INPUT is one. Outputs that the same command finished before are skipped; after an interruption
    the same command goes on where it stopped. With other options, or another input, a half-rendered
    output is only started afresh with --overwrite. An input on which an earlier run died is set
    aside until it changes; --overwrite tries it again.

    \b
    Examples:
      liif upscale photos/ large/ --scale 4
      liif upscale photo.jpg poster.tif --size 20000x15000
      liif upscale photo.jpg part.png --scale 8 --roi 1000,500,200,150
      liif upscale photos/ wide/ --size 3840x --model bicubic
      liif upscale photos/ fitted/ --size 1920x1080 --fit inside
      liif upscale photos/ large/ --scale 3.7 --max-memory 1.5GiB --dry-run
      liif upscale photos/ large/ --scale 2 --quiet --report result.json

    Exit codes: 0 all done or skipped, 1 some failed, 2 wrong usage, 3 interrupted.
    """
    size = options.size_request(size, scale, fit)
    if quiet and verbose:
        raise UsageError("--quiet", got="--verbose as well", cure="leave one out")
    if dry_run and report:
        raise UsageError("--report", got="--dry-run as well", cure="leave one out")

    from rich.console import Console

    from liif_cli.engine.batch import upscale_batch
    from liif_cli.models.loader import DEFAULT_MODEL
    from liif_cli.plan.spec import RenderSpec
    from liif_cli.ui.dryrun import dry_run_batch
    from liif_cli.ui.progress import batch_progress
    from liif_cli.ui.report import check_report_path, print_summary, write_report

    spec = RenderSpec(size=size, model=model or DEFAULT_MODEL, **render)
    if dry_run:
        ctx.exit(dry_run_batch(input, output, spec, suffix=suffix, verbose=verbose))
    if report:
        check_report_path(report)
    with batch_progress(quiet=quiet, verbose=verbose) as listen:
        result = upscale_batch(input, output, spec, suffix=suffix, listen=listen)
    if not quiet:
        print_summary(result, Console(stderr=True))
    if report:
        write_report(result, report)
    ctx.exit(result.exit_code)
