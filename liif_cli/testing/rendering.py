"""An output as tiles give it: read windows with their halo, each encoded by itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.halo import read_window
from liif_cli.geometry.window import Window
from liif_cli.models.base import Latent
from liif_cli.models.model import Model


@torch.inference_mode()
def render(
    model: Model,
    image: torch.Tensor,
    out_shape: tuple[int, int],
    tile_shape: tuple[int, int] | None = None,
) -> torch.Tensor:
    """Normalised colours (height, width, 3) of an image (1, 3, h, w); one tile when not said."""
    rows, cols = (AxisMap(a, b) for a, b in zip(image.shape[2:], out_shape, strict=True))
    radius = (model.radius(rows), model.radius(cols))
    decoder = model.render_decoder
    cell = (model.asked(rows).cell, model.asked(cols).cell)
    latents: dict[Window, Latent] = {}
    result = torch.full((*out_shape, 3), torch.nan, dtype=image.dtype)
    for tile in TileGrid(*out_shape, *(tile_shape or out_shape)):
        read = read_window(tile, rows, cols, radius)
        if read not in latents:
            part = image[(..., *read.to_slices())]
            latents[read] = decoder.prepare(part, model.encode(part), cell)
        result[tile.to_slices()] = decoder.query(
            latents[read],
            rows.slice(tile.row_off, tile.row_stop, read.row_off),
            cols.slice(tile.col_off, tile.col_stop, read.col_off),
        )
    return result


def well_defined(in_shape: tuple[int, int], out_shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Pixels (height, width) at which the published formula of the local ensemble has a value.

    In the outermost half LR pixel both members of an axis are one code. Where that code's centre
    is the pixel's own (at odd scales), both areas are 0: the published weights are 1e-9 over 1e-9
    plus rounding, and differ between float32 and float64. Ours are the limit; there is nothing to
    compare them with.
    """
    defined = []
    for n_in, n_out in zip(in_shape, out_shape, strict=True):
        axis = AxisMap(n_in, n_out).slice(0, n_out)
        defined.append((axis.left != axis.right) | (axis.rel_left != 0))
    both: npt.NDArray[np.bool_] = defined[0][:, None] & defined[1]
    return both
