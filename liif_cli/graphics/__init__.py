"""Generated pages: what screenshots, scans, charts and documents look like, from a seed."""

from liif_cli.graphics.fonts import (
    BUILTIN_TEST_FONTS,
    BUILTIN_TRAIN_FONTS,
    TEST_FONTS,
    TEST_SIZES,
    TRAIN_FONTS,
    TRAIN_SIZES,
    Font,
    installed,
)
from liif_cli.graphics.pages import KINDS, draw_page, graphics_pages, training_pages
from liif_cli.graphics.pairs import TEXT_PAGES, TextPair, text_pair

__all__ = [
    "BUILTIN_TEST_FONTS",
    "BUILTIN_TRAIN_FONTS",
    "KINDS",
    "TEST_FONTS",
    "TEST_SIZES",
    "TEXT_PAGES",
    "TRAIN_FONTS",
    "TRAIN_SIZES",
    "Font",
    "TextPair",
    "draw_page",
    "graphics_pages",
    "installed",
    "text_pair",
    "training_pages",
]
