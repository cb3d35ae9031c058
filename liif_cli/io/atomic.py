"""Outputs that are there whole or not at all.

Everything is written under a hidden name in the same folder, flushed to the disk, and renamed; an
object of a bucket is written to this machine first and put whole (``io/place.py``).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from liif_cli.errors import OutputError, printable
from liif_cli.io.place import ObjectPath, PlaceError
from liif_cli.io.scratch import scratch_folder

_PARTIAL = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.partial")
_METADATA = "zarr.json"
LONGEST_NAME = 255
"""Bytes of a name on most file systems."""
# with what is put around them they stay below the 143 bytes of file systems that encrypt names
_LONGEST_SHOWN = 100
_covered: dict[str, str] = {}
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links answer."""

_CAUSES = {
    errno.EACCES: ("no permission to write it", "choose another folder or change its permissions"),
    errno.EPERM: ("no permission to write it", "choose another folder or change its permissions"),
    errno.EROFS: ("a read-only file system", "choose another folder"),
    errno.ENOSPC: ("a full disk", "free some space and run the same command again"),
    errno.EDQUOT: ("a used-up disk quota", "free some space and run the same command again"),
    errno.ENOENT: ("a folder that does not exist", "make the folder first"),
    errno.ENOTDIR: ("a path through a file that is not a folder", "choose another folder"),
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
    """The name an unfinished output was meant to get; ``path`` itself of anything else."""
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
    except PlaceError as error:
        raise OutputError(
            f"cannot write {final_name(path)}",
            got=error.strerror or "a refusal",
            expected="a place to write",
            cure=error.cure,
        ) from error
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
    if isinstance(final, ObjectPath):
        with _uploaded(final) as partial:
            yield partial
        return
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
    if isinstance(final, ObjectPath):
        with output_errors(final):
            final.put(data)
        return
    with atomic_path(final) as partial:
        partial.write_bytes(data)


@contextmanager
def _uploaded(final: ObjectPath) -> Iterator[Path]:
    """As ``atomic_path``, by way of a folder of this machine.

    What lies beside the file comes along; the object that gives the output its name is put last.
    """
    folder = scratch_folder()
    try:
        partial = partial_path(folder / cover(final.name))
        _covered.setdefault(cover(final.name), final.name)
        with output_errors(final):
            yield partial
            last = partial / _METADATA if partial.is_dir() else partial
            files = sorted(path for path in folder.rglob("*") if path.is_file() and path != last)
            for path in [*files, last]:
                inside = path.relative_to(folder)
                own = inside.parts[0] == partial.name
                target = final.joinpath(*inside.parts[1:])
                if not own:
                    target = final.parent.joinpath(*inside.parts)
                assert isinstance(target, ObjectPath)
                target.put(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_once(final: Path, data: bytes | memoryview, root: Path, *, sync: bool = True) -> bool:
    """Write a whole file, unless there is one of that name that is not empty.

    Several processes may put the same file at once: one of them does it, and whoever reads it finds
    the whole of it or none, at any moment. On a file system without hard links two may do it, one
    after the other.

    Args:
        final: the file; folders between it and ``root`` are made.
        data: its content.
        root: a folder that is not made: where it was moved or removed, nothing is written.
        sync: flush it to the disk before it gets its name.

    Returns:
        whether it was put; False where somebody had done it before.

    Raises:
        FileNotFoundError: there is no ``root`` any more.
        OSError: permission, a full disk.
    """
    if isinstance(final, ObjectPath):
        return final.put(data, once=True)
    partial = partial_path(final)
    try:
        try:
            handle = _new_file(partial)
        except FileNotFoundError:
            _make_folders(final.parent, root)
            handle = _new_file(partial)
        with open(handle, "wb", buffering=0) as file:
            rest = memoryview(data).cast("B")
            while rest:
                rest = rest[file.write(rest) :]
            if sync:
                os.fsync(handle)
        put = _link(partial, final)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
    if sync:
        sync_folder(final.parent)
    return put


def drop(path: Path) -> None:
    """Remove a file or a whole folder that has a name which others may look for.

    A folder gets a hidden name first, so that nobody finds a part of it; what a kill leaves then is
    removed by ``remove_stale``. No error where it is gone already.
    """
    if isinstance(path, ObjectPath):
        path.unlink()
        path.remove_below()
        return
    aside = partial_path(path)
    with suppress(FileNotFoundError):
        os.rename(path, aside)
        _remove(aside)


def remove_stale(final: Path) -> list[Path]:
    """Remove what a killed process left of ``final``; call it when no other one writes it.

    Returns:
        what was removed.
    """
    leftovers = stale(final)
    for path in leftovers:
        _remove(path)
    return leftovers


def stale_names(folder: Path) -> set[str]:
    """``cover`` of the outputs in a folder of which killed processes left something."""
    if isinstance(folder, ObjectPath) or not folder.is_dir():
        return set()
    matches = map(_PARTIAL.fullmatch, os.listdir(folder))
    return {match["name"] for match in matches if match}


def stale(final: Path) -> list[Path]:
    """What processes that were killed left of ``final`` while they wrote it."""
    if isinstance(final, ObjectPath):
        return []
    name = cover(final.name)
    return [
        path
        for path in sorted(final.parent.glob(".*.partial"))
        if (match := _PARTIAL.fullmatch(path.name)) and match["name"] == name
    ]


def sync_tree(path: Path) -> None:
    """Flush a file, or a folder and all files in it, to the disk."""
    if not path.is_dir():
        # Windows flushes nothing that is open for reading alone
        with path.open("r+b") as file:
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


def _new_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)


def _make_folders(folder: Path, root: Path) -> None:
    """Make ``folder`` and those above it, as far as they lie below ``root``."""
    parts = folder.relative_to(root).parts
    for count in range(1, len(parts) + 1):
        with suppress(FileExistsError):
            os.mkdir(root.joinpath(*parts[:count]))


def _link(partial: Path, final: Path) -> bool:
    """Give ``partial`` the name ``final`` as well; False where a file that is not empty has it."""
    while True:
        try:
            os.link(partial, final)
            return True
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        try:
            if final.stat().st_size:
                return False
        except FileNotFoundError:
            if _links(partial):
                continue  # it was removed in between
        # an empty file is what a crash left, not anybody's work
        os.replace(partial, final)
        return True


def _links(path: Path) -> bool:
    """Whether the file system of a file has hard links."""
    other = partial_path(path)
    try:
        os.link(path, other)
    except OSError as error:
        return error.errno not in _NO_LINKS
    other.unlink()
    return True


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
