"""Reading and writing images: numpy in and out, by window, no torch.

Codec libraries are imported by the source or exporter that needs them, not here.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from liif_cli.errors import InputError, UsageError
from liif_cli.io.base import Exporter, PagedFormat, Source, SourceFormat
from liif_cli.io.refusals import check_regular, no_such_page, reading
from liif_cli.registry import Registry

SOURCES = Registry(
    "source",
    {
        "png": "liif_cli.io.sources.png:PngSource",
        "jpg": "liif_cli.io.sources.jpeg:JpegSource",
        "webp": "liif_cli.io.sources.webp:WebpSource",
        "bmp": "liif_cli.io.sources.bmp:BmpSource",
        "avif": "liif_cli.io.sources.avif:AvifSource",
        "tiff": "liif_cli.io.sources.tiff:TiffSource",
        "zarr": "liif_cli.io.sources.zarr:ZarrSource",
    },
)

EXPORTERS = Registry(
    "format",
    {
        "png": "liif_cli.io.exporters.png:PngExporter",
        "jpg": "liif_cli.io.exporters.jpeg:JpegExporter",
        "webp": "liif_cli.io.exporters.webp:WebpExporter",
        "tiff": "liif_cli.io.exporters.tiff:TiffExporter",
        "zarr": "liif_cli.io.exporters.zarr:ZarrExporter",
        # behind tiff, which has its suffixes
        "cog": "liif_cli.io.exporters.cog:CogExporter",
        "dzi": "liif_cli.io.exporters.deepzoom:DeepZoomExporter",
    },
)

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
    library = getattr(exporter_for(name), "needs", "")
    if library and find_spec(library) is None:
        raise UsageError(
            f"format {name}",
            got=f"no {library}, which it needs",
            cure=f"pip install 'liif-cli[{name}]'",
        )


@cache
def image_suffixes() -> frozenset[str]:
    """Lower-case suffixes, with their dot, of everything that can be read."""
    return frozenset(suffix for name in SOURCES for suffix in _source_format(name).suffixes)


def is_image(path: Path) -> bool:
    """Whether the suffix is that of an image that can be read, in any case of letters."""
    return path.suffix.lower() in image_suffixes()


def format_for_suffix(suffix: str) -> str | None:
    """Name of the exporter that writes files of that suffix, None where there is none."""
    names = (name for name in EXPORTERS if suffix.lower() in exporter_for(name).suffixes)
    return next(names, None)


def open_source(path: Path, page: int | None = None) -> Source:
    """Open an image file or a Zarr store: by its content, or by its suffix where that says nothing.

    ``page`` is counted from 1; None is the first one.

    Raises:
        InputError: the file is missing, empty, damaged, of a kind that cannot be handled, or has no
            such page.
    """
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
            return _opened(kind, path, page)
    for name in SOURCES:
        kind = _source_format(name)
        if head and path.suffix.lower() in kind.suffixes:
            return _opened(kind, path, page)
    raise InputError(
        str(path),
        got="a folder that is no Zarr store" if not head else "a file of unknown format",
        expected="an image: " + ", ".join(SOURCES),
    )


def _opened(kind: SourceFormat, path: Path, page: int | None) -> Source:
    if page is None or page == 1:
        return kind(path)
    if isinstance(kind, PagedFormat):
        return kind(path, page)
    raise no_such_page(path, page, 1)
