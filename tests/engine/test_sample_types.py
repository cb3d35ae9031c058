"""Elevation models and measurements: signed, wide and float samples stay what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from click.testing import CliRunner

from liif_cli.cli import liif
from liif_cli.io.base import DTYPES
from liif_cli.io.pyramid import halve
from tests.io.conftest import make_picture

HEIGHT, WIDTH = 40, 60
OTHERS = [name for name in DTYPES if name not in ("uint8", "uint16", "float32")]
SPANS = {
    "int8": (-100, 90),
    "int16": (-420, 8800),
    "int32": (-2_000_000_000, 2_000_000_000),
    "uint32": (3_000_000_000, 3_000_000_400),
    "float16": (-3, 8),
    "float64": (1e9, 1e9 + 7),
}


def upscale(source: Path, output: Path, *more: object) -> str:
    words = ["upscale", source, output, "--scale", 2, "--model", "bicubic", *more]
    result = CliRunner().invoke(liif, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    return result.stderr


def samples(name: str, channels: int = 1) -> np.ndarray:
    low, high = SPANS[name]
    unit = make_picture(HEIGHT, WIDTH, channels, np.float32).astype(np.float64)
    unit = (unit - unit.min()) / np.ptp(unit)
    found = low + unit * (high - low)
    return (np.rint(found) if np.dtype(name).kind in "iu" else found).astype(name)


def rendered_as_float(pixels: np.ndarray, tmp_path: Path) -> np.ndarray:
    """The same picture in [0, 1], by float32."""
    low, high = (float(each) for each in (pixels.min(), pixels.max()))
    unit = ((pixels.astype(np.float64) - low) / (high - low)).astype(np.float32)
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "unit.tif", unit, photometric=photometric)
    upscale(tmp_path / "unit.tif", tmp_path / "unit-out.tif")
    found: np.ndarray = tifffile.imread(tmp_path / "unit-out.tif").astype(np.float64)
    return low + found * (high - low)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OTHERS)
def test_they_keep_their_type_and_their_values(tmp_path: Path, name: str, channels: int) -> None:
    pixels = samples(name, channels)
    photometric = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric=photometric)
    upscale(tmp_path / "in.tif", tmp_path / "out.tif")
    found = tifffile.imread(tmp_path / "out.tif")
    assert found.dtype == name
    expected = rendered_as_float(pixels, tmp_path)
    low, high = SPANS[name]
    step = {"float16": 0.01, "float64": 1e-5}.get(name, 1)
    tolerance = max(0.51 * step, 2e-6 * (high - low))
    assert np.abs(found.astype(np.float64) - expected).max() <= tolerance


@pytest.mark.parametrize("name", OTHERS)
def test_they_go_through_zarr_and_back(tmp_path: Path, name: str) -> None:
    pixels = samples(name)
    zarr.create_array(str(tmp_path / "in.zarr"), data=pixels, chunks=(16, 16))
    upscale(tmp_path / "in.zarr", tmp_path / "out.zarr")
    upscale(tmp_path / "in.zarr", tmp_path / "out.tif")
    words = ["export", str(tmp_path / "out.zarr"), str(tmp_path / "of.tif")]
    result = CliRunner().invoke(liif, words)
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "of.tif"), tifffile.imread(tmp_path / "out.tif")
    )


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "float16"])
def test_gdal_reads_them(tmp_path: Path, name: str) -> None:
    tifffile.imwrite(tmp_path / "in.tif", samples(name))
    upscale(tmp_path / "in.tif", tmp_path / "plain.tif")
    upscale(tmp_path / "in.tif", tmp_path / "cog.tif", "--format", "cog")
    with rasterio.open(tmp_path / "plain.tif") as plain, rasterio.open(tmp_path / "cog.tif") as cog:
        assert plain.dtypes == cog.dtypes == (name,)
        np.testing.assert_array_equal(plain.read(), cog.read())


def test_a_scan_of_12_bits(tmp_path: Path) -> None:
    pixels = (make_picture(HEIGHT, WIDTH, 1, np.uint16) >> 4).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", pixels, bitspersample=12)
    upscale(tmp_path / "in.tif", tmp_path / "out.tif")
    tifffile.imwrite(tmp_path / "wide.tif", (pixels << 4 | pixels >> 8).astype(np.uint16))
    upscale(tmp_path / "wide.tif", tmp_path / "wide-out.tif")
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out.tif"), tifffile.imread(tmp_path / "wide-out.tif")
    )


@pytest.mark.parametrize("name", ["int16", "int32", "float64"])
def test_halving_of_signed_and_wide_samples(name: str) -> None:
    rows = np.array([[-5, -4, 7], [-3, -3, 9]], name)
    expected: dict[str, Any] = {"float64": [[-3.75, 8]]}
    assert halve(rows).tolist() == expected.get(name, [[-4, 8]])
    large = np.full((2, 2), 2_000_000_000, "int32")
    assert halve(large) == 2_000_000_000
