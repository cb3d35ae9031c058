"""COG and the georeferencing of GeoTIFF inputs, as GDAL sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from liif_cli.cli import liif
from liif_cli.io import exporter_for, open_source
from liif_cli.io.base import OutputInfo
from liif_cli.io.georeference import Georeference
from tests.io.conftest import half

rasterio = pytest.importorskip("rasterio", reason="rasterio (extra cog) is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::Warning:rasterio")

TRANSFORM = rasterio.Affine(10, 0, 500_000, 0, -20, 4_600_000)
# 30 degrees to the left, 10 m wide and 20 m high
TURNED = rasterio.Affine(8.660254037844387, 10, 500_000, 5, -17.320508075688775, 4_600_000)


def make_map(path: Path, transform=TRANSFORM, area="Area") -> Path:
    pixels = np.random.default_rng(0).integers(0, 90, (3, 60, 80)).astype(np.uint8)
    options = {"count": 3, "dtype": "uint8", "crs": "EPSG:32633", "nodata": 7}
    with rasterio.open(
        path, "w", driver="GTiff", height=60, width=80, transform=transform, **options
    ) as file:
        file.write(pixels)
        file.update_tags(SCENE="a b", AREA_OR_POINT=area)
        file.update_tags(1, STATISTICS_MEAN="3", UNIT="m")
    return path


def upscale(source: Path, output: Path, *more: str) -> None:
    command = ["upscale", str(source), str(output), "--size", "1040x540", "--model", "bicubic"]
    result = CliRunner().invoke(liif, [*command, "-q", *more])
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("format", ["cog", "tiff"])
@pytest.mark.parametrize("transform", [TRANSFORM, TURNED])
@pytest.mark.parametrize("area", ["Area", "Point"])
def test_georeferencing_is_kept_and_scaled(tmp_path, format, transform, area):
    source = make_map(tmp_path / "in.tif", transform, area=area)
    upscale(source, tmp_path / "out.tif", "--format", format)
    with rasterio.open(source) as before, rasterio.open(tmp_path / "out.tif") as after:
        assert after.crs == before.crs
        assert after.nodata == 7
        assert after.tags()["SCENE"] == "a b"
        assert after.tags(1)["UNIT"] == "m"
        assert "STATISTICS_MEAN" not in after.tags(1)
        assert after.tags()["AREA_OR_POINT"] == area
        wanted = before.transform @ rasterio.Affine.scale(80 / 1040, 60 / 540)
        assert after.transform.almost_equals(wanted, 1e-6)
        # the last corner
        corner = after.transform @ (1040, 540)
        np.testing.assert_allclose(corner, before.transform @ (80, 60), atol=1e-4)


def test_a_part_lies_where_it_lay(tmp_path):
    source = make_map(tmp_path / "in.tif")
    upscale(source, tmp_path / "whole.tif")
    upscale(source, tmp_path / "part.tif", "--roi", "10,20,30,25", "--format", "cog")
    with rasterio.open(source) as before, rasterio.open(tmp_path / "part.tif") as part:
        np.testing.assert_allclose(part.transform @ (0, 0), before.transform @ (10, 20), atol=1e-4)
        left, top = 130, 180
        found = part.read()
    with rasterio.open(tmp_path / "whole.tif") as whole:
        wanted = whole.read()[:, top : top + found.shape[1], left : left + found.shape[2]]
    np.testing.assert_array_equal(found, wanted)


def test_it_goes_through_a_store(tmp_path):
    source = make_map(tmp_path / "in.tif")
    upscale(source, tmp_path / "out.zarr")
    result = CliRunner().invoke(
        liif, ["export", str(tmp_path / "out.zarr"), str(tmp_path / "b.tif"), "--format", "cog"]
    )
    assert result.exit_code == 0, result.stderr
    upscale(source, tmp_path / "a.tif", "--format", "cog")
    with rasterio.open(tmp_path / "a.tif") as direct, rasterio.open(tmp_path / "b.tif") as exported:
        assert exported.transform == direct.transform
        assert exported.crs == direct.crs
        np.testing.assert_array_equal(exported.read(), direct.read())


@pytest.mark.parametrize("codec", ["deflate", "zstd", "lzw", "jpeg", "none"])
def test_rio_cogeo_takes_it(tmp_path, picture, reader, codec):
    rio_cogeo = pytest.importorskip("rio_cogeo", reason="rio-cogeo is not installed")
    path = tmp_path / "out.tif"
    info = OutputInfo(compression=codec)
    exporter_for("cog").export(reader(picture(1100, 1300)), path, info)
    assert rio_cogeo.cog_validate(path, strict=True, quiet=True) == (True, [], [])
    with rasterio.open(path) as file:
        assert file.profile.get("compress", "none").lower() == codec
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("dtype", "channels"), [("uint8", 1), ("uint8", 2), ("uint8", 4), ("uint16", 5), ("float32", 3)]
)
def test_every_level(tmp_path, picture, reader, dtype, channels, profile):
    rio_cogeo = pytest.importorskip("rio_cogeo", reason="rio-cogeo is not installed")
    path = tmp_path / "out.tif"
    pixels = picture(700, 1100, channels, dtype).reshape(700, 1100, channels)
    info = OutputInfo(alpha=channels in (2, 4), icc=profile, resolution=(300, 150), software="liif")
    exporter_for("cog").export(reader(pixels), path, info)
    assert rio_cogeo.cog_validate(path, strict=True, quiet=True)[0]
    levels = [None, 0, 1]
    for level in levels:
        options = {} if level is None else {"overview_level": level}
        with rasterio.open(path, **options) as file:
            np.testing.assert_array_equal(np.moveaxis(file.read(), 0, 2), pixels)
            assert file.tags()["TIFFTAG_SOFTWARE"] == "liif" or level is not None
            alpha = rasterio.enums.ColorInterp.alpha
            assert (file.colorinterp[-1] == alpha) == info.alpha
        pixels = half(pixels, info.alpha)
    source = open_source(path) if channels in (1, 3) else None
    if source is not None:
        assert source.info.resolution == pytest.approx((300, 150))
        assert source.info.icc == profile


def test_a_part_moves_the_corner():
    whole = Georeference(scale=(10.0, 20.0, 0.0), tiepoints=(0.0, 0.0, 0.0, 500.0, 900.0, 0.0))
    part = whole.moved(row=3, col=2)
    # what was pixel (3, 2) is (0, 0): the tie point lies before the first pixel
    assert part.tiepoints[:2] == (-2.0, -3.0)
    matrix = Georeference(matrix=(10.0, 0, 0, 500.0, 0, -20.0, 0, 900.0, *[0.0] * 7, 1.0))
    assert matrix.moved(row=3, col=2).matrix[3] == 520.0
    assert matrix.moved(row=3, col=2).matrix[7] == 840.0


def test_without_rasterio(tmp_path, monkeypatch, picture):
    from liif_cli import io

    monkeypatch.setattr(io, "find_spec", lambda name: None)
    command = ["upscale", str(make_map(tmp_path / "in.tif")), str(tmp_path / "out.tif")]
    result = CliRunner().invoke(liif, [*command, "--scale", "2", "--format", "cog"])
    assert result.exit_code == 2
    assert "liif-cli[cog]" in result.stderr
