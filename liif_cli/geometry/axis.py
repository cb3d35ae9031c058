"""Where output pixels lie on the LR grid, exactly, along one axis.

Output index j of n_out over n_in sits at p = (2j + 1) n_in / (2 n_out) LR pixels (LIIF, arXiv
2012.09161, section 3: pixel centres over [-1, 1]). Everything is computed from whole numbers and
rounded once to float32, so that a pixel does not depend on the tile that it is rendered in.
The functions take numpy or torch int64 arrays alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


def left_code(index: Any, n_in: Any, n_out: Any) -> Any:
    """Index floor(p - 1/2) of the LR pixel whose centre is at or left of p; -1 at the border.

    A tie, where p is a centre itself, goes to the higher index: what the published code's shift of
    + 1e-6 is for.
    """
    return ((2 * index + 1) * n_in - n_out) // (2 * n_out)


def nearest_code(index: Any, n_in: Any, n_out: Any) -> Any:
    """Index floor(p) of the LR pixel that holds p; a tie goes to the higher index."""
    return ((2 * index + 1) * n_in) // (2 * n_out)


def relative(index: Any, code: Any, n_in: Any, n_out: Any) -> Any:
    """Relative coordinate 2 (p - code - 1/2): half an LR pixel is 1 (float)."""
    return ((2 * index + 1) * n_in - (2 * code + 1) * n_out) / n_out


@dataclass(frozen=True)
class AxisMap:
    """One axis of ``n_out`` output pixels over ``n_in`` LR pixels, both >= 1.

    Raises:
        ValueError: a length below 1, or lengths whose positions int64 cannot hold.
    """

    n_in: int
    n_out: int

    def __post_init__(self) -> None:
        if self.n_in < 1 or self.n_out < 1:
            raise ValueError(f"an axis needs 1 pixel or more, got {self}")
        # numpy's int64 would wrap silently; positions are numbers up to 2 n_in n_out
        if 2 * self.n_in * self.n_out >= 2**63:
            raise ValueError(f"an axis needs n_in * n_out below 2**62, got {self}")

    @property
    def scale(self) -> float:
        """Output pixels per LR pixel."""
        return self.n_out / self.n_in

    @property
    def cell(self) -> float:
        """Width of an output pixel as the network sees it: 2 / scale (half an LR pixel is 1)."""
        return 2 * self.n_in / self.n_out

    def codes(self, start: int, stop: int, radius: int) -> tuple[int, int]:
        """Half-open range of LR pixels within ``radius`` of those that hold outputs start..stop."""
        first = int(nearest_code(start, self.n_in, self.n_out)) - radius
        last = int(nearest_code(stop - 1, self.n_in, self.n_out)) + radius
        return max(0, first), min(self.n_in, last + 1)

    def outputs(self, start: int, stop: int) -> tuple[int, int]:
        """Half-open range of the outputs whose centre p lies in LR pixels start <= p < stop.

        Ranges that follow each other give outputs that follow each other, none twice. The range
        may be empty where the scale is below 1.
        """
        # p = (2j + 1) n_in / (2 n_out) >= start  <=>  j >= (2 start n_out - n_in) / (2 n_in)
        first, last = (
            -((self.n_in - 2 * bound * self.n_out) // (2 * self.n_in)) for bound in (start, stop)
        )
        return max(0, first), min(self.n_out, last)

    def slice(self, start: int, stop: int, offset: int = 0) -> AxisSlice:
        """Output indices start..stop, with code indices counted from LR pixel ``offset``."""
        return AxisSlice(self, start, stop, offset)


@dataclass(frozen=True)
class AxisSlice:
    """Output indices ``start..stop`` of an axis; code indices count from LR pixel ``offset``.

    ``left`` and ``right`` are the two codes of the local ensemble (section 3.2 of the paper), equal
    at the border. All arrays have length stop - start; indices int64, coordinates float32.
    """

    axis: AxisMap
    start: int
    stop: int
    offset: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop <= self.axis.n_out:
            raise ValueError(f"slice {self.start}:{self.stop} of an axis of {self.axis.n_out}")

    def __len__(self) -> int:
        return self.stop - self.start

    @cached_property
    def index(self) -> IntArray:
        """Global output indices."""
        return np.arange(self.start, self.stop, dtype=np.int64)

    def _clamp(self, code: IntArray) -> IntArray:
        return np.clip(code, 0, self.axis.n_in - 1)

    def _relative(self, code: IntArray) -> FloatArray:
        rel: FloatArray = np.asarray(
            relative(self.index, code, self.axis.n_in, self.axis.n_out), dtype=np.float32
        )
        return rel

    @cached_property
    def _left(self) -> IntArray:
        return self._clamp(left_code(self.index, self.axis.n_in, self.axis.n_out))

    @cached_property
    def _right(self) -> IntArray:
        return self._clamp(left_code(self.index, self.axis.n_in, self.axis.n_out) + 1)

    @cached_property
    def _nearest(self) -> IntArray:
        return self._clamp(nearest_code(self.index, self.axis.n_in, self.axis.n_out))

    @property
    def left(self) -> IntArray:
        return self._left - self.offset

    @property
    def right(self) -> IntArray:
        return self._right - self.offset

    @property
    def nearest(self) -> IntArray:
        """The code that holds the pixel's centre."""
        return self._nearest - self.offset

    @cached_property
    def rel_left(self) -> FloatArray:
        return self._relative(self._left)

    @cached_property
    def rel_right(self) -> FloatArray:
        return self._relative(self._right)

    @cached_property
    def rel_nearest(self) -> FloatArray:
        return self._relative(self._nearest)

    @cached_property
    def weight_right(self) -> FloatArray:
        """Share of the right code in the ensemble: 0 where both codes are the same one."""
        # |rel_left| / (|rel_left| + |rel_right|), and the two lengths add up to 2 inside
        numerator = np.abs(
            (2 * self.index + 1) * self.axis.n_in - (2 * self._left + 1) * self.axis.n_out
        )
        share = np.where(self._left == self._right, 0, numerator) / (2 * self.axis.n_out)
        weight: FloatArray = share.astype(np.float32)
        return weight

    @cached_property
    def weight_left(self) -> FloatArray:
        weight: FloatArray = (np.float32(1) - self.weight_right).astype(np.float32)
        return weight

    @property
    def corner(self) -> IntArray:
        """The code that holds the pixel's left edge, j n_in / n_out (MetaSR's projection)."""
        return self._clamp(self.index * self.axis.n_in // self.axis.n_out) - self.offset

    @cached_property
    def rel_corner(self) -> FloatArray:
        """Distance of the pixel's left edge from its code's left edge; one LR pixel is 1."""
        rest = (self.index * self.axis.n_in) % self.axis.n_out
        rel: FloatArray = (rest / self.axis.n_out).astype(np.float32)
        return rel
