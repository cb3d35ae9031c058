"""The eight ways an image can be turned, as EXIF, TIFF and AVIF state them."""

from __future__ import annotations

from dataclasses import dataclass

from liif_cli.geometry.window import Window
from liif_cli.io.base import Pixels


@dataclass(frozen=True)
class Orientation:
    """How stored pixels become upright: transposed first, then rows and columns reversed."""

    transpose: bool = False
    flip_rows: bool = False
    flip_cols: bool = False

    @classmethod
    def from_exif(cls, value: int) -> Orientation:
        """From EXIF tag 0x0112 (1 to 8); any other value means upright, as readers have it."""
        return _EXIF.get(value, cls())

    def then(self, other: Orientation) -> Orientation:
        """This one followed by ``other``."""
        rows, cols = self.flip_rows, self.flip_cols
        if other.transpose:
            rows, cols = cols, rows
        return Orientation(
            self.transpose ^ other.transpose, rows ^ other.flip_rows, cols ^ other.flip_cols
        )

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) upright of a stored (height, width), and the other way round."""
        return (width, height) if self.transpose else (height, width)

    def resolution(self, pair: tuple[float, float] | None) -> tuple[float, float] | None:
        """(x, y) resolution upright."""
        return pair[::-1] if pair is not None and self.transpose else pair

    def apply(self, pixels: Pixels) -> Pixels:
        """A view (height, width, channels) of stored pixels, upright."""
        if self.transpose:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: -1 if self.flip_rows else 1, :: -1 if self.flip_cols else 1]

    def stored_window(self, window: Window, height: int, width: int) -> Window:
        """Where the pixels of ``window`` lie in the file; height and width are upright."""
        row = height - window.row_stop if self.flip_rows else window.row_off
        col = width - window.col_stop if self.flip_cols else window.col_off
        if self.transpose:
            return Window(col, row, window.width, window.height)
        return Window(row, col, window.height, window.width)


UPRIGHT = Orientation()

# Exif 2.32, tag Orientation: which corner row 0 and column 0 are shown at.
_EXIF = {
    1: Orientation(),
    2: Orientation(flip_cols=True),
    3: Orientation(flip_rows=True, flip_cols=True),
    4: Orientation(flip_rows=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, flip_cols=True),
    7: Orientation(transpose=True, flip_rows=True, flip_cols=True),
    8: Orientation(transpose=True, flip_rows=True),
}
