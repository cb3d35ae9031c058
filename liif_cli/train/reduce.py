"""Reduction of crops, a matrix per sample: one of a few kernels, a gaussian blur folded in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from liif_cli.geometry.resample import CUBIC, LANCZOS3, TRIANGLE, Kernel, kernel_taps

BICUBIC, AREA, LANCZOS, BILINEAR, NEAREST = range(5)
"""Numbers of the kernels: Pillow's BICUBIC, LANCZOS, BILINEAR and NEAREST, and OpenCV's INTER_AREA,
which at whole ratios is Pillow's BOX."""

_KERNELS: dict[int, Kernel] = {BICUBIC: CUBIC, LANCZOS: LANCZOS3, BILINEAR: TRIANGLE}
_NO_BLUR = 1e-3
"""Pixels; a gaussian of this sigma is zero at its neighbours."""


class Reducer:
    """Matrices that reduce some side to ``crop`` pixels.

    The taps of every kernel and side are kept, a few for each pixel, and spread into matrices as
    they are asked for.

    Args:
        crop: pixels after the reduction.
        smallest: least side before it.
        largest: greatest side before it.
        kernels: which ones may be asked for.
        device: where the matrices are wanted.
    """

    def __init__(
        self,
        crop: int,
        smallest: int,
        largest: int,
        kernels: Sequence[int],
        device: torch.device,
    ) -> None:
        self.crop, self.smallest, self.device = crop, smallest, device
        support = max(_KERNELS.get(kernel, TRIANGLE).support for kernel in kernels)
        most = math.ceil(2 * support * max(1.0, largest / crop)) + 1
        shape = (len(kernels), largest - smallest + 1, crop, most)
        index, weights = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        for row, kernel in enumerate(kernels):
            for side in range(smallest, largest + 1):
                taps, values = _taps(side, crop, kernel)
                index[row, side - smallest, :, : taps.shape[1]] = taps
                weights[row, side - smallest, :, : taps.shape[1]] = values
        self.index = torch.from_numpy(index).to(device)
        self.weights = torch.from_numpy(weights).to(device)
        self.row = torch.zeros(max(kernels) + 1, dtype=torch.long, device=device)
        self.row[list(kernels)] = torch.arange(len(kernels), device=device)

    def matrices(self, kernel: torch.Tensor, side: torch.Tensor, width: int) -> torch.Tensor:
        """(N, crop, width) for N kernels and sides (N,); columns beyond a side are zero."""
        at = self.row[kernel], side - self.smallest
        matrix = torch.zeros(len(side), self.crop, width, device=self.device)
        # unused taps add 0
        return matrix.scatter_add_(2, self.index[at].long(), self.weights[at])


def blur_matrices(sigma: torch.Tensor, length: int) -> torch.Tensor:
    """(N, length, length): gaussians of ``sigma`` (N,) pixels, 0 for no blur.

    As in the reduction, what lies outside is left out and the rest made to add up to 1.
    """
    at = torch.arange(length, device=sigma.device, dtype=sigma.dtype)
    apart = (at[:, None] - at).square()
    weights = torch.exp(apart / (-2 * sigma.clamp(min=_NO_BLUR).square())[:, None, None])
    return weights / weights.sum(2, keepdim=True)


def _taps(side: int, crop: int, kernel: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights (crop, K)."""
    at = np.arange(crop, dtype=np.int64)
    if kernel == NEAREST:
        return ((2 * at + 1) * side // (2 * crop))[:, None], np.ones((crop, 1))
    if kernel == AREA:
        # in units of 1 / crop of a pixel, so that all is whole
        taps = (at * side // crop)[:, None] + np.arange(-(-side // crop) + 1)
        begin, end = at[:, None] * side, (at[:, None] + 1) * side
        covered = np.minimum((taps + 1) * crop, end) - np.maximum(taps * crop, begin)
        return np.minimum(taps, side - 1), np.maximum(covered, 0) / side
    return kernel_taps(at, side, crop, _KERNELS[kernel])
