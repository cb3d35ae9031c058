"""What ``liif info`` knows of files that other libraries wrote."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from liif_cli.errors import LiifError
from liif_cli.geometry.window import Window
from liif_cli.io.tilestore import TileStore
from liif_cli.ui.facts import facts_of, text_of


def test_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (30, 20)).save(path, dpi=(300, 150), icc_profile=b"profile")
    facts = facts_of(path)
    assert next(iter(facts)) == "kind"
    assert (facts["kind"], facts["format"], facts["size"]) == ("image", "png", "30x20")
    assert (facts["channels"], facts["samples"]) == (3, "uint8")
    assert facts["resolution"] == "300x150 dpi"
    assert facts["icc"] == "7 bytes"


def test_tile_store_counts_its_shards(tmp_path: Path) -> None:
    store = TileStore.create(
        tmp_path / "s.zarr",
        height=100,
        width=150,
        channels=3,
        dtype="uint8",
        chunk=32,
        shard=64,
        fingerprint="abc",
    )
    store.base.write_shard(Window(0, 0, 64, 64), np.zeros((64, 64, 3), np.uint8))
    facts = facts_of(tmp_path / "s.zarr")
    assert facts == {
        "kind": "tile store",
        "size": "150x100",
        "channels": 3,
        "samples": "uint8",
        "chunk": 32,
        "shard": "64x64",
        "shards": 6,
        "shards done": 1,
        "fingerprint": "abc",
    }


def test_zarr_of_someone_else_is_an_image(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "z.zarr", shape=(20, 30, 3), chunks=(10, 10, 3), dtype="uint16")
    facts = facts_of(tmp_path / "z.zarr")
    assert (facts["kind"], facts["format"], facts["size"]) == ("image", "zarr", "30x20")


def test_broken_metadata_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "z.zarr").mkdir()
    (tmp_path / "z.zarr/zarr.json").write_text("{")
    with pytest.raises(LiifError):
        facts_of(tmp_path / "z.zarr")


def test_text() -> None:
    assert text_of(None) == "-"
    assert text_of(1234567) == "1,234,567"
    assert text_of({"a": [1, "b"], "c": None}) == "a 1, b, c -"
    assert (text_of(True), text_of([]), text_of({})) == ("yes", "-", "-")
