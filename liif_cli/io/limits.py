"""What an output format can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from liif_cli.errors import OutputError
from liif_cli.io.atomic import final_name
from liif_cli.io.base import Exporter, PixelReader


def limit(
    exporter: Exporter,
    height: int,
    width: int,
    dtype: np.dtype[Any],
    channels: int = 1,
    alpha: bool = False,
) -> str | None:
    """Why a format cannot hold an image, None if it can; ``channels`` counts alpha."""
    if exporter.max_side is not None and max(height, width) > exporter.max_side:
        return f"{exporter.name} holds sides of {exporter.max_side} pixels at most"
    if np.dtype(dtype).name not in exporter.dtypes:
        return f"{exporter.name} holds {' and '.join(exporter.dtypes)} samples only"
    if not holds(exporter.channels, channels, alpha):
        return f"{exporter.name} holds no {kind_of(channels, alpha)}"
    return None


def holds(allowed: tuple[int, ...] | None, channels: int, alpha: bool) -> bool:
    """Whether a format of those ``Exporter.channels`` holds an image; ``channels`` counts alpha."""
    return allowed is None or (channels in allowed and channels - alpha in (1, 3))


def kind_of(channels: int, alpha: bool) -> str:
    """What the channels of an image are, for people: "RGB with alpha"."""
    colours = channels - alpha
    name = {1: "gray", 3: "RGB"}.get(colours, f"{colours} bands")
    return f"{name} with alpha" if alpha else name


def check_limit(exporter: Exporter, pixels: PixelReader, path: Path, alpha: bool = False) -> None:
    """Refuse what a format cannot hold; ``alpha`` says that the last channel is alpha.

    Raises:
        OutputError: it cannot.
    """
    refusal = limit(exporter, pixels.height, pixels.width, pixels.dtype, pixels.channels, alpha)
    if refusal is not None:
        raise OutputError(
            str(final_name(path)),
            got=f"{pixels.width}x{pixels.height} of {np.dtype(pixels.dtype).name}",
            expected=refusal,
            cure="choose tiff or zarr",
        )


def compression_limit(
    compression: str, dtype: np.dtype[Any], channels: int, alpha: bool = False
) -> str | None:
    """Why a compression cannot hold samples, None if it can; ``channels`` counts alpha."""
    fits = np.dtype(dtype) == np.uint8 and channels in (1, 3) and not alpha
    if compression == "jpeg" and not fits:
        return "uint8, gray or RGB without alpha, for JPEG compression"
    if compression == "lossy" and np.dtype(dtype) != np.uint8:
        return "uint8, for lossy compression"
    return None


def check_compression(
    compression: str, pixels: PixelReader, path: Path, alpha: bool = False
) -> None:
    """Refuse pixels that a compression cannot hold.

    Raises:
        OutputError: it cannot.
    """
    expected = compression_limit(compression, pixels.dtype, pixels.channels, alpha)
    if expected is not None:
        raise OutputError(
            str(final_name(path)),
            got=f"{kind_of(pixels.channels, alpha)} of {np.dtype(pixels.dtype).name}",
            expected=expected,
            cure="leave out --compression",
        )
