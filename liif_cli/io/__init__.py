"""Reading and writing images: numpy in and out, by window, no torch.

Codec libraries are imported by the source or exporter that needs them, not here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from liif_cli.errors import InputError, UsageError
from liif_cli.io.base import Exporter, Source, SourceFormat, View
from liif_cli.io.place import ObjectPath, PlaceError
from liif_cli.io.refusals import check_regular, reading
from liif_cli.registries import EXPORTERS as EXPORTERS
from liif_cli.registries import SOURCES as SOURCES

_HEAD = 64


@cache
def _source_format(name: str) -> SourceFormat:
    kind: SourceFormat = SOURCES.load(name)
    return kind


@cache
def exporter_for(name: str) -> Exporter:
    """The exporter of a format name.

    Raises:
        UsageError: no format has that name.
    """
    exporter: Exporter = EXPORTERS.load(name)()
    return exporter


def check_available(name: str) -> None:
    """Refuse a format whose library is not installed.

    Raises:
        UsageError: the library is missing; the message says how to get it.
    """
    exporter = exporter_for(name)
    library = getattr(exporter, "needs", "")
    if library and find_spec(library) is None:
        raise UsageError(
            f"format {name}",
            got=f"no {library}, which it needs",
            cure=f"pip install 'liif-cli[{getattr(exporter, 'extra', name)}]'",
        )


@cache
def image_suffixes() -> frozenset[str]:
    """Lower-case suffixes, with their dot, of everything that can be read."""
    return frozenset(suffix for name in SOURCES for suffix in _source_format(name).suffixes)


def is_image(path: Path) -> bool:
    """Whether the suffix is that of an image that can be read, in any case of letters."""
    return path.suffix.lower() in image_suffixes()


def is_known(path: Path, head: bytes) -> bool:
    """Whether a file's first 64 bytes are those of an image that can be read."""
    return bool(head) and any(_source_format(name).matches(path, head) for name in SOURCES)


def format_for(path: Path) -> str | None:
    """Name of the exporter that writes files of such a name, None where there is none.

    The longest suffix decides: "a.ome.tif" is not any TIFF.
    """
    suffixes = {
        one: name for name in reversed(list(EXPORTERS)) for one in exporter_for(name).suffixes
    }
    return suffixes.get(suffix_of(path.name, suffixes))


def suffix_of(name: str, suffixes: Iterable[str]) -> str:
    """The longest of some suffixes that a file name ends with, in lower case; "" for none."""
    matching = [one for one in suffixes if name.lower().endswith(one) and len(name) > len(one)]
    return max(matching, key=len, default="")


def open_source(path: Path, view: View | int | None = None) -> Source:
    """Open an image file or a Zarr store: by its content, or by its suffix where that says nothing.

    ``view`` is a page, counted from 1, or says more; None is the first picture.

    Raises:
        InputError: the file is missing, empty, damaged, of a kind that cannot be handled, or has no
            such page, axis or level.
    """
    view = view if isinstance(view, View) else View(view or 1)
    if isinstance(path, ObjectPath):
        return _open_object(path, view)
    head = b""
    # pathlib's answer is an error in a folder that may not be entered
    if not os.path.isdir(path):
        check_regular(path)
        with reading(path), path.open("rb") as file:
            head = file.read(_HEAD)
        if not head:
            raise InputError(str(path), got="an empty file", expected="an image")
    for name in SOURCES:
        kind = _source_format(name)
        if kind.matches(path, head):
            return _open(kind, path, view)
    for name in SOURCES:
        kind = _source_format(name)
        if head and path.suffix.lower() in kind.suffixes:
            return _open(kind, path, view)
    raise InputError(
        str(path),
        got="a folder that is not a Zarr store" if not head else "a file of unknown format",
        expected="an image: " + ", ".join(SOURCES),
    )


def _open_object(path: ObjectPath, view: View) -> Source:
    """An image of a bucket: by window where its format allows it, else from a copy."""
    from liif_cli.io.fetched import FetchedSource

    with reading(path):
        try:
            head = path.read_range(0, _HEAD)
        except FileNotFoundError:
            head = b""
        except PlaceError:
            # of an empty object there is no part
            head = path.read_bytes()[:_HEAD] if path.is_file() else b""
    for name in SOURCES:
        kind = _source_format(name)
        if getattr(kind, "by_parts", False) and kind.matches(path, head):
            source = _open(kind, path, view)
            if source.info.by_parts:
                return source
            source.close()
    return FetchedSource(path, lambda copy: open_source(copy, view))


def _open(kind: SourceFormat, path: Path, view: View) -> Source:
    if view.plain:
        return kind(path, view.page)
    of_view = getattr(kind, "of_view", None)
    if of_view is None:
        raise InputError(
            str(path),
            got="--select" if view.select else "--level",
            expected="TIFF or Zarr, whose axes and levels can be chosen",
            cure="--page N takes one of several pictures",
        )
    source: Source = of_view(path, view)
    return source
