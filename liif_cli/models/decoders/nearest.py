"""Nearest neighbour behind the decoder contract: the LR pixel that holds the output's centre."""

from __future__ import annotations

import torch
from torch import nn

from liif_cli.geometry.axis import AxisMap, AxisSlice
from liif_cli.models.device import upload


class Nearest(nn.Module):
    """Nearest-neighbour interpolation; has no weights and no encoder."""

    exact_tiling = True

    def radius(self, axis: AxisMap) -> int:
        """The pixel itself."""
        return 0

    def prepare(
        self, image: torch.Tensor, feat: torch.Tensor, cell: tuple[float, float]
    ) -> torch.Tensor:
        """The window as (h, w, 3)."""
        return image[0].permute(1, 2, 0).contiguous()

    def query(self, latent: torch.Tensor, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """Normalised colours (len(rows), len(cols), 3)."""
        row, col = (upload(axis.nearest, latent.device) for axis in (rows, cols))
        return latent.index_select(0, row).index_select(1, col)

    def latent_bytes_per_code(self, scale: tuple[float, float]) -> int:
        """Three numbers per pixel."""
        return 4 * 3

    def query_bytes(self, height: int, width: int, scale: tuple[float, float]) -> int:
        """The result, and the LR columns of its rows."""
        lr_width = int(width / scale[1]) + 2
        return 4 * 3 * height * (width + lr_width)

    def macs(self, scale: tuple[float, float]) -> tuple[int, int]:
        """A copy of three numbers per pixel."""
        return 0, 3
