"""A sharded Zarr v3 array whose shards are its done marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liif_cli.errors import OutputError
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.io.atomic import output_errors
from liif_cli.io.base import Pixels
from liif_cli.io.place import ObjectPath, ObjectStat

if TYPE_CHECKING:
    import zarr

AXES = ("c", "y", "x")
DAMAGE = (RuntimeError, ValueError, KeyError, TypeError)
"""What zarr raises on data or metadata that are not what they should be: its own errors are
``ValueError``s."""
# an all-zero shard must be written too: its object is the mark that it is done
_CONFIG: Any = {"write_empty_chunks": True}

KEPT, SCRATCH = 3, 1
"""Levels of zstd: of what is an output, and of what an output is made from."""

Planes = npt.NDArray[Any]
"""(channels, height, width), as the array stores them."""


class ShardedArray:
    """Pixels (channels, height, width) on the disk, shard by shard.

    Each shard is one object, put at once; its presence says that its pixels are done. Shards hold
    inner chunks with zstd and crc32c, so that windows are read in parts and damage is noticed.
    Made by ``create`` and ``open``. A ``PixelReader``. Threads, and processes, may read and write
    at once; where two write the same shard the first one's stays.
    """

    def __init__(self, path: Path, array: zarr.Array[Any], writer: zarr.Array[Any]) -> None:
        self.path = path
        self.on_read: Callable[[], None] | None = None
        """Called before each read; may raise to end what reads."""
        self._array, self._writer = array, writer
        self.channels, self.height, self.width = array.shape
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        shards, chunks = array.shards, array.chunks
        if shards is None:
            raise ValueError("an array without shards")
        self.chunk = chunks[1]
        levels = (getattr(codec, "level", None) for codec in array.compressors)
        self.zstd_level: int = next(filter(None, levels), KEPT)
        self.grid = TileGrid(self.height, self.width, shards[1], shards[2])

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        height: int,
        width: int,
        channels: int,
        dtype: npt.DTypeLike,
        chunk: int,
        shard: int,
        level: int = KEPT,
    ) -> ShardedArray:
        """Make an empty array in the folder ``path``; sides in pixels, ``level`` is zstd's.

        Raises:
            OutputError: something is there already, or it cannot be written.
        """
        import zarr
        import zarr.errors
        from zarr.codecs import Crc32cCodec, ZstdCodec

        from liif_cli.io.zarrstores import store_of

        with output_errors(path):
            try:
                zarr.create_array(
                    store_of(path),
                    shape=(channels, height, width),
                    chunks=(channels, chunk, chunk),
                    shards=(channels, shard, shard),
                    dtype=np.dtype(dtype),
                    compressors=[ZstdCodec(level=level), Crc32cCodec()],
                    fill_value=0,
                    dimension_names=AXES,
                )
            except zarr.errors.ContainsArrayError as error:
                raise OutputError(
                    str(path), got="a store that is there already", cure="open it or remove it"
                ) from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> ShardedArray:
        """Open an array to read it or to go on writing it.

        Raises:
            OutputError: no array, or one whose metadata cannot be understood.
        """
        if not (path / "zarr.json").is_file():
            # zarr would make the folder
            raise OutputError(str(path), got="no array", cure="check the path")
        import zarr

        from liif_cli.io.zarrstores import store_of

        try:
            # with_config: the configuration is not part of the metadata
            array, writer = (
                zarr.open_array(store, mode="r+").with_config(_CONFIG)
                for store in (store_of(path), store_of(path, whole=True))
            )
            return cls(path, array, writer)
        except (*DAMAGE, AttributeError, OSError) as error:
            raise OutputError(
                str(path),
                got=f"an array whose metadata cannot be understood ({error})",
                cure="remove it and run again",
            ) from error

    @property
    def metadata_path(self) -> Path:
        """File of the array's metadata."""
        return self.path / "zarr.json"

    def shard_path(self, row: int, col: int) -> Path:
        """File of the shard at (row, col) of the grid."""
        return self.path / "c" / "0" / str(row) / str(col)

    def has_shard(self, row: int, col: int) -> bool:
        """Whether the shard at (row, col) of the grid is done."""
        try:
            # an empty file is not a shard, but zarr reads it as black
            return self.shard_path(row, col).stat().st_size > 0
        except FileNotFoundError:
            return False

    def position(self, window: Window) -> tuple[int, int]:
        """(row, col) in the grid of the shard that holds the window's first pixel."""
        return window.row_off // self.grid.tile_height, window.col_off // self.grid.tile_width

    def missing(self) -> Iterator[Window]:
        """Windows of the shards that are not done, row by row."""
        if isinstance(self.path, ObjectPath):
            # one listing instead of a question a shard; late ones are rendered for nothing
            there = {path for path, stat in self._objects() if stat.st_size}
            return (
                window
                for window in self.grid
                if self.shard_path(*self.position(window)) not in there
            )
        return (window for window in self.grid if not self.has_shard(*self.position(window)))

    def _objects(self) -> list[tuple[ObjectPath, ObjectStat]]:
        folder = self.path / "c"
        assert isinstance(folder, ObjectPath)
        with output_errors(self.path):
            return folder.objects()

    @property
    def complete(self) -> bool:
        """Whether every shard is done."""
        return next(self.missing(), None) is None

    def damage(self, window: Window) -> str | None:
        """What is wrong with one shard; None when every chunk of it is what was written.

        Args:
            window: exactly one tile of ``grid``.
        """
        position = self.position(window)
        if not self.has_shard(*position):
            return "missing"
        try:
            for part in TileGrid(window.height, window.width, self.chunk, window.width):
                row = window.row_off + part.row_off
                self.read_planes(Window(row, window.col_off, part.height, window.width))
        except OutputError as error:
            return f"damaged ({error.__cause__ or error})"
        return None

    def damaged(self) -> list[tuple[int, int]]:
        """(row, col) in the grid of the shards that are missing or cannot be read whole."""
        return [self.position(window) for window in self.grid if self.damage(window) is not None]

    def discard_damaged(self) -> list[tuple[int, int]]:
        """Remove what ``damaged`` names, which it returns: all of that counts as not done now.

        Raises:
            OutputError: permission.
        """
        places = self.damaged()
        for place in places:
            self.discard(*place)
        return places

    def discard(self, row: int, col: int) -> None:
        """Remove a shard, so that it counts as not done.

        Raises:
            OutputError: permission.
        """
        with output_errors(self.path):
            self.shard_path(row, col).unlink(missing_ok=True)

    def write_shard(self, window: Window, pixels: Pixels) -> None:
        """Write one whole shard, at once; where it is there already, nothing.

        Args:
            window: exactly one tile of ``grid``.
            pixels: (window.height, window.width, channels) of the array's dtype.

        Raises:
            ValueError: the window is not a shard, or the pixels do not fit it.
            OutputError: permission, a full disk, or the store was moved or removed.
        """
        if pixels.shape != (*window.shape, self.channels) or pixels.dtype != self.dtype:
            raise ValueError(f"{pixels.dtype} {pixels.shape} does not fit {window}")
        planes = np.empty((self.channels, *window.shape), self.dtype)
        # channel by channel: numpy is 4 times slower on the transposed whole
        for channel in range(self.channels):
            planes[channel] = pixels[..., channel]
        self.write_planes(window, planes)

    def write_planes(self, window: Window, planes: Planes) -> None:
        """As ``write_shard``, from (channels, window.height, window.width)."""
        row, col = self.position(window)
        if window != self.grid.tile(row, col):
            raise ValueError(f"{window} is not one shard of {self.grid}")
        with output_errors(self.path):
            self._writer[(slice(None), *window.to_slices())] = planes

    def read(self, window: Window) -> Pixels:
        """Pixels (window.height, window.width, channels).

        Raises:
            ValueError: the window leaves the image.
            OutputError: a shard is damaged, or not done yet.
        """
        planes = self.read_planes(window)
        pixels = np.empty((*window.shape, self.channels), self.dtype)
        for channel in range(self.channels):
            pixels[..., channel] = planes[channel]
        return pixels

    def read_planes(self, window: Window) -> Planes:
        """As ``read``, (channels, window.height, window.width)."""
        if self.on_read is not None:
            self.on_read()
        if window.clip(self.height, self.width) != window:
            raise ValueError(f"{window} is not inside {self.width}x{self.height}")
        for part in self.grid.split(window):
            position = self.position(part)
            if not self.has_shard(*position):
                raise OutputError(
                    str(self.path),
                    got=f"no shard {position}",
                    cure="run the same command again to finish it",
                )
        try:
            return np.asarray(self._array[(slice(None), *window.to_slices())])
        except (*DAMAGE, OSError) as error:
            places = [self.shard_path(*self.position(part)) for part in self.grid.split(window)]
            raise OutputError(
                str(self.path),
                got=f"a damaged shard ({error})",
                expected="intact ones: " + ", ".join(map(str, places)),
                cure="remove the damaged one and run the same command again",
            ) from error
