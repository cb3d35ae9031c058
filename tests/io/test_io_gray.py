"""Images of three equal colours are found, whatever their file; one other pixel is enough."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io import open_source
from liif_cli.io.gray import is_gray
from liif_cli.io.sources.png import PngSource
from liif_cli.io.sources.tiff import TiffSource
from liif_cli.io.values import measure
from tests.io.conftest import make_picture

HEIGHT, WIDTH = 150, 130


def gray_rgb(dtype: Any = np.uint8, alpha: bool = False) -> np.ndarray:
    """(HEIGHT, WIDTH, 3 or 4) with equal colours."""
    gray = make_picture(HEIGHT, WIDTH, 1, dtype)
    planes = [gray, gray, gray] + ([gray[::-1]] if alpha else [])
    return np.stack(planes, -1)


def found(path: Path) -> bool:
    source = open_source(path)
    try:
        return is_gray(source)
    finally:
        source.close()


def test_rgb_files_of_equal_colours(tmp_path: Path) -> None:
    pixels = gray_rgb()
    for name, options in (
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("a.webp", {"lossless": True}),
        # neutral chroma stays neutral
        ("a.jpg", {"quality": 60, "subsampling": 2}),
        ("b.jpg", {"quality": 90, "keep_rgb": True}),
    ):
        Image.fromarray(pixels).save(tmp_path / name, **options)
        assert open_source(tmp_path / name).info.channels == 3
        assert found(tmp_path / name), name
    Image.fromarray(gray_rgb(alpha=True)).save(tmp_path / "alpha.png")
    assert found(tmp_path / "alpha.png")
    cv2.imwrite(str(tmp_path / "deep.png"), gray_rgb(np.uint16))
    assert found(tmp_path / "deep.png")
    tifffile.imwrite(tmp_path / "tiled.tif", gray_rgb(np.uint16), tile=(64, 64), photometric="rgb")
    assert found(tmp_path / "tiled.tif")
    zarr.save(tmp_path / "a.zarr", pixels)
    assert found(tmp_path / "a.zarr")


def test_a_palette_whose_colours_are_not_used(tmp_path: Path) -> None:
    image = Image.fromarray(make_picture(HEIGHT, WIDTH, 1) // 2).convert("P")
    image.putpalette([value for k in range(128) for value in (k, k, k)] + [255, 0, 0] * 128)
    image.save(tmp_path / "a.png")
    assert open_source(tmp_path / "a.png").info.channels == 3
    assert found(tmp_path / "a.png")


@pytest.mark.parametrize("place", [(0, 0), (HEIGHT - 1, WIDTH - 1), (75, 60), (30, 129)])
@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_pixel_of_colour(
    tmp_path: Path, place: tuple[int, int], channel: int, dtype: Any
) -> None:
    pixels = gray_rgb(dtype)
    pixels[(*place, channel)] ^= 1
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(16, 16), photometric="rgb")
    assert not found(tmp_path / "a.tif")


def test_colour_under_transparent_pixels_counts(tmp_path: Path) -> None:
    pixels = gray_rgb(alpha=True)
    pixels[3, 5] = (9, 9, 10, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert not found(tmp_path / "a.png")


def test_one_colour_and_bands_are_not_asked(tmp_path: Path) -> None:
    Image.fromarray(make_picture(HEIGHT, WIDTH, 1)).save(tmp_path / "gray.png")
    pixels = np.repeat(make_picture(HEIGHT, WIDTH, 1)[..., np.newaxis], 5, 2)
    tifffile.imwrite(tmp_path / "bands.tif", pixels, photometric="minisblack", planarconfig=1)
    for name in ("gray.png", "bands.tif"):
        source = open_source(tmp_path / name)
        source.read = None  # type: ignore[method-assign,assignment]
        assert not is_gray(source)
        assert measure(source).gray is False


class Watched:
    """A source that keeps the windows which were read."""

    def __init__(self, path: Path) -> None:
        self._source = open_source(path)
        self.info = self._source.info
        self.windows: list[Window] = []

    def read(self, window: Window) -> np.ndarray:
        self.windows.append(window)
        return self._source.read(window)

    def close(self) -> None:
        self._source.close()


def test_most_colour_images_are_hardly_read(tmp_path: Path) -> None:
    pixels = np.repeat(make_picture(900, 800, 1)[..., np.newaxis], 3, 2)
    pixels[200:700, 200:600] = make_picture(500, 400)
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(64, 64), photometric="rgb")
    source = Watched(tmp_path / "a.tif")
    assert not is_gray(source)
    assert sum(window.pixels for window in source.windows) <= 64 * 64


def test_a_gray_image_is_read_once(tmp_path: Path) -> None:
    pixels = np.repeat(make_picture(1100, 700, 1)[..., np.newaxis], 3, 2)
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(64, 64), photometric="rgb")
    source = Watched(tmp_path / "a.tif")
    assert is_gray(source)
    seen = np.zeros((1100, 700), int)
    for window in source.windows[5:]:
        seen[window.to_slices()] += 1
    assert (seen == 1).all()
    assert sum(window.pixels for window in source.windows[:5]) <= 5 * 64 * 64


def test_by_bands(tmp_path: Path) -> None:
    pixels = np.repeat(make_picture(700, 1400, 1)[..., np.newaxis], 3, 2)
    for coloured in (False, True):
        pixels[699, 1399, 0] ^= coloured
        Image.fromarray(pixels).save(tmp_path / "a.png")
        tifffile.imwrite(
            tmp_path / "a.tif", pixels, rowsperstrip=32, compression="deflate", photometric="rgb"
        )
        png, tiff = open_source(tmp_path / "a.png"), open_source(tmp_path / "a.tif")
        assert is_gray(png, bands=True) is not coloured
        assert is_gray(tiff, bands=True) is not coloured
        assert isinstance(png, PngSource)
        assert isinstance(tiff, TiffSource)
        assert png._pixels is None
        assert len(tiff._cache) <= 2


def test_float_images_are_looked_at_while_they_are_measured(tmp_path: Path) -> None:
    pixels = gray_rgb(np.float32)
    for name, change, expected in (("gray", 0.0, True), ("coloured", 1e-3, False)):
        path = tmp_path / f"{name}.tif"
        pixels[-1, -1, 2] += change
        tifffile.imwrite(path, pixels, photometric="rgb")
        assert measure(open_source(path)).gray is expected
        assert found(path) is expected
    tifffile.imwrite(tmp_path / "bands.tif", pixels[..., :2], photometric="minisblack")
    assert measure(open_source(tmp_path / "bands.tif")).gray is False


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(gray_rgb()).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[len(data) // 2] ^= 255
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        found(tmp_path / "a.png")
