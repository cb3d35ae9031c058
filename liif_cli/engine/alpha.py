"""Transparency: colour carried under transparent pixels, and alpha that stays flat where it is.

What a file holds under transparent pixels is often black, and a network that sees it draws a dark
halo into the visible pixels beside it. Everything here depends on a fixed number of LR pixels
around a pixel and adds in a fixed order, so that tiles equal the whole image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.window import Window
from liif_cli.models.device import upload
from liif_cli.plan.passes import BLEED, flat_reach

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


FAINT = 16 / 255
"""Below this alpha the colour of a pixel is not seen, and is as arbitrary as under 0."""


def bleed(colours: Plane, alpha: Plane) -> Plane:
    """Colours carried ``BLEED`` pixels under transparent and faint ones, a pixel a round.

    Such a pixel becomes the mean of itself and of its 8 neighbours that have a colour by then, each
    weighted by its alpha, those filled in an earlier round by 1. Pixels of ``FAINT`` alpha and more
    stay as they are.

    Args:
        colours: (h, w, c).
        alpha: (h, w) from 0 to 1.

    Returns:
        (h, w, c). Correct ``BLEED`` pixels away from a cut edge.
    """
    weight = alpha.copy()
    known = weight >= FAINT
    filled = colours.copy()
    for _ in range(BLEED):
        if known.all() or not known.any():
            break
        total = _sum3(weight[..., np.newaxis])[..., 0]
        new = ~known & (_sum3(known[..., np.newaxis].astype(np.float32))[..., 0] > 0)
        sums = _sum3(filled * weight[..., np.newaxis])
        filled[new] = sums[new] / total[new][:, np.newaxis]
        weight[new] = 1
        known |= new
    return filled


def _sum3(planes: Plane) -> Plane:
    """Sums (h, w, c) over 3 x 3 pixels, zeros outside."""
    padded = np.pad(planes, ((1, 1), (1, 1), (0, 0)))
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    sums: Plane = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return sums


class FlatAlpha:
    """Where alpha is opaque or transparent all around, so that it must be exactly that.

    Args:
        alpha: (h, w) from 0 to 1 of the window ``read``.
        read: where it lies in the input.
        rows: the axis of rows.
        cols: the axis of columns.
    """

    def __init__(self, alpha: Plane, read: Window, rows: AxisMap, cols: AxisMap) -> None:
        self._read, self._rows, self._cols = read, rows, cols
        reach = flat_reach(rows), flat_reach(cols)
        self._opaque = _all_around(alpha >= 1, reach)
        self._clear = _all_around(alpha <= 0, reach)

    @property
    def value(self) -> float | None:
        """1 or 0 where the whole window is opaque or transparent: no network is needed then."""
        if self._opaque.all():
            return 1.0
        return 0.0 if self._clear.all() else None

    def pin(self, colours: torch.Tensor, tile: Window) -> None:
        """Set normalised alpha (tile.height, tile.width, 3) of an output tile where it is flat."""
        rows = self._rows.slice(tile.row_off, tile.row_stop, self._read.row_off).nearest
        cols = self._cols.slice(tile.col_off, tile.col_stop, self._read.col_off).nearest
        index = np.ix_(np.asarray(rows), np.asarray(cols))
        for mask, value in ((self._opaque, 1.0), (self._clear, -1.0)):
            colours[upload(mask[index], colours.device)] = value


def _all_around(mask: Mask, reach: tuple[int, int]) -> Mask:
    """Whether a mask holds for all pixels within ``reach`` (rows, cols); outside it does."""
    for axis, length in enumerate(reach):
        for _ in range(length):
            padding = [(1, 1) if axis == other else (0, 0) for other in range(2)]
            padded = np.pad(mask, padding, constant_values=True)
            before, after = (
                (padded[:-2], padded[2:]) if axis == 0 else (padded[:, :-2], padded[:, 2:])
            )
            mask = mask & before & after
    return mask
