"""Zarr's stores of files and objects, made safe against power cuts and other processes.

Apart from ``io/shards.py``, so that a command that needs no store does not wait for zarr.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore

from liif_cli.io.atomic import put_once, write_atomically
from liif_cli.io.place import ObjectPath

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

_METADATA = "zarr.json"


class DurableStore(LocalStore):
    """A local store whose objects are flushed to the disk before they get their name.

    zarr's own puts are atomic but not flushed: after a power cut a shard could be there, empty.
    Shards are put once: where one is there already, it stays (``put_once``).
    """

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()
        data = memoryview(value.to_bytes())
        if key.endswith(_METADATA):
            await asyncio.to_thread(write_atomically, self.root / key, data)
        else:
            await asyncio.to_thread(put_once, self.root / key, data, self.root)


class WholeShards(DurableStore):
    """The store to write through: without old shards zarr has nothing to merge new ones with."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: Any = None
    ) -> Buffer | None:
        if not key.endswith(_METADATA):
            return None
        return await super().get(key, prototype, byte_range)


class ObjectStore(Store):
    """A store of objects below a prefix. Metadata may be replaced; shards are put once.

    Args:
        root: of the array or group.
        read_only: nothing is put.
        whole: shards are not read, so that zarr has nothing to merge new ones with.
    """

    supports_writes = True
    supports_deletes = False
    supports_listing = True

    def __init__(self, root: ObjectPath, *, read_only: bool = False, whole: bool = False) -> None:
        super().__init__(read_only=read_only)
        self.root, self.whole = root, whole

    def with_read_only(self, read_only: bool = False) -> ObjectStore:
        return ObjectStore(self.root, read_only=read_only, whole=self.whole)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectStore) and other.root == self.root

    def __hash__(self) -> int:
        return hash(self.root)

    def __str__(self) -> str:
        return str(self.root)

    def _at(self, key: str) -> ObjectPath:
        place = self.root / key
        assert isinstance(place, ObjectPath)
        return place

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        if self.whole and not key.endswith(_METADATA):
            return None
        try:
            data = await asyncio.to_thread(_part, self._at(key), byte_range)
        except FileNotFoundError:
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        jobs = (self.get(key, prototype, part) for key, part in key_ranges)
        return list(await asyncio.gather(*jobs))

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self._at(key).is_file)

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()
        data = memoryview(value.to_bytes())
        await asyncio.to_thread(self._at(key).put, data, once=not key.endswith(_METADATA))

    async def delete(self, key: str) -> None:
        raise NotImplementedError(f"{self} deletes nothing")

    async def list(self) -> AsyncIterator[str]:
        for path, _ in await asyncio.to_thread(self.root.objects):
            yield path.relative_to(self.root).as_posix()

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        place = self._at(prefix) if prefix.strip("/") else self.root
        for path in await asyncio.to_thread(lambda: list(place.iterdir())):
            yield path.name


def _part(path: ObjectPath, part: ByteRequest | None) -> bytes:
    if part is None:
        return path.read_bytes()
    if isinstance(part, RangeByteRequest):
        return path.read_range(part.start, part.end - part.start)
    if isinstance(part, OffsetByteRequest):
        return path.read_bytes()[part.offset :]
    assert isinstance(part, SuffixByteRequest)
    return path.read_suffix(part.suffix)


def store_of(path: Path, *, whole: bool = False) -> Store:
    """The store to read and write an array of this program through."""
    if isinstance(path, ObjectPath):
        return ObjectStore(path, whole=whole)
    return WholeShards(path) if whole else DurableStore(path)


def reading_store(path: Path) -> Store | str:
    """What zarr opens to read arrays of any program."""
    return ObjectStore(path, read_only=True) if isinstance(path, ObjectPath) else str(path)
