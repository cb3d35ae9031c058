"""Inputs on which a run died: remembered beside the outputs, tried apart, and set aside.

A codec may end the process by a signal, which no exception handler sees. So every run keeps a
journal of the images in work, a hidden file in the output folder that is locked for as long as the
process lives and removed at its end. What a dead one's journal has begun and not ended is suspect,
no more than that: the machine may have been switched off. The next run reads a suspect in a child
process first. When that dies, the input is set aside, by name, until it changes or is asked for by
``--overwrite``; when it does not, the image is done like any other.

An image may also end the process later, while it is rendered or written. The journal takes Python's
own note of a fatal signal; what was in work when two runs died of one is set aside as well.

A line of a journal is a JSON object: a path, what became of it ("begun", "ended", "suspect",
"died"), and what is known. Lines are not flushed to the disk: a power cut is nobody's death.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from liif_cli.errors import InputError
from liif_cli.io.base import ImageInfo
from liif_cli.io.filelock import try_lock
from liif_cli.io.jsontext import parse_json
from liif_cli.io.place import is_object, is_url
from liif_cli.io.scratch import lasting_folder
from liif_cli.io.trial import death_of

_NAME = ".liif-reading-"
_FATAL = b"Fatal Python error"
_MOST_DEATHS = 2


@dataclass(frozen=True)
class _Entry:
    """What is known of an input: ``how`` a process died of it with the ``stamp`` it had, or nothing
    but that ``deaths`` runs died of a signal with it in work.
    """

    how: str = ""
    stamp: str = ""
    deaths: int = 0


class Deaths:
    """The journal of this run, and what those of earlier ones say.

    Args:
        folder: of the outputs; made when the first image begins.
        again: try once more what is set aside.
        write: keep a journal; without, nothing on the disk changes.
    """

    def __init__(self, folder: Path, *, again: bool = False, write: bool = True) -> None:
        # nothing is locked or appended to in a bucket: its journal lies on this machine
        digest = hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()[:24]
        self._folder = lasting_folder(f"journal-{digest}") if is_object(folder) else folder
        self._lasting = is_object(folder)
        self._again, self._write = again, write
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._broken = self._noting = False
        self._open: set[str] = set()
        self._known: dict[str, _Entry] = {}
        self._tried: dict[str, _Entry] = {}
        self._take_over()

    def check(self, info: ImageInfo, page: int | None) -> None:
        """Refuse an input that killed a run; call it before anything of it is decoded.

        Args:
            info: of the input.
            page: the one that is asked for.

        Raises:
            InputError: it did, or it kills the child process that tries it now.
        """
        name = _name(info.path)
        with self._lock:
            known = self._known.get(name)
        if known is None:
            return
        if known.how and not self._again and known.stamp == _stamp(info.path):
            raise _set_aside(info.path, known.how)
        how = death_of(info, page)
        if not how and known.deaths >= _MOST_DEATHS and not self._again:
            how = f"{known.deaths} times while it was in work"
        with self._lock:
            if how:
                self._known[name] = _Entry(how, _stamp(info.path))
                self._note("died", name)
            else:
                # counted on, in case the process dies with it once more
                self._tried[name] = self._known.pop(name)
                self._note("ended", name)
        if how:
            raise _set_aside(info.path, how)

    def refresh(self) -> None:
        """Learn of processes that died since this one began."""
        with self._lock:
            self._take_over()

    def begin(self, path: Path) -> None:
        """Note that an input is in work, its pixels about to be decoded."""
        name = _name(path)
        with self._lock:
            if name not in self._open:
                self._open.add(name)
                self._note("begun", name)

    def end(self, path: Path) -> None:
        """Note that an image was done, or failed in an orderly way."""
        name = _name(path)
        with self._lock:
            if name in self._open:
                self._open.remove(name)
                self._note("ended", name)

    def close(self) -> None:
        """Remove the journal, unless it knows of inputs that the next run must know of."""
        with self._lock:
            for name in sorted(self._open):
                self._note("ended", name)
            self._open.clear()
            if self._noting:
                faulthandler.disable()
            if self._file is not None:
                if not self._known:
                    with contextlib.suppress(OSError):
                        os.unlink(self._file.name)
                self._file.close()
                if not self._known:
                    # Windows removes nothing that is open
                    with contextlib.suppress(OSError):
                        os.unlink(self._file.name)
                if self._lasting:
                    with contextlib.suppress(OSError):
                        self._folder.rmdir()
            self._file, self._broken = None, True

    def _note(self, what: str, name: str) -> None:
        if not self._write or self._broken:
            return
        entry = self._known.get(name) or self._tried.get(name) or _Entry()
        line = {"what": what, "path": name, **vars(entry)}
        try:
            if self._file is None:
                self._file = self._new()
            self._file.write(json.dumps(line).encode() + b"\n")
        except OSError:
            # the images themselves will tell what is wrong with the folder
            self._broken = True

    def _new(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{_NAME}{secrets.token_hex(6)}"
        file = open(path, "xb", buffering=0)  # noqa: SIM115
        try_lock(file)
        if not faulthandler.is_enabled():
            # after a fatal signal its note stands in the journal
            faulthandler.enable(file, all_threads=False)
            self._noting = True
        return file

    def _take_over(self) -> None:
        """Learn from the journals that are there; those of dead processes become part of this.

        Inputs that are gone are forgotten.
        """
        with contextlib.ExitStack() as stack:
            left = []
            for path in self._journals():
                try:
                    file = stack.enter_context(path.open("r+b"))
                    alive = not _locked(file)
                    if os.fstat(file.fileno()).st_nlink:
                        self._learn(file.read(), alive)
                        left += [] if alive else [path]
                except OSError:
                    continue
            for name in [
                name for name in self._known if not (is_url(name) or os.path.lexists(name))
            ]:
                del self._known[name]
            for name, entry in self._known.items() if left else ():
                self._note("died" if entry.how else "suspect", name)
            left = left if self._write and not self._broken else []
            _remove(left)
        # Windows removes nothing that is open
        _remove(left)

    def _journals(self) -> Iterator[Path]:
        try:
            names = sorted(os.listdir(self._folder))
        except OSError:
            return
        for name in names:
            path = self._folder / name
            if name.startswith(_NAME) and path.is_file() and not path.is_symlink():
                yield path

    def _learn(self, journal: bytes, alive: bool) -> None:
        """Take what a journal knows; of a living process not what it has in work."""
        begun: dict[str, _Entry] = {}
        for line in journal.splitlines():
            try:
                known = parse_json(line)
                what, name = str(known["what"]), str(known["path"])
                entry = _Entry(
                    str(known.get("how", "")), str(known.get("stamp", "")), int(known["deaths"])
                )
            except (ValueError, TypeError, KeyError):
                continue  # cut short, or a note of a signal
            begun.pop(name, None)
            self._known.pop(name, None)
            if what == "begun":
                begun[name] = entry
            elif what != "ended":
                self._known[name] = entry
        if not alive:
            died = _FATAL in journal
            for name, entry in begun.items():
                self._known[name] = _Entry(deaths=entry.deaths + died)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _name(path: Path) -> str:
    return str(path) if is_object(path) else os.path.abspath(path)


def _locked(file: BinaryIO) -> bool:
    """Take the lock of a journal whose process is dead; False where it lives, or nobody knows."""
    return bool(try_lock(file))


def _set_aside(path: Path, how: str) -> InputError:
    return InputError(
        str(path),
        got=f"a file on which an earlier run died ({how})",
        expected="one that can be read",
        cure="it is set aside until it changes; --overwrite tries it again",
    )


def _stamp(path: Path) -> str:
    """What changes when an input is changed: sizes and times of change."""
    try:
        files = [path] if not path.is_dir() else list(path.rglob("*"))
        stats = [entry.stat() for entry in files]
    except OSError:
        return ""
    newest = max((stat.st_mtime_ns for stat in stats), default=0)
    return f"{len(stats)} {sum(stat.st_size for stat in stats)} {newest}"
