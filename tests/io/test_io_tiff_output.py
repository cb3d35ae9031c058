"""TIFF outputs: every level, as tifffile, libvips and GDAL read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from click.testing import CliRunner
from PIL import Image

from liif_cli.cli import liif
from liif_cli.errors import OutputError
from liif_cli.io import exporter_for, open_source
from liif_cli.io.base import OutputInfo
from tests.io.conftest import half

SIZE = (131, 1030)
KINDS = [
    ("uint8", 1),
    ("uint8", 2),
    ("uint8", 3),
    ("uint8", 4),
    ("uint8", 5),
    ("uint16", 3),
    ("uint16", 4),
    ("float32", 1),
    ("float32", 3),
]


def expected(pixels: np.ndarray) -> list[np.ndarray]:
    """(height, width, channels) of full resolution and of the two levels of ``SIZE``."""
    alpha = pixels.shape[2] in (2, 4)
    smaller = half(pixels, alpha)
    return [pixels, smaller, half(smaller, alpha)]


def write(folder: Path, pixels: np.ndarray, reader, **info) -> Path:
    path = folder / "out.tif"
    info = OutputInfo(**{"alpha": pixels.shape[2] in (2, 4), **info})
    exporter_for("tiff").export(reader(pixels), path, info)
    return path


def make(picture, dtype, channels) -> np.ndarray:
    return picture(*SIZE, channels, dtype).reshape(*SIZE, channels)


def pages(path: Path, pyramid: str) -> list[tifffile.TiffPage]:
    with tifffile.TiffFile(path) as file:
        found = [page.aspage() for page in file.pages]
        below = [page.aspage() for page in found[0].pages] if found[0].pages else []
        assert (len(found), len(below)) == {"subifd": (1, 2), "pages": (3, 0), "none": (1, 0)}[
            pyramid
        ]
        return [*found, *below]


def read_tifffile(path: Path, pyramid: str) -> list[np.ndarray]:
    with tifffile.TiffFile(path) as file:
        levels = [level.asarray() for level in file.series[0].levels]
    return levels


def read_vips(path: Path, pyramid: str) -> list[np.ndarray]:
    pyvips = pytest.importorskip("pyvips", reason="pyvips is not installed")
    places = {
        "subifd": [{}, {"subifd": 0}, {"subifd": 1}],
        "pages": [{}, {"page": 1}, {"page": 2}],
        "none": [{}],
    }
    # libvips caches by name
    pyvips.cache_set_max(0)
    return [pyvips.Image.tiffload(str(path), **place).numpy() for place in places[pyramid]]


def read_gdal(path: Path, pyramid: str) -> list[np.ndarray]:
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    found = []
    for page in pages(path, pyramid):
        with rasterio.open(f"GTIFF_DIR:off:{page.offset}:{path}") as level:
            found.append(np.moveaxis(level.read(), 0, 2))
    return found


READERS = {"tifffile": read_tifffile, "vips": read_vips, "gdal": read_gdal}


@pytest.mark.filterwarnings("ignore::Warning:rasterio")
@pytest.mark.parametrize("name", list(READERS))
@pytest.mark.parametrize(("dtype", "channels"), KINDS)
def test_every_level_of_the_default_file(tmp_path, picture, reader, dtype, channels, name):
    pixels = make(picture, dtype, channels)
    path = write(tmp_path, pixels, reader)
    levels = READERS[name](path, "subifd")
    assert len(levels) == 3
    for found, wanted in zip(levels, expected(pixels), strict=True):
        np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


@pytest.mark.filterwarnings("ignore::Warning:rasterio")
@pytest.mark.parametrize("name", list(READERS))
@pytest.mark.parametrize("pyramid", ["pages", "none"])
def test_other_pyramids(tmp_path, picture, reader, name, pyramid):
    pixels = make(picture, "uint8", 3)
    levels = READERS[name](write(tmp_path, pixels, reader, pyramid=pyramid), pyramid)
    assert len(levels) == {"pages": 3, "none": 1}[pyramid]
    for found, wanted in zip(levels, expected(pixels), strict=False):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.filterwarnings("ignore::Warning:rasterio")
def test_gdal_takes_the_levels_as_overviews(tmp_path, picture, reader):
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    for pyramid in ("subifd", "pages"):
        with rasterio.open(
            write(tmp_path, make(picture, "uint8", 3), reader, pyramid=pyramid)
        ) as file:
            assert file.overviews(1) == [2, 4]


@pytest.mark.parametrize("codec", ["zstd", "lzw", "none"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_lossless_compressions(tmp_path, picture, reader, codec, dtype):
    pixels = make(picture, dtype, 3)
    path = write(tmp_path, pixels, reader, compression=codec)
    for found, wanted in zip(read_tifffile(path, "subifd"), expected(pixels), strict=True):
        np.testing.assert_array_equal(found, wanted)
    page = pages(path, "subifd")[2]
    assert page.compression.name == codec.upper()
    assert page.predictor == (1 if codec == "none" else 3 if dtype == "float32" else 2)


@pytest.mark.parametrize("name", ["tifffile", "vips"])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg(tmp_path, picture, reader, channels, name):
    pixels = make(picture, "uint8", channels)
    path = write(tmp_path, pixels, reader, compression="jpeg")
    for found, wanted in zip(READERS[name](path, "subifd"), expected(pixels), strict=True):
        rest = found.reshape(wanted.shape).astype(float) - wanted
        assert np.sqrt(np.mean(rest**2)) < 6


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 4), ("uint8", 5), ("uint16", 3)])
def test_jpeg_refuses_what_it_cannot_hold(tmp_path, picture, reader, dtype, channels):
    with pytest.raises(OutputError, match=r"out\.tif.*JPEG.*leave out --compression"):
        write(tmp_path, make(picture, dtype, channels), reader, compression="jpeg")


def test_resolution_and_profile_of_every_level(tmp_path, picture, reader, profile):
    path = write(tmp_path, make(picture, "uint8", 3), reader, resolution=(300, 150), icc=profile)
    with tifffile.TiffFile(path) as file:
        first = file.pages.first
        for number, page in enumerate([first, *(page.aspage() for page in first.pages)]):
            x, y = page.tags["XResolution"].value, page.tags["YResolution"].value
            assert (x[0] / x[1], y[0] / y[1]) == (300 / 2**number, 150 / 2**number)
            assert page.tags["InterColorProfile"].value == profile
            assert page.subfiletype == (1 if number else 0)


def test_what_the_channels_are(tmp_path, picture, reader):
    for channels, photometric, extra in (
        (1, "MINISBLACK", ()),
        (2, "MINISBLACK", (2,)),
        (3, "RGB", ()),
        (4, "RGB", (2,)),
        (5, "MINISBLACK", (0, 0, 0, 0)),
    ):
        page = pages(write(tmp_path, make(picture, "uint8", channels), reader), "subifd")[0]
        assert page.photometric.name == photometric
        assert tuple(map(int, page.extrasamples)) == extra


def test_xmp_is_kept(tmp_path, picture, reader):
    path = write(tmp_path, make(picture, "uint8", 3), reader, xmp=b"<x:xmpmeta/>")
    with tifffile.TiffFile(path) as file:
        assert bytes(file.pages.first.tags["XMP"].value) == b"<x:xmpmeta/>"


@pytest.mark.parametrize("alpha", [False, True])
def test_red_green_blue_and_more_stay_that(tmp_path, picture, alpha):
    bands = picture(60, 80, 5 if alpha else 4)
    extra = ["unspecified", "unassalpha"] if alpha else ["unspecified"]
    source = tmp_path / "in.tif"
    tifffile.imwrite(source, bands, photometric="rgb", extrasamples=extra)
    info = open_source(source).info
    assert (info.rgb_bands, info.alpha, info.colours) == (True, alpha, 4)
    output = tmp_path / "out.tif"
    words = ["upscale", str(source), str(output), "--scale", "2", "--model", "bicubic"]
    result = CliRunner().invoke(liif, words)
    assert result.exit_code == 0, result.stderr
    with tifffile.TiffFile(output) as file:
        page = file.pages[0]
        assert page.photometric == tifffile.PHOTOMETRIC.RGB
        assert [int(kind) for kind in page.extrasamples] == ([0, 2] if alpha else [0])
    with rasterio.open(output) as file:
        names = [each.name for each in file.colorinterp]
        assert names[:3] == ["red", "green", "blue"]
        assert (names[-1] == "alpha") == alpha
    if not alpha:
        with Image.open(output) as image:
            assert (image.size, image.mode) == ((160, 120), "RGB")
