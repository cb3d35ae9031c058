"""Journals in a bucket, where nothing can be appended to."""

from __future__ import annotations

import json

import pytest

from liif_cli.engine import journal as module
from liif_cli.engine.journal import Journal, Known
from liif_cli.errors import OutputError
from liif_cli.io.place import ObjectPath, location
from tests.places.server import Server

IDENTITY = "0123456789abcdef" * 4


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The one element is the time."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def journal_of(key: str = "p.jsonl") -> Journal:
    return Journal(location(f"s3://bucket/{key}"), IDENTITY, location("s3://bucket/in"))


def images(journal: Journal) -> dict[str, list[str]]:
    """Names of images by object, as they lie in the bucket."""
    assert isinstance(journal.folder, ObjectPath)
    return {
        path.name: [json.loads(line)["image"] for line in path.read_text().splitlines()]
        for path, _ in journal.folder.objects()
    }


def note(journal: Journal, name: str, status: str = "again", **more: str) -> None:
    journal.note(location(f"s3://bucket/in/{name}"), status, **more)


def test_lines_are_put_every_two_seconds_failures_at_once(
    server: Server, clock: list[float]
) -> None:
    journal = journal_of()
    note(journal, "1")
    (name,) = images(journal)
    for wait, image, status, seen in (
        (1.9, "2", "again", "1"),
        (0.0, "3", "failed", "123"),
        (1.9, "4", "again", "123"),
        (0.1, "5", "again", "12345"),
        (0.0, "6", "again", "12345"),
    ):
        clock[0] += wait
        note(journal, image, status, error="no")
        assert images(journal) == {name: list(seen)}
    journal.close()
    assert images(journal) == {name: list("123456")}


def test_a_worker_that_noted_nothing_leaves_nothing(server: Server) -> None:
    journal = journal_of()
    journal.close()
    assert images(journal) == {}


def test_a_long_journal_has_parts(
    server: Server, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PART_BYTES", 120)
    journal, known = journal_of(), Known(journal_of().folder)
    for number in range(7):
        clock[0] += 2
        note(journal, f"{number}.png")
        known.refresh(now=True)
        assert len(known.entries) == number + 1
    journal.close()
    parts = images(journal)
    assert sorted(image for part in parts.values() for image in part) == [
        f"{number}.png" for number in range(7)
    ]
    first, *others = sorted(parts, key=len)
    stem = first.removesuffix(".jsonl")
    # a line has about 60 bytes
    assert sorted(others) == [f"{stem}.{part}.jsonl" for part in range(1, len(parts))]
    assert len(parts) >= 3


def test_nothing_is_read_that_did_not_grow(server: Server, clock: list[float]) -> None:
    journal = journal_of()
    note(journal, "1")
    known = Known(journal.folder)
    known.refresh(now=True)
    server.reset()
    known.refresh(now=True)
    # one listing
    assert server.requests == {"GET": 1}
    note(journal, "2", "failed", error="no")
    known.refresh(now=True)
    assert known.entries.keys() == {"1", "2"}


def test_an_output_is_asked_for_only_where_that_is_wanted(
    server: Server, clock: list[float]
) -> None:
    journal = journal_of()
    note(journal, "1", "done", output="s3://bucket/out/1.png")
    known = Known(journal.folder)
    known.refresh(now=True)
    server.reset()
    assert known.is_done("1", look=False)
    assert not server.requests
    assert not known.is_done("1")
    location("s3://bucket/out/1.png").write_bytes(b"x")
    assert known.is_done("1")


def test_a_bucket_that_refuses(server: Server, clock: list[float]) -> None:
    journal = journal_of()
    server.fault = lambda method, path: (
        ("403 Forbidden", "AccessDenied") if method == "PUT" else None
    )
    with pytest.raises(OutputError, match=r"s3://bucket/p\.jsonl\.state/"):
        note(journal, "1")
