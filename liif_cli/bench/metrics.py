"""PSNR as super-resolution papers measure it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.floating[Any]]

LUMA = np.array([65.738, 129.057, 25.064]) / 256
"""BT.601 studio-range luma of RGB in [0, 1], without its offset (MATLAB's rgb2ycbcr)."""


def psnr_rgb(prediction: FloatImage, truth: FloatImage, scale: int) -> float:
    """PSNR in dB over RGB, ``scale`` + 6 pixels of border left out: LIIF's protocol for DIV2K.

    Args:
        prediction: (h, w, 3) in [0, 1]; clamped, not rounded.
        truth: the same shape, in [0, 1].
        scale: of the magnification.

    Raises:
        ValueError: the shapes differ, or nothing is left inside the border.
    """
    return _psnr(_difference(prediction, truth), scale + 6)


def psnr_luma(prediction: FloatImage, truth: FloatImage, scale: int) -> float:
    """PSNR in dB of the luma, ``scale`` pixels of border left out: the benchmark sets' protocol.

    Arguments and errors as ``psnr_rgb``.
    """
    return _psnr(_difference(prediction, truth) @ LUMA, scale)


def _difference(prediction: FloatImage, truth: FloatImage) -> npt.NDArray[np.float64]:
    if prediction.shape != truth.shape:
        raise ValueError(f"shapes differ: {prediction.shape} and {truth.shape}")
    difference: npt.NDArray[np.float64] = np.clip(prediction.astype(np.float64), 0, 1) - truth
    return difference


def _psnr(difference: npt.NDArray[np.float64], border: int) -> float:
    inside = difference[border:-border, border:-border]
    if inside.size == 0:
        raise ValueError(f"{difference.shape[:2]} has nothing inside a border of {border} pixels")
    return float(-10 * np.log10(np.mean(inside**2)))
