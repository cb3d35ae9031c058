"""Layouts and kinds of TIFF, read by window."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io import open_source

HEIGHT, WIDTH = 45, 70
WHOLE = Window.whole(HEIGHT, WIDTH)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"rowsperstrip": 7},
        {"rowsperstrip": 7, "compression": "zlib", "predictor": True},
        {"tile": (16, 32)},
        {"tile": (16, 32), "compression": "zstd"},
        {"tile": (32, 16), "compression": "lzw", "planarconfig": "separate"},
        {"planarconfig": "separate"},
        {"bigtiff": True},
    ],
    ids=str,
)
def test_tiff_layouts(tmp_path, picture, layout, byteorder, dtype):
    path = tmp_path / "layout.tif"
    pixels = picture(HEIGHT, WIDTH, 3, dtype)
    stored = pixels.transpose(2, 0, 1) if "planarconfig" in layout else pixels
    options = {key: value for key, value in layout.items() if key != "bigtiff"}
    with tifffile.TiffWriter(path, byteorder=byteorder, bigtiff="bigtiff" in layout) as tiff:
        tiff.write(stored, photometric="rgb", **options)
    source = open_source(path)
    for window in (WHOLE, Window(13, 21, 20, 30), Window(HEIGHT - 1, WIDTH - 1, 1, 1)):
        np.testing.assert_array_equal(source.read(window), pixels[window.to_slices()])


def test_tiff_window_reads_only_its_tiles(tmp_path, picture):
    path = tmp_path / "tiles.tif"
    pixels = picture(128, 128)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        last, count = page.dataoffsets[-1], page.databytecounts[-1]
    with path.open("r+b") as file:
        file.seek(last)
        file.write(b"\xff" * count)
    source = open_source(path)
    np.testing.assert_array_equal(source.read(Window(0, 0, 96, 128)), pixels[:96])
    with pytest.raises(InputError, match=r"tiles\.tif.*damaged"):
        source.read(Window(100, 100, 5, 5))


def test_tiff_memory_estimate_is_bounded(tmp_path):
    path, plain = tmp_path / "big.tif", tmp_path / "plain.tif"
    pixels = np.zeros((6000, 6000), np.uint8)
    tifffile.imwrite(path, pixels, tile=(256, 256), compression="zlib")
    tifffile.imwrite(plain, pixels)
    assert open_source(path).info.decoded_bytes <= 32 * 2**20
    assert open_source(plain).info.decoded_bytes == 0


def test_jpeg_in_tiff(tmp_path, picture, read_all):
    path = tmp_path / "jpeg.tif"
    Image.fromarray(picture(64, 64)).save(path, compression="jpeg", quality=95)
    np.testing.assert_array_equal(read_all(path), tifffile.imread(path))


def test_white_is_zero(tmp_path, picture, read_all):
    path = tmp_path / "white.tif"
    tifffile.imwrite(path, picture(HEIGHT, WIDTH, 1), photometric="miniswhite")
    np.testing.assert_array_equal(read_all(path)[..., 0], 255 - picture(HEIGHT, WIDTH, 1))


def test_sparse_tiff_is_zero_where_nothing_was_written(tmp_path, read_all):
    path = tmp_path / "sparse.tif"
    tile = np.full((16, 16), 9, np.uint8)
    tifffile.imwrite(
        path, iter([tile, None]), shape=(16, 32), dtype=np.uint8, tile=(16, 16), compression="zlib"
    )
    found = read_all(path)[..., 0]
    assert (found[:, :16] == 9).all()
    assert (found[:, 16:] == 0).all()


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "match"),
    [
        ((20, 30), np.uint64, {}, "unsigned samples of 64 bits"),
        ((20, 30), np.int64, {}, "signed samples of 64 bits"),
        ((20, 30), np.complex64, {}, "unknown samples of 64 bits"),
        ((20, 30, 3), np.uint32, {"photometric": "cielab"}, "32 bits.*CIELAB"),
    ],
)
def test_kinds_of_tiff_that_are_refused(tmp_path, shape, dtype, options, match):
    path = tmp_path / "kind.tif"
    planar = {"planarconfig": "contig"} if len(shape) == 3 and shape[0] == 20 else {}
    tifffile.imwrite(path, np.zeros(shape, dtype), **options, **planar)
    with pytest.raises(InputError, match=match):
        open_source(path)


def test_overviews_in_a_tiff_are_no_second_picture(tmp_path, picture, read_all):
    path = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(picture(64, 64), photometric="rgb", subifds=1)
        tiff.write(picture(64, 64)[::2, ::2], photometric="rgb", subfiletype=1)
        tiff.write(picture(64, 64)[::4, ::4], photometric="rgb", subfiletype=1)
    np.testing.assert_array_equal(read_all(path), picture(64, 64))
