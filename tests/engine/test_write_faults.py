"""Whichever writing call fails: one clear error, nothing wrong on the disk, right bytes after."""

from __future__ import annotations

import errno
import hashlib
import shutil
from pathlib import Path

import pytest

from liif_cli.engine import record
from liif_cli.engine.batch import upscale_batch
from liif_cli.geometry.size import SizeRequest
from liif_cli.io import pyramid
from liif_cli.plan import cutting
from liif_cli.plan.spec import RenderSpec
from tests.engine.conftest import Events
from tests.engine.faulty_writes import FaultyWrites

CAUSES = {errno.EIO: "Input/output error", errno.ENOSPC: "full disk"}


@pytest.fixture
def by_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes through the store, in a few shards, with a reduced level or two."""
    monkeypatch.setattr(pyramid, "SMALLEST", 64)
    monkeypatch.setattr(pyramid.level_shapes, "__defaults__", (64,))
    monkeypatch.setattr(cutting, "SHARD", 128)
    monkeypatch.setattr(cutting, "CHUNK", 64)
    monkeypatch.setattr(cutting, "MEMORY_SHARE", 1 << 40)


def upscale(photo: Path, out: Path) -> tuple[int, str]:
    """Exit code, and the error of the image."""
    spec = RenderSpec(size=SizeRequest.from_size("160x120"), model="bicubic")
    report = upscale_batch(photo, out, spec, listen=Events())
    return report.exit_code, report.results[0].error or ""


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below, but for those that tell times, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != ".liif"
    }


def fails_and_recovers(
    photo: Path, out: Path, number: int, code: int, expected: dict[str, str]
) -> str:
    """Let one call fail, run again, compare; returns the call, empty where there were fewer."""
    with pytest.MonkeyPatch.context() as patch:
        faults = FaultyWrites(patch, out.parent, number, code)
        exit_code, error = upscale(photo, out)
    if exit_code:
        assert exit_code == 1
        assert "unexpected" not in error, (faults.failed, error)
        assert out.stem in error, (faults.failed, error)
        assert CAUSES[code] in error, (faults.failed, error)
    with pytest.MonkeyPatch.context() as patch:
        # what may be another process's is left alone for some minutes
        patch.setattr(record, "_STALE_SECONDS", -1)
        exit_code, error = upscale(photo, out)
    assert exit_code == 0, (faults.failed, error)
    assert contents(out.parent) == expected, faults.failed
    # the lock of the page beside Deep Zoom images belongs to the folder, and stays
    left = {path.name for path in out.parent.glob(".liif/*") if path.suffix != ".json"}
    assert left <= {"index.html.lock"}, faults.failed
    return faults.failed


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("a.zarr", 59),
        ("a.png", 59),
        *(
            pytest.param(name, 1, marks=pytest.mark.slow)
            for name in ("a.tif", "a.zarr", "a.png", "a.dzi")
        ),
    ],
)
def test_every_writing_call_may_fail(
    tmp_path: Path, photo: Path, name: str, stride: int, by_store: None
) -> None:
    out = tmp_path / "out" / name
    assert upscale(photo, out) == (0, "")
    expected = contents(out.parent)
    for code in CAUSES:
        number, failed = 1, "first"
        while failed:
            shutil.rmtree(out.parent)
            failed = fails_and_recovers(photo, out, number, code, expected)
            number += stride
        print(f"{name}: {number // stride} calls, each failing with {errno.errorcode[code]}")
