"""Where nothing was measured nothing appears, and nothing of it shines into what was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from click.testing import CliRunner, Result
from rasterio.transform import from_origin

from liif_cli.cli import liif
from liif_cli.io.pyramid import Weighing, halve

HEIGHT, WIDTH = 60, 80
NODATA = float(np.finfo(np.float32).min)


def upscale(source: Path, output: Path, *more: object) -> Result:
    words = ["upscale", source, output, "--scale", 3, "--model", "bicubic", *more]
    return CliRunner().invoke(liif, [str(word) for word in words])


def terrain(count: int = 1, dtype: Any = np.float32) -> np.ndarray:
    """Heights from 200 to 900, (count, HEIGHT, WIDTH)."""
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    found = [550 + 300 * np.sin(rows / 11 + band) * np.cos(cols / 13) for band in range(count)]
    return np.stack(found).astype(dtype)


def holes() -> np.ndarray:
    """A lake, and the edge of a survey."""
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    return ((rows - 30) ** 2 + (cols - 50) ** 2 < 150) | (cols < 12)


def write(path: Path, bands: np.ndarray, nodata: float) -> Path:
    count, height, width = bands.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=count,
        dtype=bands.dtype,
        nodata=nodata,
        crs="EPSG:32632",
        transform=from_origin(500_000, 5_000_000, 10, 10),
    ) as file:
        file.write(bands)
    return path


@pytest.mark.parametrize("nodata", [NODATA, -9999.0, float("nan")])
@pytest.mark.parametrize("suffix", [".tif", ".zarr", "-cog.tif"])
def test_holes_of_a_model_of_heights(tmp_path: Path, nodata: float, suffix: str) -> None:
    bands = terrain()
    bands[:, holes()] = nodata
    source, output = write(tmp_path / "in.tif", bands, nodata), tmp_path / f"out{suffix}"
    result = upscale(source, output, *(["--format", "cog"] if "cog" in suffix else []))
    assert result.exit_code == 0, result.stderr
    if suffix == ".zarr":
        result = CliRunner().invoke(liif, ["export", str(output), str(tmp_path / "of.tif")])
        assert result.exit_code == 0, result.stderr
        output = tmp_path / "of.tif"
    with rasterio.open(output) as file:
        assert np.array_equal(file.nodata, nodata, equal_nan=True)
        valid = file.read_masks(1) > 0
        found = file.read(1)
    np.testing.assert_array_equal(valid, ~np.kron(holes(), np.ones((3, 3), bool)))
    # as if the terrain went on below: within what bicubic does to a smooth surface
    (plain,) = terrain()
    with tifffile.TiffWriter(tmp_path / "whole.tif") as file:
        file.write(plain)
    assert upscale(tmp_path / "whole.tif", tmp_path / "whole-out.tif").exit_code == 0
    whole = tifffile.imread(tmp_path / "whole-out.tif")
    assert np.abs(found[valid] - whole[valid]).max() < 30
    assert found[valid].min() > 200
    assert found[valid].max() < 900


def test_tiles_agree_at_holes(tmp_path: Path) -> None:
    bands = terrain()
    bands[:, holes()] = NODATA
    source = write(tmp_path / "in.tif", bands, NODATA)
    results = []
    for tile in ("64", "512"):
        assert upscale(source, tmp_path / f"{tile}.tif", "--tile", tile).exit_code == 0
        results.append(tifffile.imread(tmp_path / f"{tile}.tif"))
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_bands_have_holes_of_their_own_and_colours_have_them_together(tmp_path: Path) -> None:
    bands = terrain(5, np.uint16)
    bands[2, holes()] = 0
    assert upscale(write(tmp_path / "bands.tif", bands, 0), tmp_path / "b.tif").exit_code == 0
    with rasterio.open(tmp_path / "b.tif") as file:
        empty = [(file.read(band) == 0).mean() for band in range(1, 6)]
    assert empty == pytest.approx([0, 0, holes().mean(), 0, 0])
    photo = terrain(3, np.uint8)
    photo[0][:] = 0  # black in one colour is a colour
    photo[:, holes()] = 0
    assert upscale(write(tmp_path / "photo.tif", photo, 0), tmp_path / "p.tif").exit_code == 0
    found = tifffile.imread(tmp_path / "p.tif")
    expected = np.kron(holes(), np.ones((3, 3), bool))
    np.testing.assert_array_equal((found == 0).all(axis=2) & expected, expected)


def test_reduced_levels_are_of_what_was_measured(tmp_path: Path) -> None:
    bands = terrain()
    bands[:, holes()] = NODATA
    source = write(tmp_path / "in.tif", bands, NODATA)
    assert upscale(source, tmp_path / "out.tif", "--scale", 12).exit_code == 0
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        levels = file.pages[0].pages
        assert levels
        for level in levels:
            pixels = level.asarray()
            measured = pixels[pixels != np.float32(NODATA)]
            assert measured.min() > 200
            assert measured.max() < 900


def test_what_cannot_say_so_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "in.tif", terrain(1, np.uint8), 0)
    result = upscale(source, tmp_path / "out.png")
    assert result.exit_code == 1
    assert "png cannot say where nothing was measured" in result.stderr


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_nodata_that_no_sample_can_be_refuses_nothing(tmp_path: Path) -> None:
    bands = np.moveaxis(terrain(3, np.uint8), 0, 2)
    tags = [(42113, 2, 0, "-9999", True), (33550, 12, 3, (10.0, 10.0, 0.0), True)]
    tifffile.imwrite(tmp_path / "odd.tif", bands, photometric="rgb", extratags=tags)
    for name in ("out.png", "out.tif"):
        result = upscale(tmp_path / "odd.tif", tmp_path / name)
        assert result.exit_code == 0, result.stderr


def test_nothing_but_holes(tmp_path: Path) -> None:
    source = write(tmp_path / "in.tif", np.full((1, HEIGHT, WIDTH), NODATA, np.float32), NODATA)
    result = upscale(source, tmp_path / "out.tif")
    assert result.exit_code == 0, result.stderr
    assert (tifffile.imread(tmp_path / "out.tif") == np.float32(NODATA)).all()


def test_infinite_samples_that_are_no_nodata_are_refused(tmp_path: Path) -> None:
    bands = terrain()
    bands[0, 3, 40] = np.inf
    bands[:, holes()] = np.nan
    result = upscale(write(tmp_path / "in.tif", bands, float("nan")), tmp_path / "out.tif")
    assert result.exit_code == 1
    assert "row 3, column 40" in result.stderr


def test_halving_weighs() -> None:
    colours = np.array([[[200, 0], [100, 0]], [[255, 0], [85, 0]]], np.uint8)
    found = Weighing(alpha=True).halve(colours)
    assert found.ravel().tolist() == [175, 85]  # (200 * 3 + 100) / 4, and (255 + 85) / 4
    clear = colours.copy()
    clear[1] = 0
    assert Weighing(alpha=True).halve(clear).ravel().tolist() == [halve(clear)[0, 0, 0], 0]
    heights = np.array([[[1, 3, -9], [5, -9, -9]]], np.float32)
    assert Weighing(nodata=-9).halve(heights).ravel().tolist() == [3, -9]
    assert Weighing().halve(heights).ravel().tolist() == [0, -9]
