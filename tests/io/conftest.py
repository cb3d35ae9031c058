"""Pictures and readers that the tests of liif_cli.io share."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageCms

from liif_cli.geometry.window import Window
from liif_cli.io.pyramid import halve


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


def half(pixels: np.ndarray, alpha: bool = False) -> np.ndarray:
    """Means of 2 x 2 pixels (h, w, channels); of colours by alpha, the last channel."""
    plain = halve(pixels, (0, 1))
    if not alpha:
        return plain
    odd = [(0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)]
    exact = np.pad(pixels, odd, mode="edge").astype(np.float64)
    height, width, channels = exact.shape
    blocks = exact.reshape(height // 2, 2, width // 2, 2, channels)
    weights = blocks[..., -1:]
    total = weights.sum(axis=(1, 3))
    mean = (blocks[..., :-1] * weights).sum(axis=(1, 3)) / np.maximum(total, 1)
    colours = np.where(total > 0, np.rint(mean), plain[..., :-1])
    return np.concatenate([colours, plain[..., -1:]], axis=2).astype(pixels.dtype)


def bmp_with_alpha(pixels: np.ndarray) -> bytes:
    """A BMP of version 4, whose header has a mask for alpha."""
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels[::-1, :, [2, 1, 0, 3]]).tobytes()
    head = struct.pack("<2sIHHI", b"BM", 122 + len(data), 0, 0, 122)
    info = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(data), 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    return head + info + masks + b"BGRs" + bytes(48) + data


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
