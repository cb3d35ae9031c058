"""The fonts of generated pages: some to train on, others kept for tests.

OpenCV 5 draws TrueType. Three of its fonts are built in: ``sans`` and ``italic`` (Rubik, with a
weight axis; every Hershey constant now means one of these two) and ``uni`` (WenQuanYi Micro Hei).
A glyph that a font lacks is taken from ``uni``, so each font here lists the scripts that it has
of its own. Files come from matplotlib where that is installed; it is not imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2

from liif_cli.errors import UsageError

PLAIN_SIGNS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,;:!?()[]-+=/&%'"
)
"""What TeX's fonts have at the places of ASCII; the other places hold other signs."""


@dataclass(frozen=True)
class Font:
    """A font.

    Args:
        name: what it is called in messages.
        file: a file of matplotlib's fonts, or the name of one of OpenCV's built-in fonts.
        scripts: what it has glyphs of, the first one first of all: ``plain`` (PLAIN_SIGNS),
            ``latin`` (all of ASCII, and accented letters), ``cyrillic``, ``greek``, ``cjk``.
        mono: all its glyphs have one width.
        bold: weight of its bold form, where it has an axis for that, else 0.
        share: how often it is taken, beside the shares of the others.
    """

    name: str
    file: str
    scripts: tuple[str, ...] = ("latin", "cyrillic", "greek")
    mono: bool = False
    bold: int = 0
    share: float = 1.0

    @property
    def builtin(self) -> bool:
        """Whether OpenCV brings it."""
        return not self.file.endswith(".ttf")


BUILTIN_TRAIN_FONTS = (
    Font("Rubik", "sans", ("latin", "cyrillic"), bold=700, share=4),
    Font("Rubik Italic", "italic", ("latin", "cyrillic"), bold=700),
    Font("WenQuanYi Micro Hei", "uni", ("cjk",), share=0.5),
)
"""OpenCV's own fonts for training. Of ``uni`` the Chinese and Japanese glyphs alone."""

TRAIN_FONTS = (
    *BUILTIN_TRAIN_FONTS,
    Font("DejaVu Sans", "DejaVuSans.ttf", share=3),
    Font("DejaVu Sans Bold", "DejaVuSans-Bold.ttf"),
    Font("DejaVu Sans Oblique", "DejaVuSans-Oblique.ttf"),
    Font("DejaVu Sans Mono", "DejaVuSansMono.ttf", mono=True, share=2),
    Font("DejaVu Sans Mono Bold", "DejaVuSansMono-Bold.ttf", mono=True),
    Font("Computer Modern Roman", "cmr10.ttf", ("plain",), share=3),
    Font("Computer Modern Bold", "cmb10.ttf", ("plain",)),
    Font("Computer Modern Italic", "cmti10.ttf", ("plain",)),
    Font("Computer Modern Sans", "cmss10.ttf", ("plain",)),
    Font("Computer Modern Typewriter", "cmtt10.ttf", ("plain",), mono=True),
)
"""All fonts for training."""

BUILTIN_TEST_FONTS = (Font("WenQuanYi Micro Hei", "uni"),)
"""OpenCV's own font for tests: of ``uni`` the letters, which no training page shows."""

TEST_FONTS = (
    *BUILTIN_TEST_FONTS,
    Font("DejaVu Serif", "DejaVuSerif.ttf"),
    Font("DejaVu Serif Bold", "DejaVuSerif-Bold.ttf"),
    Font("DejaVu Serif Italic", "DejaVuSerif-Italic.ttf"),
    Font("STIX", "STIXGeneral.ttf"),
    Font("STIX Bold", "STIXGeneralBol.ttf"),
    Font("STIX Italic", "STIXGeneralItalic.ttf"),
)
"""All fonts for tests. No glyph of them is in TRAIN_FONTS."""

TEST_SIZES: tuple[float, ...] = (7.5, 9.5, 11.5, 13.5, 17.5, 23.5)
"""Sizes of test text in LR pixels."""

TRAIN_SIZES: tuple[float, ...] = tuple(
    size for size in range(14, 121) if not {size / 2, size / 3, size / 4} & {*TEST_SIZES}
)
"""Sizes of training text in pixels of the page; none at which a test page is drawn."""


def installed(fonts: Iterable[Font]) -> tuple[Font, ...]:
    """Those of ``fonts`` that can be drawn here: the built-in ones, and files that are there."""
    folder = _matplotlib_fonts()
    return tuple(
        font for font in fonts if font.builtin or (folder and (folder / font.file).is_file())
    )


@lru_cache
def face(font: Font) -> cv2.FontFace:
    """The font as OpenCV draws it.

    Raises:
        UsageError: its file is not there.
    """
    if font.builtin:
        return cv2.FontFace(font.file)
    folder = _matplotlib_fonts()
    if folder is None or not (folder / font.file).is_file():
        raise UsageError(
            f"font {font.name}",
            got=f"no {font.file}",
            expected="matplotlib, which brings it",
            cure="install liif-cli[plot], or draw with the built-in fonts",
        )
    return cv2.FontFace(str(folder / font.file))


def _matplotlib_fonts() -> Path | None:
    """The folder of matplotlib's fonts, or None where it is not installed."""
    # found without an import, which would take half a second
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
