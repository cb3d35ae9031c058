"""The papers' two protocols: which LR an image gets at a scale, and how a result is scored.

LIIF (arXiv 2012.09161, section 4.1) measures DIV2K over RGB and the benchmark sets over luma.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from liif_cli.bench import metrics
from liif_cli.bench.imresize import imresize, pillow_bicubic
from liif_cli.errors import InputError

DIV2K = "div2k"
BENCHMARK = "benchmark"
MATLAB_SCALES = (2, 3, 4)
"""Scales whose LR files were made with MATLAB; others are reduced with Pillow's bicubic."""

Image8 = npt.NDArray[np.uint8]


class TooSmall(InputError):
    """An image that has nothing to measure at a scale."""


@dataclass(frozen=True)
class Pair:
    """``lr`` (h, w, 3) and the ``hr`` that it was made from, cut to round(h s) x round(w s).

    ``cleanup`` is the level of loss that the program finds in the file of ``lr``, 0 to 100.
    """

    lr: Image8
    hr: Image8
    cleanup: float = 0.0


def exact(scale: float) -> Fraction:
    """The decimal fraction that was written: 3.7 is 37/10."""
    return Fraction(str(scale))


def border(protocol: str, scale: float) -> int:
    """Pixels that are not measured along each side."""
    return math.ceil(scale) + (6 if protocol == DIV2K else 0)


def make_pair(hr: Image8, scale: float, protocol: str, given: Image8 | None = None) -> Pair:
    """The LR of ``hr`` (h, w, 3) at ``scale``, and the HR that belongs to it.

    Args:
        hr: whole image.
        scale: above 1.
        protocol: "div2k" or "benchmark".
        given: LR that exists as a file; it is made here where there is none.

    Raises:
        TooSmall: no LR pixel, or nothing inside the border that is not measured.
        InputError: ``given`` does not fit ``hr``.
    """
    lr_shape = tuple(math.floor(Fraction(side) / exact(scale)) for side in hr.shape[:2])
    if given is not None:
        lr_shape = given.shape[:2]
    height, width = (round(side * exact(scale)) for side in lr_shape)
    if height > hr.shape[0] or width > hr.shape[1] or not _fits(hr, lr_shape, scale):
        raise InputError(
            f"the LR file for x{scale:g}",
            got=f"{lr_shape[1]}x{lr_shape[0]} for an HR of {hr.shape[1]}x{hr.shape[0]}",
            expected=f"{int(hr.shape[1] / scale)}x{int(hr.shape[0] / scale)}",
            cure="check that it was made from that image",
        )
    margin = border(protocol, scale)
    if min(lr_shape) < 1 or min(height, width) <= 2 * margin:
        raise TooSmall(
            f"too small for x{scale:g}",
            got=f"{hr.shape[1]}x{hr.shape[0]}",
            expected=f"sides above {2 * margin} px",
        )
    cropped = hr[:height, :width]
    if given is not None:
        return Pair(given, cropped)
    return Pair(reduce(cropped, (lr_shape[0], lr_shape[1]), scale), cropped)


def reduce(hr: Image8, shape: tuple[int, int], scale: float) -> Image8:
    """``hr`` (h, w, 3) reduced to ``shape`` by the bicubic that belongs to a scale."""
    return (imresize if scale in MATLAB_SCALES else pillow_bicubic)(hr, shape)


def _fits(hr: Image8, lr_shape: tuple[int, ...], scale: float) -> bool:
    """Less than one LR pixel of the HR is left over along each axis."""
    return all(
        side - size * exact(scale) < exact(scale)
        for side, size in zip(hr.shape[:2], lr_shape, strict=True)
    )


def answer(colours: npt.NDArray[np.float32], lr: Image8, protocol: str) -> npt.NDArray[np.float32]:
    """The colours (h, w, 3) that are scored, of those that a network gave.

    Papers put gray images through the network as RGB and take what comes out, so that "benchmark"
    does. In "div2k" an ``lr`` without colour becomes what ``liif upscale`` writes for it: gray, the
    mean of the three channels.
    """
    if protocol == BENCHMARK or not metrics.is_gray(lr):
        return colours
    gray = colours.mean(axis=2, keepdims=True)
    return np.repeat(gray, 3, axis=2)


def score(
    prediction: npt.NDArray[np.float32], hr: Image8, scale: float, protocol: str
) -> tuple[float, float | None]:
    """PSNR in dB and SSIM of colours (h, w, 3) on [0, 1] against ``hr`` of that shape.

    The prediction is clamped, not rounded. SSIM is None where its window does not fit.
    """
    truth = hr / 255.0
    psnr, ssim = _METRICS[protocol]
    return psnr(prediction, truth, scale), ssim(prediction, truth, scale)


def squared_error(
    prediction: npt.NDArray[np.float32], hr: Image8, protocol: str
) -> npt.NDArray[np.float64]:
    """(h, w) squared differences as the protocol's PSNR averages them."""
    difference = np.clip(prediction.astype(np.float64), 0, 1) - hr / 255.0
    if protocol == BENCHMARK:
        error: npt.NDArray[np.float64] = (difference @ metrics.LUMA) ** 2
        return error
    mean: npt.NDArray[np.float64] = (difference**2).mean(axis=2)
    return mean


_Psnr = Callable[[metrics.FloatImage, metrics.FloatImage, float], float]
_Ssim = Callable[[metrics.FloatImage, metrics.FloatImage, float], float | None]
_METRICS: dict[str, tuple[_Psnr, _Ssim]] = {
    DIV2K: (metrics.psnr_rgb, metrics.ssim_rgb),
    BENCHMARK: (metrics.psnr_luma, metrics.ssim_luma),
}
