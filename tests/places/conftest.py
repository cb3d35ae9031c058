"""A bucket for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from liif_cli.io import place
from tests.places.server import Server, running


@pytest.fixture(scope="session")
def session_server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def server(session_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, its bucket empty, and this process led to it."""
    for name, value in session_server.environment().items():
        monkeypatch.setenv(name, value)
    forget()
    yield session_server
    session_server.fault = lambda method, path: None
    session_server.ignore_conditions = False
    for name, value in session_server.environment().items():
        monkeypatch.setenv(name, value)
    forget()
    bucket = place.location("s3://bucket")
    assert isinstance(bucket, place.ObjectPath)
    bucket.remove_below()
    session_server.reset()
    forget()


def forget() -> None:
    """As in a new process."""
    place._store.cache_clear()
    place._probed.clear()
