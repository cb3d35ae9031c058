"""Objects as paths: on a server, and in this process's memory."""

from __future__ import annotations

import os
import pickle
import secrets
import threading
from pathlib import Path

import pytest

from liif_cli.errors import OutputError, UsageError
from liif_cli.io.place import ObjectPath, PlaceError, is_url, location, probe
from tests.places.server import KEYS, Server


def at(text: str) -> ObjectPath:
    path = location(text)
    assert isinstance(path, ObjectPath)
    return path


@pytest.fixture(params=["s3", "memory"])
def root(request: pytest.FixtureRequest, server: Server) -> ObjectPath:
    name = "bucket" if request.param == "s3" else secrets.token_hex(4)
    return at(f"{request.param}://{name}/root")


def below(root: ObjectPath, name: str) -> ObjectPath:
    path = root / name
    assert isinstance(path, ObjectPath)
    return path


def test_a_path_of_objects_is_made_like_one_of_files() -> None:
    path = at("s3://bucket/a/b.ome.tif")
    assert str(path) == "s3://bucket/a/b.ome.tif"
    assert (path.scheme, path.bucket, path.key) == ("s3", "bucket", "a/b.ome.tif")
    assert str(path.parent) == "s3://bucket/a"
    assert path.name == "b.ome.tif"
    assert str(path.with_name("c")) == "s3://bucket/a/c"
    assert path.parent / "b.ome.tif" == path
    assert hash(path) == hash(location(str(path)))
    assert path.relative_to(at("s3://bucket")).as_posix() == "a/b.ome.tif"
    assert pickle.loads(pickle.dumps(path)) == path
    # what pathlib made of it
    assert location(Path("s3://bucket/a/b.ome.tif")) == path
    assert path.absolute() == path
    assert path.is_absolute()


@pytest.mark.parametrize(
    ("text", "found"),
    [("s3://b/x", True), ("https://h/x.png", True), ("a/b", False), ("s3x://b", False)],
)
def test_which_texts_are_urls(text: str, found: bool) -> None:
    assert is_url(text) is found
    assert isinstance(location(text), ObjectPath) is found


def test_a_folder_of_that_name_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s3:/bucket").mkdir(parents=True)
    assert not isinstance(location("s3:/bucket"), ObjectPath)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2@host/x.png",
        "https://host/x.png?X-Amz-Signature=hunter2",
        "s3://key:hunter2@bucket/x",
        "s3://",
    ],
)
def test_urls_that_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        location(text)
    assert "hunter2" not in str(caught.value)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liif_cli.io.place.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"liif-cli\[cloud\]"):
        location("s3://bucket/x")


def test_whatever_would_look_on_this_machine_fails_loudly() -> None:
    with pytest.raises(TypeError, match="not a file of this machine"):
        os.stat(at("s3://bucket/x"))
    with pytest.raises(ValueError, match="put it whole"):
        at("s3://bucket/x").open("wb")


def test_objects_are_put_read_listed_and_deleted(root: ObjectPath) -> None:
    one, two = below(root, "a/x.bin"), below(root, "y.bin")
    assert not one.exists()
    assert not root.is_dir()
    assert list(root.iterdir()) == []
    data = bytes(range(256)) * 1000
    assert one.put(data)
    assert two.put(b"2")
    assert one.read_bytes() == data
    assert one.stat().st_size == len(data)
    assert one.is_file()
    assert not one.is_dir()
    assert root.is_dir()
    assert not root.is_file()
    assert (root / "a").is_dir()
    assert one.read_range(1000, 10) == data[1000:1010]
    assert one.read_suffix(7) == data[-7:]
    assert b"".join(one.chunks()) == data
    assert list(root.iterdir()) == [root / "a", two]
    assert [path for path, _ in root.objects()] == [one, two]
    assert list(root.rglob("*.bin")) == [one, two]
    assert list(root.glob("*.bin")) == [two]
    two.unlink()
    two.unlink()
    assert not two.exists()
    root.remove_below()
    assert root.objects() == []


def test_a_missing_object_is_a_missing_file(root: ObjectPath) -> None:
    for call in ("read_bytes", "stat"):
        with pytest.raises(FileNotFoundError):
            getattr(below(root, "none"), call)()
    assert not below(root, "none").is_file()


def test_an_object_is_put_once_by_one_of_many(root: ObjectPath) -> None:
    path, won = below(root, "once"), []

    def put(number: int) -> None:
        if path.put(str(number).encode(), once=True):
            won.append(number)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert path.read_bytes() == str(won[0]).encode()
    assert not [one for one in root.iterdir() if "probe" in one.name]


def test_an_object_as_a_file(root: ObjectPath) -> None:
    data = bytes(range(251)) * 800
    path = below(root, "f")
    path.put(data)
    with path.open("rb") as file:
        assert file.read(3) == data[:3]
        assert file.tell() == 3
        file.seek(-5, 2)
        assert file.read(100) == data[-5:]
        assert file.read(1) == b""
        file.seek(40_000)
        assert file.read(100_000) == data[40_000:140_000]
        file.seek(2, 1)
        buffer = bytearray(10)
        assert file.readinto(buffer) == 10
        assert bytes(buffer) == data[140_002:140_012]
        file.seek(7)
        assert file.readall() == data[7:]
        file.seek(10**9)
        assert file.read(5) == b""


def test_small_reads_fetch_a_block_and_large_ones_what_they_take(server: Server) -> None:
    path = at("s3://bucket/f")
    path.put(bytes(10**6))
    server.reset()
    with path.open("rb") as file:
        for start in range(0, 20_000, 100):
            file.seek(start)
            file.read(50)
    assert server.requests["GET"] == 1
    assert server.sent <= 32 * 1024
    server.reset()
    with path.open("rb") as file:
        file.seek(100_000)
        file.read(300_000)
    assert server.sent == 300_000


@pytest.mark.parametrize(
    "name", ["a b", "ü%20#?&+", "äöü/日本.png", "with'quote", "~tilde", "a=b;c"]
)
def test_odd_characters_in_keys(root: ObjectPath, name: str) -> None:
    path = below(root, name)
    path.put(b"1")
    assert [found for found, _ in root.objects()] == [path]
    assert location(str(path)).read_bytes() == b"1"


def test_a_server_that_ignores_conditions_is_refused(server: Server) -> None:
    server.ignore_conditions = True
    with pytest.raises(OutputError, match="ignores conditional puts"):
        probe(at("s3://bucket/x"))
    assert at("s3://bucket").objects() == []


def test_what_passes_by_itself_is_tried_again(server: Server) -> None:
    left = ["409 Conflict", "503 Service Unavailable"] * 2
    path = at("s3://bucket/x")
    probe(path)

    def fault(method: str, path: str) -> tuple[str, str] | None:
        return (left.pop(), "SlowDown") if left and method == "PUT" else None

    server.fault = fault
    assert path.put(b"1", once=True)
    assert not left
    assert path.read_bytes() == b"1"


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ("400 Bad Request", "ExpiredToken", "have expired"),
        ("403 Forbidden", "AccessDenied", "no permission"),
        ("403 Forbidden", "RequestTimeTooSkewed", "clock that is off"),
        ("403 Forbidden", "SignatureDoesNotMatch", "do not fit"),
        ("403 Forbidden", "InvalidAccessKeyId", "does not know"),
        ("404 Not Found", "NoSuchBucket", "does not exist"),
    ],
)
def test_refusals_say_what_they_are_and_no_secret(
    server: Server, status: str, code: str, said: str
) -> None:
    server.fault = lambda method, path: (status, code)
    path = at("s3://bucket/x")
    calls = [path.read_bytes, lambda: path.put(b"1"), lambda: path.put(b"1", once=True)]
    calls += [path.objects, lambda: list(path.iterdir()), lambda: path.read_range(0, 4)]
    if not status.startswith("404"):
        # HEAD, whose answer has no body: an object that is not there is not refused
        calls += [path.stat, path.is_file, path.exists]
    for call in calls:
        with pytest.raises(PlaceError) as caught:
            call()
        text = f"{caught.value} {caught.value.cure}"
        assert said in text
        assert not any(secret in text for secret in KEYS.values())


def test_nobody_answers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.places.conftest import forget

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    forget()
    with pytest.raises(PlaceError) as caught:
        at("s3://bucket/x").read_bytes()
    assert not any(secret in str(caught.value) for secret in KEYS.values())


def test_http_is_read_only(server: Server) -> None:
    at("s3://bucket/x.bin").put(b"0123456789")
    server.client().put_bucket_acl(Bucket="bucket", ACL="public-read")
    server.client().put_object_acl(Bucket="bucket", Key="x.bin", ACL="public-read")
    path = at(f"{server.url}/bucket/x.bin")
    assert path.read_bytes() == b"0123456789"
    assert path.read_range(2, 3) == b"234"
    assert path.is_file()
    assert not path.is_dir()
    with pytest.raises(PlaceError, match="only be read"):
        path.put(b"1")
