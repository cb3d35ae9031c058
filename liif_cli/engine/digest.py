"""What tells one input from another: a digest of its content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from liif_cli.io.place import ObjectPath


def _object_digest(path: ObjectPath) -> str:
    """Of what the server says of the content: its tag, or the time of change, and the size."""
    try:
        listing = [(path.name, path.stat())]
    except FileNotFoundError:
        listing = [(one.relative_to(path).as_posix(), stat) for one, stat in path.objects()]
    lines = [f"{name}\0{stat.st_size}\0{stat.tag or stat.st_mtime_ns}\n" for name, stat in listing]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def input_digest(path: Path) -> str:
    """SHA-256 of a file's content; of a store, of the names, sizes and times of its files.

    Of objects of a bucket nothing is read: their tags stand for their content.
    """
    if isinstance(path, ObjectPath):
        return _object_digest(path)
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for entry in sorted(path.rglob("*")):
        if entry.is_file():
            status = entry.stat()
            name = entry.relative_to(path).as_posix()
            line = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(os.fsencode(line))
    return digest.hexdigest()
