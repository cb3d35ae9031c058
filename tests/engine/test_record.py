"""Records: what they say of damaged, copied and foreign outputs, and what they leave alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from liif_cli.cli import liif
from liif_cli.engine.record import FOLDER
from liif_cli.engine.verify import verify


def upscale(folder: Path, output: str, *more: object) -> Result:
    source = folder / "in.png"
    if not source.exists():
        pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source)
    words = ["upscale", source, folder / output, "--scale", 6, "--model", "bicubic", *more]
    return CliRunner().invoke(liif, list(map(str, words)))


def flip(path: Path) -> None:
    """Another bit in the middle, of the same size and time of change."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def record_of(output: Path) -> Path:
    return output.parent / FOLDER / f"{output.name}.json"


def test_a_bit_in_any_tile_of_deep_zoom_is_found(tmp_path: Path) -> None:
    assert upscale(tmp_path, "a.dzi").exit_code == 0
    output = tmp_path / "a.dzi"
    assert verify(output).intact
    tiles = sorted(path for path in (tmp_path / "a_files").rglob("*") if path.is_file())
    assert verify(output).parts == len(tiles) + 1
    for tile in tiles[::3]:
        before = tile.read_bytes()
        flip(tile)
        (damage,) = verify(output).damage
        assert damage.where == tile.relative_to(tmp_path).as_posix()
        assert "other content" in damage.what
        tile.write_bytes(before)
    tiles[0].unlink()
    assert [(each.where, each.what) for each in verify(output).damage] == [
        (tiles[0].relative_to(tmp_path).as_posix(), "missing")
    ]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp", "a.dzi", "a.zarr"])
def test_damage_of_the_same_size_and_time_is_mended_where_that_is_asked(
    tmp_path: Path, name: str
) -> None:
    assert upscale(tmp_path, name).exit_code == 0
    output = tmp_path / name
    if name == "a.zarr":
        hurt = next(path for path in (output / "0/c").rglob("*") if path.is_file())
    else:
        hurt = tmp_path / "a_files/8/0_0.jpeg" if name == "a.dzi" else output
    whole = hurt.read_bytes()
    flip(hurt)
    plain = upscale(tmp_path, name)
    assert plain.exit_code == 0
    assert "skipped" in plain.stderr
    mended = upscale(tmp_path, name, "--verify-existing")
    assert mended.exit_code == 0, mended.stderr
    assert "done 1" in mended.stderr
    assert hurt.read_bytes() == whole
    assert verify(output).intact
    again = upscale(tmp_path, name, "--verify-existing")
    assert "skipped 1" in again.stderr


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.dzi", "a.zarr"])
def test_copies_are_taken_for_finished(tmp_path: Path, name: str) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    first.mkdir()
    assert upscale(first, name).exit_code == 0
    # as cp -r: contents, and new times
    shutil.copytree(first, copy, copy_function=shutil.copyfile)
    for path in copy.rglob("*"):
        os.utime(path, (1e9, 1e9))
    before = record_of(copy / name).read_text()
    dry = upscale(copy, name, "--dry-run")
    assert "finished before" in dry.stdout
    assert record_of(copy / name).read_text() == before
    result = upscale(copy, name)
    assert result.exit_code == 0, result.stderr
    assert "skipped 1" in result.stderr
    # and is remembered
    assert json.loads(record_of(copy / name).read_text())["mtime_ns"] == 10**18
    if name not in ("a.zarr", "a.dzi"):
        flip(copy / name)
        os.utime(copy / name, (1.1e9, 1.1e9))
        changed = upscale(copy, name)
        assert changed.exit_code == 1
        assert "changed after it was made" in changed.stderr


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "[]", '"x"', "\0"])
def test_a_record_that_is_none(tmp_path: Path, text: str) -> None:
    assert upscale(tmp_path, "a.png").exit_code == 0
    record_of(tmp_path / "a.png").write_text(text)
    plain = upscale(tmp_path, "a.png")
    assert plain.exit_code == 1
    assert "not made by this command" in plain.stderr
    assert upscale(tmp_path, "a.png", "--overwrite").exit_code == 0
    assert "skipped 1" in upscale(tmp_path, "a.png").stderr
    assert CliRunner().invoke(liif, ["verify", str(tmp_path)]).exit_code == 0


def test_metadata_of_a_store_that_are_nested_too_deeply(tmp_path: Path) -> None:
    assert upscale(tmp_path, "a.zarr").exit_code == 0
    (tmp_path / "a.zarr/zarr.json").write_text("[" * 100_000)
    assert not verify(tmp_path / "a.zarr").intact
    result = upscale(tmp_path, "a.zarr")
    assert result.exit_code == 1
    assert "unexpected" not in result.stderr
    assert upscale(tmp_path, "a.zarr", "--overwrite").exit_code == 0


def test_a_folder_of_records_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    elsewhere.mkdir()
    here.mkdir()
    assert upscale(elsewhere, "a.png").exit_code == 0
    shutil.copy2(elsewhere / "in.png", here)
    shutil.copy2(elsewhere / "a.png", here)
    (here / FOLDER).symlink_to(elsewhere / FOLDER)
    before = {path: path.read_bytes() for path in (elsewhere / FOLDER).iterdir()}
    result = upscale(here, "a.png")
    assert result.exit_code == 1
    assert "not made by this command" in result.stderr
    assert upscale(here, "a.png", "--overwrite").exit_code == 0
    assert not (here / FOLDER).is_symlink()
    assert {path: path.read_bytes() for path in (elsewhere / FOLDER).iterdir()} == before
    assert "skipped 1" in upscale(here, "a.png").stderr


def test_records_that_were_never_named_are_cleaned(tmp_path: Path) -> None:
    assert upscale(tmp_path, "a.png").exit_code == 0
    mine, old, new = (
        tmp_path / FOLDER / f".{name}.png.json.{12 * digit}.partial"
        for name, digit in (("a", "0"), ("b", "1"), ("b", "2"))
    )
    for path in (mine, old, new):
        path.write_text("half a rec")
    os.utime(old, (1e9, 1e9))
    (tmp_path / FOLDER / ".mine.partial").write_text("somebody else's")
    os.utime(tmp_path / FOLDER / ".mine.partial", (1e9, 1e9))
    assert upscale(tmp_path, "a.png", "--dry-run").exit_code == 0
    assert mine.exists()
    assert old.exists()
    assert upscale(tmp_path, "a.png").exit_code == 0
    # nobody else is at a.png, and another process may be about to name the new one of b.png
    assert not mine.exists()
    assert not old.exists()
    assert new.exists()
    assert (tmp_path / FOLDER / ".mine.partial").exists()
