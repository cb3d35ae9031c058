"""Images of a bucket whose formats are read from a file: copied here while they are open.

A copy is shared by all that read it at once, and some stay for a while, since an image is opened
more than once: for its plan, and for its pixels.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liif_cli.errors import InputError
from liif_cli.geometry.window import Window
from liif_cli.io.base import Pixels, Source
from liif_cli.io.place import ObjectPath, ObjectStat
from liif_cli.io.refusals import reading
from liif_cli.io.scratch import scratch_folder

_IDLE = 8
"""Copies that are kept while nobody reads them."""
_SPARE_BYTES = 256 * 2**20


@dataclasses.dataclass
class _Copy:
    file: Path
    readers: int = 0
    ready: threading.Event = dataclasses.field(default_factory=threading.Event)
    error: BaseException | None = None


class _Copies:
    """Copies by the object's name and tag. Threads may use it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: OrderedDict[str, _Copy] = OrderedDict()

    def take(self, path: ObjectPath) -> tuple[str, Path]:
        """Key and file of a copy, which stays until it is given back.

        Raises:
            InputError: the object is not there, may not be read, or does not fit the disk.
        """
        with reading(path):
            stat = path.stat()
        key = hashlib.sha256(f"{path}\0{stat.tag}\0{stat.st_size}".encode()).hexdigest()
        with self._lock:
            copy = self._copies.get(key)
            mine = copy is None
            if copy is None:
                copy = self._copies[key] = _Copy(scratch_folder() / (path.name or "object"))
            copy.readers += 1
            self._copies.move_to_end(key)
            self._evict()
        if mine:
            try:
                with reading(path):
                    _fetch(path, stat, copy.file)
            except BaseException as error:
                copy.error = error
            copy.ready.set()
        copy.ready.wait()
        if copy.error is not None:
            with self._lock:
                copy.readers -= 1
                self._copies.pop(key, None)
            shutil.rmtree(copy.file.parent, ignore_errors=True)
            raise copy.error
        return key, copy.file

    def give_back(self, key: str) -> None:
        """Say that a copy is not read any more."""
        with self._lock:
            if key in self._copies:
                self._copies[key].readers -= 1
                self._evict()

    def _evict(self) -> None:
        idle = [key for key, copy in self._copies.items() if not copy.readers]
        for key in idle[: max(0, len(idle) - _IDLE)]:
            shutil.rmtree(self._copies.pop(key).file.parent, ignore_errors=True)


_COPIES = _Copies()


class FetchedSource:
    """A source of a copy; its name and its errors are the object's.

    Args:
        path: of the object.
        open: opens the copy.

    Raises:
        InputError: the object cannot be read.
    """

    def __init__(self, path: ObjectPath, open: Callable[[Path], Source]) -> None:
        self._path = path
        self._key, self._file = _COPIES.take(path)
        self._open = True
        try:
            with self._named():
                self._source = open(self._file)
        except BaseException:
            self._let_go()
            raise
        self.info = dataclasses.replace(self._source.info, path=path)

    def __getattr__(self, name: str) -> Any:
        # what some formats have beside a source's own: bands
        return getattr(self._source, name)

    @property
    def damage(self) -> str:
        """See ``Source``."""
        return self._source.damage

    def read(self, window: Window) -> Pixels:
        """See ``Source``."""
        with self._named():
            return self._source.read(window)

    def close(self) -> None:
        """See ``Source``."""
        self._source.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._open:
            self._open = False
            _COPIES.give_back(self._key)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            what, got = (
                text.replace(str(self._file), str(self._path)) for text in (error.what, error.got)
            )
            raise InputError(what, got=got, expected=error.expected, cure=error.cure) from error


def _fetch(path: ObjectPath, stat: ObjectStat, file: Path) -> None:
    free = shutil.disk_usage(file.parent).free
    if stat.st_size + _SPARE_BYTES > free:
        raise InputError(
            str(path),
            got=f"{stat.st_size:,} bytes, which are copied to {file.parent.parent} to be read",
            expected=f"at most {max(0, free - _SPARE_BYTES):,}",
            cure="set TMPDIR to a folder on another disk",
        )
    with file.open("wb") as target:
        for chunk in path.chunks():
            target.write(chunk)
