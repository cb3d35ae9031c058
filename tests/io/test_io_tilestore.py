"""The tile store: done marks, damage, threads, and that plain zarr reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liif_cli.errors import OutputError
from liif_cli.geometry.window import Window
from liif_cli.io import atomic
from liif_cli.io.shards import ShardedArray
from liif_cli.io.tilestore import (
    VERSION,
    TileStore,
    is_draft,
    is_tile_store,
    metadata_damage,
)

HEIGHT, WIDTH = 150, 230


def create(path, channels=3, dtype="uint8", **options) -> TileStore:
    return TileStore.create(
        path,
        height=HEIGHT,
        width=WIDTH,
        channels=channels,
        dtype=dtype,
        chunk=32,
        shard=64,
        **{"fingerprint": "f1", **options},
    )


def fill(store: TileStore, pixels: np.ndarray) -> None:
    pixels = pixels.reshape(HEIGHT, WIDTH, -1)
    for window in store.base.missing():
        store.base.write_shard(window, pixels[window.to_slices()])


@pytest.fixture
def full(tmp_path, picture) -> TileStore:
    store = create(tmp_path / "s")
    fill(store, picture(HEIGHT, WIDTH))
    return store


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_plain_zarr_reads_the_same(tmp_path, picture, channels, dtype):
    store = create(tmp_path / "s", channels, dtype, attributes={"model": "m"})
    pixels = picture(HEIGHT, WIDTH, channels, dtype).reshape(HEIGHT, WIDTH, channels)
    fill(store, pixels)
    group = zarr.open_group(str(store.path), mode="r")
    array, facts = group["0"], group.attrs["liif"]
    assert array.metadata.dimension_names == ("c", "y", "x")
    assert (facts["version"], facts["fingerprint"]) == (VERSION, "f1")
    assert facts["provenance"] == {"model": "m"}
    np.testing.assert_array_equal(np.asarray(array), pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(store.read(Window.whole(HEIGHT, WIDTH)), pixels)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_windows_are_slices_of_the_whole(full, picture, data):
    row, col = data.draw(st.integers(0, HEIGHT - 1)), data.draw(st.integers(0, WIDTH - 1))
    height = data.draw(st.integers(1, HEIGHT - row))
    width = data.draw(st.integers(1, WIDTH - col))
    window = Window(row, col, height, width)
    found = full.read(window)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, picture(HEIGHT, WIDTH)[window.to_slices()])


def test_shards_are_the_done_marks(tmp_path, picture):
    store = create(tmp_path / "s")
    assert len(store.grid) == 12
    assert not store.base.complete
    assert list(store.base.missing()) == list(store.grid)
    pixels, window = picture(HEIGHT, WIDTH), store.grid.tile(2, 3)
    store.base.write_shard(window, pixels[window.to_slices()])
    assert store.base.has_shard(2, 3)
    assert not store.base.has_shard(0, 0)
    again = TileStore.open(store.path, "f1")
    assert window not in list(again.base.missing())
    fill(again, pixels)
    assert again.base.complete
    assert store.base.complete


def test_black_shards_are_done_too(tmp_path):
    store = create(tmp_path / "s")
    for opened in (store, TileStore.open(store.path)):
        window = next(opened.base.missing())
        opened.base.write_shard(window, np.zeros((*window.shape, 3), np.uint8))
    assert len(list(store.base.missing())) == 10


def test_threads_write_different_shards(tmp_path, picture):
    store, pixels = create(tmp_path / "s"), picture(HEIGHT, WIDTH)

    def write(window):
        store.base.write_shard(window, pixels[window.to_slices()])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, store.grid))
    np.testing.assert_array_equal(store.read(Window.whole(HEIGHT, WIDTH)), pixels)


def test_same_pixels_same_bytes(tmp_path, picture):
    found = []
    for name in "ab":
        store = create(tmp_path / name)
        fill(store, picture(HEIGHT, WIDTH))
        found.append([store.base.shard_path(r, c).read_bytes() for r in range(3) for c in range(4)])
    assert found[0] == found[1]


def test_only_whole_shards_are_written(tmp_path):
    store = create(tmp_path / "s")
    for window in (Window(0, 0, 32, 64), Window(10, 0, 64, 64), Window(128, 192, 64, 64)):
        with pytest.raises(ValueError, match="not one shard"):
            store.base.write_shard(window, np.zeros((*window.shape, 3), np.uint8))
    for pixels in (np.zeros((64, 64, 1), np.uint8), np.zeros((64, 64, 3), np.uint16)):
        with pytest.raises(ValueError, match="does not fit"):
            store.base.write_shard(Window(0, 0, 64, 64), pixels)
    assert list(store.base.missing()) == list(store.grid)


def test_fingerprint_version_and_kind_are_checked(tmp_path, full):
    with pytest.raises(OutputError, match="other work"):
        TileStore.open(full.path, "f2")
    with pytest.raises(OutputError, match="there already"):
        create(full.path)
    metadata = full.path / "zarr.json"
    facts = json.loads(metadata.read_text())
    facts["attributes"]["liif"]["version"] = VERSION + 1
    metadata.write_text(json.dumps(facts))
    with pytest.raises(OutputError, match=f"version {VERSION + 1}"):
        TileStore.open(full.path)
    del facts["attributes"]["liif"]
    metadata.write_text(json.dumps(facts))
    with pytest.raises(OutputError, match="no readable tile store"):
        TileStore.open(full.path)
    for text in ("", "{}", "[1]"):
        metadata.write_text(text)
        with pytest.raises(OutputError, match="no readable tile store"):
            TileStore.open(full.path)
    with pytest.raises(OutputError, match="no tile store"):
        TileStore.open(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_every_flipped_byte_is_noticed(full):
    path = full.base.shard_path(0, 0)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.choice(len(data), 60, replace=False):
        flipped = bytearray(data)
        flipped[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with pytest.raises(OutputError, match="damaged shard"):
            full.read(Window(0, 0, 64, 64))


def test_truncated_shard_is_noticed_and_can_be_written_again(full, picture):
    path, pixels = full.base.shard_path(0, 0), picture(HEIGHT, WIDTH)
    data = path.read_bytes()
    for size in (1, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        for window in (Window(0, 0, 64, 64), Window(0, 0, 1, 1)):
            with pytest.raises(OutputError, match="damaged shard"):
                full.read(window)
    path.write_bytes(b"")
    with pytest.raises(OutputError, match="no shard"):
        full.read(Window(0, 0, 64, 64))
    assert list(full.base.missing()) == [Window(0, 0, 64, 64)]
    full.base.write_shard(Window(0, 0, 64, 64), pixels[:64, :64])
    np.testing.assert_array_equal(full.read(Window(0, 0, 64, 64)), pixels[:64, :64])


def test_unfinished_windows_are_not_read_as_black(tmp_path, picture):
    store, pixels = create(tmp_path / "s"), picture(HEIGHT, WIDTH)
    store.base.write_shard(Window(0, 0, 64, 64), pixels[:64, :64])
    np.testing.assert_array_equal(store.read(Window(0, 0, 64, 64)), pixels[:64, :64])
    with pytest.raises(OutputError, match=r"no shard \(0, 1\)"):
        store.read(Window(0, 0, 64, 65))


def test_a_failing_write_leaves_no_mark(tmp_path, picture, monkeypatch):
    store, pixels = create(tmp_path / "s"), picture(HEIGHT, WIDTH)

    def fail(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", fail)
        with pytest.raises(OutputError, match="full disk"):
            store.base.write_shard(Window(0, 0, 64, 64), pixels[:64, :64])
    assert not store.base.has_shard(0, 0)
    assert [path.name for path in store.path.rglob("*") if path.is_file()] == ["zarr.json"] * 2


def test_a_killed_write_leaves_no_mark(tmp_path):
    program = f"""
import os, numpy as np
from pathlib import Path
from liif_cli.io import atomic
from liif_cli.io.tilestore import TileStore
from liif_cli.geometry.window import Window
store = TileStore.create(Path({str(tmp_path / "s")!r}), height=64, width=128, channels=1,
                         dtype="uint8", chunk=32, shard=64, fingerprint="f")
store.base.write_shard(Window(0, 0, 64, 64), np.ones((64, 64, 1), np.uint8))
atomic.os.link = lambda *names: os._exit(9)
store.base.write_shard(Window(0, 64, 64, 64), np.ones((64, 64, 1), np.uint8))
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=os.getcwd()).returncode == 9
    store = TileStore.open(tmp_path / "s", "f")
    assert list(store.base.missing()) == [Window(0, 64, 64, 64)]
    store.base.write_shard(Window(0, 64, 64, 64), np.ones((64, 64, 1), np.uint8))
    assert store.base.complete
    assert (store.read(Window(0, 0, 64, 128)) == 1).all()


def test_annotate_and_move(full, tmp_path, picture):
    full.annotate({"software": "liif"})
    full.move(tmp_path / "moved")
    assert full.path == tmp_path / "moved"
    opened = TileStore.open(tmp_path / "moved", "f1")
    assert zarr.open_group(str(opened.path), mode="r").attrs["software"] == "liif"
    for store in (full, opened):
        assert store.base.complete
        found = store.read(Window(5, 5, 100, 100))
        np.testing.assert_array_equal(found, picture(HEIGHT, WIDTH)[5:105, 5:105])


def test_an_unfinished_store_is_no_input(tmp_path, picture, read_all):
    from liif_cli.errors import InputError

    store, pixels = create(tmp_path / "s"), picture(HEIGHT, WIDTH)
    with pytest.raises(InputError, match="unfinished"):
        read_all(store.path)
    fill(store, pixels)
    np.testing.assert_array_equal(read_all(store.path), pixels)
    metadata = store.path / "zarr.json"
    metadata.write_text(metadata.read_text().replace(f'"version": {VERSION}', '"version": 99'))
    with pytest.raises(InputError, match="version 99"):
        read_all(store.path)


def levelled(tmp_path, picture) -> TileStore:
    """A finished store of two levels, of which the second is smaller."""
    store = create(tmp_path / "s")
    fill(store, picture(HEIGHT, WIDTH))
    half = {"height": 75, "width": 115, "channels": 3, "dtype": "uint8", "chunk": 32, "shard": 64}
    level = ShardedArray.create(store.path / "1", **half)
    for window in level.missing():
        level.write_shard(window, np.full((*window.shape, 3), 7, np.uint8))
    store.annotate({"ome": {"version": "0.5"}, "mine": 1}, levels=2)
    return store


def test_levels_are_part_of_a_finished_store(tmp_path, picture):
    store = levelled(tmp_path, picture)
    for found in (store, TileStore.open(store.path)):
        assert [(one.height, one.width) for one in found.levels()] == [(150, 230), (75, 115)]
        assert found.finished
        assert found.attributes["mine"] == 1
    group = zarr.open_group(str(store.path), mode="r")
    assert set(group.attrs["liif"]) == {
        "version", "fingerprint", "provenance", "arrays", "digest"
    }  # fmt: skip
    assert (np.asarray(group["1"]) == 7).all()
    TileStore.open(store.path).levels()[1].discard(0, 1)
    assert not TileStore.open(store.path).finished


def test_annotations_add_to_each_other(tmp_path, picture):
    store = create(tmp_path / "s", attributes={"model": "m"})
    store.annotate({"a": 1})
    store.annotate({"b": {"c": [2]}})
    for attributes in (store.attributes, TileStore.open(store.path, "f1").attributes):
        assert (attributes["a"], attributes["b"]) == (1, {"c": [2]})
        assert attributes["liif"]["provenance"] == {"model": "m"}
    assert not store.finished
    assert len(store.levels()) == 1


def test_damaged_metadata_are_named(tmp_path, picture):
    store = levelled(tmp_path, picture)
    assert metadata_damage(store.path) == {}
    array = store.path / "1" / "zarr.json"
    whole = array.read_bytes()
    array.write_bytes(whole.replace(b'"name"', b'"nome"', 1))
    said = "its content is not what its digest says"
    assert metadata_damage(store.path) == {"1/zarr.json": said}
    array.unlink()
    assert metadata_damage(store.path) == {"1/zarr.json": "missing"}
    array.write_bytes(whole)
    group = store.path / "zarr.json"
    document = json.loads(group.read_text())
    document["attributes"]["mine"] = 2
    # other spaces and another order are no damage, another value is
    group.write_text(json.dumps(document))
    assert metadata_damage(store.path) == {"zarr.json": said}
    document["attributes"]["mine"] = 1
    group.write_text(json.dumps(dict(reversed(document.items())), indent=7))
    assert metadata_damage(store.path) == {}
    group.write_text("{}")
    with pytest.raises(OutputError, match=r"damaged metadata.*those of a tile store; remove"):
        metadata_damage(store.path)


def test_what_a_killed_process_was_writing_is_removed(full):
    shards = {path for path in full.path.rglob("*") if path.is_file()}
    left = []
    for folder in (full.path, full.path / "0", full.path / "0" / "c" / "0"):
        with atomic.atomic_path(folder / "x") as partial:
            partial.write_bytes(b"half")
            left.append(partial.with_name(partial.name))
            copy = partial.read_bytes()
        left[-1].write_bytes(copy)
        (folder / "x").unlink()
    assert all(path.exists() for path in left)
    full.remove_partials()
    assert {path for path in full.path.rglob("*") if path.is_file()} == shards


def test_a_discarded_shard_counts_as_not_done(full):
    full.base.discard(1, 2)
    assert not full.base.has_shard(1, 2)
    assert list(full.base.missing()) == [Window(64, 128, 64, 64)]
    assert full.base.damaged() == [(1, 2)]
    assert not full.base.complete


def test_a_store_on_a_disk_is_never_a_draft(tmp_path, full):
    assert not is_draft(full.path)
    assert is_tile_store(full.path)
    assert not is_tile_store(tmp_path)
    (full.path / "zarr.json").write_text('{"attributes": {"other": 1}}')
    assert not is_tile_store(full.path)
    assert not full.lost
    (full.path / "zarr.json").unlink()
    assert full.lost


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (None, "no tile store; check the path"),
        (lambda group: group["attributes"].pop("liif"), "no readable tile store; {remove}"),
        (lambda group: group["attributes"].update(liif=[]), "no readable tile store; {remove}"),
        (
            lambda group: group["attributes"]["liif"].pop("version"),
            "no readable tile store; {remove}",
        ),
        (
            lambda group: group["attributes"]["liif"].update(version=1),
            "a tile store of version 1, expected version 2; "
            "use the program that wrote it, or remove it",
        ),
        (
            lambda group: group["attributes"]["liif"].update(fingerprint="g"),
            "a tile store of other work (g), expected f; remove it to start afresh",
        ),
    ],
)
def test_the_whole_refusal_of_what_is_no_store_of_this_work(tmp_path, change, got):
    path = tmp_path / "store"
    if change is not None:
        TileStore.create(path, height=20, width=30, channels=1, dtype="uint8", fingerprint="f")
        group = json.loads((path / "zarr.json").read_text())
        change(group)
        (path / "zarr.json").write_text(json.dumps(group))
    with pytest.raises(OutputError) as refused:
        TileStore.open(path, "f")
    assert str(refused.value) == f"{path}: got " + got.format(remove="remove it and run again")


def test_the_whole_refusal_of_an_array_that_was_changed(tmp_path):
    path = tmp_path / "store"
    TileStore.create(path, height=20, width=30, channels=1, dtype="uint8", fingerprint="f")
    array = path / "0" / "zarr.json"
    array.write_text(array.read_text().replace("20", "21"))
    with pytest.raises(OutputError) as refused:
        TileStore.open(path)
    assert str(refused.value) == (
        f"{array}: got damaged metadata (other metadata than were written), "
        "expected those of the store; remove the store and run again"
    )
