"""The test set of text: pages drawn at a low resolution and again at a multiple of it.

Each page is drawn once, at twelve times the low resolution, and averaged down by 12 and by 12 over
the scale. So both show the same layout to a fraction of a pixel, nothing is hinted or moved to
the pixel grid, and each pixel holds the share of it that ink covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from liif_cli.errors import UsageError
from liif_cli.graphics import charts, documents
from liif_cli.graphics.canvas import INK_SHARE, Colour, Pixels
from liif_cli.graphics.fonts import BUILTIN_TEST_FONTS, TEST_SIZES, Font
from liif_cli.graphics.style import BLACK, WHITE, Style, scheme

TEXT_PAGES = 40
"""Pages of the test set."""

TEXT_SIZE = (192, 256)
"""Height and width of its LR pages."""

DRAWN = 12
"""Drawn pixels per LR pixel: divisible by 2, 3 and 4."""

SCALES = (2, 3, 4, 6)

TEXT_KINDS = (
    documents.document,
    documents.table,
    documents.code,
    documents.specimen,
    charts.charts,
)
HARD_KINDS = TEXT_KINDS[:3]
"""Kinds of pages with and without antialiasing."""

SEED = 20121


class TextPair(NamedTuple):
    """A page at two resolutions.

    Args:
        lr: (h, w, 3) RGB uint8, drawn at its own resolution.
        hr: (h scale, w scale, 3) RGB uint8, the same page drawn at that resolution.
        black_on_white: no colours: R = G = B in both.
    """

    lr: Pixels
    hr: Pixels
    black_on_white: bool


def text_pair(number: int, scale: int, fonts: Sequence[Font] = BUILTIN_TEST_FONTS) -> TextPair:
    """Page ``number`` of the test set at LR and at ``scale`` times that.

    Of four pages one is black on white without antialiasing, one black on white, one in colours,
    and the fourth is white on black, or of two colours without antialiasing.

    Args:
        number: 0 to TEXT_PAGES - 1.
        scale: one of SCALES.
        fonts: none of TRAIN_FONTS. ``installed(TEST_FONTS)`` has more of them than OpenCV's own;
            then the pages depend on what is installed.

    Raises:
        UsageError: no such page or scale, or a font that is not there.
    """
    if not 0 <= number < TEXT_PAGES:
        raise UsageError("page of text", got=str(number), expected=f"0 to {TEXT_PAGES - 1}")
    if scale not in SCALES:
        raise UsageError(
            "scale of a page of text", got=str(scale), expected=", ".join(map(str, SCALES))
        )
    rng = np.random.default_rng([SEED, number])
    look, turn = number % 4, number // 4
    hard = look == 0 or (look == 3 and turn % 2 == 1)
    paper, ink = WHITE, BLACK
    if look == 2 or (look == 3 and hard):
        while {paper, ink} <= {WHITE, BLACK}:
            paper, ink = scheme(rng)
    elif look == 3:
        paper, ink = BLACK, WHITE
    style = Style(
        rng=rng,
        # a page is laid out in pixels of x2, where training text starts, too
        size=(2 * TEXT_SIZE[0], 2 * TEXT_SIZE[1]),
        fonts=fonts,
        # unhinted stems thinner than a pixel would break up without antialiasing
        sizes=[2 * size for size in TEST_SIZES if size >= 13 or not hard],
        paper=WHITE if hard else paper,
        ink=BLACK if hard else ink,
        smooth=True,
        factor=DRAWN // 2,
        colours="any" if look == 2 else "ink",
    )
    kinds = HARD_KINDS if hard else TEXT_KINDS
    drawn = kinds[turn % len(kinds)](style).drawn
    lr, hr = _reduced(drawn, DRAWN), _reduced(drawn, DRAWN // scale)
    if hard:
        lr, hr = _two_colours(lr, paper, ink), _two_colours(hr, paper, ink)
    return TextPair(lr, hr, black_on_white=look in (0, 1))


def _reduced(drawn: Pixels, by: int) -> Pixels:
    """The mean of each ``by`` x ``by`` pixels."""
    size = (drawn.shape[1] // by, drawn.shape[0] // by)
    reduced = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    return reduced.astype(np.uint8, copy=False)


def _two_colours(page: Pixels, paper: Colour, ink: Colour) -> Pixels:
    """A page without antialiasing from one that is black on white."""
    inked = page[..., :1] <= 255 * (1 - INK_SHARE)
    return np.where(inked, np.array(ink, np.uint8), np.array(paper, np.uint8))
