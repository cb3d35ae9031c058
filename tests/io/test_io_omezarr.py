"""OME-Zarr outputs, judged by the field's own validators and readers."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import zarr

from liif_cli.geometry.window import Window
from liif_cli.io import exporter_for
from liif_cli.io.base import OutputInfo
from liif_cli.io.pyramid import halve
from liif_cli.io.tilestore import TileStore, metadata_damage
from tests.io.conftest import half

INFO = OutputInfo(resolution=(300, 150), software="liif 1.2", provenance={"model": "m"})


@pytest.fixture(params=[(1, "uint8"), (3, "uint8"), (4, "uint16"), (5, "float32")], ids=str)
def written(request, tmp_path, picture):
    """(path of an OME-Zarr, pixels (height, width, channels))."""
    channels, dtype = request.param
    pixels = picture(700, 1030, channels, dtype).reshape(700, 1030, channels)
    store = TileStore.create(
        tmp_path / "s",
        height=700,
        width=1030,
        channels=channels,
        dtype=dtype,
        chunk=256,
        shard=512,
        fingerprint="f",
        attributes={"liif": {"model": "m"}},
    )
    for window in store.grid:
        store.base.write_shard(window, pixels[window.to_slices()])
    path = tmp_path / "picture.zarr"
    info = OutputInfo(**{**vars(INFO), "alpha": channels == 4})
    exporter_for("zarr").export(store, path, info)
    return path, pixels


def test_yaozarrs_takes_it_and_its_pixels(written):
    yaozarrs = pytest.importorskip("yaozarrs", reason="the validator yaozarrs is not installed")
    path, _ = written
    yaozarrs.validate_zarr_store(str(path))
    found = yaozarrs.open_group(str(path)).ome_metadata()
    assert found.version == "0.5"
    assert found.multiscales[0].name == "picture"


def test_ome_zarr_models_takes_it(written):
    models = pytest.importorskip("ome_zarr_models.v05.image", reason="ome-zarr-models is missing")
    path, pixels = written
    image = models.Image.from_zarr(zarr.open_group(str(path), mode="r"))
    scales = image.ome_attributes.multiscales[0]
    assert [axis.name for axis in scales.axes] == ["c", "y", "x"]
    assert len(image.ome_attributes.omero["channels"]) == pixels.shape[2]


def test_ome_zarr_reads_every_level(written):
    parse_url = pytest.importorskip("ome_zarr.io", reason="ome-zarr is not installed").parse_url
    reader = pytest.importorskip("ome_zarr.reader")
    path, pixels = written
    (node,) = reader.Reader(parse_url(str(path)))()
    assert len(node.data) == 3
    for level in node.data:
        np.testing.assert_array_equal(np.asarray(level), np.moveaxis(pixels, 2, 0))
        pixels = half(pixels, pixels.shape[2] in (2, 4))


def test_zarr_reads_every_level_and_finds_the_codecs(written):
    path, pixels = written
    group = zarr.open_group(str(path), mode="r")
    datasets = group.attrs["ome"]["multiscales"][0]["datasets"]
    for number, dataset in enumerate(datasets):
        array = group[dataset["path"]]
        np.testing.assert_array_equal(np.asarray(array), np.moveaxis(pixels, 2, 0))
        assert array.metadata.dimension_names == ("c", "y", "x")
        assert array.chunks == (pixels.shape[2], 256, 256)
        assert array.shards == (pixels.shape[2], *((256, 256) if number else (512, 512)))
        text = json.dumps(array.metadata.to_dict(), default=str)
        assert len(re.findall("crc32c", text)) == 2  # the index and the chunks
        scale, *translation = dataset["coordinateTransformations"]
        assert scale["scale"] == [1, 2**number, 2**number]
        if number:
            # the first pixel's centre: the mean of the centres under it
            assert translation[0]["translation"][1:] == [np.arange(2**number).mean()] * 2
        pixels = half(pixels, pixels.shape[2] in (2, 4))
    assert max(array.shape[1:]) < 512


def test_attributes(written):
    path, pixels = written
    attributes = zarr.open_group(str(path), mode="r").attrs.asdict()
    assert attributes["liif"]["provenance"] == {"liif": {"model": "m"}}
    assert attributes["software"] == "liif 1.2"
    channels = attributes["ome"]["omero"]["channels"]
    end = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    assert {channel["window"]["end"] for channel in channels} == {end}
    labels = [channel["label"] for channel in channels]
    assert (
        labels
        == {
            1: ["gray"],
            3: ["red", "green", "blue"],
            4: ["red", "green", "blue", "alpha"],
            5: [f"band {number}" for number in range(1, 6)],
        }[len(labels)]
    )
    assert TileStore.open(path).finished
    assert metadata_damage(path) == {}


def test_a_cut_pyramid_is_finished_later(tmp_path, picture, monkeypatch):
    from liif_cli.io import pyramid

    pixels = picture(700, 600)
    store = TileStore.create(
        tmp_path / "s",
        height=700,
        width=600,
        channels=3,
        dtype="uint8",
        chunk=128,
        shard=256,
        fingerprint="f",
    )
    for window in store.grid:
        store.base.write_shard(window, pixels[window.to_slices()])
    real, calls = pyramid.halve, []

    def die(values, *axes):
        calls.append(0)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(values, *axes)

    with monkeypatch.context() as patch:
        patch.setattr(pyramid, "halve", die)
        with pytest.raises(KeyboardInterrupt):
            exporter_for("zarr").export(store, tmp_path / "out.zarr", INFO)
    # nothing under the name, and the store is where it was, complete and not finished
    assert not (tmp_path / "out.zarr").exists()
    store = TileStore.open(tmp_path / "s", "f")
    assert store.base.complete
    assert not store.finished
    exporter_for("zarr").export(store, tmp_path / "out.zarr", INFO)
    finished = TileStore.open(tmp_path / "out.zarr")
    assert finished.finished
    for level in finished.levels():
        whole = Window.whole(level.height, level.width)
        np.testing.assert_array_equal(level.read(whole), pixels)
        pixels = halve(pixels, (0, 1))
