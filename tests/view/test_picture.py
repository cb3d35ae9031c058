"""Tiles are the image: joined, the tiles of each level are that level, whatever the format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io.base import Pixels
from liif_cli.io.pyramid import halve
from liif_cli.view import picture as module
from liif_cli.view.picture import TILE, Picture, open_picture


def noise(shape: tuple[int, ...], dtype: str = "uint8") -> Pixels:
    rng = np.random.default_rng(5)
    if dtype.startswith("float"):
        return rng.random(shape).astype(dtype)
    found: Pixels = rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype)
    return found


def joined(picture: Any, level: int) -> Pixels:
    """All tiles of a level."""
    height, width = picture.zoom.levels[level]
    out: Pixels | None = None
    grid = picture.zoom.grid(level)
    for row in range(grid.rows):
        for col in range(grid.cols):
            tile = imagecodecs.imread(picture.tile((level, col, row)))
            tile = tile[..., None] if tile.ndim == 2 else tile
            if out is None:
                out = np.zeros((height, width, tile.shape[2]), np.uint8)
            out[picture.zoom.window((level, col, row)).to_slices()] = tile
    assert out is not None
    return out


@pytest.mark.parametrize("limit", [0, 3], ids=["levels are made", "levels are halved at once"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_the_tiles_of_each_level_are_the_image_halved(
    suffix: str, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", limit)
    pixels = noise((TILE + 70, 2 * TILE + 33, 3))
    path = tmp_path / f"a.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, pixels, tile=(64, 64), photometric="rgb")
    else:
        imagecodecs.imwrite(path, pixels)
    expected = imagecodecs.imread(path) if suffix != "tif" else pixels
    picture = open_picture(path)
    for level in range(len(picture.zoom.levels) - 1, -1, -1):
        assert joined(picture, level).shape == expected.shape
        assert np.abs(joined(picture, level).astype(int) - expected).max() <= 0
        expected = halve(expected, (0, 1))
    picture.close()


def test_levels_of_the_file_are_used(tmp_path: Path) -> None:
    """They are marked, so that one sees which were read."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        full = np.full((1024, 1536, 3), 10, np.uint8)
        file.write(full, subifds=2, tile=(256, 256), photometric="rgb")
        for number in (1, 2):
            part = np.full((1024 >> number, 1536 >> number, 3), 10 + number, np.uint8)
            file.write(part, subfiletype=1, tile=(256, 256), photometric="rgb")
    picture = open_picture(path)
    top = len(picture.zoom.levels) - 1
    assert [int(joined(picture, top - k).max()) for k in range(4)] == [10, 11, 12, 12]
    picture.close()


@pytest.mark.parametrize(
    ("shape", "dtype", "channels"),
    [
        ((40, 50), "uint8", 1),
        ((40, 50, 2), "uint8", 4),
        ((40, 50, 4), "uint8", 4),
        ((40, 50, 3), "uint16", 3),
        ((40, 50, 3), "float32", 3),
    ],
)
def test_any_samples_are_shown(
    shape: tuple[int, ...], dtype: str, channels: int, tmp_path: Path
) -> None:
    pixels = noise(shape, dtype)
    extra = {"extrasamples": ["unassalpha"]} if shape[2:] in [(2,), (4,)] else {}
    kind = "rgb" if shape[2:] in [(3,), (4,)] else "minisblack"
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric=kind, planarconfig="contig", **extra)
    picture = open_picture(path)
    found = joined(picture, len(picture.zoom.levels) - 1)
    assert found.shape == (40, 50, channels)
    most = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    colour = pixels.reshape(40, 50, -1)[..., 0].astype(np.float64) / most
    assert np.abs(found[..., 0] - 255 * colour).max() <= 0.5 + 1e-6
    picture.close()


def test_floats_beyond_one_are_shown_from_their_lowest_to_their_highest(tmp_path: Path) -> None:
    pixels = np.linspace(-50, 150, 64 * 64, dtype=np.float32).reshape(64, 64)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    picture = open_picture(tmp_path / "a.tif")
    found = joined(picture, 6)
    assert (int(found.min()), int(found.max())) == (0, 255)
    picture.close()


@pytest.mark.parametrize("tile", [(-1, 0, 0), (99, 0, 0), (6, 1, 0), (6, 0, 1), (6, -1, 0)])
def test_there_are_no_other_tiles(tile: tuple[int, int, int], tmp_path: Path) -> None:
    imagecodecs.imwrite(tmp_path / "a.png", noise((50, 60, 3)))
    picture = open_picture(tmp_path / "a.png")
    with pytest.raises(KeyError):
        picture.tile(tile)
    picture.close()


def test_several_tiles_at_once_are_the_same_tiles(tmp_path: Path) -> None:
    imagecodecs.imwrite(tmp_path / "a.png", noise((3 * TILE - 9, 3 * TILE - 5, 3)))
    picture = open_picture(tmp_path / "a.png")
    places = [(11, col, row) for row in range(1, 3) for col in range(3)]
    for place, data in picture.tiles(places):
        assert data == picture.tile(place)
    picture.close()


def test_a_damaged_image_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    imagecodecs.imwrite(path, noise((400, 400, 3)))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError):
        Picture(path)


def test_an_image_that_goes_while_it_is_shown_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    imagecodecs.imwrite(path, noise((400, 400, 3)))
    picture = Picture(path)
    path.unlink()
    with pytest.raises(InputError):
        picture.tile((9, 0, 0))
    picture.close()


def test_a_read_of_a_window_is_the_window(tmp_path: Path) -> None:
    pixels = noise((300, 400, 3))
    imagecodecs.imwrite(tmp_path / "a.png", pixels)
    picture = Picture(tmp_path / "a.png")
    window = Window(10, 20, 30, 40)
    np.testing.assert_array_equal(picture.read(9, window), pixels[window.to_slices()])
    picture.close()
