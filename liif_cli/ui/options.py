"""Options that commands share. Imports nothing heavy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from liif_cli.errors import OutputError, printable
from liif_cli.geometry.cell import DEFAULT_CELL
from liif_cli.plan.spec import (
    COMPRESSIONS,
    FORMAT_ALIASES,
    FORMATS,
    PRECISIONS,
    PYRAMIDS,
    TILE_RANGE,
)
from liif_cli.registries import EXECUTORS, EXPORTERS
from liif_cli.ui import types

F = TypeVar("F", bound=Callable[..., Any])


def _model_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Names of models, and files of weights, that begin with what is typed."""
    from click.shell_completion import CompletionItem

    from liif_cli.models.loader import ALIASES, model_names

    names = [name for name in (*ALIASES, *model_names()) if name.startswith(incomplete)]
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


class _LogToStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # asks for stderr each time, so that a progress bar can keep the line apart from itself
        # a traceback has lines of its own
        lines = self.format(record).splitlines()
        click.echo("\n".join(map(printable, lines)), err=True)


def _note_verbose(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    if value:
        # the command line reads this when it turns an unexpected error into a message
        if isinstance(ctx.obj, dict):
            ctx.obj["verbose"] = True
        log = logging.getLogger("liif_cli")
        handler, level = _LogToStderr(), log.level
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)

        def undo() -> None:
            log.removeHandler(handler)
            log.setLevel(level)

        ctx.call_on_close(undo)
    return value


def verbose_option(command: F) -> F:
    """``-v``, which also makes errors show where they came from."""
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        callback=_note_verbose,
        is_eager=True,
        help="Say more; errors show where in the code they came from.",
    )(command)


def quiet_option(command: F) -> F:
    """``-q``."""
    return click.option(
        "-q", "--quiet", is_flag=True, help="Print errors only, no progress and no summary."
    )(command)


def device_option(command: F) -> F:
    """``--device``."""
    return click.option(
        "--device",
        type=types.DeviceType(),
        default="auto",
        show_default=True,
        help="Where the network runs; auto takes CUDA where there is any. mps, Apple's GPU, "
        "renders only.",
    )(command)


def overwrite_option(command: F) -> F:
    """``--overwrite``."""
    return click.option("--overwrite", is_flag=True, help="Replace files that are there already.")(
        command
    )


def skip_option(command: F) -> F:
    """``--skip-existing``."""
    return click.option(
        "--skip-existing",
        is_flag=True,
        help="Keep outputs that are there and can be read whole, whoever made them and however.",
    )(command)


def verify_option(command: F) -> F:
    """``--verify-existing`` as ``verify``."""
    return click.option(
        "--verify-existing",
        "verify",
        is_flag=True,
        help="Read finished outputs again, and render anew what is damaged: the shards of a "
        "Zarr output, or another output as a whole.",
    )(command)


def json_option(command: F) -> F:
    """``--json`` as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def size_options(command: F) -> F:
    """``--size``, ``--scale``, ``--fit``."""
    return _apply(
        command,
        click.option(
            "--size",
            type=types.SizeType(),
            help="Output size in pixels. A side left blank (4000x, x3000) follows the aspect; "
            "4k and 8k are long sides of 3840 and 7680.",
        ),
        click.option(
            "-s",
            "--scale",
            type=types.ScaleType(),
            help="Output pixels per input pixel; may be fractional (3.7) or a percentage (370%), "
            "or differ in width and height (2x3).",
        ),
        click.option(
            "--long-side",
            type=click.IntRange(1, 10**9),
            metavar="PIXELS",
            help="Length of the output's longer side.",
        ),
        click.option(
            "--short-side",
            type=click.IntRange(1, 10**9),
            metavar="PIXELS",
            help="Length of the output's shorter side.",
        ),
        click.option(
            "--megapixels",
            type=click.FloatRange(0, 1e9, min_open=True),
            metavar="N",
            help="Millions of pixels of the output.",
        ),
        click.option(
            "--print",
            "paper",
            type=types.PrintType(),
            help="Size of a print that the image fits into, as 120x80cm, at --dpi or 150.",
        ),
        click.option(
            "--dpi",
            type=click.FloatRange(0, 100_000, min_open=True),
            metavar="N",
            help="Resolution of a print, in pixels per inch, and what is written into the file. "
            "[default: the input's times the scale]",
        ),
        click.option(
            "--roi",
            type=types.RoiType(),
            help="Render only this part, given in input pixels: the pixels that the whole would "
            "have there. --size and --scale are still of the whole.",
        ),
        click.option(
            "--fit",
            type=click.Choice(["exact", "inside", "cover"]),
            help="With --size WxH: exactly that size (default), or the aspect kept and the image "
            "inside the size, or covering it.",
        ),
    )


def file_options(command: F) -> F:
    """How the output file is laid out: ``--compression``, ``--pyramid``."""
    return _apply(
        command,
        click.option(
            "--compression",
            type=click.Choice(COMPRESSIONS),
            default="auto",
            show_default=True,
            help="Compression of TIFF (auto: deflate; zstd is faster, and fewer programs read it; "
            "jpeg is lossy) and COG, and of the tiles of Deep Zoom (auto: jpeg, png with alpha).",
        ),
        click.option(
            "--pyramid",
            type=click.Choice(PYRAMIDS),
            default="auto",
            show_default=True,
            help="Where a TIFF keeps its reduced levels: as SubIFDs (auto), as pages behind the "
            "image, or nowhere.",
        ),
    )


def render_options(command: F) -> F:
    """What shapes the pixels and what they cost."""
    return _apply(
        command,
        click.option(
            "-f",
            "--format",
            type=types.AliasType(FORMATS, FORMAT_ALIASES, EXPORTERS),
            default="auto",
            show_default=True,
            help="Output format. auto: OUTPUT's suffix when it is a file, else the input's format "
            "where it can hold the size, else tiled TIFF.",
        ),
        click.option(
            "-m",
            "--model",
            metavar="NAME|PATH",
            shell_complete=_model_names,
            help="A name from 'liif models' or a weights file. bicubic and nearest need no "
            "weights; quality is the best of those that come with it. "
            "[default: the one marked in 'liif models']",
        ),
        device_option,
        click.option(
            "--precision",
            type=click.Choice(PRECISIONS),
            default="auto",
            show_default=True,
            help="Number format of the network. auto: fp16 on CUDA; elsewhere fp32, or "
            "bf16x3 for images of 8 bits where AMX makes it quicker: it differs from fp32 by one "
            "level in a few of 100,000 samples. bf16: quicker still on a CPU with instructions for "
            "it, and less exact; -v names one.",
        ),
        click.option(
            "--cell",
            type=types.CellType(),
            help="Pixel size told to the network. scaled: the true one, as the paper has it; "
            "clamped: never smaller than at the largest scale it was trained at; or a factor of "
            f"the true one. [default: {DEFAULT_CELL}]",
        ),
        click.option(
            "--via",
            type=types.ViaType(),
            help="Render at scale S and resample that by Lanczos to the wanted size.",
        ),
        click.option(
            "--cleanup",
            type=types.CleanupType(),
            help="How lossy the inputs are, for models that can be told: 0 is clean; of a JPEG, "
            "100 less its quality. auto: what each file says, and clean for PNG and the like; "
            "none: clean. No file knows what was lost before it was last saved: give a number "
            "then. [default: auto]",
        ),
        click.option(
            "--tile",
            type=click.IntRange(*TILE_RANGE),
            metavar="N",
            help="Side of a rendered tile in output pixels. [default: chosen by memory]",
        ),
        click.option(
            "--max-memory",
            type=types.MemoryType(),
            help="Memory of the whole process, as 2GiB. [default: half of the free memory, "
            "4 GiB at most]",
        ),
        click.option(
            "--page",
            type=click.IntRange(min=1),
            metavar="N",
            help="Page of inputs of several pages, counted from 1. [default: the first]",
        ),
        click.option(
            "--select",
            type=types.SelectType(),
            default=(),
            help="Axes of an OME-TIFF or a Zarr array and the index of each that is read, from 0, "
            "as c=0,z=3. [default: 0 of each, and all channels of a Zarr array]",
        ),
        click.option(
            "--level",
            type=click.IntRange(min=0),
            default=0,
            metavar="N",
            help="Level of a TIFF or an OME-Zarr image with reduced ones; 0 is full resolution.",
        ),
        click.option(
            "--quality",
            type=click.IntRange(1, 100),
            metavar="N",
            help="Quality of lossy outputs, 1 to 100. [default: 95, of Deep Zoom 90; that of the "
            "input where it is higher]",
        ),
        click.option(
            "--name",
            default="{stem}",
            show_default=True,
            metavar="TEMPLATE",
            help="Names of outputs in a folder, as '{stem}_{scale}x': {stem} is the input's name, "
            "{scale}, {size} and {model} are what was asked for.",
        ),
        click.option(
            "--keep-extension",
            is_flag=True,
            help="Keep a suffix that changes in the output's name: a.bmp becomes a.bmp.png, and "
            "does not meet a.png.",
        ),
        click.option(
            "--include",
            multiple=True,
            metavar="PATTERN",
            help="Only images with such names, as '*.tif'; with a slash, such paths below the "
            "folder. May be repeated.",
        ),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="No images with such names or paths, as 'thumb*'. May be repeated.",
        ),
        click.option(
            "-j",
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            help="Threads that render. [default: one per core]",
        ),
        click.option(
            "--strict",
            is_flag=True,
            help="Count files of a folder that look like images and are not read as failed, and "
            "JPEGs whose decoder had to pass over damage.",
        ),
        click.option(
            "--strip-metadata",
            is_flag=True,
            help="Leave EXIF, XMP and the note of how it was made out of the outputs; the colour "
            "profile and the resolution stay.",
        ),
        click.option(
            "--max-input-pixels",
            type=click.IntRange(min=1),
            metavar="N",
            help="Refuse inputs of more pixels, which may be decompression bombs. [default: "
            "1073741824, and no limit for tiled TIFF and Zarr]",
        ),
        click.option(
            "--self-ensemble",
            is_flag=True,
            help="Average over 8 flips and turns of the input: slightly better, 8 times slower.",
        ),
    )


def report_option(command: F) -> F:
    """``--report``."""
    return click.option(
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_begin_report,
        help="Write what became of every image to FILE as JSON, for scripts: begun before any "
        "work, and written on every way out.",
    )(command)


def _begin_report(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Begin it before any other option can fail; the command line's end ends it."""
    if value is not None and not ctx.resilient_parsing:
        from liif_cli.ui.reportfile import ReportFile

        # known before it is there, so that an interrupt in between ends it
        ctx.obj["report"] = ReportFile(value, ctx.obj["words"])
        try:
            ctx.obj["report"].begin()
        except OutputError:
            del ctx.obj["report"]
            raise


def executor_options(command: F) -> F:
    """Who does the work."""
    return _apply(
        command,
        click.option(
            "--executor",
            type=types.AliasType(EXECUTORS.own, {}, EXECUTORS),
            default="threads",
            show_default=True,
            help="Who works: this process, several processes of this machine, or the workers of a "
            "Dask cluster.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Number of processes or Dask workers. [default: one per core, or all of the "
            "scheduler's]",
        ),
        click.option(
            "--scheduler",
            default="local",
            show_default=True,
            metavar="local|ADDRESS",
            help="Dask's scheduler: one that is started for this, or tcp://HOST:PORT, tls://HOST:PORT.",
        ),
    )


def unwatched_options(command: F) -> F:
    """A time window and a log, for runs that nobody watches."""
    return _apply(
        command,
        click.option(
            "--stop-after",
            type=types.DurationType(),
            help="Begin nothing new after this long (90s, 25m, 5h). What is in work is finished, "
            "the exit code is 3, and the same command resumes.",
        ),
        click.option(
            "--stop-at",
            type=types.TimeOfDayType(),
            help="The same at a time of day, as 06:00: the next one on this machine's clock.",
        ),
        click.option(
            "--log-file",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Append every event to FILE, a JSON object per line, with its time.",
        ),
    )


def _apply(command: F, *options: Callable[[Any], Any]) -> F:
    """Options in the order in which the help lists them."""
    for option in reversed(options):
        command = option(command)
    return command
