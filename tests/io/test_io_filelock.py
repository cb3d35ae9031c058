"""Locks of files: taken, held by somebody else, and not known where a file lies."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from liif_cli.io import viewerpage
from liif_cli.io.filelock import try_lock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="replaces fcntl")


def unknown(*_: object) -> None:
    raise OSError(errno.ENOLCK, "no locks available")


def test_one_holds_it_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("wb") as first, path.open("wb") as second:
        assert try_lock(first) is True
        assert try_lock(second) is False
        first.close()
        assert try_lock(second) is True


def test_a_file_system_without_locks_is_no_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.flock", unknown)
    with (tmp_path / "lock").open("wb") as file:
        assert try_lock(file) is None
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with (tmp_path / "lock").open("wb") as file:
        assert try_lock(file) is None


def test_a_page_is_not_waited_for_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(viewerpage, "sleep", waited.append)
    monkeypatch.setattr("fcntl.flock", unknown)
    with viewerpage._locked(tmp_path):
        assert waited == []


def test_a_page_that_another_process_changes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, False, True])
    waited: list[float] = []
    monkeypatch.setattr(viewerpage, "sleep", waited.append)
    monkeypatch.setattr(viewerpage, "try_lock", lambda file: next(answers))
    with viewerpage._locked(tmp_path):
        assert len(waited) == 2
