"""What became of the images of a plan: each worker keeps a file of its own, and reads all others'.

A file is only ever appended to, by one process, and never removed by another one. A line is a JSON
object; what a killed process left of its last line is passed over.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from liif_cli.engine.events import Event, ImageDone, ImageFailed, ImageSkipped, PlanMade
from liif_cli.errors import OutputError, printable
from liif_cli.io.atomic import output_errors
from liif_cli.io.jsontext import parse_json
from liif_cli.io.place import ObjectPath, is_url, location

_SUFFIX = ".state"
_PUT_SECONDS, _PART_BYTES = 2.0, 64 * 1024
"""How often lines are put into a bucket, and when another object is begun."""
_REFRESH = 2.0
"""Seconds between two looks at what others wrote."""


@dataclass
class Entry:
    """What is known of one image: its output where there is one, and how often it failed.

    ``done`` counts for as long as the output is there. ``begun`` and ``ended`` are of the latest
    try, seconds since the epoch by its worker's clock, and ``ended`` is 0 while it lasts;
    ``pixels`` are those of the output.
    """

    output: str = ""
    done: bool = False
    failures: int = 0
    error: str = ""
    begun: float = 0.0
    ended: float = 0.0
    pixels: int = 0


@dataclass
class _File:
    """How far a file was read, and the beginning of a line that is not whole yet."""

    at: int = 0
    rest: bytes = b""


@dataclass(frozen=True)
class _Line:
    """What became of an image: ``status`` is begun, failed, again, done or skipped."""

    image: str
    status: str
    at: float
    output: str = ""
    pixels: int = 0
    error: str = ""

    @classmethod
    def parsed(cls, text: bytes) -> _Line:
        """Of JSON.

        Raises:
            ValueError, KeyError, TypeError: it is not such a line.
        """
        values: dict[str, Any] = parse_json(text)
        image, status, at = str(values["image"]), str(values["status"]), float(values["at"])
        if not math.isfinite(at):
            raise ValueError
        match status:
            case "begun":
                output, pixels = str(values["output"]), int(values["pixels"])
                return cls(image, status, at, output=output, pixels=pixels)
            case "failed":
                return cls(image, status, at, error=str(values["error"]))
            case "again":
                return cls(image, status, at)
            case "done" | "skipped":
                return cls(image, status, at, output=str(values["output"]))
        raise ValueError


@dataclass
class Known:
    """What all workers wrote, read again as it grows."""

    folder: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    _files: dict[str, _File] = field(default_factory=dict)
    _read_at: float = -1e9

    def refresh(self, *, now: bool = False) -> None:
        """Read what is new, every few seconds at most."""
        if not now and time.monotonic() - self._read_at < _REFRESH:
            return
        self._read_at = time.monotonic()
        lines: list[_Line] = []
        with contextlib.suppress(FileNotFoundError):
            for name in self._grown():
                lines += self._read(name)
        # what one worker noted after another took it up again is in another file
        for line in sorted(lines, key=lambda one: one.at):
            self._take(line)

    def _grown(self) -> list[str]:
        """Names of the files that may have more lines than were read."""
        if isinstance(self.folder, ObjectPath):
            # an object is put again as it grows, and only ever grows
            sizes = {path.name: stat.st_size for path, stat in self.folder.objects()}
            return [name for name, size in sizes.items() if size > self._file(name).at]
        return [name for name in os.listdir(self.folder) if name.endswith(".jsonl")]

    def _file(self, name: str) -> _File:
        return self._files.setdefault(name, _File())

    def _read(self, name: str) -> list[_Line]:
        """The new lines of a file; what is not one of ours is left out."""
        state = self._file(name)
        with (self.folder / name).open("rb") as file:
            file.seek(state.at)
            new = file.read()
        state.at += len(new)
        *lines, state.rest = (state.rest + new).split(b"\n")
        read: list[_Line] = []
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                read.append(_Line.parsed(line))
        return read

    def _take(self, line: _Line) -> None:
        entry = self.entries.setdefault(line.image, Entry())
        match line.status:
            case "begun":
                entry.begun, entry.ended = line.at, 0.0
                entry.output, entry.pixels = line.output, line.pixels
            case "failed":
                entry.failures, entry.ended = entry.failures + 1, line.at
                entry.error = line.error
            case "again":
                entry.failures, entry.error = 0, ""
            case "done" | "skipped":
                entry.done, entry.output, entry.ended = True, line.output, line.at

    def is_done(self, name: str, *, look: bool = True) -> bool:
        """Whether some worker finished it, and its output is there.

        Without ``look`` nobody asks a server for that.
        """
        entry = self.entries.get(name)
        if entry is None or not entry.done:
            return False
        if is_url(entry.output):
            return not look or location(entry.output).exists()
        return os.path.lexists(entry.output)


class Journal:
    """This worker's file: a listener of its events.

    Args:
        plan: the plan file.
        identity: of the plan.
        root: of the inputs, whose names are those below it.

    Raises:
        OutputError: the folder beside the plan cannot be written.
    """

    def __init__(self, plan: Path, identity: str, root: Path) -> None:
        self._root = root
        self.folder = state_folder(plan, identity)
        host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())
        name = f"{host}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        with output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._path = self.folder / name
        self._file: BinaryIO | None = None
        self._lines = b""
        self._put_at, self._parts = -math.inf, 0
        self._lock = threading.Lock()

    def listen(self, event: Event) -> None:
        """Note what became of an image."""
        if isinstance(event, PlanMade):
            plan = event.plan
            self.note(location(plan.input), "begun", output=plan.output, pixels=plan.pixels)
        elif isinstance(event, ImageDone):
            self.note(event.input, "done", output=str(event.output))
        elif isinstance(event, ImageSkipped):
            self.note(event.input, "skipped", output=str(event.output))
        elif isinstance(event, ImageFailed):
            self.note(event.input, "failed", error=printable(event.error))

    def note(self, image: Path, status: str, **more: Any) -> None:
        """Append a line.

        Raises:
            OutputError: the file cannot be written.
        """
        line = {"image": self.name(image), "status": status, "at": time.time(), **more}
        data = json.dumps(line).encode() + b"\n"
        with self._lock:
            if isinstance(self._path, ObjectPath):
                self._lines += data
                if time.monotonic() - self._put_at >= _PUT_SECONDS or status == "failed":
                    self._put(self._path)
                return
            try:
                if self._file is None:
                    # one write a line, to its end
                    self._file = self._path.open("ab", buffering=0)
                self._file.write(data)
            except OSError as error:
                raise OutputError(
                    f"cannot write {self._path}", got=error.strerror or str(error)
                ) from error

    def _put(self, path: ObjectPath) -> None:
        """Put the lines so far; nothing can be appended to an object."""
        with output_errors(path):
            path.put(self._lines)
        self._put_at = time.monotonic()
        if len(self._lines) > _PART_BYTES:
            self._lines, self._parts = b"", self._parts + 1
            self._path = path.with_name(f"{path.stem.split('.')[0]}.{self._parts}.jsonl")

    def name(self, image: Path) -> str:
        """Of an image, as the plan has it."""
        return image.relative_to(self._root).as_posix() if image != self._root else image.name

    def close(self) -> None:
        """Close the file, which stays."""
        with self._lock:
            if isinstance(self._path, ObjectPath) and self._lines:
                self._put(self._path)
            if self._file is not None:
                self._file.close()
                self._file = None


def state_folder(plan: Path, identity: str) -> Path:
    """Where the workers of a plan keep their files."""
    return plan.with_name(plan.name + _SUFFIX) / identity[:16]


def begun(known: Known) -> Iterator[tuple[str, Entry]]:
    """Images that somebody began and nobody ended."""
    for name, entry in known.entries.items():
        if entry.begun and not entry.done and not entry.ended:
            yield name, entry
