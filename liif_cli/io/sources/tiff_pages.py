"""Which pages of a TIFF are pictures, masks, planes and levels, and how large its pixels are."""

from __future__ import annotations

import math
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from liif_cli.io.base import View
from liif_cli.io.place import ObjectPath
from liif_cli.io.refusals import no_such, no_such_page

_MPP = re.compile(r"\bMPP = (\d+(?:\.\d+)?)")
_UNITS = {"nm": 1e-3, "µm": 1.0, "mm": 1e3, "cm": 1e4}
"""Micrometres in units of OME."""
_PLANE_AXES = "yxs"
"""Of pixels: rows, columns and samples."""
_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType."""


def opened(path: Path) -> Any:
    """What tifffile reads: a path, or an object as a file."""
    return path.open("rb") if isinstance(path, ObjectPath) else nullcontext(path)


def axes_of(tiff: Any) -> tuple[tuple[str, int], ...]:
    """Names and lengths of an OME-TIFF's axes beside those of its planes."""
    if not tiff.is_ome:
        return ()
    series = tiff.series[0]
    pairs = zip(series.axes.lower(), series.shape, strict=True)
    return tuple((name, length) for name, length in pairs if name not in _PLANE_AXES)


def masks_of(pages: Any, pictures: list[int]) -> list[Any]:
    """The mask of each picture: a page between it and the next one that says to be one."""
    masks = []
    for at, following in zip(pictures, [*pictures[1:], len(pages)], strict=True):
        size = (pages[at].imagelength, pages[at].imagewidth)
        masks.append(
            next(
                (
                    pages[number]
                    for number in range(at + 1, following)
                    if pages[number].subfiletype & _MASK
                    and not pages[number].subfiletype & _REDUCED
                    and (pages[number].imagelength, pages[number].imagewidth) == size
                ),
                None,
            )
        )
    return masks


def measured_of(tiff: Any) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """(x, y) of a pixel in micrometres, and names of channels, as microscopes and scanners say."""
    if tiff.is_svs:
        match = _MPP.search(tiff.pages.first.description)
        size = float(match[1]) if match else 0.0
        return ((size, size) if 0 < size < math.inf else None), ()
    if not tiff.is_ome:
        return None, ()
    try:
        root = ElementTree.fromstring(tiff.ome_metadata)
    except (ElementTree.ParseError, TypeError):
        return None, ()
    pixels = root.find(".//{*}Pixels")
    if pixels is None:
        return None, ()
    names = tuple(one.get("Name", "") for one in pixels.findall("{*}Channel"))
    sizes = [_micrometres(pixels, axis) for axis in "XY"]
    pixel = (sizes[0], sizes[1]) if all(0 < size < math.inf for size in sizes) else None
    return pixel, names if all(names) else ()


def _micrometres(pixels: ElementTree.Element, axis: str) -> float:
    """A pixel's side, 0 where it is not said, or in a unit of no length."""
    unit = _UNITS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"), 0.0)
    try:
        return float(pixels.get(f"PhysicalSize{axis}", "0")) * unit
    except ValueError:
        return 0.0


def plane_of(path: Path, tiff: Any, view: View) -> Any:
    """The page of an OME-TIFF's plane, or of a level of the first series.

    Raises:
        InputError: there is no such one.
    """
    levels = tiff.series[0].levels
    if view.level >= len(levels):
        raise no_such(path, f"level {view.level}", f"levels 0 to {len(levels) - 1}")
    series, chosen = levels[view.level], dict(view.select)
    names = [name for name in series.axes.lower() if name not in _PLANE_AXES]
    lengths = series.shape[: len(names)]
    known = dict(zip(names, lengths, strict=True))
    if chosen and not tiff.is_ome:
        raise no_such(path, "axes to select from", "an OME-TIFF", "--page takes one of its pages")
    for name, index in chosen.items():
        if index >= known.get(name, 0):
            has = ", ".join(f"{axis} of {length}" for axis, length in known.items()) or "no axes"
            raise no_such(path, f"{name}={index}", has)
    if chosen:
        at = int(np.ravel_multi_index([chosen.get(name, 0) for name in names], lengths))
    elif view.page <= math.prod(lengths):
        at = view.page - 1
    else:
        raise no_such_page(path, view.page, math.prod(lengths))
    page = series.pages[at] if at < len(series.pages) else None
    if page is None or page.parent is not tiff:
        raise no_such(path, "that plane in the file", "one that is not in another file")
    return page.aspage()


def pictures_of(pages: Any) -> list[int]:
    """Numbers of the pages that are pictures of their own, the first one always."""
    pictures = [0]
    for number in range(1, len(pages)):
        page = pages[number]
        first = pages[0]
        same = (page.imagelength, page.imagewidth) == (first.imagelength, first.imagewidth)
        # smaller ones without a flag are overviews, too, as several writers leave them
        larger = page.imagelength > first.imagelength or page.imagewidth > first.imagewidth
        if (same or larger) and not page.subfiletype & (_REDUCED | _MASK):
            pictures.append(number)
    return pictures
