"""A rectangle of pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Window:
    """Rows ``row_off .. row_off + height``, columns ``col_off .. col_off + width``, in pixels."""

    row_off: int
    col_off: int
    height: int
    width: int

    @classmethod
    def whole(cls, height: int, width: int) -> Window:
        """The window of a whole image."""
        return cls(0, 0, height, width)

    @classmethod
    def between(cls, row_start: int, row_stop: int, col_start: int, col_stop: int) -> Window:
        """The window of half-open row and column ranges."""
        return cls(row_start, col_start, row_stop - row_start, col_stop - col_start)

    @property
    def row_stop(self) -> int:
        return self.row_off + self.height

    @property
    def col_stop(self) -> int:
        return self.col_off + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def pixels(self) -> int:
        return self.height * self.width

    def intersect(self, other: Window) -> Window:
        """The common part; height or width is 0 where there is none."""
        row, col = max(self.row_off, other.row_off), max(self.col_off, other.col_off)
        return Window(
            row,
            col,
            max(0, min(self.row_stop, other.row_stop) - row),
            max(0, min(self.col_stop, other.col_stop) - col),
        )

    def pad(self, rows: int, cols: int) -> Window:
        """Grown by ``rows`` above and below and ``cols`` left and right; may leave the image."""
        return Window(
            self.row_off - rows, self.col_off - cols, self.height + 2 * rows, self.width + 2 * cols
        )

    def clip(self, height: int, width: int) -> Window:
        """The part inside an image of that height and width."""
        return self.intersect(Window(0, 0, height, width))

    def relative_to(self, other: Window) -> Window:
        """The same pixels, counted from the top left of ``other``."""
        return Window(
            self.row_off - other.row_off, self.col_off - other.col_off, self.height, self.width
        )

    def shift(self, rows: int, cols: int) -> Window:
        """Moved down by ``rows`` and right by ``cols``."""
        return Window(self.row_off + rows, self.col_off + cols, self.height, self.width)

    def to_slices(self) -> tuple[slice, slice]:
        """(rows, cols) for indexing an array of (height, width, ...)."""
        return slice(self.row_off, self.row_stop), slice(self.col_off, self.col_stop)
