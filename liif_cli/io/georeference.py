"""Where on Earth an image lies: the GeoTIFF tags of the input, made true of the output's grid.

OGC GeoTIFF 1.1 (19-008r4). Raster coordinates (i, j) are (column, row). Where pixels are areas, 0
is the outer edge of the first one; where they are points, it is its centre.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

_SCALE, _TIEPOINTS, _MATRIX = 33550, 33922, 34264
_KEYS, _DOUBLES, _ASCII = 34735, 34736, 34737
_METADATA, _NODATA = 42112, 42113
CODES = (_SCALE, _TIEPOINTS, _MATRIX, _KEYS, _DOUBLES, _ASCII, _METADATA, _NODATA)
"""Numbers of the tags that are kept."""
_RASTER_TYPE, _POINT = 1025, 2
_ASCII_TYPE, _SHORT, _DOUBLE = 2, 3, 12


@dataclass(frozen=True)
class Georeference:
    """Values of the tags: pixel scale, tie points or a matrix, keys; GDAL's nodata and notes."""

    scale: tuple[float, ...] = ()
    tiepoints: tuple[float, ...] = ()
    matrix: tuple[float, ...] = ()
    keys: tuple[int, ...] = ()
    doubles: tuple[float, ...] = ()
    ascii: str = ""
    metadata: str = ""
    nodata: str = ""

    @classmethod
    def from_tags(cls, tags: Mapping[int, Any]) -> Georeference | None:
        """From tag number -> value; None where nothing says where the image lies."""
        reference = cls(
            scale=_numbers(tags.get(_SCALE)),
            tiepoints=_numbers(tags.get(_TIEPOINTS)),
            matrix=_numbers(tags.get(_MATRIX)),
            keys=tuple(int(value) for value in _numbers(tags.get(_KEYS))),
            doubles=_numbers(tags.get(_DOUBLES)),
            ascii=str(tags.get(_ASCII) or ""),
            metadata=_without_statistics(str(tags.get(_METADATA) or "")),
            nodata=str(tags.get(_NODATA) or ""),
        )
        return (
            reference
            if reference.keys or reference.tiepoints or reference.matrix or reference.nodata
            else None
        )

    @property
    def nodata_value(self) -> float | None:
        """The sample that says that nothing was measured; None where none does."""
        try:
            return float(self.nodata)
        except ValueError:
            return None

    @classmethod
    def from_dict(cls, found: Any) -> Georeference | None:
        """The inverse of ``to_dict``; None for anything else."""
        try:
            values: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in found.items()
            }
            return cls(**values)
        except (AttributeError, TypeError):
            return None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value}

    @property
    def _offset(self) -> float:
        """Raster coordinate of the first pixel's outer edge."""
        types = [
            self.keys[at + 3]
            for at in range(4, len(self.keys) - 3, 4)
            if self.keys[at] == _RASTER_TYPE
        ]
        return -0.5 if types == [_POINT] else 0.0

    def scaled(self, in_shape: tuple[int, int], out_shape: tuple[int, int]) -> Georeference:
        """For the same area with another number of pixels; shapes are (height, width)."""
        factors = out_shape[1] / in_shape[1], out_shape[0] / in_shape[0]
        return self._mapped(factors, (0.0, 0.0))

    def moved(self, row: int, col: int) -> Georeference:
        """For a part of the image that begins at (row, col)."""
        return self._mapped((1.0, 1.0), (float(col), float(row)))

    def _mapped(self, factors: tuple[float, float], start: tuple[float, float]) -> Georeference:
        """With i -> (i - edge - start) * factor + edge, of columns and of rows."""
        edge = self._offset
        points = list(self.tiepoints)
        for at in range(0, len(points) - 5, 6):
            for axis in (0, 1):
                value = points[at + axis] - edge - start[axis]
                points[at + axis] = value * factors[axis] + edge
        matrix = list(self.matrix)
        if len(matrix) == 16:
            for row in range(0, 16, 4):
                for axis in (0, 1):
                    slope = matrix[row + axis]
                    matrix[row + 3] += slope * (edge + start[axis] - edge / factors[axis])
                    matrix[row + axis] = slope / factors[axis]
        scale = tuple(
            value / factors[axis] if axis < 2 else value for axis, value in enumerate(self.scale)
        )
        return dataclasses.replace(self, scale=scale, tiepoints=tuple(points), matrix=tuple(matrix))

    def to_tags(self) -> list[tuple[Any, ...]]:
        """As tifffile takes further tags: (number, type, count, value, once)."""
        numbers = (
            (_SCALE, _DOUBLE, self.scale),
            (_TIEPOINTS, _DOUBLE, self.tiepoints),
            (_MATRIX, _DOUBLE, self.matrix),
            (_KEYS, _SHORT, self.keys),
            (_DOUBLES, _DOUBLE, self.doubles),
        )
        texts = ((_ASCII, self.ascii), (_METADATA, self.metadata), (_NODATA, self.nodata))
        return [
            *((code, kind, len(values), values, True) for code, kind, values in numbers if values),
            *((code, _ASCII_TYPE, 0, text, True) for code, text in texts if text),
        ]


def fits(nodata: float, dtype: npt.DTypeLike) -> bool:
    """Whether samples of a type can be ``nodata`` at all."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return True
    limits = np.iinfo(kind)
    return float(nodata).is_integer() and bool(limits.min <= nodata <= limits.max)


def _numbers(value: Any) -> tuple[float, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _without_statistics(text: str) -> str:
    """GDAL's notes without what is of the input's pixels only."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return ""
    for item in list(root):
        if item.get("name", "").startswith("STATISTICS_"):
            root.remove(item)
    return ElementTree.tostring(root, encoding="unicode") if len(root) else ""
