"""Bicubic interpolation behind the decoder contract: Keys' kernel, a = -0.5, as Pillow resizes.

Below scale 1 the kernel widens (antialiasing). The interpolation is separable; each axis goes in
short blocks of outputs, whose banded weights are a small dense matrix: a GEMM does more
multiply-adds than the taps need and is still several times faster than gathering them.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from liif_cli.geometry.axis import AxisMap, AxisSlice
from liif_cli.geometry.resample import CUBIC, LANCZOS3, Kernel, kernel_taps
from liif_cli.models.device import upload

LEAST_SPAN = 32
"""Input pixels that a block of outputs spans at least, besides the kernel's own width."""
NO_WEIGHT = 1e-12
"""Weights of taps on the kernel's end that differ from 0 by rounding only."""


class Bicubic(nn.Module):
    """Cubic convolution resampling (Keys 1981); has no weights to train and no encoder."""

    exact_tiling = True
    kernel: Kernel = CUBIC

    def radius(self, axis: AxisMap) -> int:
        """Taps lie less than the kernel's support, widened, from the output's centre."""
        numerator = 2 * self.kernel.support * max(axis.n_in, axis.n_out) + axis.n_out
        return -(-numerator // (2 * axis.n_out)) - 1

    def prepare(
        self, image: torch.Tensor, feat: torch.Tensor, cell: tuple[float, float]
    ) -> torch.Tensor:
        """The window as planes (3, h, w), float32 or more."""
        return image[0].contiguous().to(torch.promote_types(image.dtype, torch.float32))

    def query(self, latent: torch.Tensor, rows: AxisSlice, cols: AxisSlice) -> torch.Tensor:
        """Normalised colours (len(rows), len(cols), 3); a cubic overshoots [-1, 1]."""
        result = latent.new_empty(len(rows), len(cols), 3)
        col_bands = _bands(cols, latent, self.kernel)
        for row_start, row_stop, top, row_weights in _bands(rows, latent, self.kernel):
            narrow = row_weights @ latent[:, top : top + row_weights.shape[1]]
            for start, stop, left, weights in col_bands:
                block = narrow[..., left : left + weights.shape[1]] @ weights.T
                result[row_start:row_stop, start:stop] = block.permute(1, 2, 0)
        return result

    def latent_bytes_per_code(self, scale: tuple[float, float]) -> int:
        """Three numbers per pixel."""
        return 4 * 3

    def query_bytes(self, height: int, width: int, scale: tuple[float, float]) -> int:
        """The result, a block, and the columns' weights."""
        support = self.kernel.support
        block = min(height, _block_length(scale[0], support))
        taps = math.ceil(2 * support * max(1, 1 / scale[1]))
        lr_width = math.ceil(width / scale[1]) + taps + 1
        strip = min(width, _block_length(scale[1], support))
        weights = width * (math.ceil(strip / scale[1]) + taps + 1)
        return 4 * (3 * height * width + 3 * block * (2 * strip + lr_width) + weights)

    def macs(self, scale: tuple[float, float]) -> tuple[int, int]:
        """Banded products along columns, and along rows on the LR columns."""
        support = self.kernel.support
        spans = [_block_length(s, support) / s + 2 * support * max(1.0, 1 / s) for s in scale]
        return 0, int(3 * (spans[1] + spans[0] / scale[1]))


class Lanczos(Bicubic):
    """Lanczos-3 resampling, as Pillow resizes."""

    kernel = LANCZOS3


def _block_length(scale: float, support: int) -> int:
    """Outputs of a block: about as many as two kernel widths, or ``LEAST_SPAN`` pixels, give."""
    return max(8, min(256, int(max(2 * support * max(1.0, 1 / scale), LEAST_SPAN) * scale)))


def _bands(
    axis: AxisSlice, like: torch.Tensor, kernel: Kernel
) -> list[tuple[int, int, int, torch.Tensor]]:
    """(start, stop, first input, weights (stop - start, inputs)) of each block of outputs."""
    n_in, n_out = axis.axis.n_in, axis.axis.n_out
    taps, weights = kernel_taps(axis.index, n_in, n_out, kernel)
    used = np.abs(weights) > NO_WEIGHT
    length = _block_length(axis.axis.scale, kernel.support)
    bands = []
    for start in range(0, len(axis), length):
        stop = min(len(axis), start + length)
        mask, tap = used[start:stop], taps[start:stop]
        first, last = int(tap[mask].min()), int(tap[mask].max())
        matrix = np.zeros((stop - start, last + 1 - first))
        row = np.nonzero(mask)[0]
        matrix[row, tap[mask] - first] = weights[start:stop][mask]
        bands.append((start, stop, first - axis.offset, upload(matrix, like.device, like.dtype)))
    return bands
