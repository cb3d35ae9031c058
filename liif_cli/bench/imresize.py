"""The two bicubic resamplings that published figures stand on, to the last bit of their 8.

``imresize`` is MATLAB's (low-resolution files of x2 to x4, and the bicubic rows of tables), and
``pillow_bicubic`` is Pillow's (low-resolution images of x6 and more). Both are Keys' kernel with
a = -0.5, widened when the image shrinks; they differ in their borders, in the order of the axes and
in how they round.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from liif_cli.geometry.resample import cubic, cubic_taps

Image8 = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

PILLOW_BITS = 22
"""Fraction bits of Pillow's integer weights for 8-bit images: 32 less 8 less 2."""


def imresize(image: Image8, shape: tuple[int, int]) -> Image8:
    """MATLAB's ``imresize(image, shape)``: bicubic, with antialiasing, 8 bit after each axis.

    The border is mirrored with the edge pixel repeated. The axis that shrinks most, or grows
    least, goes first; rows where both do the same. Halves are rounded up.

    Args:
        image: (h, w, channels).
        shape: (height, width) of the result.
    """
    scales = [n_out / n_in for n_in, n_out in zip(image.shape[:2], shape, strict=True)]
    for axis in sorted((0, 1), key=scales.__getitem__):
        taps, weights = _matlab_taps(image.shape[axis], shape[axis])
        values = _weigh(image, axis, taps, weights)
        image = np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
    return image


def pillow_bicubic(image: Image8, shape: tuple[int, int]) -> Image8:
    """Pillow's ``Image.resize`` with ``BICUBIC``: columns first, integer weights, 8 bit after each.

    Arguments as ``imresize``. The border is cut off and the weights made to add up to 1. Pillow 13
    turns the order round for tall narrow images; earlier ones, and this, never do.
    """
    for axis in (1, 0):
        n_in, n_out = image.shape[axis], shape[axis]
        if n_in == n_out:
            continue
        taps, weights = cubic_taps(np.arange(n_out, dtype=np.int64), n_in, n_out)
        # away from zero at a half, as C's (int)(x + 0.5) and (int)(x - 0.5)
        whole = np.trunc(weights * 2**PILLOW_BITS + np.copysign(0.5, weights))
        # sums of whole numbers below 2 ** 53: exact in float64
        values = _weigh(image, axis, taps, whole) + 2 ** (PILLOW_BITS - 1)
        image = np.clip(np.floor(values / 2**PILLOW_BITS), 0, 255).astype(np.uint8)
    return image


def _matlab_taps(n_in: int, n_out: int) -> tuple[Indices, Floats]:
    """Input indices (n_out, K) inside the image and their weights, as MATLAB's contributions."""
    scale = n_out / n_in
    shrink = min(1.0, scale)
    width = 4 / shrink
    # MATLAB counts from 1; the centre of output x
    centre = np.arange(1, n_out + 1) / scale + 0.5 * (1 - 1 / scale)
    first = np.floor(centre - width / 2).astype(np.int64)
    taps = first[:, None] + np.arange(math.ceil(width) + 2, dtype=np.int64)
    weights = shrink * cubic(shrink * (centre[:, None] - taps))
    weights /= weights.sum(1, keepdims=True)
    mirrored = np.concatenate([np.arange(n_in), np.arange(n_in)[::-1]])
    return mirrored[(taps - 1) % (2 * n_in)], weights


def _weigh(image: Image8, axis: int, taps: Indices, weights: Floats) -> Floats:
    """Weighted sums along ``axis``, added in the order of the taps."""
    lines = np.moveaxis(image, axis, 0)
    total = np.zeros((len(taps), *lines.shape[1:]))
    for tap, weight in zip(taps.T, weights.T, strict=True):
        if weight.any():
            total += weight.reshape(-1, *(1,) * (lines.ndim - 1)) * lines[tap]
    return np.moveaxis(total, 0, axis)
