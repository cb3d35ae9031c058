"""A tile store in a bucket: begun, filled, finished and begun again, object by object."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from liif_cli.errors import OutputError
from liif_cli.geometry.window import Window
from liif_cli.io.place import ObjectPath, location
from liif_cli.io.tilestore import TileStore, file_digest, is_draft, is_tile_store, metadata_damage
from tests.places.server import Server

DRAFT, FINAL = ".liif/state.json", "zarr.json"


def at(text: str) -> ObjectPath:
    path = location(f"s3://bucket/{text}")
    assert isinstance(path, ObjectPath)
    return path


def names() -> set[str]:
    return {path.relative_to(at("o.zarr")).as_posix() for path, _ in at("o.zarr").objects()}


def create(fingerprint: str = "f") -> TileStore:
    return TileStore.create(
        at("o.zarr"),
        height=50,
        width=70,
        channels=3,
        dtype="uint8",
        chunk=16,
        shard=32,
        fingerprint=fingerprint,
        attributes={"made": "here"},
    )


def filled() -> tuple[TileStore, np.ndarray]:
    store = create()
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    for window in store.grid:
        store.base.write_shard(window, pixels[window.to_slices()])
    return store, pixels


def test_a_store_is_no_group_until_it_is_finished(server: Server) -> None:
    store = create()
    assert names() == {DRAFT, "0/zarr.json"}
    assert store.provenance == {"made": "here"}
    assert is_draft(at("o.zarr"))
    assert is_tile_store(at("o.zarr"))
    assert not store.lost
    assert len(list(store.base.missing())) == 6
    # whoever comes second gets the first one's, and no one of other work
    assert TileStore.open(at("o.zarr"), "f").fingerprint == "f"
    with pytest.raises(OutputError, match="a store that is there already"):
        create()
    with pytest.raises(OutputError, match=r"a tile store of other work \(f\)"):
        TileStore.open(at("o.zarr"), "g")


def test_shards_are_put_and_read(server: Server) -> None:
    store, pixels = filled()
    assert store.base.complete
    assert not store.finished
    found = TileStore.open(at("o.zarr"))
    assert np.array_equal(found.read(Window(0, 0, 50, 70)), pixels)
    store.base.discard(1, 1)
    assert [(w.row_off, w.col_off) for w in found.base.missing()] == [(32, 32)]
    store.remove_partials()


def test_what_is_added_stays_in_the_draft(server: Server) -> None:
    store, _ = filled()
    store.annotate({"more": 1})
    assert store.attributes["more"] == 1
    assert is_draft(at("o.zarr"))
    assert TileStore.open(at("o.zarr")).attributes == store.attributes
    assert metadata_damage(at("o.zarr")) == {}


def test_finishing_puts_the_group_last_and_drops_the_draft(server: Server) -> None:
    store, pixels = filled()
    seen: list[int] = []

    def before(size: int) -> None:
        # an interruption comes before anything is there under the final name
        assert FINAL not in names()
        seen.append(size)

    store.annotate({"ome": {}}, levels=1, before=before)
    assert FINAL in names()
    assert DRAFT not in names()
    assert seen == [len(at("o.zarr/zarr.json").read_bytes())]
    assert not is_draft(at("o.zarr"))
    # nobody may write to it any more
    assert store.lost
    assert store.finished
    found = TileStore.open(at("o.zarr"), "f")
    assert found.finished
    assert found.attributes == store.attributes
    assert found.attributes["liif"]["arrays"] == {"0": file_digest(at("o.zarr/0/zarr.json"))}
    assert metadata_damage(at("o.zarr")) == {}
    assert np.array_equal(found.read(Window(0, 0, 50, 70)), pixels)


def test_a_finish_that_is_interrupted_leaves_the_draft(server: Server) -> None:
    store, _ = filled()

    def before(size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.annotate({"ome": {}}, levels=1, before=before)
    assert is_draft(at("o.zarr"))
    assert not store.lost
    assert "ome" not in TileStore.open(at("o.zarr")).attributes


def test_of_two_that_finish_the_first_ones_stays(server: Server) -> None:
    store, _ = filled()
    other = TileStore.open(at("o.zarr"))
    store.annotate({"ome": {}}, levels=1)
    written = at("o.zarr/zarr.json").read_bytes()
    server.reset()
    other.annotate({"ome": {"by": "another"}}, levels=1)
    assert at("o.zarr/zarr.json").read_bytes() == written
    assert server.puts == {}


def test_a_finished_store_is_begun_again(server: Server) -> None:
    store, _ = filled()
    store.annotate({"ome": {}}, levels=1)
    written = json.loads(at("o.zarr/zarr.json").read_bytes())
    store.base.discard(0, 0)
    TileStore.reopen(at("o.zarr"))
    assert FINAL not in names()
    assert json.loads(at(f"o.zarr/{DRAFT}").read_bytes()) == written
    assert is_draft(at("o.zarr"))
    found = TileStore.open(at("o.zarr"), "f")
    assert not found.lost
    assert not found.finished
    assert len(list(found.base.missing())) == 1


def test_a_server_that_refuses_is_no_loss_of_the_store(server: Server) -> None:
    store, _ = filled()
    server.fault = lambda method, path: ("400 Bad Request", "ExpiredToken")
    assert not store.lost
    server.fault = lambda method, path: None
    at(f"o.zarr/{DRAFT}").unlink()
    assert store.lost


@pytest.mark.parametrize("change", [b'"made": "there"', b'"made":  "here"'])
def test_metadata_that_somebody_changed_are_found(server: Server, change: bytes) -> None:
    store, _ = filled()
    store.annotate({"ome": {}}, levels=1)
    path = at("o.zarr/zarr.json")
    path.put(path.read_bytes().replace(b'"made": "here"', change))
    damage = metadata_damage(at("o.zarr"))
    # spaces mean nothing
    assert list(damage) == ([FINAL] if b"there" in change else [])


def test_metadata_of_the_array_that_are_gone_are_found(server: Server) -> None:
    filled()
    at("o.zarr/0/zarr.json").unlink()
    assert metadata_damage(at("o.zarr")) == {"0/zarr.json": "missing"}
    with pytest.raises(OutputError, match="damaged metadata"):
        TileStore.open(at("o.zarr"))


def test_a_folder_is_never_a_draft(tmp_path: Path) -> None:
    (tmp_path / ".liif").mkdir()
    (tmp_path / ".liif" / "state.json").write_text("{}")
    assert not is_draft(tmp_path)
