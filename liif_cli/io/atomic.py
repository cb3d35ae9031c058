"""Outputs that are there whole or not at all.

Everything is written under a hidden name in the same folder, flushed to the disk, and renamed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liif_cli.errors import OutputError, printable

_PARTIAL = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.partial")
LONGEST_NAME = 255
"""Bytes of a name on most file systems."""
# with what is put around them they stay below the 143 bytes of file systems that encrypt names
_LONGEST_SHOWN = 100
_covered: dict[str, str] = {}

_CAUSES = {
    errno.EACCES: ("no permission to write it", "choose another folder or change its permissions"),
    errno.EPERM: ("no permission to write it", "choose another folder or change its permissions"),
    errno.EROFS: ("a read-only file system", "choose another folder"),
    errno.ENOSPC: ("a full disk", "free some space and run the same command again"),
    errno.EDQUOT: ("a used-up disk quota", "free some space and run the same command again"),
    errno.ENOENT: ("a folder that does not exist", "make the folder first"),
    errno.ENOTDIR: ("a path through a file that is no folder", "choose another folder"),
    errno.EISDIR: ("a folder of that name", "remove it or choose another name"),
    errno.ENAMETOOLONG: ("a name too long for the file system", "choose a shorter one"),
    errno.EFBIG: ("a file too large for the file system", "choose another disk"),
}


def cover(name: str) -> str:
    """What stands for a file's name in hidden names made of it.

    The name itself; a digest where it is longer than 100 bytes, is no UTF-8, or could not be shown.
    """
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST_SHOWN and printable(name) == name:
        return name
    digest = hashlib.sha256(raw).hexdigest()[:24]
    _covered[digest] = name
    return digest


def is_partial(path: Path) -> bool:
    """Whether the name is one that ``atomic_path`` gives to unfinished outputs."""
    return _PARTIAL.fullmatch(path.name) is not None


def final_name(path: Path) -> Path:
    """The name an unfinished output was meant to get; ``path`` itself if it is none."""
    match = _PARTIAL.fullmatch(path.name)
    return path.with_name(_covered.get(match["name"], match["name"])) if match else path


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one that names the output.

    Raises:
        OutputError: permission, a full disk, a missing folder.
    """
    try:
        yield
    except OSError as error:
        got, cure = _CAUSES.get(error.errno or 0, (error.strerror or str(error), ""))
        raise OutputError(
            f"cannot write {final_name(path)}", got=got, expected="a place to write", cure=cure
        ) from error


def partial_path(final: Path) -> Path:
    """A new hidden name beside ``final``."""
    return final.with_name(f".{cover(final.name)}.{secrets.token_hex(6)}.partial")


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """A temporary name to write a file or a folder to, which becomes ``final`` at the end.

    The folder that holds ``final`` is made if need be. When the body raises, whatever it wrote is
    removed and ``final`` stays what it was.

    Raises:
        OutputError: permission, a full disk; or the body wrote nothing.
    """
    with output_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_path(final)
        try:
            yield partial
            sync_tree(partial)
            _replace(partial, final)
        except BaseException:
            _remove(partial)
            raise
        sync_folder(final.parent)


def write_atomically(final: Path, data: bytes | memoryview) -> None:
    """Write a whole file so that it is there complete or not at all, also after a power cut."""
    with atomic_path(final) as partial:
        partial.write_bytes(data)


def remove_stale(final: Path) -> list[Path]:
    """Remove what a killed process left of ``final``; call it when no other one writes it.

    Returns:
        what was removed.
    """
    found = stale(final)
    for path in found:
        _remove(path)
    return found


def stale(final: Path) -> list[Path]:
    """What processes that were killed left of ``final`` while they wrote it."""
    name = cover(final.name)
    return [
        path
        for path in sorted(final.parent.glob(".*.partial"))
        if (match := _PARTIAL.fullmatch(path.name)) and match["name"] == name
    ]


def sync_tree(path: Path) -> None:
    """Flush a file, or a folder and all files in it, to the disk."""
    if not path.is_dir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return
    for folder, _, names in os.walk(path):
        for name in names:
            sync_tree(Path(folder, name))
        sync_folder(Path(folder))


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(partial: Path, final: Path) -> None:
    if not (final.is_dir() and not final.is_symlink()):
        os.replace(partial, final)
        return
    # a folder cannot be renamed onto a full one: the old one steps aside first
    old = partial_path(final)
    os.rename(final, old)
    try:
        os.rename(partial, final)
    except BaseException:
        os.rename(old, final)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
