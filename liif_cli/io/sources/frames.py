"""Frames of animations, composed as a player shows them, by OpenCV."""

from __future__ import annotations

import numpy as np

from liif_cli.io.base import Pixels
from liif_cli.io.opencv import opencv


def frame(data: bytes, number: int, *, alpha: bool) -> Pixels:
    """One frame of a GIF, APNG, animated WebP or AVIF sequence.

    Args:
        data: the whole file.
        number: counted from 1.
        alpha: whether the frame is wanted with alpha.

    Returns:
        RGB (height, width, 3), or (height, width, 4) with straight alpha.

    Raises:
        ValueError: the file has no such frame that can be decoded.
    """
    coded = np.frombuffer(data, np.uint8)
    done, animation = opencv().imdecodeanimation(coded, number - 1, 1)
    if not done or not animation.frames:
        raise ValueError(f"frame {number} cannot be decoded")
    pixels: Pixels = animation.frames[0]
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if alpha and pixels.shape[2] == 3:
        opaque = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
        pixels = np.concatenate([pixels, opaque], axis=2)
    return np.ascontiguousarray(pixels[..., [2, 1, 0, 3] if alpha else [2, 1, 0]])
