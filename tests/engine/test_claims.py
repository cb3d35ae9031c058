"""Claims: one owner at a time, dead ones lose theirs, nothing is left."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from liif_cli.engine import claims as module
from liif_cli.engine.claims import Claims, Owner, claim_path, task_claim_path
from liif_cli.engine.record import make_folder

HOLD = """
import sys, time
from pathlib import Path
from liif_cli.engine.claims import Claims
claims = Claims()
assert claims.take(Path(sys.argv[1])) is None
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    make_folder(tmp_path / "a.png")
    return claim_path(tmp_path / "a.png")


def hold(claim: Path) -> subprocess.Popen[str]:
    """A process that holds a claim until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(claim)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_owner_at_a_time(claim: Path) -> None:
    first, second = Claims(), Claims()
    assert first.take(claim) is None
    owner = second.take(claim)
    assert owner is not None
    assert owner.pid == os.getpid()
    assert str(owner).startswith(f"{os.getpid()} on ")
    assert " since 20" in str(owner)
    assert second.owner(claim) == owner
    second.release(claim)
    assert claim.exists()
    first.release(claim)
    assert second.take(claim) is None
    first.close()
    assert claim.exists()
    second.close()
    assert not claim.parent.exists()


def test_of_many_that_try_at_once_one_succeeds(claim: Path) -> None:
    several = [Claims() for _ in range(16)]
    start = threading.Barrier(len(several))
    taken = []

    def take(claims: Claims) -> None:
        start.wait()
        if claims.take(claim) is None:
            taken.append(claims)

    threads = [threading.Thread(target=take, args=(claims,)) for claims in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    for claims in several:
        claims.close()
    assert not claim.parent.exists()


def test_a_killed_process_loses_its_claim_at_once(claim: Path) -> None:
    process = hold(claim)
    claims = Claims()
    assert claims.take(claim) is not None
    process.kill()
    # no wait: a zombie is dead as well
    time.sleep(0.2)
    assert claims.owner(claim) is None
    assert claims.take(claim) is None
    assert claim in claims.taken_over
    claims.close()
    process.wait()
    process.communicate()
    assert not claim.parent.exists()


def test_what_somebody_else_took_from_a_dead_process_stays_theirs(
    claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = hold(claim)
    process.kill()
    process.wait()
    process.communicate()
    first, second = Claims(), Claims()
    dead = second._dead

    def slow(path: Path, owner: Owner) -> bool:
        """The other one is faster while this one asks the system."""
        found = dead(path, owner)
        if not first._held:
            assert first.take(claim) is None
        return found

    monkeypatch.setattr(second, "_dead", slow)
    moved: list[object] = []
    monkeypatch.setattr(module.os, "rename", lambda *paths: moved.append(paths))
    monkeypatch.setattr(first, "_remove_dead", lambda path: path.unlink() or True)
    owner = second.take(claim)
    assert owner is not None
    assert owner.token == first._held[claim]
    assert claim not in second.taken_over
    assert moved == []
    first.close()


def test_a_later_process_of_the_same_number_is_another(
    claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Claims(), Claims()
    monkeypatch.setattr(module, "_started", lambda: 12345.0)
    assert first.take(claim) is None
    monkeypatch.undo()
    assert second.take(claim) is None
    # whose it is no more is left alone
    first.release(claim)
    assert second.owner(claim) is not None
    second.close()
    first.close()


def test_another_machine_is_dead_without_a_sign_of_life(
    claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = Claims(), Claims()
    monkeypatch.setattr(module, "HEARTBEAT", 0.05)
    monkeypatch.setattr(module, "_machine", lambda: "another one")
    assert there.take(claim) is None
    monkeypatch.setattr(module, "_machine", lambda: "this one")
    monkeypatch.setattr(module, "LEASE", 0.5)
    # its clock is of no interest, its signs of life are
    for _ in range(20):
        assert here.take(claim) is not None
        time.sleep(0.05)
    there._closed.set()
    begun = time.monotonic()
    while here.take(claim) is not None:
        assert time.monotonic() - begun < 10
        time.sleep(0.05)
    assert time.monotonic() - begun > 0.3
    there.close()
    assert claim.exists()
    here.close()
    assert not claim.parent.exists()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\xfe"])
def test_a_claim_that_cannot_be_read_lasts_for_the_lease(
    claim: Path, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim.write_bytes(text)
    claims = Claims()
    if text:
        assert claims.take(claim) == Owner()
        assert "unknown" in str(claims.owner(claim))
    monkeypatch.setattr(module, "LEASE", 0.0)
    time.sleep(0.01)
    assert claims.take(claim) is None
    claims.close()
    assert not claim.parent.exists()


def test_tasks_of_others_are_listed_and_those_of_the_dead_removed(tmp_path: Path) -> None:
    output = tmp_path / "a.tif"
    make_folder(output)
    process = hold(task_claim_path(output, 3))
    mine, other = Claims(), Claims()
    assert mine.take(task_claim_path(output, 1)) is None
    assert other.take(task_claim_path(output, 2)) is None
    assert other.take(task_claim_path(tmp_path / "a.tif.b.tif", 2)) is None
    assert other.take(claim_path(output)) is None
    assert set(mine.others(output)) == {task_claim_path(output, 2), task_claim_path(output, 3)}
    process.kill()
    process.communicate()
    assert set(mine.others(output)) == {task_claim_path(output, 2)}
    assert not task_claim_path(output, 3).exists()
    mine.close()
    other.close()
    assert not (tmp_path / ".liif").exists()


def test_without_hard_links(claim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    first, second = Claims(), Claims()
    assert first.take(claim) is None
    assert second.take(claim) is not None
    first.release(claim)
    assert second.take(claim) is None
    second.close()
    first.close()
    assert not claim.parent.exists()


def test_a_claim_that_was_put_by_a_call_that_failed_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = claim_path(tmp_path / "a.png")
    path.parent.mkdir()
    unlink = Path.unlink

    def faulty(self: Path, missing_ok: bool = False) -> None:
        if self.name.endswith(".partial"):
            raise OSError(errno.EIO, "Input/output error")
        unlink(self, missing_ok=missing_ok)

    claims = Claims()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", faulty)
        with pytest.raises(OSError, match="Input/output"):
            claims.take(path)
    assert path.exists()
    claims.close()
    assert not path.exists()


def test_a_claim_that_could_not_be_removed_is_no_obstacle_to_its_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the process would wait for itself, for as long as it lives."""
    output = tmp_path / "a.png"
    make_folder(output)
    claim, task = claim_path(output), task_claim_path(output, 3)
    claims = Claims()
    for path in (claim, task):
        assert claims.take(path) is None

    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.EACCES, "no permission")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        for path in (claim, task):
            claims.release(path)
            assert path.exists()
    assert claims.owner(claim) is None
    assert claims.others(output) == {}
    assert claims.take(claim) is None
    other = Claims()
    assert other.owner(claim) is not None
    assert set(other.others(output)) == {task}
    claims.close()
    assert not claim.exists()
    assert not task.exists()
