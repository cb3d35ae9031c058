"""An output cut into tiles, every pixel in exactly one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from liif_cli.geometry.window import Window


@dataclass(frozen=True)
class TileGrid:
    """Tiles of ``tile_height`` x ``tile_width`` over ``height`` x ``width`` pixels, row by row.

    Tiles at the right and the bottom border are cut short. All lengths are in pixels and >= 1.
    """

    height: int
    width: int
    tile_height: int
    tile_width: int

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.tile_height, self.tile_width) < 1:
            raise ValueError(f"lengths of a tile grid must be 1 or more, got {self}")

    @property
    def rows(self) -> int:
        """Tiles from top to bottom."""
        return -(-self.height // self.tile_height)

    @property
    def cols(self) -> int:
        """Tiles from left to right."""
        return -(-self.width // self.tile_width)

    def __len__(self) -> int:
        return self.rows * self.cols

    def tile(self, row: int, col: int) -> Window:
        """The window of the tile at (row, col) of the grid."""
        if not (0 <= row < self.rows and 0 <= col < self.cols):
            raise IndexError(f"tile ({row}, {col}) of a grid of {self.rows} x {self.cols}")
        return Window(
            row * self.tile_height, col * self.tile_width, self.tile_height, self.tile_width
        ).clip(self.height, self.width)

    def holder(self, window: Window) -> Window:
        """The tile that holds the top left pixel of ``window``."""
        return self.tile(window.row_off // self.tile_height, window.col_off // self.tile_width)

    def __iter__(self) -> Iterator[Window]:
        for row in range(self.rows):
            for col in range(self.cols):
                yield self.tile(row, col)

    def split(self, window: Window) -> Iterator[Window]:
        """The parts of ``window`` that fall into each tile, row by row."""
        window = window.clip(self.height, self.width)
        if window.pixels == 0:
            return
        for row in range(
            window.row_off // self.tile_height, -(-window.row_stop // self.tile_height)
        ):
            for col in range(
                window.col_off // self.tile_width, -(-window.col_stop // self.tile_width)
            ):
                yield self.tile(row, col).intersect(window)
