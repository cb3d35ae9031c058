"""Colours, fonts and sizes that a page is drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from liif_cli.errors import UsageError
from liif_cli.graphics.canvas import Canvas, Colour, Lettering
from liif_cli.graphics.fonts import TRAIN_SIZES, Font

Colours = Literal["any", "gray", "ink"]
"""Of which colours a page is beside paper and ink: any; grays; ink on the paper alone."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

CONTRAST = 70
"""Least difference of luma between paper and ink; below it text is no longer read."""


@dataclass
class Style:
    """What a page is drawn with.

    Args:
        rng: the page's random numbers.
        size: height and width of the page.
        fonts: what it may use.
        sizes: sizes of text, in pixels of the page.
        paper: colour of the ground.
        ink: colour of the text on it.
        smooth: antialiasing.
        factor: drawn pixels per pixel along each axis.
    """

    rng: np.random.Generator
    size: tuple[int, int]
    fonts: Sequence[Font]
    sizes: Sequence[float]
    paper: Colour
    ink: Colour
    smooth: bool
    factor: int
    colours: Colours = "any"

    def canvas(self) -> Canvas:
        """An empty page."""
        return Canvas(self.size, self.paper, factor=self.factor, smooth=self.smooth)

    def lettering(
        self, low: float = 0, high: float = 1000, *, mono: bool = False, cjk: bool = False
    ) -> Lettering:
        """A font, mostly regular, at a size between ``low`` and ``high``; small ones are commoner.

        Where there is none in that range, the size nearest to ``low``.
        """
        rng = self.rng
        fitting = [font for font in self.fonts if cjk or font.scripts[0] != "cjk"]
        fitting = [font for font in fitting if font.mono == mono] or fitting
        wanted = np.array([font.share for font in fitting])
        font = fitting[int(rng.choice(len(fitting), p=wanted / wanted.sum()))]
        sizes = [size for size in self.sizes if low <= size <= high]
        if not sizes:
            sizes = [min(self.sizes, key=lambda size: abs(size - low))]
        # every octave of sizes is as likely as any other
        dense = 1 / np.array(sizes)
        size = sizes[int(rng.choice(len(sizes), p=dense / dense.sum()))]
        weight = 400
        if font.bold:
            weight = int(rng.choice([300, 400, 400, 400, 500, 600, 700]))
        return Lettering(font, size, weight)

    def near(self, lettering: Lettering, size: float) -> Lettering:
        """The same font at the style's largest size that is ``size`` at most, or the smallest."""
        return replace(
            lettering, size=max((s for s in self.sizes if s <= size), default=min(self.sizes))
        )

    def colour(self) -> Colour:
        """Any colour, where the style has colours."""
        return self.shade(_colour(self.rng.integers(0, 256, 3)))

    def vivid(self) -> Colour:
        """A saturated colour of middle brightness, where the style has colours."""
        hue = self.rng.random() * 6
        wheel = [abs(hue - 3) - 1, 2 - abs(hue - 2), 2 - abs(hue - 4)]
        value, gray = self.rng.uniform(130, 245), self.rng.uniform(0, 0.45)
        return self.shade(_colour(np.rint(value * (gray + (1 - gray) * np.clip(wheel, 0, 1)))))

    def shade(self, colour: Colour) -> Colour:
        """The colour, or what becomes of it in a style without colours."""
        if self.colours == "any":
            return colour
        if self.colours == "ink":
            return self.ink
        gray = round(luma(colour))
        return gray, gray, gray

    def readable(self, ground: Colour) -> Colour:
        """A colour that is read on ``ground``: any, else black or white."""
        for _ in range(8):
            ink = self.colour()
            if abs(luma(ink) - luma(ground)) >= CONTRAST:
                return ink
        return BLACK if luma(ground) > 127 else WHITE


def make_style(
    rng: np.random.Generator,
    size: tuple[int, int],
    fonts: Sequence[Font],
    sizes: Sequence[float] = TRAIN_SIZES,
) -> Style:
    """Colours by chance: black on white 55 %, gray on near white 9 %, white on black 10 %,
    light on a dark theme 9 %, any on any 17 %. 33 % of the pages have grays alone, 30 % no
    antialiasing.

    Raises:
        UsageError: no font for letters.
    """
    if not any(font.scripts[0] != "cjk" for font in fonts):
        raise UsageError("fonts of a page", got="none with letters", expected="at least 1")
    paper, ink = scheme(rng)
    smooth = bool(rng.random() >= 0.3)
    factor = int(rng.choice([1, 2, 3])) if smooth else 1
    style = Style(rng, size, fonts, sizes, paper, ink, smooth, factor)
    if rng.random() < 0.33:
        style.colours = "gray"
        style.paper, style.ink = style.shade(paper), style.shade(ink)
    return style


def scheme(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Paper and ink, readable on each other."""
    roll = rng.random()
    if roll < 0.55:
        return WHITE, BLACK
    if roll < 0.64:
        light, dark = int(rng.integers(235, 256)), int(rng.integers(20, 90))
        return (light, light, light), (dark, dark, dark)
    if roll < 0.74:
        return BLACK, WHITE
    if roll < 0.83:
        return _colour(rng.integers(10, 60, 3)), _colour(rng.integers(190, 256, 3))
    while True:
        paper, ink = _colour(rng.integers(0, 256, 3)), _colour(rng.integers(0, 256, 3))
        if abs(luma(paper) - luma(ink)) >= CONTRAST:
            return paper, ink


def luma(colour: Colour) -> float:
    """Brightness on 0..255, Rec. 601."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``share`` of ``second`` laid over ``first``."""
    one, two = np.array(first), np.array(second)
    return _colour(np.rint(one + share * (two - one)))


def _colour(values: npt.ArrayLike) -> Colour:
    red, green, blue = (int(value) for value in np.asarray(values))
    return red, green, blue
