"""Options that commands share, and what their texts mean. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from liif_cli.errors import OutputError, UsageError, printable
from liif_cli.geometry.cell import DEFAULT_CELL, CellPolicy
from liif_cli.geometry.size import Fit, SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.plan.spec import (
    COMPRESSIONS,
    FORMAT_ALIASES,
    FORMATS,
    PRECISIONS,
    PYRAMIDS,
    TILE_RANGE,
)

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"": 1, "B": 1, **{letter: 1024**power for power, letter in enumerate("KMGT", 1)}}
_UNITS |= {f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)}
_UNITS |= {f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", 1)}
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]*)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)
_PRINT = re.compile(r"(\d+(?:\.\d+)?)\s*[x*]\s*(\d+(?:\.\d+)?)\s*(cm|mm|in)", re.ASCII)
_INCHES = {"cm": 1 / 2.54, "mm": 1 / 25.4, "in": 1.0}
PRINT_DPI = 150.0
"""Pixels per inch of a print where nobody says another number."""
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_SCALE = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
MOST_VIA = 64
"""Largest scale of an image in between; beyond, nobody could tell it from the output."""
_DEVICE = re.compile(r"auto|cpu|cuda(?::\d+)?")


class _TextType(click.ParamType):  # type: ignore[type-arg]  # no generic before click 8.2
    """A type whose name is shown in the help as it is written here."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self.name


class SizeType(_TextType):
    """WxH, Wx or xH as a SizeRequest."""

    name = "WxH"

    def convert(self, value: Any, param: Any, ctx: Any) -> SizeRequest:
        return value if isinstance(value, SizeRequest) else SizeRequest.from_size(value)


class ScaleType(_TextType):
    """S or SxS as a SizeRequest."""

    name = "S|SxS"

    def convert(self, value: Any, param: Any, ctx: Any) -> SizeRequest:
        return value if isinstance(value, SizeRequest) else SizeRequest.from_scale(value)


class PointType(_TextType):
    """X,Y as two whole numbers."""

    name = "X,Y"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+),(\d+)", value.strip(), re.ASCII)
        if match is None:
            self.fail(f"{value!r} is not X,Y in whole pixels", param, ctx)
        return int(match[1]), int(match[2])


class PlaceType(_TextType):
    """A path of this machine, or a URL of a bucket."""

    name = "PATH"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        # an argument is shown by its own name
        return (param.name or self.name).upper() if isinstance(param, click.Argument) else self.name

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        # it brings numpy along, which --help does without
        from liif_cli.io.place import location

        return location(value)


PLACE = PlaceType()


class AliasType(click.Choice):  # type: ignore[type-arg]
    """A choice that also knows other words for the same."""

    def __init__(self, choices: Sequence[str], aliases: Mapping[str, str]) -> None:
        super().__init__(choices)
        self.aliases = aliases

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value).strip().lower()
        return str(super().convert(self.aliases.get(text, text), param, ctx))


class PrintType(_TextType):
    """120x80cm, 300x200mm or 12x8in as (width, height) in inches."""

    name = "WxHcm|mm|in"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        match = _PRINT.fullmatch(str(value).strip().lower())
        sides = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
        if match is None or min(sides) <= 0:
            raise UsageError(
                "--print",
                got=repr(value),
                expected="width and height above 0 with cm, mm or in",
                cure="for instance --print 120x80cm --dpi 150",
            )
        unit = _INCHES[match[3]]
        return sides[0] * unit, sides[1] * unit


class MemoryType(_TextType):
    """2GiB, 2G, 1.5GB, 500MB, 50% of all or plain bytes as a number of bytes."""

    name = "BYTES"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        if (share := _SHARE.fullmatch(str(value).strip())) and 0 < float(share[1]) <= 100:
            import psutil

            return int(psutil.virtual_memory().total * float(share[1]) / 100)
        match = _MEMORY.fullmatch(str(value).strip().upper())
        count = int(float(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else 0
        if count < 1:
            raise UsageError(
                param.opts[0] if param is not None else "memory",
                got=repr(value),
                expected="bytes above 0, with or without K, M, G, KB, MB, GB, KiB, MiB, GiB, or a "
                "percentage of the machine's memory",
                cure="for instance --max-memory 2GiB",
            )
        return count


class RoiType(_TextType):
    """X,Y,W,H in input pixels as a Window."""

    name = "X,Y,W,H"

    def convert(self, value: Any, param: Any, ctx: Any) -> Window:
        if isinstance(value, Window):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if len(parts) == 4 and all(part.isdecimal() and len(part) <= 9 for part in parts):
            left, top, width, height = map(int, parts)
            if width and height:
                return Window(top, left, height, width)
        raise UsageError(
            "--roi",
            got=repr(value),
            expected="X,Y,W,H in whole input pixels, W and H above 0",
            cure="for instance --roi 1000,500,2000,1500",
        )


class CellType(_TextType):
    """scaled, clamped or a factor as a CellPolicy."""

    name = "scaled|clamped|FACTOR"

    def convert(self, value: Any, param: Any, ctx: Any) -> CellPolicy:
        return CellPolicy.of(value)


class CleanupType(_TextType):
    """auto as None, none as 0, or a number of 0 to 100."""

    name = "auto|none|0..100"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        text = str(value).strip().lower()
        if text in ("auto", "none"):
            return None if text == "auto" else 0.0
        level = float(text) if _SCALE.fullmatch(text) else math.inf
        if level > 100:
            raise UsageError(
                "--cleanup",
                got=repr(value),
                expected="auto, none or a number of 0 to 100",
                cure="for instance --cleanup 30 for a JPEG that was of quality 70 once",
            )
        return level


class ViaType(_TextType):
    """A scale of 1 or more, exact."""

    name = "S"

    def convert(self, value: Any, param: Any, ctx: Any) -> Fraction:
        if isinstance(value, Fraction):
            return value
        text = str(value).strip().lower().removeprefix("x")
        scale = Fraction(text) if _SCALE.fullmatch(text) else Fraction(0)
        if not 1 <= scale <= MOST_VIA:
            raise UsageError(
                "--via",
                got=repr(value),
                expected=f"a scale of 1 to {MOST_VIA}",
                cure="for instance --via 4",
            )
        return scale


class SelectType(_TextType):
    """c=0,z=3 as pairs of names and indices."""

    name = "AXIS=N,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[tuple[str, int], ...]:
        if isinstance(value, tuple):
            return value
        pairs = [part.partition("=") for part in str(value).lower().split(",")]
        names = [name.strip() for name, _, _ in pairs]
        indices = [index.strip() for _, _, index in pairs]
        known = all(name.isalpha() for name in names) and len(set(names)) == len(names)
        if not known or not all(one.isdecimal() and len(one) <= 9 for one in indices):
            raise UsageError(
                "--select",
                got=repr(value),
                expected="names of axes, each once, and indices from 0",
                cure="for instance --select c=0,z=3",
            )
        return tuple(sorted(zip(names, map(int, indices), strict=True)))


class DeviceType(_TextType):
    """auto, cpu, cuda or cuda:N; whether it is there is found out later."""

    name = "auto|cpu|cuda[:N]"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value).strip().lower()
        if not _DEVICE.fullmatch(text):
            raise UsageError(
                "--device", got=repr(value), expected="auto, cpu, cuda or cuda:N (N from 0)"
            )
        return text


class TimeOfDayType(_TextType):
    """A time of day, HH:MM."""

    name = "HH:MM"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime.time:
        match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", str(value).strip())
        if match is None:
            raise UsageError("--stop-at", got=repr(value), expected="a time of day, as 06:00")
        return datetime.time(int(match[1]), int(match[2]))


class DurationType(_TextType):
    """90s, 25m or 1h30m as seconds."""

    name = "DURATION"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip().lower())
        parts = [float(part or 0) for part in match.groups()] if match else []
        seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
        if seconds <= 0:
            raise UsageError(
                param.opts[0] if param is not None else "duration",
                got=repr(value),
                expected="hours, minutes and seconds above 0",
                cure="for instance 90s, 25m or 1h30m",
            )
        return seconds


class AssignmentType(_TextType):
    """name=value as a pair of texts."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, sign, text = str(value).partition("=")
        if not (name.strip() and sign and text.strip()):
            raise UsageError(
                "--set", got=repr(value), expected="name=value", cure="for instance --set lr=1e-3"
            )
        return name.strip(), text.strip()


class NumbersType(_TextType):
    """2,3,3.7 as a tuple of numbers above 0, each once."""

    name = "N,N,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        texts = [text.strip().lower().removeprefix("x") for text in str(value).split(",")]
        try:
            numbers = tuple(dict.fromkeys(float(text) for text in texts))
        except ValueError:
            numbers = ()
        if not numbers or not all(0 < number < math.inf for number in numbers):
            name = param.opts[0] if param is not None else "numbers"
            raise UsageError(name, got=repr(value), expected="numbers above 0, as 2,3,4")
        return numbers


class NamesType(_TextType):
    """a,b,c as a tuple of texts, each once."""

    name = "NAME,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(text.strip() for text in str(value).split(",")))
        if not all(names):
            name = param.opts[0] if param is not None else "names"
            raise UsageError(name, got=repr(value), expected="names, as liif,bicubic")
        return names


def size_request(
    size: SizeRequest | None,
    scale: SizeRequest | None,
    fit: Fit | None,
    long_side: int | None = None,
    short_side: int | None = None,
    megapixels: float | None = None,
    paper: tuple[float, float] | None = None,
    dpi: float | None = None,
) -> SizeRequest:
    """The one wanted size out of the options that say one, and ``--fit``.

    Raises:
        UsageError: more than one of them or none, or a fit without a size.
    """
    pixels = None if megapixels is None else max(1, round(megapixels * 1e6))
    choices: dict[str, SizeRequest | None] = {
        "--size": size,
        "--scale": scale,
        "--long-side": SizeRequest(long_side=long_side) if long_side else None,
        "--short-side": SizeRequest(short_side=short_side) if short_side else None,
        "--megapixels": SizeRequest(pixels=pixels) if pixels else None,
        "--print": _printed(paper, dpi or PRINT_DPI) if paper else None,
    }
    given = {name: value for name, value in choices.items() if value is not None}
    if len(given) > 1:
        # what is typed counts before a size of the settings
        typed = {name: value for name, value in given.items() if not _from_settings(name)}
        given = typed or given
    if len(given) != 1:
        both = "both " if len(given) == 2 else ""
        raise UsageError(
            "wanted size",
            got=both + " and ".join(given) if given else "neither --size nor --scale",
            expected="one of " + ", ".join(choices),
            cure="for instance --scale 4, or --size 4000x3000",
        )
    ((name, found),) = given.items()
    if fit is not None and (name != "--size" or found.width is None or found.height is None):
        raise UsageError("--fit", got=name, expected="--size WxH", cure="leave --fit out")
    return dataclasses.replace(found, fit=fit or "exact") if name == "--size" else found


_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{1,4}", re.IGNORECASE | re.ASCII)


def refuse_unknown_suffix(paths: Sequence[Path], named: Path | None, words: Sequence[str]) -> None:
    """Refuse "out.xyz" for one image: a folder of that name is hardly what was meant.

    Args:
        paths: those of the command line; the last one is the output where ``named`` is None.
        named: the output where an option names it.
        words: of the command line, which tell whether there was a slash behind the name.

    Raises:
        UsageError: no format has such a suffix.
    """
    from liif_cli.io import EXPORTERS, exporter_for, image_suffixes, suffix_of
    from liif_cli.io.place import is_object

    output = named or (paths[-1] if len(paths) > 1 else None)
    images = len(paths) if named else len(paths) - 1
    # a bucket answers for itself, when it is asked for its images
    if output is None or images != 1 or is_object(output) or is_object(paths[0]):
        return
    if paths[0].is_dir() or output.exists():
        return
    known = {suffix for name in EXPORTERS for suffix in exporter_for(name).suffixes}
    folder = any(word.endswith("/") and word.rstrip("/").endswith(output.name) for word in words)
    if folder or not _SUFFIX.fullmatch(output.suffix):
        return
    if not suffix_of(output.name, known | image_suffixes()):
        raise UsageError(
            "OUTPUT",
            got=f"{output.name}, of no known format",
            expected="one of " + ", ".join(sorted(known)),
            cure=f"for a folder of that name put a slash behind it: {output.name}/",
        )


def _model_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Names of models, and files of weights, that begin with what is typed."""
    from click.shell_completion import CompletionItem

    from liif_cli.models.loader import ALIASES, model_names

    names = [name for name in (*ALIASES, *model_names()) if name.startswith(incomplete)]
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


def _from_settings(option: str) -> bool:
    """Whether the value of an option of the running command comes from a file of settings."""
    ctx = click.get_current_context(silent=True)
    for parameter in ctx.command.params if ctx else []:
        if option in parameter.opts and ctx is not None and parameter.name is not None:
            return ctx.get_parameter_source(parameter.name) is ParameterSource.DEFAULT_MAP
    return False


def _printed(paper: tuple[float, float], dpi: float) -> SizeRequest:
    """The pixels that a print of (width, height) inches takes; the image fits inside of it."""
    width, height = (max(1, round(side * dpi)) for side in paper)
    return SizeRequest(width, height, fit="inside")


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
        type=DeviceType(),
        default="auto",
        show_default=True,
        help="Where the network runs; auto takes an accelerator where there is one.",
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
            type=SizeType(),
            help="Output size in pixels. A side left blank (4000x, x3000) follows the aspect; "
            "4k and 8k are long sides of 3840 and 7680.",
        ),
        click.option(
            "-s",
            "--scale",
            type=ScaleType(),
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
            type=PrintType(),
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
            type=RoiType(),
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
            help="Of TIFF (auto: deflate; zstd is faster, and fewer programs read it; jpeg loses) "
            "and COG, and of the tiles of Deep Zoom (auto: jpeg, or png with alpha).",
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
            type=AliasType(FORMATS, FORMAT_ALIASES),
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
            help="Number format of the network: auto is fp32 on the CPU, fp16 on an accelerator.",
        ),
        click.option(
            "--cell",
            type=CellType(),
            help="Pixel size told to the network. scaled: the true one, as the paper has it; "
            "clamped: never smaller than at the largest scale it was trained at; or a factor of "
            f"the true one. [default: {DEFAULT_CELL}]",
        ),
        click.option(
            "--via",
            type=ViaType(),
            help="Render at scale S and resample that by Lanczos to the wanted size.",
        ),
        click.option(
            "--cleanup",
            type=CleanupType(),
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
            type=MemoryType(),
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
            type=SelectType(),
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
            type=click.Choice(["threads", "processes", "dask"]),
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
            type=DurationType(),
            help="Begin nothing new after this long (90s, 25m, 5h). What is in work is finished, "
            "the exit code is 3, and the same command resumes.",
        ),
        click.option(
            "--stop-at",
            type=TimeOfDayType(),
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
