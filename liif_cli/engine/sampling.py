"""A window of the input, encoded once, and the colours of any output window that it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from liif_cli.engine.samples import check_finite, to_network
from liif_cli.geometry.axis import AxisMap, AxisSlice
from liif_cli.geometry.cell import SCALED, CellPolicy
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.base import Pixels
from liif_cli.models.base import Latent
from liif_cli.models.device import PRECISION_DTYPES
from liif_cli.models.model import Model
from liif_cli.plan.plan import RenderPlan


@dataclass(frozen=True)
class Turn:
    """A flip of rows, a flip of columns, then a transpose: one of the 8 of a square."""

    flip_rows: bool = False
    flip_cols: bool = False
    transpose: bool = False

    def apply(self, image: torch.Tensor) -> torch.Tensor:
        """Turn an image (1, 3, h, w)."""
        flips = [dim for dim, flip in ((2, self.flip_rows), (3, self.flip_cols)) if flip]
        image = image.flip(flips) if flips else image
        return image.transpose(2, 3) if self.transpose else image

    def undo(self, colours: torch.Tensor) -> torch.Tensor:
        """Turn colours (h, w, 3) of a turned image back."""
        colours = colours.transpose(0, 1) if self.transpose else colours
        flips = [dim for dim, flip in ((0, self.flip_rows), (1, self.flip_cols)) if flip]
        return colours.flip(flips) if flips else colours


IDENTITY = Turn()
ALL_TURNS = tuple(
    Turn(rows, cols, transpose)
    for transpose in (False, True)
    for rows in (False, True)
    for cols in (False, True)
)


@dataclass(frozen=True)
class Sampling:
    """Which points are asked for, and where the network runs.

    ``cell`` is the policy of the pixel size told to the network; ``precision`` is one
    of ``PRECISION_DTYPES``.
    """

    rows: AxisMap
    cols: AxisMap
    cell: CellPolicy = SCALED
    device: str = "cpu"
    precision: str = "fp32"

    @classmethod
    def of(cls, plan: RenderPlan) -> Sampling:
        """The sampling of a plan."""
        return cls(plan.rows, plan.cols, plan.cell, plan.device, plan.precision)


class WindowRenderer:
    """A window of the input, encoded, that answers any output window whose halo it holds.

    Args:
        model: network on the sampling's device and in its precision, in evaluation mode.
        sampling: scale, cell policy, device and precision.
        pixels: (h, w, 1 or 3) of the read window.
        read: where that window lies in the input.
        turn: flip and turn under which the network sees the image.
        values: those of black and white; None is the range of the sample type.
    """

    def __init__(
        self,
        model: Model,
        sampling: Sampling,
        pixels: Pixels,
        read: Window,
        turn: Turn = IDENTITY,
        values: tuple[float, float] | None = None,
    ) -> None:
        self.decoder = model.render_decoder
        self.sampling, self.read, self.turn = sampling, read, turn
        # float32 for the decoder: a bilinear skip then loses nothing to a lower precision
        image = turn.apply(to_network(pixels, torch.device(sampling.device), torch.float32, values))
        cell = (
            sampling.cell.told(model.asked(sampling.rows)),
            sampling.cell.told(model.asked(sampling.cols)),
        )
        feat = model.encode(image)
        if model.encoder is None:
            feat = feat.to(PRECISION_DTYPES[sampling.precision])
        # a ReLU may turn NaN into 0, so that the colours alone would not tell
        check_finite(feat, "features")
        self.latent: Latent = self.decoder.prepare(
            image, feat, cell[::-1] if turn.transpose else cell
        )

    def query(self, tile: Window) -> torch.Tensor:
        """Normalised colours (tile.height, tile.width, 3), float32, of an output window."""
        read, turn = self.read, self.turn
        rows = _axis_slice(
            self.sampling.rows,
            (tile.row_off, tile.row_stop),
            (read.row_off, read.row_stop),
            turn.flip_rows,
        )
        cols = _axis_slice(
            self.sampling.cols,
            (tile.col_off, tile.col_stop),
            (read.col_off, read.col_stop),
            turn.flip_cols,
        )
        if turn.transpose:
            rows, cols = cols, rows
        return turn.undo(self.decoder.query(self.latent, rows, cols))


def _axis_slice(
    axis: AxisMap, output: tuple[int, int], read: tuple[int, int], flip: bool
) -> AxisSlice:
    """Half-open output indices over a read range; counted from the far end when flipped."""
    if flip:
        return axis.slice(axis.n_out - output[1], axis.n_out - output[0], axis.n_in - read[1])
    return axis.slice(output[0], output[1], read[0])


@torch.inference_mode()
def render_array(
    model: Model,
    pixels: Pixels,
    out_shape: tuple[int, int],
    *,
    cell: CellPolicy | str | float = SCALED,
    device: str = "cpu",
    precision: str = "fp32",
    tile: int = 512,
    self_ensemble: bool = False,
    cleanup: float = 0.0,
) -> npt.NDArray[np.float32]:
    """Upscale an image that fits the memory, as one window.

    Args:
        model: network on ``device`` and in ``precision``.
        pixels: (h, w, 1 or 3) uint8, uint16 or float32 in [0, 1].
        out_shape: (height, width) of the result.
        cell: the pixel size told to the network: a policy, its text or a factor. "clamped" alone
            takes the published models' largest scale; ``CellPolicy.of_model`` that of a model.
        device: "cpu", "cuda:N" or "mps".
        precision: one of ``PRECISION_DTYPES``.
        tile: side of a query in output pixels.
        self_ensemble: average over the 8 flips and turns.
        cleanup: how lossy the image is, in [0, 100], for a model that can be told.

    Returns:
        Colours (height, width, 3), float32, about [0, 1]: neither clamped nor rounded.
    """
    model = model.told(cleanup)
    read = Window.whole(*pixels.shape[:2])
    rows, cols = (AxisMap(a, b) for a, b in zip(pixels.shape[:2], out_shape, strict=True))
    sampling = Sampling(rows, cols, CellPolicy.of(cell), device, precision)
    turns = ALL_TURNS if self_ensemble else (IDENTITY,)
    result = np.zeros((*out_shape, 3), np.float32)
    for turn in turns:
        renderer = WindowRenderer(model, sampling, pixels, read, turn)
        for part in TileGrid(*out_shape, tile, tile):
            colours = renderer.query(part).mul_(0.5 / len(turns)).add_(0.5 / len(turns))
            result[part.to_slices()] += colours.cpu().numpy()
    return result
