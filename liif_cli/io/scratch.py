"""A folder of this machine for what passes through on its way to or from a bucket.

Each process has one of its own below the system's folder for temporary files (``TMPDIR``), which
goes with it. What killed processes left there is removed by the next one.
"""

from __future__ import annotations

import atexit
import getpass
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import psutil


def _usual_root() -> Path:
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError, AttributeError):  # systems without users
        user = "user"
    return Path(tempfile.gettempdir(), f"liif-{user}")


@cache
def _root() -> Path:
    """The folder of this user's processes, which nobody else may enter."""
    root = _usual_root()
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or (hasattr(os, "getuid") and root.stat().st_uid != os.getuid()):
        # somebody else's: what is made there would be read or changed
        root = Path(tempfile.mkdtemp(prefix="liif-"))
    return root


@cache
def _own(pid: int) -> Path:
    for left in _root().glob("run-*-*"):
        number = left.name.split("-")[1]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    own = Path(tempfile.mkdtemp(prefix=f"run-{pid}-", dir=_root()))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own


def scratch_folder() -> Path:
    """A new empty folder, for the caller to remove."""
    return Path(tempfile.mkdtemp(dir=_own(os.getpid())))


def run_folder() -> Path:
    """The folder of this process, which is removed at its end."""
    return _own(os.getpid())


def lasting_folder(name: str) -> Path:
    """A folder that later processes find again by its name; made by whoever writes to it."""
    return _root() / name


def is_scratch(path: Path) -> bool:
    """Whether it lies in such a folder; makes none."""
    roots = {_usual_root()} | ({_root()} if _root.cache_info().currsize else set())
    return any(path.is_relative_to(root) for root in roots)
