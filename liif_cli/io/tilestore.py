"""The canvas of a large output: a sharded Zarr v3 array whose shards are its done marks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import zarr
import zarr.errors
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore

from liif_cli.errors import OutputError
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.atomic import output_errors, write_atomically
from liif_cli.io.base import Pixels

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

ATTRIBUTE = "liif"
VERSION = 1
_AXES = ("c", "y", "x")
# an all-zero shard must be written too: its object is the mark that it is done
_CONFIG: Any = {"write_empty_chunks": True}
_DAMAGE = (RuntimeError, ValueError, KeyError, zarr.errors.BaseZarrError)


class DurableStore(LocalStore):
    """A local store whose objects are flushed to the disk before they get their name.

    zarr's own puts are atomic but not flushed: after a power cut a shard could be there, empty.
    """

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()
        await asyncio.to_thread(write_atomically, self.root / key, memoryview(value.to_bytes()))


class TileStore:
    """Finished pixels (channels, height, width) on the disk, shard by shard.

    Each shard is one object, put at once; its presence says that its pixels are done. Shards hold
    inner chunks with zstd and crc32c, so that windows are read in parts and damage is noticed.
    Made by ``create`` and ``open``. A ``PixelReader``; threads may read and write at once as long
    as no two write the same shard.
    """

    def __init__(self, path: Path, array: zarr.Array[Any]) -> None:
        self.path = path
        self._array = array
        self.channels, self.height, self.width = array.shape
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        shards, chunks = array.shards, array.chunks
        assert shards is not None
        self.chunk = chunks[1]
        self.grid = TileGrid(self.height, self.width, shards[1], shards[2])
        facts: Any = array.attrs[ATTRIBUTE]
        self.fingerprint: str = facts["fingerprint"]
        self.provenance: dict[str, Any] = facts["provenance"]

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        height: int,
        width: int,
        channels: int,
        dtype: npt.DTypeLike,
        chunk: int = 512,
        shard: int = 2048,
        fingerprint: str,
        attributes: Mapping[str, Any] | None = None,
        level: int = 3,
    ) -> TileStore:
        """Make an empty store.

        Args:
            path: the folder to make.
            height: in pixels.
            width: in pixels.
            channels: 1 or 3.
            dtype: uint8, uint16 or float32.
            chunk: side of an inner chunk in pixels.
            shard: side of a shard in pixels, a multiple of ``chunk``.
            fingerprint: of everything that decides the pixels.
            attributes: provenance, plain JSON values.
            level: of zstd.

        Raises:
            OutputError: something is there already, or it cannot be written.
        """
        facts: dict[str, Any] = {
            "version": VERSION,
            "fingerprint": fingerprint,
            "provenance": dict(attributes or {}),
        }
        with output_errors(path):
            try:
                array = zarr.create_array(
                    DurableStore(path),
                    shape=(channels, height, width),
                    chunks=(channels, chunk, chunk),
                    shards=(channels, shard, shard),
                    dtype=np.dtype(dtype),
                    compressors=[ZstdCodec(level=level), Crc32cCodec()],
                    fill_value=0,
                    dimension_names=_AXES,
                    attributes={ATTRIBUTE: facts},
                    config=_CONFIG,
                )
            except zarr.errors.ContainsArrayError as error:
                raise OutputError(
                    str(path), got="a store that is there already", cure="open it or remove it"
                ) from error
        return cls(path, array)

    @classmethod
    def open(cls, path: Path, fingerprint: str | None = None) -> TileStore:
        """Open a store to read it or to go on writing it.

        Args:
            path: the store's folder.
            fingerprint: what the store must have been made for; None takes any.

        Raises:
            OutputError: no store of this program, of a newer version, or of another fingerprint.
        """
        if not (path / "zarr.json").is_file():
            # zarr would make the folder
            raise OutputError(str(path), got="no tile store", cure="check the path")
        try:
            # with_config: the configuration is no part of the metadata
            array = zarr.open_array(DurableStore(path), mode="r+").with_config(_CONFIG)
            facts: Any = array.attrs[ATTRIBUTE]
            version, found = int(facts["version"]), facts["fingerprint"]
        except (*_DAMAGE, TypeError, AttributeError, OSError) as error:
            raise OutputError(
                str(path), got="no readable tile store", cure="remove it and run again"
            ) from error
        if version > VERSION:
            raise OutputError(
                str(path),
                got=f"a tile store of version {version}",
                expected=f"{VERSION} or older",
                cure="use the program that wrote it, or remove it",
            )
        if fingerprint is not None and found != fingerprint:
            raise OutputError(
                str(path),
                got=f"a tile store of other work ({found})",
                expected=fingerprint,
                cure="remove it to start afresh",
            )
        return cls(path, array)

    def shard_path(self, row: int, col: int) -> Path:
        """File of the shard at (row, col) of the grid."""
        return self.path / "c" / "0" / str(row) / str(col)

    def has_shard(self, row: int, col: int) -> bool:
        """Whether the shard at (row, col) of the grid is done."""
        try:
            # an empty file is no shard, but zarr reads it as black
            return self.shard_path(row, col).stat().st_size > 0
        except FileNotFoundError:
            return False

    def _position(self, window: Window) -> tuple[int, int]:
        return window.row_off // self.grid.tile_height, window.col_off // self.grid.tile_width

    def missing(self) -> Iterator[Window]:
        """Windows of the shards that are not done, row by row."""
        return (window for window in self.grid if not self.has_shard(*self._position(window)))

    @property
    def complete(self) -> bool:
        """Whether every shard is done."""
        return next(self.missing(), None) is None

    def write_shard(self, window: Window, pixels: Pixels) -> None:
        """Write one whole shard, atomically.

        Args:
            window: exactly one tile of ``grid``.
            pixels: (window.height, window.width, channels) of the store's dtype.

        Raises:
            ValueError: the window is no shard, or the pixels do not fit it.
            OutputError: permission, a full disk.
        """
        row, col = self._position(window)
        if window != self.grid.tile(row, col):
            raise ValueError(f"{window} is not one shard of {self.grid}")
        if pixels.shape != (*window.shape, self.channels) or pixels.dtype != self.dtype:
            raise ValueError(f"{pixels.dtype} {pixels.shape} does not fit {window}")
        planes = np.empty((self.channels, *window.shape), self.dtype)
        # channel by channel: numpy is 4 times slower on the transposed whole
        for channel in range(self.channels):
            planes[channel] = pixels[..., channel]
        with output_errors(self.path):
            # without the old object, zarr has nothing to merge with, and its mark is no lie
            self.shard_path(row, col).unlink(missing_ok=True)
            self._array[(slice(None), *window.to_slices())] = planes

    def read(self, window: Window) -> Pixels:
        """Pixels (window.height, window.width, channels).

        Raises:
            ValueError: the window leaves the image.
            OutputError: a shard is damaged, or not done yet.
        """
        if window.clip(self.height, self.width) != window:
            raise ValueError(f"{window} is not inside {self.width}x{self.height}")
        for part in self.grid.split(window):
            position = self._position(part)
            if not self.has_shard(*position):
                raise OutputError(
                    str(self.path),
                    got=f"no shard {position}",
                    cure="run the same command again to finish it",
                )
        try:
            planes = np.asarray(self._array[(slice(None), *window.to_slices())])
        except (*_DAMAGE, OSError) as error:
            places = [self.shard_path(*self._position(part)) for part in self.grid.split(window)]
            raise OutputError(
                str(self.path),
                got=f"a damaged shard ({error})",
                expected="intact ones: " + ", ".join(map(str, places)),
                cure="remove the damaged one and run the same command again",
            ) from error
        pixels = np.empty((*window.shape, self.channels), self.dtype)
        for channel in range(self.channels):
            pixels[..., channel] = planes[channel]
        return pixels

    def annotate(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes beside the store's own.

        Raises:
            OutputError: permission, a full disk.
        """
        with output_errors(self.path):
            self._array.update_attributes(dict(attributes))

    def move(self, path: Path) -> None:
        """Rename the store's folder; the store goes on under the new name.

        Raises:
            OSError: the folder cannot be renamed, for instance to another file system.
        """
        self.path.rename(path)
        moved = TileStore.open(path)
        self.path, self._array = moved.path, moved._array


def damaged(store: TileStore) -> list[tuple[int, int]]:
    """Shards (row, col) of the grid that are missing or cannot be read; reads all of them."""
    grid, bad = store.grid, []
    for row in range(grid.rows):
        for col in range(grid.cols):
            try:
                store.read(grid.tile(row, col))
            except OutputError:
                bad.append((row, col))
    return bad
