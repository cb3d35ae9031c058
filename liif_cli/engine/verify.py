"""Reading finished outputs again, and saying what is damaged and where."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from liif_cli.engine.record import FOLDER, Record, file_checksum, part_damage
from liif_cli.errors import InputError, LiifError, OutputError
from liif_cli.geometry.window import Window
from liif_cli.io import is_image, open_source
from liif_cli.io.exporters.bands import codec_workers
from liif_cli.io.jsontext import parse_json
from liif_cli.io.place import ObjectPath, is_object
from liif_cli.io.shards import ShardedArray
from liif_cli.io.sources.zarr import is_zarr_store
from liif_cli.io.tilestore import VERSION, TileStore, is_tile_store, metadata_damage

Progress = Callable[[int, int], None]
"""Told of how many parts out of how many are read."""
_BAND_ROWS = 512


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong: ``where`` in the output, and ``what``."""

    where: str
    what: str


@dataclass(frozen=True)
class Verdict:
    """What became of one output: ``parts`` that were read, of them those that are ``damage``."""

    path: Path
    parts: int
    damage: tuple[Damage, ...]

    @property
    def intact(self) -> bool:
        return not self.damage


def outputs_below(path: Path) -> list[Path]:
    """Outputs to verify: the path itself, or what lies in a folder, and what is missing there.

    Outputs that are recorded and no longer there are listed too. Tiles of a Deep Zoom image are
    part of it.

    Raises:
        InputError: nothing is there, or nothing that could be verified.
    """
    if not path.exists() and Record.read(path) is None:
        raise InputError(str(path), got="nothing there", expected="an output")
    if not path.is_dir() or is_zarr_store(path) or is_store_name(path):
        return [path]
    outputs = set()
    if isinstance(path, ObjectPath):
        for entry in path.iterdir():
            recorded = set(_recorded(entry)) if entry.name == FOLDER else set()
            hidden = entry.name.startswith(".") or entry.name.endswith("_files")
            outputs |= recorded or (set() if hidden else set(_outputs_in(entry)))
    for folder, names, files in () if is_object(path) else os.walk(path):
        here = Path(folder)
        outputs |= {here / name for name in names if is_store_name(here / name)}
        outputs |= {here / name for name in files if is_image(Path(name)) or name.endswith(".dzi")}
        outputs |= set(_recorded(here / FOLDER))
        names[:] = [
            name
            for name in names
            if not name.startswith(".")
            and here / name not in outputs
            and not (name.endswith("_files") and (here / f"{name[:-6]}.dzi").exists())
        ]
    outputs = {entry for entry in outputs if not entry.name.startswith(".")}
    if not outputs:
        raise InputError(str(path), got="a folder without outputs", expected="images or stores")
    return sorted(outputs)


def _outputs_in(path: Path) -> list[Path]:
    """Outputs at an entry of a bucket, or below it."""
    if is_image(Path(path.name)) or path.name.endswith(".dzi"):
        return [path]
    try:
        return outputs_below(path) if path.is_dir() else []
    except InputError:
        return []


def is_store_name(path: Path) -> bool:
    """Whether a folder is a Zarr store, or was one before it lost its metadata."""
    return path.is_dir() and (is_zarr_store(path) or path.suffix.lower() == ".zarr")


def _recorded(folder: Path) -> Iterator[Path]:
    if folder.is_symlink():
        return
    for record in folder.glob("*.json"):
        try:
            yield folder.parent / str(parse_json(record.read_text())["output"])
        except (OSError, ValueError, KeyError, TypeError):
            continue


def verify(path: Path, progress: Progress = lambda done, total: None) -> Verdict:
    """Read one output again, all of it.

    A tile store or an OME-Zarr of this program: the digests of its metadata, and every chunk of
    every level with its checksum. A file: its recorded checksum; where it has none or another one,
    every tile or the whole image is decoded, which finds what its codec finds.

    Args:
        path: an output.
        progress: told of parts read.
    """
    try:
        if not path.exists():
            return Verdict(path, 0, (Damage(path.name, "missing"),))
        if path.is_dir():
            return _verify_store(path, progress)
        return _verify_file(path, progress)
    except LiifError as error:
        return Verdict(path, 0, (Damage(path.name, str(error)),))


def _verify_store(path: Path, progress: Progress) -> Verdict:
    if not is_tile_store(path):
        got = "no metadata of a tile store"
        return Verdict(path, 0, (Damage("zarr.json", f"{got}: damaged, or not written by liif"),))
    wrong = metadata_damage(path)
    damages = [Damage(where, what) for where, what in wrong.items()]
    facts, names = _store_facts(path)
    if not wrong and facts.get("version") != VERSION:
        TileStore.open(path)  # raises, and says which version
    arrays = {}
    for name in names:
        if f"{name}/zarr.json" in wrong:
            continue  # its chunks cannot be understood without
        try:
            arrays[name] = ShardedArray.open(path / name)
        except OutputError as error:
            damages.append(Damage(f"{name}/zarr.json", str(error)))
    shards = [(array, window) for array in arrays.values() for window in array.grid]
    for number, damage in enumerate(_in_threads(_shard_damage(path), shards), 1):
        progress(number, len(shards))
        if damage is not None:
            damages.append(damage)
    return Verdict(path, len(shards) + len(names) + 1, tuple(damages))


def _store_facts(path: Path) -> tuple[dict[str, Any], list[str]]:
    from liif_cli.io.tilestore import ATTRIBUTE, read_attributes

    facts = read_attributes(path)[ATTRIBUTE]
    return facts, sorted(facts["arrays"])


def _shard_damage(path: Path) -> Callable[[tuple[ShardedArray, Window]], Damage | None]:
    def check(shard: tuple[ShardedArray, Window]) -> Damage | None:
        array, window = shard
        what = array.damage(window)
        where = array.shard_path(*array.position(window)).relative_to(path)
        return Damage(where.as_posix(), what) if what is not None else None

    return check


def _verify_file(path: Path, progress: Progress) -> Verdict:
    record = Record.read(path)
    parts, damages = 1, []
    if record is not None and record.checksum:
        if record.size == path.stat().st_size and record.checksum == file_checksum(path):
            if path.suffix.lower() != ".dzi":
                return Verdict(path, 1, ())
            if record.files:
                return _verify_parts(path, record, progress)
        else:
            damages.append(Damage(path.name, "other content than was written"))
    check = {".dzi": _dzi_damage}.get(path.suffix.lower(), _image_damage)
    if open_format(path) == "tiff":
        check = _tiff_damage
    for number, (total, damage) in enumerate(check(path), 1):
        progress(number, total)
        parts = max(parts, total)
        if damage is not None:
            damages.append(damage)
    return Verdict(path, parts, tuple(damages))


def _verify_parts(path: Path, record: Record, progress: Progress) -> Verdict:
    """The other files of an output, against their recorded checksums."""
    checked = _in_threads(partial(part_damage, path), record.files.items())
    damage = []
    for number, (where, what) in enumerate(checked, 1):
        progress(number, len(record.files))
        if what:
            damage.append(Damage(where, what))
    return Verdict(path, len(record.files) + 1, tuple(damage))


def open_format(path: Path) -> str:
    """Whether a file is a TIFF, by its head: the only format whose tiles are read one by one."""
    with path.open("rb") as file:
        return "tiff" if file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") else "other"


Check = Iterator[tuple[int, Damage | None]]
"""For each part: how many parts there are, and what is wrong with this one."""


def _tiff_damage(path: Path) -> Check:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            levels = []
            for number, page in enumerate(file.pages):
                full = page.aspage()
                levels.append((f"page {number}", full))
                for below, reduced in enumerate(full.pages or ()):
                    levels.append((f"page {number}, SubIFD {below}", reduced.aspage()))
            if not levels:
                raise ValueError("it has no page")
            total = sum(len(level.dataoffsets) for _, level in levels)
            for where, level in levels:
                yield from ((total, damage) for damage in _tiles(file.filehandle, where, level))
    except (tifffile.TiffFileError, ValueError, IndexError, KeyError, OSError) as error:
        yield 1, Damage(path.name, f"no readable TIFF ({error})")


def _tiles(file: Any, where: str, level: Any) -> Iterator[Damage | None]:
    kind = "tile" if level.is_tiled else "strip"
    for index, (offset, count) in enumerate(
        zip(level.dataoffsets, level.databytecounts, strict=True)
    ):
        if count == 0:
            yield None  # sparse
            continue
        file.seek(offset)
        data = file.read(count)
        place = f"{where}, {kind} {index}"
        if len(data) < count:
            yield Damage(place, "the file ends before it does")
            continue
        try:
            level.decode(data, index, jpegtables=level.jpegtables)
        except Exception as error:  # codecs raise what they like
            yield Damage(place, f"cannot be decoded ({error})")
        else:
            yield None


def _image_damage(path: Path) -> Check:
    try:
        source = open_source(path)
        try:
            height, width = source.info.height, source.info.width
            total = -(-height // _BAND_ROWS)
            for row in range(0, height, _BAND_ROWS):
                source.read(Window(row, 0, min(_BAND_ROWS, height - row), width))
                yield total, None
        finally:
            source.close()
    except InputError as error:
        yield 1, Damage(path.name, str(error))


def _dzi_damage(path: Path) -> Check:
    from liif_cli.io.deepzoom import DeepZoom

    image = DeepZoom.open(path)
    tiles = list(image.tiles())
    for damage in _in_threads(image.damage, tiles):
        yield len(tiles), Damage(*damage) if damage is not None else None


def _in_threads(check: Callable[[Any], Any], parts: Iterable[Any]) -> Iterator[Any]:
    with ThreadPoolExecutor(codec_workers()) as pool:
        yield from pool.map(check, parts)
