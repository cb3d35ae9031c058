"""``liif upscale``: the main job."""

from __future__ import annotations

import datetime
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from liif_cli.errors import EXIT_FAILED, EXIT_OK, UsageError
from liif_cli.geometry.size import Fit, SizeRequest
from liif_cli.ui import options, requests, types
from liif_cli.ui.groups import GroupedCommand
from liif_cli.ui.pipes import PIPE, Piped, piped
from liif_cli.ui.startup import importing

if TYPE_CHECKING:
    from liif_cli.engine.results import BatchReport
    from liif_cli.engine.timewindow import TimeWindow
    from liif_cli.plan.spec import RenderSpec
    from liif_cli.ui.reportfile import ReportFile

log = logging.getLogger(__name__)


@click.command(cls=GroupedCommand)
@click.argument("paths", nargs=-1, type=types.PLACE, metavar="INPUT... [OUTPUT]")
@click.option(
    "-o",
    "--output",
    "named",
    type=types.PLACE,
    metavar="OUTPUT",
    help="Where the outputs go, instead of the last argument.",
)
@options.size_options
@options.render_options
@options.file_options
@options.overwrite_option
@options.skip_option
@options.verify_option
@click.option("--suffix", default="", metavar="TEXT", help="Put TEXT behind the output names.")
@click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="Print what would happen and what it would cost; write nothing.",
)
@click.option(
    "--preview",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a sheet (PNG) of a small part of every image, by bicubic interpolation and by the "
    "network side by side, and nothing else.",
)
@click.option(
    "--at",
    type=types.PointType(),
    help="Where the parts of --preview lie, in input pixels. [default: the centre of each image]",
)
@options.executor_options
@options.report_option
@options.unwatched_options
@options.quiet_option
@options.verbose_option
@click.pass_context
def upscale(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    named: Path | None,
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
    dry_run: bool,
    preview: Path | None,
    at: tuple[int, int] | None,
    executor: str,
    workers: int | None,
    scheduler: str,
    stop_after: float | None,
    stop_at: datetime.time | None,
    log_file: Path | None,
    quiet: bool,
    verbose: bool,
    **render: Any,
) -> None:
    """Upscale images and folders of images to OUTPUT.

    A folder is walked with its subfolders and mirrored under OUTPUT, the last argument. OUTPUT may
    be a file where there is one image, or left out then: photo.jpg becomes photo-4x.jpg. Both may
    be URLs of buckets (s3, gs, az; https to read). Outputs that the same command finished before
    are skipped; after an interruption the same command resumes. With other options, or another
    input, a half-rendered output is only started afresh with --overwrite. An input on which an
    earlier run died is set aside until it changes;
    --overwrite tries it again.

    \b
    Examples:
      liif upscale photo.jpg -s 4
      cat a.png | liif upscale - - -s 2 > b.png
      liif upscale photo.jpg wall.tif --print 120x80cm --dpi 150
      liif upscale photos/ large/ --scale 4
      liif upscale a.jpg b.tif scans/ large/ -s 2 --exclude 'thumb*'
      liif upscale photo.jpg poster.tif --size 20000x15000
      liif upscale photo.jpg part.png --scale 8 --roi 1000,500,200,150
      liif upscale photos/ wide/ --size 3840x --model bicubic
      liif upscale photos/ fitted/ --size 1920x1080 --fit inside
      liif upscale photos/ large/ --scale 3.7 --max-memory 1.5GiB --dry-run
      liif upscale photos/ large/ --scale 4 --preview sheet.png
      liif upscale cells.ome.tif nuclei.tif --scale 4 --select c=0,z=3
      liif upscale photos/ large/ --scale 2 --quiet --report result.json
      liif upscale s3://photos/2026 s3://large/2026 --scale 4
      liif upscale photos/ large/ --scale 8 --stop-at 06:00 --log-file liif.log

    Exit codes: 0 all done or skipped, 1 some failed, 2 wrong usage, 3 interrupted.
    """
    requests.refuse_unknown_suffix(paths, named, ctx.obj["words"])
    wanted = requests.size_request(size, scale, fit, long_side, short_side, megapixels, paper, dpi)
    dpi = dpi or (requests.PRINT_DPI if paper else None)
    inputs, output = _inputs_and_output(paths, named, wanted.label, render["format"], quiet=quiet)
    if quiet and verbose:
        raise UsageError("--quiet", got="--verbose as well", cure="leave one out")
    report: ReportFile | None = ctx.obj.get("report")
    for name, given in (("--report", report), ("--log-file", log_file)):
        if dry_run and given:
            raise UsageError(name, got="--dry-run as well", cure="leave one out")
    until = time_window(stop_after, stop_at)
    alone = executor == "threads"
    given_ends = {
        "--workers": alone and workers is not None,
        "--dry-run": not alone and dry_run,
        "--stop-after": not alone and stop_after is not None,
        "--stop-at": not alone and stop_at is not None,
        "--log-file": not alone and log_file is not None,
    }
    for option, wrong in given_ends.items():
        if wrong:
            raise UsageError(option, got=f"--executor {executor}", cure="leave one out")

    if at is not None and preview is None:
        raise UsageError("--at", got="no --preview", cure="give both, or leave it out")

    with importing():
        from rich.console import Console

        from liif_cli.engine.batch import upscale_batch
        from liif_cli.models.loader import DEFAULT_MODEL
        from liif_cli.plan.spec import RenderSpec
        from liif_cli.ui.dryrun import dry_run_batch
        from liif_cli.ui.eventlog import logged
        from liif_cli.ui.progress import batch_progress
        from liif_cli.ui.report import print_summary, report_data

    log.info("imports took %.1f s", time.perf_counter() - ctx.obj["began"])
    if render["skip_existing"] and render["overwrite"]:
        raise UsageError("--skip-existing", got="--overwrite as well", cure="leave one out")
    if render["page"] is not None and render["select"]:
        raise UsageError("--page", got="--select as well", cure="leave one out")
    model = model or DEFAULT_MODEL
    render["name"] = requests.name_template(render["name"], wanted, model)
    spec = RenderSpec(size=wanted, model=model, dpi=dpi, **render)
    with piped(inputs, output, spec.format) as ends:
        if preview is not None:
            ctx.exit(_preview(ends, spec, suffix, preview, at, quiet=quiet))
        if dry_run:
            code = dry_run_batch(
                ends.inputs, ends.output, spec, suffix=suffix, verbose=verbose, renamed=ends.named
            )
            ctx.exit(code)
        if alone:
            progress = batch_progress(quiet=quiet, verbose=verbose)
            with progress as shown, logged(log_file, shown) as listen:
                result = upscale_batch(
                    ends.inputs,
                    ends.output,
                    spec,
                    suffix=suffix,
                    listen=lambda event: listen(ends.named(event)),
                    until=until,
                )
        else:
            result = _by(executor, ends, spec, suffix, workers or 0, scheduler, quiet=quiet)
        if result.exit_code == EXIT_OK:
            ends.deliver()
        result = ends.named(result)
    if report:
        report.result = report_data(result)
    if not quiet:
        print_summary(result, Console(stderr=True))
    ctx.exit(result.exit_code)


def _preview(
    ends: Piped,
    spec: RenderSpec,
    suffix: str,
    file: Path,
    at: tuple[int, int] | None,
    *,
    quiet: bool,
) -> int:
    """Write the sheet; returns the exit code, 1 where an image could not be shown."""
    import imagecodecs

    from liif_cli.engine.preview import preview_sheet
    from liif_cli.io.atomic import write_atomically
    from liif_cli.io.discover import discover_all, matching
    from liif_cli.ui.format import counted, named
    from liif_cli.ui.parts import parts_bar

    pairs = discover_all(
        ends.inputs, ends.output, suffix=suffix, name=spec.name, format=spec.format
    )
    pairs = matching(pairs, spec.include, spec.exclude)
    with parts_bar(file.name, quiet=quiet) as told:
        sheet, errors = preview_sheet(pairs, spec, at=at, told=lambda done: told(done, len(pairs)))
    write_atomically(file, bytes(imagecodecs.png_encode(sheet)))
    for name, error in errors.items():
        click.echo(f"error: {ends.named(named(Path(name), error))}", err=True)
    if not quiet:
        click.echo(f"wrote {file}: {counted(len(pairs), 'image')}, bicubic and network", err=True)
    return EXIT_FAILED if errors else EXIT_OK


def _by(
    executor: str,
    ends: Piped,
    spec: RenderSpec,
    suffix: str,
    workers: int,
    scheduler: str,
    *,
    quiet: bool,
) -> BatchReport:
    """Have several workers do it, by a plan that lies beside the outputs for that time.

    Raises:
        UsageError: several inputs, which a plan does not hold.
    """
    from liif_cli.engine.executors import Machines, upscale_by

    if len(ends.inputs) > 1:
        raise UsageError(
            f"--executor {executor}",
            got=f"{len(ends.inputs)} inputs",
            expected="an image or a folder",
            cure="put the images into one folder",
        )

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    machines = Machines(workers, scheduler)
    return upscale_by(executor, ends.inputs[0], ends.output, spec, suffix, machines, say)


def _inputs_and_output(
    paths: tuple[Path, ...], named: Path | None, label: str, format: str, *, quiet: bool
) -> tuple[list[Path], Path]:
    """What is read and where it goes.

    Raises:
        UsageError: no input, or no output for more than an image.
    """
    from liif_cli.io.discover import beside

    if not paths:
        raise UsageError(
            "INPUT", got="nothing", expected="images or folders", cure="liif upscale photo.jpg -s 4"
        )
    if named is not None:
        return list(paths), named
    if len(paths) > 1:
        return list(paths[:-1]), paths[-1]
    (input,) = paths
    if input == PIPE:
        return [input], PIPE
    if not input.exists():
        raise UsageError("INPUT", got=f"no such file or folder: {input}", cure="check the path")
    output = beside(input, label, format)
    if not quiet:
        click.echo(f"to {output}", err=True)
    return [input], output


def time_window(after: float | None, at: datetime.time | None) -> TimeWindow:
    """The earlier one of both; counted from now, before anything is loaded."""
    from liif_cli.engine.timewindow import TimeWindow, seconds_until

    now, ends = time.monotonic(), [TimeWindow()]
    if after is not None:
        ends.append(TimeWindow(now + after, f"--stop-after {after:g}s"))
    if at is not None:
        left = seconds_until(at, datetime.datetime.now())
        ends.append(TimeWindow(now + left, f"--stop-at {at:%H:%M}"))
    return min(ends, key=lambda window: window.end)
