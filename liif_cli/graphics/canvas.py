"""A page that is drawn on: fractional coordinates, with and without antialiasing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from liif_cli.graphics.fonts import Font, face

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
"""R, G, B on 0..255."""

SHIFT = 4
"""Fractional bits of the coordinates that OpenCV draws at."""

INK_SHARE = 0.42
"""Cover at which a pixel of text without antialiasing is inked; at half, thin stems break up."""

MEASURED = 4
"""Text is measured, and drawn on a canvas of factor 1, this many times larger.

OpenCV rounds advances and origins to whole pixels; at the size itself letters would clot.
"""


@dataclass(frozen=True)
class Lettering:
    """A font at a size of ``size`` pixels of the page an em, and a weight (400: regular)."""

    font: Font
    size: float
    weight: int = 400

    @property
    def bold(self) -> Lettering:
        """The bold form, where the font has an axis for the weight; else itself."""
        return replace(self, weight=self.font.bold) if self.font.bold else self

    def fit(self, text: str, room: float) -> str:
        """As much of the start of ``text`` as ``room`` pixels hold."""
        while text and self.width(text) > room:
            text = text[:-1]
        return text

    def width(self, text: str) -> float:
        """Width of ``text`` in pixels of the page, with the space to what comes after it."""
        return _width(text, self.font, self.size, self.weight)


@lru_cache(maxsize=1 << 16)
def _width(text: str, font: Font, size: float, weight: int) -> float:
    if not text:
        return 0.0
    drawn = round(size * MEASURED)
    box = cv2.getTextSize((0, 0), text, (0, 0), face(font), drawn, weight)
    return (box[2] - 1) * size / drawn


class Canvas:
    """A page of (h, w, 3) RGB uint8.

    Coordinates are (y, x) in pixels of the page from its top left corner, fractions allowed.

    Args:
        size: height and width of the page.
        paper: its colour.
        factor: drawn pixels per pixel along each axis; averaged by ``page``.
        smooth: antialiasing. A page without it has ``factor`` 1 and hard edges.
    """

    def __init__(
        self, size: tuple[int, int], paper: Colour, *, factor: int = 1, smooth: bool = True
    ) -> None:
        self.height, self.width = size
        self.factor, self.smooth = factor, smooth
        shape = (self.height * factor, self.width * factor, 3)
        self.drawn: Pixels = np.empty(shape, dtype=np.uint8)
        # whole rows are copied ten times as fast as single colours
        self.drawn[:1] = paper
        self.drawn[1:] = self.drawn[:1]

    def page(self) -> Pixels:
        """The page, (h, w, 3) RGB uint8."""
        if self.factor == 1:
            return self.drawn
        size = (self.width, self.height)
        return _uint8(cv2.resize(self.drawn, size, interpolation=cv2.INTER_AREA))

    def rect(self, y: float, x: float, height: float, width: float, colour: Colour) -> None:
        """Fill a rectangle; its edges fall on drawn pixels."""
        f = self.factor
        top, left = max(0, round(y * f)), max(0, round(x * f))
        self.drawn[top : max(0, round((y + height) * f)), left : max(0, round((x + width) * f))] = (
            colour
        )

    def frame(
        self, y: float, x: float, height: float, width: float, colour: Colour, thick: float = 1
    ) -> None:
        """Draw the outline of a rectangle, ``thick`` pixels inwards."""
        self.rect(y, x, thick, width, colour)
        self.rect(y + height - thick, x, thick, width, colour)
        self.rect(y, x, height, thick, colour)
        self.rect(y, x + width - thick, height, thick, colour)

    def lines(
        self,
        points: Sequence[tuple[float, float]] | npt.NDArray[np.float64],
        colour: Colour,
        thick: float = 1,
        *,
        closed: bool = False,
    ) -> None:
        """Draw a line through ``points`` (y, x), ``thick`` pixels wide."""
        width = max(1, round(thick * self.factor))
        fixed = [self._fixed(points)]
        cv2.polylines(self.drawn, fixed, closed, colour, width, self._kind(), SHIFT)

    def fill(
        self, points: Sequence[tuple[float, float]] | npt.NDArray[np.float64], colour: Colour
    ) -> None:
        """Fill the polygon of ``points`` (y, x)."""
        cv2.fillPoly(self.drawn, [self._fixed(points)], colour, self._kind(), SHIFT)

    def circle(
        self, y: float, x: float, radius: float, colour: Colour, thick: float | None = None
    ) -> None:
        """Draw a circle ``thick`` pixels wide, or fill it."""
        unit = self.factor << SHIFT
        width = -1 if thick is None else max(1, round(thick * self.factor))
        # OpenCV's integers are pixel centres, ours pixel corners
        half = 1 << (SHIFT - 1)
        centre = (round(x * unit) - half, round(y * unit) - half)
        # of a disc it fills half a pixel more than the radius
        reach = max(0, round(radius * unit) - (half if thick is None else 0))
        cv2.circle(self.drawn, centre, reach, colour, width, self._kind(), SHIFT)

    def text(
        self, y: float, x: float, text: str, lettering: Lettering, colour: Colour, turn: int = 0
    ) -> float:
        """Write ``text`` from the left end (y, x) of its baseline.

        Args:
            turn: quarter turns to the left about (y, x), 0 to 3.

        Returns:
            The width of what was written, in pixels of the page.
        """
        font, size, weight = lettering.font, lettering.size, lettering.weight
        width = lettering.width(text)
        if not text.strip():
            return width
        f = self.factor
        more = MEASURED if f == 1 else 1
        drawn = round(size * f * more)
        # ascenders, descenders and slanted overhangs lie in this box about the origin
        up, down = math.ceil(1.25 * size * f), math.ceil(0.6 * size * f)
        back, ahead = math.ceil(0.3 * size * f), math.ceil((width + 0.5 * size) * f)
        row, col = math.floor(y * f), math.floor(x * f)
        shift_y, shift_x = y * f - row, x * f - col
        if turn:
            shift_y, shift_x = 0.0, 0.0
        box: Pixels = np.zeros(((up + down) * more, (back + ahead) * more), dtype=np.uint8)
        origin = (round((back + shift_x) * more), round((up + shift_y) * more))
        cv2.putText(box, text, origin, (255,), face(font), drawn, weight)
        if more > 1:
            reduced = (back + ahead, up + down)
            box = _uint8(cv2.resize(box, reduced, interpolation=cv2.INTER_AREA))
        if not self.smooth:
            box = np.where(box >= INK_SHARE * 255, np.uint8(255), np.uint8(0))
        top, left = row - up, col - back
        if turn:
            box = np.ascontiguousarray(np.rot90(box, turn))
            top, left = {
                1: (row - ahead, col - up),
                2: (row - down, col - ahead),
                3: (row - back, col - down),
            }[turn]
        self._blend(top, left, box, colour)
        return width

    def _blend(self, top: int, left: int, cover: Pixels, colour: Colour) -> None:
        """Lay ``colour`` over the drawn pixels from (top, left) where ``cover`` (0..255) says."""
        rows = slice(max(0, top), max(0, top + cover.shape[0]))
        cols = slice(max(0, left), max(0, left + cover.shape[1]))
        part = self.drawn[rows, cols]
        if part.size == 0:
            return
        seen = cover[rows.start - top :, cols.start - left :][: part.shape[0], : part.shape[1]]
        # letters cover little of their box
        inked = seen > 0
        share = seen[inked][:, None].astype(np.int32)
        ink = np.array(colour, dtype=np.int32)
        # rounded to the nearest of 255 steps, whole numbers on every machine
        part[inked] = (part[inked] * (255 - share) + ink * share + 127) // 255

    def _fixed(
        self, points: Sequence[tuple[float, float]] | npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int32]:
        """(x, y) in OpenCV's fixed point; its integers are pixel centres, ours pixel corners."""
        scaled = np.asarray(points, dtype=np.float64)[:, ::-1] * self.factor - 0.5
        return np.rint(scaled * (1 << SHIFT)).astype(np.int32)

    def _kind(self) -> int:
        """OpenCV's kind of line. What is averaged later needs no second antialiasing."""
        return cv2.LINE_AA if self.smooth and self.factor == 1 else cv2.LINE_8


def _uint8(image: npt.NDArray[np.generic]) -> Pixels:
    """The same array, known to be uint8."""
    return image.astype(np.uint8, copy=False)
