"""Separable interpolation of whole images, for orientation beside the networks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LANCZOS_LOBES = 3


def _triangle(x: Floats) -> Floats:
    triangle: Floats = np.maximum(0, 1 - np.abs(x))
    return triangle


def _lanczos(x: Floats) -> Floats:
    """sinc(x) sinc(x / 3), zero from 3 on (Duchon 1979)."""
    windowed: Floats = np.where(
        np.abs(x) < LANCZOS_LOBES, np.sinc(x) * np.sinc(x / LANCZOS_LOBES), 0
    )
    return windowed


KERNELS: dict[str, tuple[Callable[[Floats], Floats], int]] = {
    "bilinear": (_triangle, 1),
    "lanczos": (_lanczos, LANCZOS_LOBES),
}
"""Kernel and its half-width in input pixels."""


def interpolate(
    image: npt.NDArray[np.float32], shape: tuple[int, int], kernel: str
) -> npt.NDArray[np.float32]:
    """Resample colours (h, w, 3) to ``shape``: "bilinear" or "lanczos", as Pillow's filters.

    The kernel widens when the image shrinks. Taps outside the image are dropped and the rest made
    to add up to 1. Nothing is clamped or rounded.
    """
    for axis in (0, 1):
        taps, weights = _taps(image.shape[axis], shape[axis], kernel)
        lines = np.moveaxis(image, axis, 0)
        total = np.zeros((shape[axis], *lines.shape[1:]))
        for tap, weight in zip(taps.T, weights.T, strict=True):
            total += weight[:, None, None] * lines[tap]
        image = np.moveaxis(total, 0, axis).astype(np.float32)
    return image


def _taps(n_in: int, n_out: int, kernel: str) -> tuple[npt.NDArray[np.int64], Floats]:
    """Input indices (n_out, K) inside the image and their weights; unused taps weigh 0."""
    function, reach = KERNELS[kernel]
    width = max(1.0, n_in / n_out)
    centre = (np.arange(n_out) + 0.5) * n_in / n_out
    first = np.floor(centre - reach * width).astype(np.int64)
    taps = first[:, None] + np.arange(math.ceil(2 * reach * width) + 1, dtype=np.int64)
    weights = function((taps + 0.5 - centre[:, None]) / width)
    weights[(taps < 0) | (taps >= n_in)] = 0
    weights /= weights.sum(1, keepdims=True)
    return np.clip(taps, 0, n_in - 1), weights
