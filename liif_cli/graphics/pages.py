"""Kinds of generated pages, and how many of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from liif_cli.errors import UsageError
from liif_cli.graphics import charts, documents, drawings, papers, patterns, windows
from liif_cli.graphics.canvas import Canvas, Pixels
from liif_cli.graphics.fonts import BUILTIN_TRAIN_FONTS, Font
from liif_cli.graphics.style import Style, make_style

KINDS: dict[str, Callable[[Style], Canvas]] = {
    "document": documents.document,
    "window": windows.window,
    "chart": charts.charts,
    "code": documents.code,
    "scan": papers.scan,
    "technical": drawings.technical,
    "specimen": documents.specimen,
    "map": drawings.region_map,
    "table": documents.table,
    "pattern": patterns.pattern,
    "photo": papers.photo,
    "logos": drawings.logos,
    "gradient": papers.gradient,
    "line-art": drawings.line_art,
}
"""Kinds of pages, in the order in which the first ones are made."""

ROUND = (*KINDS, "document", "window", "specimen", "document", "code", "table")
"""Kinds of 20 pages; 12 of them are full of text: documents, windows, code, scans, tables."""

SMALLEST_SIDE = 400
"""Least side of a page for training: room for a crop of 48 LR pixels at x8."""


def draw_page(
    kind: str,
    rng: np.random.Generator,
    size: tuple[int, int] = (704, 896),
    fonts: Sequence[Font] = BUILTIN_TRAIN_FONTS,
) -> Pixels:
    """A page of a kind of ``KINDS``, (h, w, 3) RGB uint8.

    Args:
        rng: what the page is drawn from; it alone decides how the page looks.
        size: height and width, 64 pixels or more.
        fonts: what it may use.

    Raises:
        UsageError: an unknown kind, a size below 64 pixels, or a font that is not there.
    """
    if kind not in KINDS:
        raise UsageError("kind of page", got=repr(kind), expected=", ".join(KINDS))
    if min(size) < 64:
        raise UsageError("size of a page", got=f"{size[1]}x{size[0]}", expected="64x64 or more")
    return KINDS[kind](make_style(rng, size, fonts)).page()


def graphics_pages(
    count: int,
    size: tuple[int, int] = (704, 896),
    seed: int = 0,
    fonts: Sequence[Font] = BUILTIN_TRAIN_FONTS,
) -> Iterator[tuple[str, Pixels]]:
    """``count`` pages with the kind of each, (h, w, 3) RGB uint8.

    A page depends on the seed, its number, size, fonts and the version of OpenCV, and on nothing
    else: the first pages of a longer series are those of a shorter one.
    """
    for number in range(count):
        kind = ROUND[number % len(ROUND)]
        yield kind, draw_page(kind, np.random.default_rng([seed, number]), size, fonts)


def training_pages(
    count: int, seed: int = 0, fonts: Sequence[Font] = BUILTIN_TRAIN_FONTS
) -> list[Pixels]:
    """``count`` pages of about 900 x 700 pixels, each side SMALLEST_SIDE or more, to train on.

    Each (h, w, 3) RGB uint8, sides differing from page to page. Pass ``installed(TRAIN_FONTS)``
    for more typefaces; then the pages depend on what is installed.
    """
    pages = []
    for number in range(count):
        rng = np.random.default_rng([seed, number, 1])
        size = (int(rng.integers(560, 801)), int(rng.integers(720, 1025)))
        pages.append(draw_page(ROUND[number % len(ROUND)], rng, size, fonts))
    return pages
