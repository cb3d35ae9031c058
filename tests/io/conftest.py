"""Pictures and readers that the tests of liif_cli.io share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageCms

from liif_cli.geometry.window import Window


def make_picture(height: int, width: int, channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    """A smooth picture with some noise, no two rows or columns alike: (height, width[, 3])."""
    rng = np.random.default_rng(height * 1000 + width)
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(y / 9 + k) * 0.25 + np.cos(x / 7 - k) * 0.2 + 0.5 for k in range(channels)]
    values = np.clip(np.stack(planes, -1) + rng.normal(0, 0.02, (height, width, channels)), 0, 1)
    if np.dtype(dtype).kind == "f":
        found = values.astype(dtype)
    else:
        found = np.round(values * np.iinfo(dtype).max).astype(dtype)
    return found[..., 0] if channels == 1 else found


class ArrayReader:
    """Finished pixels in memory, (height, width, channels)."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
        self.height, self.width, self.channels = self.pixels.shape
        self.dtype = self.pixels.dtype

    def read(self, window: Window) -> np.ndarray:
        assert window.clip(self.height, self.width) == window
        return self.pixels[window.to_slices()]


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    return make_picture


@pytest.fixture
def reader() -> type[ArrayReader]:
    return ArrayReader


@pytest.fixture(scope="session")
def profile() -> bytes:
    """A valid colour profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def read_all() -> Callable[[Path], np.ndarray]:
    """Open a path with our source and read all of it."""
    from liif_cli.io import open_source

    def read(path: Path) -> np.ndarray:
        source = open_source(path)
        try:
            return source.read(Window.whole(source.info.height, source.info.width))
        finally:
            source.close()

    return read
