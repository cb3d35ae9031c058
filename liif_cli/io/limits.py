"""What an output format can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from liif_cli.errors import OutputError
from liif_cli.io.atomic import final_name
from liif_cli.io.base import Exporter, PixelReader


def limit(exporter: Exporter, height: int, width: int, dtype: np.dtype[Any]) -> str | None:
    """Why a format cannot hold an image, None if it can."""
    if exporter.max_side is not None and max(height, width) > exporter.max_side:
        return f"{exporter.name} holds sides of {exporter.max_side} pixels at most"
    if np.dtype(dtype).name not in exporter.dtypes:
        return f"{exporter.name} holds {' and '.join(exporter.dtypes)} samples only"
    return None


def check_limit(exporter: Exporter, pixels: PixelReader, path: Path) -> None:
    """Refuse what a format cannot hold.

    Raises:
        OutputError: it cannot.
    """
    found = limit(exporter, pixels.height, pixels.width, pixels.dtype)
    if found is not None:
        raise OutputError(
            str(final_name(path)),
            got=f"{pixels.width}x{pixels.height} of {np.dtype(pixels.dtype).name}",
            expected=found,
            cure="choose tiff or zarr",
        )
