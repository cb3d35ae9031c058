"""Reduced levels: the mean, the rounding, out of core, cut short and gone on with."""

from __future__ import annotations

import numpy as np
import pytest

from liif_cli.errors import OutputError
from liif_cli.geometry.window import Window
from liif_cli.io import pyramid
from liif_cli.io.pyramid import build_levels, halve, level_shapes, reduced_levels
from liif_cli.io.tilestore import TileStore


def plain_mean(pixels: np.ndarray) -> np.ndarray:
    """(height, width, channels) halved pixel by pixel, in whole numbers of fractions."""
    height, width, channels = pixels.shape
    out = np.empty((-(-height // 2), -(-width // 2), channels), pixels.dtype)
    for row in range(out.shape[0]):
        for col in range(out.shape[1]):
            block = pixels[2 * row : 2 * row + 2, 2 * col : 2 * col + 2].reshape(-1, channels)
            mean = block.astype(np.float64).mean(axis=0)
            out[row, col] = mean if out.dtype.kind == "f" else np.rint(mean)
    return out


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 1), (8, 6), (7, 9)])
def test_halve_is_the_mean_rounded_half_to_even(dtype, size):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (*size, 3)).astype(dtype)
    if dtype == "uint16":
        pixels[0, 0] = 65535
    np.testing.assert_array_equal(halve(pixels, (0, 1)), plain_mean(pixels))
    np.testing.assert_array_equal(
        halve(np.moveaxis(pixels, 2, 0)), np.moveaxis(plain_mean(pixels), 2, 0)
    )


def test_ties_go_to_even_so_that_levels_do_not_get_lighter():
    rows = np.array([[0, 1], [0, 1], [2, 3], [2, 3], [1, 1], [3, 1]], np.uint8)
    np.testing.assert_array_equal(halve(rows), [[0], [2], [2]])
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024)).astype(np.uint8)
    assert abs(halve(noise).mean() - noise.mean()) < 0.01
    assert halve(np.full((2, 2), 65535, np.uint16)) == 65535


def test_levels_end_below_512():
    assert level_shapes(3750, 5000) == [
        (3750, 5000),
        (1875, 2500),
        (938, 1250),
        (469, 625),
        (235, 313),
    ]
    assert level_shapes(511, 300) == [(511, 300)]
    assert level_shapes(512, 1) == [(512, 1), (256, 1)]
    assert level_shapes(5, 3, below=1)[-1] == (1, 1)


def small_store(path, pixels) -> TileStore:
    store = TileStore.create(
        path,
        height=pixels.shape[0],
        width=pixels.shape[1],
        channels=pixels.shape[2],
        dtype=pixels.dtype,
        chunk=32,
        shard=128,
        fingerprint="f",
    )
    for window in store.grid:
        store.write_shard(window, pixels[window.to_slices()])
    return store


def check(levels, pixels) -> None:
    for level in levels:
        whole = Window.whole(level.height, level.width)
        np.testing.assert_array_equal(level.read(whole), pixels)
        pixels = halve(pixels, (0, 1))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_levels_of_a_store(tmp_path, picture, channels, monkeypatch):
    monkeypatch.setattr(pyramid, "SMALLEST", 40)
    pixels = picture(301, 267, channels).reshape(301, 267, channels)
    store = small_store(tmp_path / "s", pixels)
    levels = build_levels(store.base, store.path, 3)
    assert [(level.height, level.width) for level in levels] == level_shapes(301, 267, 40)
    assert {level.grid.tile_height for level in levels[1:]} == {64}
    check(levels, pixels)


def test_a_pyramid_that_was_cut_short_is_gone_on_with(tmp_path, picture, monkeypatch):
    monkeypatch.setattr(pyramid, "SMALLEST", 40)
    pixels = picture(301, 267)
    store = small_store(tmp_path / "s", pixels)
    levels = build_levels(store.base, store.path, 1)
    kept, lost = levels[1].shard_path(0, 0), levels[1].shard_path(1, 2)
    before = kept.stat().st_mtime_ns
    lost.unlink()
    # a level whose metadata are damaged, and one of another shape
    (store.path / "2" / "zarr.json").write_text("{")
    again = build_levels(store.base, store.path, 2)
    check(again, pixels)
    assert kept.stat().st_mtime_ns == before
    assert lost.exists()


def test_a_damaged_shard_is_no_black_square_in_the_pyramid(tmp_path, picture, monkeypatch):
    monkeypatch.setattr(pyramid, "SMALLEST", 40)
    store = small_store(tmp_path / "s", picture(301, 267))
    data = bytearray(store.shard_path(1, 1).read_bytes())
    data[100] ^= 1
    store.shard_path(1, 1).write_bytes(data)
    with pytest.raises(OutputError, match="damaged shard"):
        build_levels(store.base, store.path, 2)
    assert store.damaged() == [(1, 1)]


@pytest.mark.parametrize("limit", [0, 2**24])
def test_levels_for_an_exporter(tmp_path, picture, reader, limit, monkeypatch):
    monkeypatch.setattr(pyramid, "_MEMORY_BYTES", limit)
    pixels = picture(1050, 700)
    with reduced_levels(reader(pixels), tmp_path / "out.tif", 2) as levels:
        assert bool(list(tmp_path.iterdir())) is (limit == 0)
        check(levels, pixels)
        assert len(levels) == 3
    with reduced_levels(reader(pixels), tmp_path / "out.tif", 2, below=1) as levels:
        check(levels, pixels)
        assert (levels[-1].height, levels[-1].width) == (1, 1)
    assert list(tmp_path.iterdir()) == []
