"""Reduced levels: the mean, the rounding, out of core, cut short and gone on with."""

from __future__ import annotations

import json
from threading import Thread

import numpy as np
import pytest

from liif_cli.errors import OutputError
from liif_cli.geometry.window import Window
from liif_cli.io import pyramid
from liif_cli.io.pyramid import (
    GrowingLevels,
    Weighing,
    build_levels,
    halve,
    level_shapes,
    reduced_levels,
)
from liif_cli.io.shards import KEPT, SCRATCH
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
        store.base.write_shard(window, pixels[window.to_slices()])
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
    data = bytearray(store.base.shard_path(1, 1).read_bytes())
    data[100] ^= 1
    store.base.shard_path(1, 1).write_bytes(data)
    with pytest.raises(OutputError, match="damaged shard"):
        build_levels(store.base, store.path, 2)
    assert store.base.damaged() == [(1, 1)]


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


def stored(path, pixels, shard, chunk=16) -> TileStore:
    height, width, channels = pixels.shape
    return TileStore.create(
        path,
        height=height,
        width=width,
        channels=channels,
        dtype=pixels.dtype,
        chunk=chunk,
        shard=shard,
        fingerprint="f",
    )


def content(path) -> dict[str, bytes]:
    files = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize(
    "shard",
    [pytest.param(16, marks=pytest.mark.slow), pytest.param(32, marks=pytest.mark.slow), 48, 64],
)
@pytest.mark.parametrize("size", [(130, 201), (64, 64), (17, 300)])
@pytest.mark.parametrize("alpha", [False, True])
def test_levels_made_with_their_shards_are_those_made_at_the_end(
    tmp_path, shard, size, alpha, monkeypatch
):
    monkeypatch.setattr(pyramid, "SMALLEST", 20)
    monkeypatch.setattr(pyramid.level_shapes, "__defaults__", (20,))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*size, 4), dtype=np.uint8)
    weighing = Weighing(alpha=alpha)
    grown, built = (stored(tmp_path / name, pixels, shard) for name in ("grown", "built"))
    levels = [GrowingLevels(grown, weighing) for _ in range(2)]
    windows = list(grown.grid)
    rng.shuffle(windows)
    for window in grown.grid:
        built.base.write_shard(window, pixels[window.to_slices()])
    build_levels(built.base, built.path, 1, weighing)

    def work(part, own):
        for window in part:
            grown.base.write_shard(window, pixels[window.to_slices()])
            own.add(window, pixels[window.to_slices()])

    # two processes, each with its own view of the same store
    threads = [Thread(target=work, args=(windows[at::2], levels[at])) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert content(tmp_path / "grown") == content(tmp_path / "built")


@pytest.mark.parametrize("level", [SCRATCH, KEPT])
def test_levels_are_packed_as_their_store_is(tmp_path, monkeypatch, level):
    monkeypatch.setattr(pyramid.level_shapes, "__defaults__", (20,))
    shape = {"height": 64, "width": 64, "channels": 1, "dtype": "uint8", "chunk": 16, "shard": 32}
    store = TileStore.create(tmp_path / "s", **shape, fingerprint="f", level=level)
    GrowingLevels(store)
    metadata = json.loads((store.path / "1" / "zarr.json").read_text())
    (sharding,) = metadata["codecs"]
    packing = [codec for codec in sharding["configuration"]["codecs"] if codec["name"] == "zstd"]
    assert [codec["configuration"]["level"] for codec in packing] == [level]
    assert TileStore.open(store.path).base.zstd_level == level


def test_no_level_is_made_of_shards_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(pyramid.level_shapes, "__defaults__", (20,))
    pixels = np.full((64, 64, 1), 9, np.uint8)
    store = stored(tmp_path / "s", pixels, 32)
    levels = GrowingLevels(store)
    first, *rest = store.grid
    store.base.write_shard(first, pixels[first.to_slices()])
    levels.add(first, pixels[first.to_slices()])
    # 64 -> 32 in shards of 16 -> 16: one of four is there
    assert sorted(name for name in content(store.path) if "/c/" in name) == [
        "0/c/0/0/0",
        "1/c/0/0/0",
    ]
    for window in rest:
        store.base.write_shard(window, pixels[window.to_slices()])
        levels.add(window, pixels[window.to_slices()])
    assert "2/c/0/0/0" in content(store.path)


def test_processes_that_make_the_same_levels_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(pyramid.level_shapes, "__defaults__", (20,))
    for number in range(20):
        store = stored(tmp_path / str(number), np.zeros((64, 64, 1), np.uint8), 32)
        failed = []

        def make(store=store, failed=failed):
            try:
                GrowingLevels(TileStore.open(store.path))
            except Exception as error:
                failed.append(error)

        threads = [Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
