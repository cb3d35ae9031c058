"""Weights of separable resampling by a kernel of a few kinds, as Pillow computes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CUBIC_A = -0.5
"""Keys' cubic convolution parameter, that of Pillow and MATLAB (Keys 1981)."""


def cubic(x: npt.NDArray[np.float64], a: float = CUBIC_A) -> npt.NDArray[np.float64]:
    """Keys' cubic convolution kernel at distance ``x``, zero from 2 on."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    kernel: npt.NDArray[np.float64] = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return kernel


def lanczos3(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Lanczos' windowed sinc of three lobes at distance ``x``, zero from 3 on."""
    kernel: npt.NDArray[np.float64] = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
    return kernel


def triangle(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Linear interpolation at distance ``x``, zero from 1 on."""
    kernel: npt.NDArray[np.float64] = np.maximum(1 - np.abs(x), 0)
    return kernel


@dataclass(frozen=True)
class Kernel:
    """A resampling kernel: its weight at a distance, and the distance from which it is zero."""

    weight: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
    support: int


CUBIC = Kernel(cubic, 2)
LANCZOS3 = Kernel(lanczos3, 3)
TRIANGLE = Kernel(triangle, 1)


def cubic_support(n_in: int, n_out: int) -> float:
    """Half-width of the kernel in input pixels; it widens when the image shrinks."""
    return CUBIC.support * max(1.0, n_in / n_out)


def cubic_taps(
    index: npt.NDArray[np.int64], n_in: int, n_out: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """``kernel_taps`` of the cubic kernel."""
    return kernel_taps(index, n_in, n_out, CUBIC)


def kernel_taps(
    index: npt.NDArray[np.int64], n_in: int, n_out: int, kernel: Kernel
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Input indices and weights for output ``index`` of n_out over n_in.

    Taps outside the image are dropped and the rest made to add up to 1, which is Pillow's border.

    Returns:
        (len(index), K) input indices inside the image, and their weights; unused taps weigh 0.
    """
    width = max(1.0, n_in / n_out)
    centre = (2 * index + 1) * n_in / (2 * n_out)
    first = np.floor(centre - kernel.support * width + 0.5).astype(np.int64)
    taps = first[:, None] + np.arange(math.ceil(2 * kernel.support * width) + 1, dtype=np.int64)
    weights = kernel.weight((taps + 0.5 - centre[:, None]) / width)
    weights[(taps < 0) | (taps >= n_in)] = 0
    weights /= weights.sum(1, keepdims=True)
    return np.clip(taps, 0, n_in - 1), weights


def resample_weights(n_in: int, n_out: int, kernel: Kernel = CUBIC) -> npt.NDArray[np.float64]:
    """The whole resampling as a matrix (n_out, n_in); rows add up to 1."""
    taps, weights = kernel_taps(np.arange(n_out, dtype=np.int64), n_in, n_out, kernel)
    matrix = np.zeros((n_out, n_in))
    np.add.at(matrix, (np.arange(n_out)[:, None], taps), weights)
    return matrix
