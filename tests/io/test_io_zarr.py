"""Axes and kinds of Zarr arrays and OME-Zarr images."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io import open_source

HEIGHT, WIDTH = 45, 70
WHOLE = Window.whole(HEIGHT, WIDTH)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_zarr_axes(tmp_path, picture, read_all, zarr_format, first, named):
    pixels = picture(HEIGHT, WIDTH)
    stored = pixels.transpose(2, 0, 1) if first else pixels
    names = ["c", "y", "x"] if first else ["y", "x", "c"]
    options = {}
    if named and zarr_format == 3:
        options["dimension_names"] = names
    if named and zarr_format == 2:
        options["attributes"] = {"_ARRAY_DIMENSIONS": names}
    path = tmp_path / "axes.zarr"
    zarr.create_array(str(path), data=stored, zarr_format=zarr_format, **options)
    np.testing.assert_array_equal(read_all(path), pixels)


def test_zarr_names_decide_where_the_shape_does_not(tmp_path, read_all):
    pixels = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    named, nameless = tmp_path / "named.zarr", tmp_path / "nameless.zarr"
    zarr.create_array(str(named), data=pixels, dimension_names=["c", "y", "x"])
    np.testing.assert_array_equal(read_all(named), pixels.transpose(1, 2, 0))
    zarr.create_array(str(nameless), data=pixels)
    with pytest.raises(InputError, match="dimension_names"):
        open_source(nameless)


@pytest.mark.parametrize("ome", ["0.4", "0.5"])
def test_ome_zarr_level_0(tmp_path, picture, read_all, ome):
    pixels = picture(HEIGHT, WIDTH)
    path = tmp_path / "ome.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if ome == "0.4" else 3)
    stored = pixels.transpose(2, 0, 1)[np.newaxis, :, np.newaxis]
    group.create_array("0", data=stored)
    group.create_array("1", data=stored[..., ::2, ::2])
    scales = [
        {
            "axes": [{"name": name} for name in "tczyx"],
            "datasets": [{"path": "0"}, {"path": "1"}],
        }
    ]
    group.attrs.update(
        {"multiscales": scales} if ome == "0.4" else {"ome": {"multiscales": scales}}
    )
    np.testing.assert_array_equal(read_all(path), pixels)
    source = open_source(path)
    window = Window(3, 5, 9, 11)
    np.testing.assert_array_equal(source.read(window), pixels[window.to_slices()])


@pytest.mark.parametrize(
    ("shape", "dtype", "names", "match"),
    [
        ((20, 30, 17), np.uint8, None, "shape"),
        ((20, 30), np.int64, None, "int64"),
        ((20,), np.uint8, None, "shape"),
    ],
)
def test_zarr_that_is_refused(tmp_path, shape, dtype, names, match):
    path = tmp_path / "kind.zarr"
    zarr.create_array(str(path), data=np.zeros(shape, dtype), dimension_names=names)
    with pytest.raises(InputError, match=match):
        open_source(path)


def test_zarr_group_without_images(tmp_path):
    path = tmp_path / "group.zarr"
    zarr.open_group(str(path), mode="w")
    with pytest.raises(InputError, match="multiscales"):
        open_source(path)


def test_damaged_zarr(tmp_path, picture):
    path = tmp_path / "damaged.zarr"
    zarr.create_array(
        str(path),
        data=picture(HEIGHT, WIDTH),
        chunks=(16, 16, 1),
        compressors=[zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()],
    )
    chunk = path / "c" / "0" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 0xFF
    chunk.write_bytes(data)
    source = open_source(path)
    with pytest.raises(InputError, match=r"damaged\.zarr"):
        source.read(WHOLE)
    (path / "zarr.json").write_text("{")
    with pytest.raises(InputError, match=r"damaged\.zarr"):
        open_source(path)
