"""Pixels that hold nothing: where they are, and what is made of them in a larger image.

A GeoTIFF names a value that says "nothing was measured here" (GDAL's tag 42113). It is not a
colour: nothing may be interpolated from it, and where nothing was measured nothing appears.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.window import Window
from liif_cli.io.base import Pixels
from liif_cli.io.georeference import fits

Mask = npt.NDArray[np.bool_]


def equals(values: Pixels, nodata: float) -> Mask:
    """Where samples are ``nodata``, NaN included; of the shape of ``values``."""
    if not fits(nodata, values.dtype):
        return np.zeros(values.shape, np.bool_)
    if np.isnan(nodata):
        return np.isnan(values)
    with np.errstate(over="ignore"):
        return np.asarray(values == np.asarray(nodata).astype(values.dtype))


def empty(pixels: Pixels, nodata: float) -> Mask:
    """(h, w) of pixels (h, w, channels) in which all channels are ``nodata``."""
    return np.asarray(equals(pixels, nodata).all(axis=-1))


def enlarged(window: Window, holes: Mask, read: Window, rows: AxisMap, cols: AxisMap) -> Mask:
    """(h, w) of the output pixels of ``window`` whose nearest input pixel is one of ``holes``.

    Args:
        window: in the output.
        holes: (read.height, read.width) of the input pixels that hold nothing.
        read: where those lie in the input.
        rows: the axis of rows.
        cols: the axis of columns.
    """
    places = []
    for axis, start, count, first in (
        (rows, window.row_off, window.height, read.row_off),
        (cols, window.col_off, window.width, read.col_off),
    ):
        centres = 2 * np.arange(start, start + count, dtype=np.int64) + 1
        places.append(centres * axis.n_in // (2 * axis.n_out) - first)
    mask: Mask = holes[np.ix_(*places)]
    return mask
