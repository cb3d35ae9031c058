"""A file system whose n-th writing call fails: open, write, fsync, rename, link, mkdir, unlink."""

from __future__ import annotations

import builtins
import errno
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest

_CALLS = ("mkdir", "rename", "replace", "link", "unlink", "rmdir", "fsync", "pwrite", "utime")


class FaultyWrites:
    """Counts the writing calls below a folder, and makes one of them fail.

    Calls by number of an open file count as well, since only what is written there is open for
    writing. ``failed`` is the name of the call that failed.

    Args:
        patch: undoes it all.
        folder: whose calls count.
        number: of the call that fails, from 1 on; 0 for none.
        code: its error.
    """

    def __init__(
        self, patch: pytest.MonkeyPatch, folder: Path, number: int, code: int = errno.EIO
    ) -> None:
        self.folder, self.number, self.code = str(folder), number, code
        self.calls = 0
        self.failed = ""
        self._lock = threading.Lock()
        for name in _CALLS:
            patch.setattr(os, name, self._wrapped(name, getattr(os, name)))
        self._os_open, self._open = os.open, io.open
        patch.setattr(os, "open", self._faulty_os_open)
        patch.setattr(io, "open", self._faulty_open)
        patch.setattr(builtins, "open", self._faulty_open)

    def check(self, name: str, path: Any) -> None:
        """Count a call; raises OSError where it is the one that fails."""
        if not isinstance(path, int) and not os.fsdecode(path).startswith(self.folder):
            return
        with self._lock:
            self.calls += 1
            if self.calls != self.number:
                return
            self.failed = f"{name} of {path}"
        raise OSError(self.code, os.strerror(self.code), None if isinstance(path, int) else path)

    def _wrapped(self, name: str, call: Any) -> Any:
        def faulty(path: Any, *args: Any, **options: Any) -> Any:
            self.check(name, path)
            return call(path, *args, **options)

        return faulty

    def _faulty_os_open(self, path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self.check("open", path)
        return self._os_open(path, flags, *args, **options)

    def _faulty_open(
        self, file: Any, mode: str = "r", buffering: int = -1, *args: Any, **options: Any
    ) -> Any:
        if not set(mode) & set("wax+") or "opener" in options:
            return self._open(file, mode, buffering, *args, **options)
        if not isinstance(file, int):
            self.check("open", file)
        faults = self

        class FaultyFile(io.FileIO):
            def write(self, data: Any) -> int:
                faults.check("write", file)
                return super().write(data)

        raw = FaultyFile(file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *args, **options)
