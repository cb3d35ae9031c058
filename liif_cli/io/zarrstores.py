"""Zarr's stores of files, made safe against power cuts and other processes.

Apart from ``io/shards.py``, so that a command that needs no store does not wait for zarr.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore

from liif_cli.io.atomic import put_once, write_atomically

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
