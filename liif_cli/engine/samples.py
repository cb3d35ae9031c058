"""Samples of an image to what a network sees, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from liif_cli.errors import RenderError
from liif_cli.io.base import Pixels
from liif_cli.models.device import upload

FULL_SCALE = {"uint8": 255, "uint16": 65535, "float32": 1}
"""The highest sample of the types that a device computes; others are made on the host."""


def to_network(
    pixels: Pixels,
    device: torch.device,
    dtype: torch.dtype,
    values: tuple[float, float] | None = None,
) -> torch.Tensor:
    """Pixels (h, w, 1 or 3) of any sample type -> (1, 3, h, w) in [-1, 1]; gray three times.

    ``values`` are those of black and white; None is the range of the sample type.
    """
    low, high = values or (0.0, full_scale(pixels.dtype))
    if pixels.dtype.name not in FULL_SCALE:
        # whole numbers of 32 bits have more digits than float32
        pixels, low, high = np.subtract(pixels, low, dtype=np.float64), 0.0, high - low
    image = upload(np.ascontiguousarray(pixels.astype(np.float32)), device)
    if low:
        image = image.sub_(low)
    image = image.mul_(2 / (high - low)).sub_(1).permute(2, 0, 1)[None]
    return image.expand(-1, 3, -1, -1).to(dtype)


def to_pixels(
    colours: torch.Tensor,
    channels: int,
    dtype: np.dtype[Any],
    values: tuple[float, float] | None = None,
) -> Pixels:
    """Normalised colours (h, w, 3) -> pixels (h, w, 1 or 3), rounded half to even.

    ``colours`` is overwritten. Gray is the mean of the three channels. ``values`` are those of
    black and white, to which pixels are clamped; None is the range of the sample type.

    Raises:
        RenderError: a colour is NaN or infinite.
    """
    check_finite(colours, "colours")
    samples = scaled(colours, channels, dtype, values)
    if dtype == np.uint8:
        return samples.round_().to(torch.uint8).cpu().numpy()
    if dtype == np.uint16:
        return samples.round_().cpu().numpy().astype(np.uint16)
    if dtype == np.float32:
        return samples.cpu().numpy()
    return denormalised(samples.cpu().numpy(), dtype, values)


def scaled(
    colours: torch.Tensor,
    channels: int,
    dtype: np.dtype[Any],
    values: tuple[float, float] | None,
) -> torch.Tensor:
    """Normalised colours (h, w, 3), overwritten, as samples (h, w, channels): clamped, float.

    Types that ``FULL_SCALE`` has not stay normalised; see ``denormalised``.
    """
    if channels == 1:
        colours = colours.mean(2, keepdim=True)
    if dtype.name not in FULL_SCALE:
        return colours.clamp_(-1, 1)
    low, high = values or (0.0, FULL_SCALE[dtype.name])
    half = 0.5 * (high - low)
    return colours.mul_(half).add_(half + low).clamp_(low, high)


def denormalised(
    samples: Pixels, dtype: np.dtype[Any], values: tuple[float, float] | None
) -> Pixels:
    """Samples in [-1, 1] as those of a type that the device does not know.

    In float64, since whole numbers of 32 bits have more digits than float32.

    Args:
        samples: float32.
        dtype: of the result; whole numbers are rounded half to even.
        values: of black and white; None is the range of the type.
    """
    low, high = values or (0.0, full_scale(dtype))
    natural = low + (samples.astype(np.float64) + 1) * (0.5 * (high - low))
    return (np.rint(natural) if dtype.kind in "iu" else natural).astype(dtype)


def full_scale(dtype: np.dtype[Any]) -> float:
    """The highest sample of a type, 1 of floats."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def not_finite(what: str) -> RenderError:
    """The error of a network whose ``what`` are not numbers."""
    return RenderError(
        "the network's output",
        got=f"NaN or infinity in its {what}",
        expected="finite numbers",
        cure="use --precision fp32, or other weights",
    )


def check_finite(values: torch.Tensor, what: str) -> None:
    """One pass: a sum is finite only if every number is."""
    if not torch.isfinite(values.sum(dtype=torch.float32)):
        raise not_finite(what)
