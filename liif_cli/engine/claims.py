"""Who works on what: small files that keep two processes from doing the same thing twice.

A claim is only about not wasting work. Nothing is wrong when two processes do the same: shards are
put once, outputs are renamed whole, and both have the same bytes. So a claim may be lost or taken
over at any moment.

A claim lies in the hidden folder beside its output, names its owner, and gets a new time of change
every few seconds for as long as the owner runs. An owner is dead when it was a process of this
machine that no longer exists, or when its claim has not changed for ``LEASE`` seconds of *this*
process's clock: clocks of different machines are never compared. A process that was stopped looks
dead, then; when it runs again, it finds its work done.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from liif_cli.engine.record import FOLDER
from liif_cli.io.atomic import cover, partial_path, put_once
from liif_cli.io.jsontext import parse_json
from liif_cli.io.place import ObjectPath, is_object

HEARTBEAT = 5.0
"""Seconds between two signs of life."""
LEASE = 90.0
"""Seconds without one after which an owner counts as dead; network folders show times late."""
_SUFFIX = ".claim"
_BEATS_OF_OBJECTS = 4
"""A request costs: in a bucket only every so many signs of life are given."""
_SAME_START = 5.0


@dataclass(frozen=True)
class Owner:
    """Who holds a claim; ``since`` is local time with its zone, ISO 8601.

    ``machine`` tells whether process numbers mean the same here and there, ``started`` is the
    process's start in seconds since the epoch, and ``token`` is this claim's own.
    """

    pid: int = 0
    host: str = ""
    since: str = ""
    machine: str = ""
    started: float = 0.0
    token: str = ""

    def __str__(self) -> str:
        return f"{self.pid} on {self.host} since {self.since}" if self.pid else "an unknown process"

    @property
    def here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.machine == _machine()

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended, which only its own machine can tell."""
        return self.here and not _runs(self.pid, self.started)


class InWork(Exception):
    """An image has to wait for what other processes do; ``owners`` are theirs, by their claims."""

    def __init__(self, owners: Mapping[Path, Owner]) -> None:
        super().__init__("in work by " + ", ".join(sorted({str(o) for o in owners.values()})))
        self.owners = dict(owners)


class Claims:
    """The claims of this process. Threads may use it at once."""

    def __init__(self) -> None:
        self.taken_over: set[Path] = set()
        """Claims that dead owners lost to this process."""
        self._held: dict[Path, str] = {}
        self._kept: dict[Path, str] = {}
        self._folders: set[Path] = set()
        self._seen: dict[Path, tuple[int, str, float]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, path: Path) -> Owner | None:
        """Claim ``path``; an owner that is dead loses it.

        Args:
            path: of ``claim_path`` or ``task_claim_path``; its folder is there.

        Returns:
            None where it is this process's now, else who has it.

        Raises:
            OSError: the folder cannot be written.
        """
        while True:
            token = secrets.token_hex(8)
            mine = Owner(os.getpid(), socket.gethostname(), _now(), _machine(), _started(), token)
            text = json.dumps(vars(mine)).encode()
            # not flushed: after a power cut nobody owns anything
            try:
                put_once(path, text, path.parent, sync=False)
            except FileNotFoundError:
                path.parent.mkdir(exist_ok=True)  # another process had no more use for it
                continue
            except OSError:
                # it may have been put all the same
                with self._lock:
                    self._kept[path] = token
                    self._folders.add(path.parent)
                raise
            owner = _read(path)
            if owner is not None and (owner.token == token or self._is_kept(path, owner)):
                with self._lock:
                    self._held[path] = owner.token
                    self._kept.pop(path, None)
                    self._folders.add(path.parent)
                    if self._heart is None:
                        self._heart = threading.Thread(
                            target=self._beat, name="liif-claims", daemon=True
                        )
                        self._heart.start()
                return None
            if owner is not None:
                if self._remove_dead(path):
                    self.taken_over.add(path)
                elif (now := _read(path)) is not None:
                    return now

    def owner(self, path: Path) -> Owner | None:
        """Who holds the claim; None where nobody does, or a dead process, whose it stays."""
        owner = _read(path)
        if owner is None or self._is_kept(path, owner) or self._dead(path, owner):
            return None
        return owner

    def _is_kept(self, path: Path, owner: Owner) -> bool:
        """Whether a claim is this process's, which has let go of it and could not remove it."""
        with self._lock:
            return self._kept.get(path) == owner.token

    def release(self, path: Path) -> None:
        """Let go of a claim; nothing where it is not this process's any more."""
        with self._lock:
            token = self._held.pop(path, None)
        if token is not None and (owner := _read(path)) is not None and owner.token == token:
            try:
                path.unlink(missing_ok=True)
            except OSError:
                with self._lock:
                    self._kept[path] = token

    def others(self, output: Path) -> dict[Path, Owner]:
        """Claims of living processes that render tasks of ``output``; the dead's are removed."""
        name = re.compile(re.escape(cover(output.name)) + r"\.\d+" + re.escape(_SUFFIX))
        owners: dict[Path, Owner] = {}
        folder = output.parent / FOLDER
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if name.fullmatch(path.name) and path not in self._held and not self._remove_dead(path):
                owner = _read(path)
                own = owner is None or self._is_kept(path, owner)
                owners |= {path: owner} if owner is not None and not own else {}
        return owners

    def tidy(self, folder: Path) -> None:
        """Remove the claims of dead processes on outputs in ``folder``."""
        for path in sorted((folder / FOLDER).glob(f"*{_SUFFIX}")):
            with contextlib.suppress(OSError):
                self._remove_dead(path)

    def close(self) -> None:
        """Let go of everything; folders in which nothing is left are removed."""
        self._closed.set()
        with self._lock:
            # those that could not be removed are tried once more
            self._held |= self._kept
        for path in list(self._held):
            self.release(path)
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if self._heart is not None:
            self._heart.join()

    def _dead(self, path: Path, owner: Owner) -> bool:
        """Whether the owner is known to have ended, or gave no sign of life for the lease."""
        if owner.ended:
            return True
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return False
        now = time.monotonic()
        with self._lock:
            sign = self._seen.get(path)
            if sign is None or sign[:2] != (changed, owner.token):
                self._seen[path] = changed, owner.token, now
                return False
            return now - sign[2] > LEASE

    def _remove_dead(self, path: Path) -> bool:
        """Whether the claim is gone now."""
        owner = _read(path)
        if owner is None:
            return True
        if not self._dead(path, owner):
            return False
        # asking the system took a while
        again = _read(path)
        if again is None or again.token != owner.token:
            return again is None
        if is_object(path):
            # two may do this at once, and do the same work then, which is only a waste
            path.unlink()
            return True
        aside = partial_path(path)
        with contextlib.suppress(FileNotFoundError):
            # of two that do this one succeeds
            os.rename(path, aside)
            taken = _read(aside)
            if taken is not None and taken.token != owner.token:
                # somebody was faster, and this is the new owner's
                with contextlib.suppress(OSError):
                    os.link(aside, path)
            aside.unlink()
        return True

    def _beat(self) -> None:
        beat = 0
        while not self._closed.wait(HEARTBEAT):
            beat += 1
            with self._lock:
                held = list(self._held.items())
            for path, token in held:
                with contextlib.suppress(OSError):
                    if not isinstance(path, ObjectPath):
                        os.utime(path)
                    elif beat % _BEATS_OF_OBJECTS == 0:
                        self._renew(path, token)

    def _renew(self, path: ObjectPath, token: str) -> None:
        """A sign of life in a bucket: the same claim, put again, unless it was taken over."""
        data = path.read_bytes()
        if _owner(data).token == token and path in self._held:
            path.put(data)


def claim_path(output: Path) -> Path:
    """Where the claim of an output lies, in the hidden folder beside it."""
    return output.parent / FOLDER / f"{cover(output.name)}{_SUFFIX}"


def task_claim_path(output: Path, task: int) -> Path:
    """Where the claim of one task of an output lies."""
    return output.parent / FOLDER / f"{cover(output.name)}.{task}{_SUFFIX}"


def is_task_claim(path: Path) -> bool:
    """Whether a claim is of one task, and not of a whole output."""
    return re.search(rf"\.\d+{re.escape(_SUFFIX)}$", path.name) is not None


def _read(path: Path) -> Owner | None:
    """The owner that a claim names, unknown where it cannot be read; None without a claim."""
    try:
        return _owner(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError:
        return Owner()


def _owner(data: bytes) -> Owner:
    try:
        claim = parse_json(data)
        return Owner(
            int(claim["pid"]),
            str(claim["host"]),
            str(claim["since"]),
            str(claim["machine"]),
            float(claim["started"]),
            str(claim["token"]),
        )
    except (ValueError, KeyError, TypeError):
        return Owner()


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def _started() -> float:
    return psutil.Process().create_time()


def _runs(pid: int, started: float) -> bool:
    """Whether the process is there, and is not a later one of the same number."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        # the system tells it in steps, from a boot time that may be corrected
        return abs(process.create_time() - started) < _SAME_START
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


@cache
def _machine() -> str:
    """What processes have in common that see each other by number."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        # containers of one machine have their own numbers
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:
        parts.append(f"{psutil.boot_time():.0f}")
    return " ".join(parts)
