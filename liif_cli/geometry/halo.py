"""Which input pixels an output tile needs."""

from __future__ import annotations

from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.window import Window


def read_window(tile: Window, rows: AxisMap, cols: AxisMap, radius: tuple[int, int]) -> Window:
    """LR pixels within ``radius`` (rows, cols) of the output ``tile``, cut at the image's border.

    Zero padding belongs to the true border only: inside, a window carries its whole radius.
    """
    top, bottom = rows.codes(tile.row_off, tile.row_stop, radius[0])
    left, right = cols.codes(tile.col_off, tile.col_stop, radius[1])
    return Window.between(top, bottom, left, right)
