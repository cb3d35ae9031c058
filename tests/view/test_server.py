"""The server gives the page and its tiles, to pages of this machine, and nothing else."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from liif_cli.errors import UsageError
from liif_cli.view import server as module
from liif_cli.view.collection import collect
from liif_cli.view.server import ViewServer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for number in range(4):
        shape = (300 + number, 400, 4 if number == 3 else 3)
        imagecodecs.imwrite(tmp_path / f"{number}.png", rng.integers(0, 255, shape, np.uint8))
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[ViewServer]:
    made = ViewServer(collect([folder]), 'a "title" & <b>')
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def get(
    server: ViewServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.headers.get("Content-Type", ""), answer.read()
    connection.close()
    return found


def data_of(page: str) -> list[dict[str, object]]:
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return list(json.loads(found[1]))


def test_the_page_names_every_image(server: ViewServer) -> None:
    status, kind, body = get(server, "/")
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert [one["name"] for one in data_of(body.decode())] == ["0", "1", "2", "3"]
    assert "<h1>a &quot;title&quot; &amp; &lt;b&gt;</h1>" in body.decode()


def test_a_tile_is_the_picture(server: ViewServer, folder: Path) -> None:
    status, kind, body = get(server, "/tiles/2/0/9/0_0.img")
    assert (status, kind) == (200, "image/bmp")
    np.testing.assert_array_equal(imagecodecs.imread(body), imagecodecs.imread(folder / "2.png"))


def test_what_is_transparent_stays_so(server: ViewServer, folder: Path) -> None:
    status, kind, body = get(server, "/tiles/3/0/9/0_0.img")
    assert (status, kind) == (200, "image/png")
    np.testing.assert_array_equal(imagecodecs.imread(body), imagecodecs.imread(folder / "3.png"))


@pytest.mark.parametrize(
    "path",
    [
        "/x",
        "/tiles/",
        "/tiles/9/0/9/0_0.png",
        "/tiles/0/9/9/0_0.png",
        "/tiles/-1/0/9/0_0.png",
        "/tiles/0/0/9/2_0.png",
        "/tiles/0/0/99/0_0.png",
        "/tiles/../../etc/passwd",
        "/tiles/0/0/../../../0.png",
    ],
)
def test_there_is_nothing_else(server: ViewServer, path: str) -> None:
    assert get(server, path)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
def test_other_names_of_this_machine_are_refused(server: ViewServer, host: str) -> None:
    """A site whose name leads to 127.0.0.1 would read what is on this machine."""
    for path in ("/", "/tiles/0/0/9/0_0.png"):
        assert get(server, path, Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1:5"])
def test_its_own_names_are_taken(server: ViewServer, host: str) -> None:
    assert get(server, "/", Host=host)[0] == 200


def test_other_methods_are_refused(server: ViewServer) -> None:
    assert get(server, "/", "POST")[0] == 501


def test_a_damaged_image_is_said_and_the_others_are_shown(server: ViewServer, folder: Path) -> None:
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:5000])
    status, _, body = get(server, "/tiles/1/0/9/0_0.png")
    assert status == 500
    assert b"1.png" in body
    assert get(server, "/tiles/2/0/9/0_0.png")[0] == 200


def test_few_images_stay_open_and_all_are_shown(
    server: ViewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_PICTURES", 2)
    paths = [f"/tiles/{n}/0/{level}/0_0.png" for level in range(10) for n in range(4)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda path: get(server, path), paths))
    assert {status for status, _, _ in answers} == {200}
    assert len(server._pictures) == 2


def test_kept_tiles_are_bounded(server: ViewServer, monkeypatch: pytest.MonkeyPatch) -> None:
    first = get(server, "/tiles/0/0/9/0_0.png")[2]
    monkeypatch.setattr(module, "KEPT_BYTES", len(first) + 1000)
    for number in range(4):
        get(server, f"/tiles/{number}/0/9/0_0.png")
    assert server._kept <= len(first) + 1000
    assert server._kept == sum(map(len, server._tiles.values()))
    assert get(server, "/tiles/0/0/9/0_0.png")[2] == first


def test_a_port_that_is_taken_is_refused(server: ViewServer, folder: Path) -> None:
    with pytest.raises(UsageError, match="--port"):
        ViewServer(collect([folder]), "", server.server_address[1])
