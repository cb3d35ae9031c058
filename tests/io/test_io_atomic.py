"""Outputs are there whole or not at all, whatever fails."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from liif_cli.errors import OutputError
from liif_cli.io import EXPORTERS, atomic, exporter_for
from liif_cli.io.atomic import (
    atomic_path,
    final_name,
    is_partial,
    output_errors,
    remove_stale,
    write_atomically,
)
from liif_cli.io.base import OutputInfo


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_file_appears_at_the_end(tmp_path):
    final = tmp_path / "new" / "folder" / "a.png"
    with atomic_path(final) as partial:
        partial.write_bytes(b"pixels")
        assert partial.parent == final.parent
        assert partial.name.startswith(".a.png.")
        assert is_partial(partial)
        assert final_name(partial) == final
        assert not final.exists()
    assert everything(final.parent) == ["a.png"]
    assert final.read_bytes() == b"pixels"


LONG = "é" * 125 + ".png"
BYTES = b"caf\xe9.png".decode(errors="surrogateescape")


@pytest.mark.parametrize("name", ["x" * 251 + ".png", LONG, BYTES, "a\nb.png", "\x1b[2J.png"])
def test_any_name_that_a_file_can_have(tmp_path, name):
    final = tmp_path / name
    with pytest.raises(OutputError), atomic_path(final) as partial:
        os.rename(partial, final)  # nothing was written
    with atomic_path(final) as partial:
        partial.write_bytes(b"pixels")
        assert len(partial.name) < 60
        assert partial.name.isascii()
        assert partial.name.isprintable()
        assert final_name(partial) == final
    assert final.read_bytes() == b"pixels"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_left_of_long_names_is_told_apart(tmp_path):
    names = ["x" * 250 + ".a.png", "x" * 250 + ".b.png"]
    left = []
    for name in names:
        left.append(atomic.partial_path(tmp_path / name))
        left[-1].touch()
    assert remove_stale(tmp_path / names[0]) == left[:1]
    assert left[1].exists()


def test_folder_appears_at_the_end_and_replaces(tmp_path):
    final = tmp_path / "a.zarr"
    for text in ("old", "new"):
        with atomic_path(final) as partial:
            (partial / "c").mkdir(parents=True)
            (partial / "c" / "0").write_text(text)
            (partial / text).touch()
    assert (final / "c" / "0").read_text() == "new"
    assert everything(tmp_path) == ["0", "a.zarr", "c", "new"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("old", [None, b"old"])
def test_exception_leaves_what_was_there(tmp_path, error, old):
    final = tmp_path / "a.png"
    if old is not None:
        final.write_bytes(old)

    def fail():
        with atomic_path(final) as partial:
            partial.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert everything(tmp_path) == ([] if old is None else ["a.png"])
    assert old is None or final.read_bytes() == old


@pytest.mark.parametrize("name", list(EXPORTERS))
def test_exporter_that_fails_in_the_middle_leaves_nothing(tmp_path, picture, reader, name):
    class Failing(reader):
        def read(self, window):
            if window.row_stop == self.height:
                raise RuntimeError("lost")
            return super().read(window)

    final = tmp_path / f"a{exporter_for(name).suffixes[0]}"
    dtypes = exporter_for(name).dtypes
    pixels = Failing(picture(2100, 40, 3, "uint8" if "uint8" in dtypes else dtypes[0]))
    with pytest.raises(RuntimeError, match="lost"), atomic_path(final) as partial:
        exporter_for(name).export(pixels, partial, OutputInfo())
    assert everything(tmp_path) == []


@pytest.mark.parametrize("step", ["sync_tree", "_replace"])
def test_failing_step_leaves_what_was_there(tmp_path, monkeypatch, step):
    final = tmp_path / "a.png"
    final.write_bytes(b"old")

    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, step, fail)
    with pytest.raises(OutputError, match=r"a\.png.*full disk"):
        write_atomically(final, b"new")
    assert everything(tmp_path) == ["a.png"]
    assert final.read_bytes() == b"old"


def test_folder_that_cannot_be_renamed_leaves_the_old_one(tmp_path, monkeypatch):
    final = tmp_path / "a.zarr"
    final.mkdir()
    (final / "old").touch()
    rename = os.rename

    def fail_once(source, target):
        if is_partial(Path(source)) and Path(target) == final and (Path(source) / "new").exists():
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(atomic.os, "rename", fail_once)

    def write():
        with atomic_path(final) as partial:
            partial.mkdir()
            (partial / "new").touch()

    with pytest.raises(OutputError):
        write()
    assert everything(tmp_path) == ["a.zarr", "old"]


def test_data_is_flushed_before_the_name_is_given(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def logged_fsync(handle):
        steps.append("fsync")
        fsync(handle)

    def logged_replace(source, target):
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "fsync", logged_fsync)
    monkeypatch.setattr(atomic.os, "replace", logged_replace)
    write_atomically(tmp_path / "a", b"x")
    assert steps == ["fsync", "replace", "fsync"]


def test_killed_process_leaves_only_a_partial_that_is_known(tmp_path):
    program = f"""
import os
from pathlib import Path
from liif_cli.io.atomic import atomic_path
with atomic_path(Path({str(tmp_path / "a.png")!r})) as partial:
    partial.write_bytes(b"half")
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=os.getcwd()).returncode == 9
    (left,) = tmp_path.iterdir()
    assert is_partial(left)
    (tmp_path / ".b.png.0123456789ab.partial").touch()
    assert remove_stale(tmp_path / "a.png") == [left]
    assert everything(tmp_path) == [".b.png.0123456789ab.partial"]


@pytest.mark.parametrize(
    ("code", "match"),
    [
        (errno.EACCES, "permission"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "full disk"),
        (errno.ENOENT, "does not exist"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_errors_are_mapped(tmp_path, code, match):
    with (
        pytest.raises(OutputError, match=rf"cannot write .*a\.png.*{match}"),
        output_errors(tmp_path / ".a.png.0123456789ab.partial"),
    ):
        raise OSError(code, os.strerror(code))


def test_body_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError), atomic_path(tmp_path / "a.png"):
        pass


def test_longest_name(tmp_path):
    final = tmp_path / ("ü" * 125 + ".png")
    write_atomically(final, b"x")
    assert everything(tmp_path) == [final.name]


def test_names_that_are_no_partials():
    for name in ("a.png", ".a.png", "a.partial", ".a.png.xyz.partial", ".a.0123456789ab.part"):
        assert not is_partial(Path(name))
        assert final_name(Path(name)) == Path(name)
