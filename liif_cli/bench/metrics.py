"""PSNR and SSIM as super-resolution papers measure them."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float64]

LUMA = np.array([65.738, 129.057, 25.064]) / 256
"""BT.601 studio-range luma of RGB in [0, 1], without its offset (MATLAB's rgb2ycbcr)."""
LUMA_OFFSET = 16 / 255

COLOURED = 48
"""Chroma above which a pixel that should be gray looks coloured, in 8-bit levels."""

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
"""(K L) ** 2 of Wang et al. 2004, for values on [0, 1]."""


def psnr_rgb(prediction: FloatImage, truth: FloatImage, scale: float) -> float:
    """PSNR in dB over RGB, ``scale`` + 6 pixels of border left out: LIIF's protocol for DIV2K.

    Args:
        prediction: (h, w, 3) in [0, 1]; clamped, not rounded.
        truth: the same shape, in [0, 1].
        scale: of the magnification; a fraction is rounded up for the border.

    Returns:
        dB; infinite where both are equal.

    Raises:
        ValueError: the shapes differ, or nothing is left inside the border.
    """
    return _psnr(_difference(prediction, truth), math.ceil(scale) + 6)


def psnr_luma(prediction: FloatImage, truth: FloatImage, scale: float) -> float:
    """PSNR in dB of the luma, ``scale`` pixels of border left out: the benchmark sets' protocol.

    Arguments and errors as ``psnr_rgb``.
    """
    return _psnr(_difference(prediction, truth) @ LUMA, math.ceil(scale))


def ssim_rgb(prediction: FloatImage, truth: FloatImage, scale: float) -> float | None:
    """Mean SSIM of the three channels inside the border of ``psnr_rgb``; arguments as there.

    Returns:
        in [-1, 1]; None where less than the window of 11 x 11 is left.
    """
    border = math.ceil(scale) + 6
    a, b = _inside(np.clip(prediction, 0, 1), border), _inside(truth, border)
    values = [ssim(a[..., channel], b[..., channel]) for channel in range(3)]
    known = [value for value in values if value is not None]
    return sum(known) / 3 if len(known) == 3 else None


def ssim_luma(prediction: FloatImage, truth: FloatImage, scale: float) -> float | None:
    """SSIM of the luma (16 to 235 of 255) inside the border of ``psnr_luma``; else as ``ssim_rgb``.

    The luma is not rounded.
    """
    border = math.ceil(scale)
    clamped = np.clip(prediction, 0, 1).astype(np.float64)
    a, b = _inside(clamped, border), _inside(truth, border)
    return ssim(a @ LUMA + LUMA_OFFSET, b @ LUMA + LUMA_OFFSET)


def ssim(a: FloatImage, b: FloatImage) -> float | None:
    """Structural similarity of two planes (h, w) on [0, 1].

    Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, IEEE TIP 13(4), 2004, as their
    MATLAB code ``ssim_index``: a gaussian window of 11 x 11 with sigma 1.5, K = (0.01, 0.03), and
    only where the whole window lies inside. Its size reduction for large images is not applied.

    Returns:
        in [-1, 1]; None where a side is shorter than the window.
    """
    if min(a.shape) < SSIM_WINDOW:
        return None
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + SSIM_C1) * (2 * covariance + SSIM_C2)
    denominator = (mean_x**2 + mean_y**2 + SSIM_C1) * (var_x + var_y + SSIM_C2)
    return float(np.mean(numerator / denominator))


def is_gray(pixels: npt.NDArray[Any]) -> bool:
    """Whether the three channels of an image (h, w, 3) are equal."""
    return bool((pixels == pixels[..., :1]).all())


def chroma(prediction: FloatImage) -> tuple[int, int]:
    """Colour in the 8-bit image of ``prediction`` (h, w, 3), clamped to [0, 1] and rounded.

    Returns:
        the largest max(R, G, B) - min(R, G, B), and the number of pixels where it is above
        ``COLOURED``.
    """
    pixels = np.rint(np.clip(prediction, 0, 1) * 255)
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    return int(spread.max()), int((spread > COLOURED).sum())


def _blur(plane: Floats) -> Floats:
    """Gaussian means of every whole window, (h - 10, w - 10)."""
    window = cv2.getGaussianKernel(SSIM_WINDOW, SSIM_SIGMA, cv2.CV_64F)
    half = SSIM_WINDOW // 2
    blurred = np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, window, window), np.float64)
    return blurred[half:-half, half:-half]


def _difference(prediction: FloatImage, truth: FloatImage) -> Floats:
    if prediction.shape != truth.shape:
        raise ValueError(f"shapes differ: {prediction.shape} and {truth.shape}")
    clamped: Floats = np.clip(prediction, 0, 1).astype(np.float64)
    difference: Floats = clamped - np.asarray(truth, np.float64)
    return difference


def _inside(image: FloatImage, border: int) -> FloatImage:
    return image[border:-border, border:-border]


def _psnr(difference: Floats, border: int) -> float:
    inside = _inside(difference, border)
    if inside.size == 0:
        raise ValueError(f"{difference.shape[:2]} has nothing inside a border of {border} pixels")
    error = float(np.mean(inside**2))
    return -10 * math.log10(error) if error > 0 else math.inf
