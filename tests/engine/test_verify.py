"""Verification finds every damage that changes a pixel or the metadata, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from liif_cli.cli import liif
from liif_cli.engine.record import FOLDER, Record, file_checksum
from liif_cli.engine.verify import Damage, outputs_below, verify
from liif_cli.errors import InputError
from liif_cli.io import exporter_for, open_source
from liif_cli.io.base import ArrayPixels, OutputInfo
from liif_cli.io.tilestore import VERSION, TileStore

FLIPS = 50


def make_store(path: Path, finish: bool = True) -> Path:
    pixels = np.random.default_rng(5).integers(0, 40, (530, 300, 3)).astype(np.uint8)
    store = TileStore.create(
        path.with_name("store"),
        height=530,
        width=300,
        channels=3,
        dtype="uint8",
        chunk=64,
        shard=128,
        fingerprint="f",
        attributes={"liif": {"model": "m"}},
    )
    for window in store.grid:
        store.base.write_shard(window, pixels[window.to_slices()])
    if finish:
        exporter_for("zarr").export(store, path, OutputInfo(software="liif"))
    else:
        store.move(path)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return make_store(tmp_path_factory.mktemp("verify") / "out.zarr")


def changes(path: Path, before: bytes, after: bytes) -> bool:
    """Whether a change of a file's content changes pixels or metadata."""
    if path.name != "zarr.json":
        return True
    try:
        return json.loads(after) != json.loads(before)
    except ValueError:
        return True


def flip_and_verify(path: Path, file: Path, at: int, bit: int) -> tuple[bool, list[str]]:
    """(whether it changes something, where verification finds damage)."""
    before = file.read_bytes()
    after = bytearray(before)
    after[at] ^= 1 << bit
    file.write_bytes(after)
    try:
        return changes(file, before, bytes(after)), [each.where for each in verify(path).damage]
    finally:
        file.write_bytes(before)


def test_an_intact_store(store):
    told = []
    verdict = verify(store, lambda done, total: told.append((done, total)))
    assert verdict.intact
    assert told[-1] == (30, 30)  # 5 x 3 shards a level


def test_flipped_bytes_in_random_places(store):
    rng = np.random.default_rng(11)
    files = [path for path in sorted(store.rglob("*")) if path.is_file()]
    sizes = np.array([path.stat().st_size for path in files])
    picked = rng.choice(len(files), FLIPS, p=sizes / sizes.sum())
    # chance alone picks few of the small metadata
    picked[::4] = rng.choice([k for k, path in enumerate(files) if path.name == "zarr.json"], 13)
    for number in picked:
        file = files[number]
        at, bit = int(rng.integers(sizes[number])), int(rng.integers(8))
        changed, found = flip_and_verify(store, file, at, bit)
        assert bool(found) == changed, (file, at, bit)
        if changed:
            assert file.relative_to(store).as_posix() in found
    assert verify(store).intact


def test_every_byte_of_the_groups_metadata(store):
    file = store / "zarr.json"
    before = file.read_bytes()
    rng = np.random.default_rng(3)
    # every place of the program's own attribute, and some of the rest
    start = before.index(b'"liif"')
    places = {*range(start, start + 60), *map(int, rng.integers(0, len(before), 60))}
    for at in sorted(places):
        changed, found = flip_and_verify(store, file, at, int(rng.integers(8)))
        assert bool(found) == changed, at


def test_lost_shards_and_metadata(store, tmp_path):
    for name in ("0/c/0/1/0", "1/c/0/0/0", "0/zarr.json", "1/zarr.json", "zarr.json"):
        hidden = (store / name).rename(tmp_path / "hidden")
        try:
            (found,) = verify(store).damage
        finally:
            hidden.rename(store / name)
        assert found.where == name


def test_truncated_shards(store):
    shard = store / "0/c/0/0/0"
    kept = shard.read_bytes()
    for data in (b"", kept[:-1], kept[: len(kept) // 2], kept + b"\0"):
        shard.write_bytes(data)
        assert [each.where for each in verify(store).damage] == ["0/c/0/0/0"]
        assert TileStore.open(store).base.damaged() == [(0, 0)]
    shard.write_bytes(kept)
    assert verify(store).intact


def test_an_unfinished_store_lacks_shards(tmp_path):
    path = make_store(tmp_path / "out.zarr", finish=False)
    assert verify(path).intact
    (path / "0/c/0/4/2").unlink()
    assert [(each.where, each.what) for each in verify(path).damage] == [("0/c/0/4/2", "missing")]


def test_a_store_of_a_newer_version(tmp_path):
    from liif_cli.io import tilestore

    path = make_store(tmp_path / "out.zarr")
    attributes = tilestore.read_attributes(path)
    attributes["liif"]["version"] = VERSION + 1
    tilestore._write(path, attributes)
    (found,) = verify(path).damage
    assert f"version {VERSION + 1}" in found.what
    with pytest.raises(InputError, match=f"version {VERSION + 1}"):
        open_source(path)


def test_wrong_chunk_metadata_are_no_pixels(tmp_path):
    path = make_store(tmp_path / "out.zarr")
    file = path / "0/zarr.json"
    file.write_text(file.read_text().replace('"uint8"', '"int8"'))
    assert [each.where for each in verify(path).damage] == ["0/zarr.json"]
    with pytest.raises(InputError, match=r"0/zarr\.json.*damaged metadata"):
        open_source(path)


@pytest.mark.parametrize("name", ["tif", "png"])
def test_files_are_held_against_their_checksum(tmp_path, name):
    path = tmp_path / f"out.{name}"
    pixels = np.random.default_rng(0).integers(0, 255, (600, 700), np.uint8)
    if name == "tif":
        tifffile.imwrite(path, pixels, tile=(256, 256), compression="zstd")
    else:
        Image.fromarray(pixels).save(path)
    Record({}, path.stat().st_size, path.stat().st_mtime_ns, checksum=file_checksum(path)).write(
        path
    )
    assert verify(path).intact
    data = path.read_bytes()
    rng = np.random.default_rng(1)
    for at in rng.integers(0, len(data), 10):
        flipped = bytearray(data)
        flipped[at] ^= 1
        path.write_bytes(flipped)
        assert not verify(path).intact, at
    path.write_bytes(data[:-1])
    assert not verify(path).intact


def test_a_tiff_without_a_record_says_which_tile(tmp_path):
    path = tmp_path / "out.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (600, 700), np.uint8)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, tile=(256, 256), compression="zlib", subifds=1)
        tiff.write(pixels[::2, ::2], tile=(256, 256), compression="zlib", subfiletype=1)
    assert verify(path).intact
    with tifffile.TiffFile(path) as file:
        first = file.pages.first
        hit = first.dataoffsets[4] + 1000, first.pages[0].dataoffsets[1] + 50
    data = bytearray(path.read_bytes())
    for at in hit:
        data[at] ^= 255
    path.write_bytes(data)
    assert [each.where for each in verify(path).damage] == [
        "page 0, tile 4",
        "page 0, SubIFD 0, tile 1",
    ]


def test_the_command(tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    good, bad = folder / "a.png", folder / "b.png"
    for path in (good, bad):
        Image.new("RGB", (40, 30)).save(path)
    make_store(folder / "c.zarr")
    run = CliRunner().invoke
    result = run(liif, ["verify", str(folder)])
    assert result.exit_code == 0
    assert result.stdout.count("intact") == 3
    bad.write_bytes(bad.read_bytes()[:60])
    (folder / "c.zarr/0/c/0/0/0").unlink()
    gone = folder / "gone.png"
    Record({}, 1, 1).write(gone)
    result = run(liif, ["verify", str(folder), "--json"])
    assert result.exit_code == 1
    found = {Path(entry["path"]).name: entry for entry in json.loads(result.stdout)}
    assert {name: entry["intact"] for name, entry in found.items()} == {
        "a.png": True,
        "b.png": False,
        "c.zarr": False,
        "gone.png": False,
    }
    assert found["c.zarr"]["damage"] == [{"where": "0/c/0/0/0", "what": "missing"}]
    assert found["gone.png"]["damage"][0]["what"] == "missing"
    assert run(liif, ["verify", str(tmp_path / "nothing")]).exit_code == 1
    assert run(liif, ["verify"]).exit_code == 2
    assert run(liif, ["verify", str(good), "-q"]).stdout == ""


def test_outputs_of_a_folder(tmp_path):
    with pytest.raises(InputError, match="nothing there"):
        outputs_below(tmp_path / "missing")
    with pytest.raises(InputError, match="without outputs"):
        outputs_below(tmp_path)
    (tmp_path / FOLDER).mkdir()
    (tmp_path / "x_files/0").mkdir(parents=True)
    for name in ("x.dzi", "x_files/0/0_0.jpeg", ".hidden.png", "sub.txt"):
        (tmp_path / name).write_bytes(b"1")
    assert outputs_below(tmp_path) == [tmp_path / "x.dzi"]


def test_hidden_files_and_folders_are_no_outputs(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4))
    for name in ("a.png", ".b.png", ".c/d.png", "e/f.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image.save(tmp_path / name)
    assert outputs_below(tmp_path) == [tmp_path / "a.png", tmp_path / "e" / "f.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"a folder without outputs.*expected images or stores"):
        outputs_below(tmp_path / "empty")


def test_a_file_with_other_content_says_so(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    Image.new("RGB", (40, 30)).save(path)
    Record({}, path.stat().st_size, path.stat().st_mtime_ns, checksum="0" * 8).write(path)
    assert verify(path).damage == (Damage("out.png", "other content than was written"),)


def test_every_tile_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (600, 700), np.uint8)
    tifffile.imwrite(path, pixels, tile=(256, 256))
    with tifffile.TiffFile(path) as file:
        offsets = file.pages.first.dataoffsets
    data = path.read_bytes()
    path.write_bytes(data[: offsets[6]])
    assert verify(path).damage == tuple(
        Damage(f"page 0, tile {tile}", "the file ends before it does") for tile in (6, 7, 8)
    )
    path.write_bytes(data[:4] + b"\xff" * 4 + data[8:])
    (damage,) = verify(path).damage
    assert damage.where == "out.tif"
    assert damage.what.startswith("no readable TIFF (")


def test_a_deep_zoom_image_without_a_record(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (300, 600, 3), np.uint8)
    path = tmp_path / "out.dzi"
    exporter_for("dzi").export(ArrayPixels(pixels), path, OutputInfo())
    told: list[tuple[int, int]] = []
    verdict = verify(path, lambda done, total: told.append((done, total)))
    tiles = sorted((tmp_path / "out_files").rglob("*_*"))
    assert verdict.intact
    assert verdict.parts == len(tiles) > 10
    assert told == [(number, len(tiles)) for number in range(1, len(tiles) + 1)]
    hit = [tmp_path / "out_files" / "10" / name for name in ("0_0.jpeg", "2_1.jpeg")]
    hit[0].write_bytes(hit[0].read_bytes()[:50])
    hit[1].unlink()
    found = verify(path).damage
    assert [damage.where for damage in found] == [f"out_files/10/{tile.name}" for tile in hit]
    assert found[1].what == "missing"
