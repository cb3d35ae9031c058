"""What is asked for, out of several options of which each says a part. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import re
import string
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from liif_cli.errors import UsageError
from liif_cli.geometry.size import Fit, SizeRequest

PRINT_DPI = 150.0
"""Pixels per inch of a print where nobody says another number."""
STEM = "{stem}"
_FIELDS = ("stem", "scale", "size", "model")


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
    ((name, request),) = given.items()
    if fit is not None and (name != "--size" or request.width is None or request.height is None):
        raise UsageError("--fit", got=name, expected="--size WxH", cure="leave --fit out")
    return dataclasses.replace(request, fit=fit or "exact") if name == "--size" else request


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


def name_template(text: str, wanted: SizeRequest, model: str) -> str:
    """``--name`` with all filled in that is known before the images are: all but "{stem}".

    Args:
        text: as "{stem}_{scale}x".
        wanted: the size of the outputs.
        model: a model's name, or the path of its weights.

    Raises:
        UsageError: a field that there is not, or a scale where the outputs have a size.
    """
    filled = []
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise UsageError(
            "--name", got=f"{text!r} ({error})", expected="fields as {stem}", cure="{{ is a brace"
        ) from error
    for literal, field, spec, conversion in parts:
        filled.append(literal)
        if field is None:
            continue
        if field not in _FIELDS or spec or conversion:
            raise UsageError(
                "--name",
                got=f"{{{field}{':' if spec else ''}{spec or ''}}} in {text!r}",
                expected="fields of " + ", ".join(f"{{{name}}}" for name in _FIELDS),
            )
        if field == "scale" and wanted.scale is None:
            raise UsageError(
                "--name",
                got=f"{{scale}} in {text!r}, and no --scale",
                expected="a scale",
                cure="take {size}, which is the size as it was asked for",
            )
        known = {
            "stem": STEM,
            "scale": wanted.label.removesuffix("x"),
            "size": wanted.label,
            "model": Path(model).stem if Path(model).suffix else model,
        }
        filled.append(known[field])
    return "".join(filled)


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
