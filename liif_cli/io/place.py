"""Places where bytes lie that are not folders of this machine: buckets, and servers of HTTP.

``ObjectPath`` is a path whose files are objects: what takes a ``Path`` and only asks for its
content, its size, its names or its presence takes one as well. Nothing of it is renamed, locked or
appended to: an object is put whole, and ``put`` says whether it may replace another one.

obstore speaks to the servers. Credentials and end points come from the standard variables and
files alone, never from a URL, and no message holds one.
"""

from __future__ import annotations

import errno
import io
import os
import random
import re
import stat
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PosixPath
from typing import Any

from liif_cli.errors import OutputError, UsageError

SCHEMES = ("s3", "gs", "az", "https", "http", "memory")
"""Schemes of URLs that name a place. "memory" is this process's own, for tests."""
_URL = re.compile(rf"({'|'.join(SCHEMES)}):/+(.*)", re.IGNORECASE | re.DOTALL)
_ROOT = re.compile(rf"(?:{'|'.join(SCHEMES)}):")
_BLOCK = 32 * 1024
"""What is read at least; larger reads take what they need and no more."""
_CHUNK = 8 * 2**20
_TRIES = 8
_TRANSIENT = re.compile(
    r"status (?:code )?(?:409|429|5\d\d)|timed? ?out|error sending request|connection|conflict|"
    r"too busy|others are putting",
    re.I,
)
# tokens and signatures are in queries, and before an @
_SECRETS = re.compile(r"\?[^\s\"'<>)]*|//[^/\s\"'@]*@")
_CODES = {
    "NoSuchBucket": ("a bucket that does not exist", "check its name"),
    "NoSuchContainer": ("a container that does not exist", "check its name"),
    "ContainerNotFound": ("a container that does not exist", "check its name"),
    "InvalidBucketName": ("no name of a bucket", "check it"),
    "AccessDenied": ("no permission", "check the credentials and what they may do"),
    "ExpiredToken": (
        "credentials that have expired",
        "renew them and run the same command again, which resumes",
    ),
    "InvalidAccessKeyId": ("credentials that the server does not know", "check them"),
    "SignatureDoesNotMatch": ("credentials that do not fit", "check the secret key"),
    "RequestTimeTooSkewed": ("a clock that is off", "set the clock of this machine"),
    "AuthorizationHeaderMalformed": ("another region than the bucket's", "set AWS_REGION"),
    "PermanentRedirect": ("another region than the bucket's", "set AWS_REGION"),
    "SlowDown": ("a server that is too busy", "run the same command again, which resumes"),
}


class PlaceError(OSError):
    """A server's refusal; ``strerror`` says what was got, ``cure`` what can be done."""

    def __init__(self, got: str, path: object, cure: str = "") -> None:
        super().__init__(errno.EIO, got, str(path))
        self.cure = cure


@dataclass(frozen=True)
class ObjectStat:
    """What is known of an object; the names are those of ``os.stat_result``."""

    st_size: int
    st_mtime_ns: int
    tag: str = ""
    st_mode: int = stat.S_IFREG | 0o444
    st_nlink: int = 1

    @property
    def st_mtime(self) -> float:
        """Seconds since the epoch by the server's clock."""
        return self.st_mtime_ns / 1e9


def is_url(text: object) -> bool:
    """Whether a text names a place, also after ``Path`` made one slash of two."""
    return _URL.match(str(text)) is not None


def location(text: str | Path) -> Path:
    """The path that a text names: one of this machine, or an ``ObjectPath`` where it is a URL.

    Raises:
        UsageError: a URL with a password or a query, which would end up in records; or no bucket.
    """
    if isinstance(text, ObjectPath):
        return text
    match = _URL.match(str(text))
    if match is None or os.path.lexists(str(text)):
        return Path(text)
    scheme, rest = match[1].lower(), match[2]
    host = rest.split("/", 1)[0]
    if "@" in host or (scheme in ("http", "https") and "?" in rest):
        raise UsageError(
            f"{scheme}://{_SECRETS.sub('', '//' + rest)[2:]}",
            got="a URL with a password or a query",
            expected="one without, since it is written into plans and records",
            cure="give credentials by the environment, as AWS_ACCESS_KEY_ID, or download it first",
        )
    if not host and scheme != "memory":
        raise UsageError(
            f"{scheme}://", got="no bucket", expected=f"{scheme}://BUCKET/PATH", cure="name one"
        )
    if os.name == "nt":
        raise UsageError(
            f"{scheme}://{host}",
            got="Windows, whose paths have no room for a URL",
            expected="Linux or macOS for buckets",
            cure="use WSL, or copy the images with your provider's tools",
        )
    if find_spec("obstore") is None:
        got = "no obstore, which buckets and URLs need"
        raise UsageError(f"{scheme}://{host}", got=got, cure=_INSTALL)
    return ObjectPath(f"{scheme}:/{rest}")


_INSTALL = "pip install 'liif-cli[cloud]'"


def is_object(path: Path) -> bool:
    """Whether a path is an object's, or of a prefix of objects."""
    return isinstance(path, ObjectPath)


class ObjectPath(PosixPath):
    """The path of an object, or of what has objects below it; made by ``location``.

    Methods of ``Path`` that are not here raise a TypeError, since they would look on this machine.
    """

    def __str__(self) -> str:
        parts = self.parts
        if parts and _ROOT.fullmatch(parts[0]):
            return f"{parts[0]}//{'/'.join(parts[1:])}"
        return "/".join(parts)

    def __fspath__(self) -> str:
        raise TypeError(f"{self} is not a file of this machine")

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def as_posix(self) -> str:
        """The URL."""
        return str(self)

    @property
    def scheme(self) -> str:
        """For instance "s3"."""
        return self.parts[0][:-1]

    @property
    def bucket(self) -> str:
        """Of a URL of HTTP the host."""
        return self.parts[1] if len(self.parts) > 1 else ""

    @property
    def key(self) -> str:
        """Name of the object in its bucket."""
        return "/".join(self.parts[2:])

    @property
    def read_only(self) -> bool:
        """Whether nothing can be put there."""
        return self.scheme in ("http", "https")

    # what a path says of itself

    def is_absolute(self) -> bool:
        """True."""
        return True

    def absolute(self) -> ObjectPath:
        """The path itself."""
        return self

    def resolve(self, strict: bool = False) -> ObjectPath:
        """The path itself: there are no links."""
        return self

    # reading

    def stat(self, *, follow_symlinks: bool = True) -> ObjectStat:  # type: ignore[override]
        """Size and time of change of the object.

        Raises:
            FileNotFoundError: there is no such object.
            PlaceError: the server refuses it.
        """
        import obstore

        try:
            with _errors(self):
                meta = obstore.head(_store(self.scheme, self.bucket), self.key)
        except PlaceError as error:
            if not _TRANSIENT.search(str(error.strerror)):
                # an answer to HEAD has no body, in which the server would say why; that to GET has
                self.read_range(0, 1)
            raise
        changed = int(meta["last_modified"].timestamp() * 1e9)
        return ObjectStat(int(meta["size"]), changed, meta["e_tag"] or "")

    def lstat(self) -> ObjectStat:  # type: ignore[override]
        """See ``stat``."""
        return self.stat()

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is an object of that name."""
        try:
            return bool(self.key) and self.stat() is not None
        except FileNotFoundError:
            return False

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there are objects below; always False of HTTP, which lists nothing."""
        return not self.read_only and next(self.below(limit=1), None) is not None

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is an object, or there are some below."""
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        """False."""
        return False

    def read_bytes(self) -> bytes:
        """The content.

        Raises:
            FileNotFoundError: there is no such object.
            PlaceError: the server refuses it.
        """
        import obstore

        with _errors(self):
            return bytes(obstore.get(_store(self.scheme, self.bucket), self.key).bytes())

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """The content as text; see ``read_bytes``."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def read_range(self, start: int, length: int) -> bytes:
        """A part of the content; less where the object ends before.

        Raises:
            FileNotFoundError, PlaceError: see ``read_bytes``.
        """
        import obstore

        with _errors(self):
            store = _store(self.scheme, self.bucket)
            return bytes(obstore.get_range(store, self.key, start=start, length=length))

    def chunks(self) -> Iterator[bytes]:
        """The content in parts.

        Raises:
            FileNotFoundError, PlaceError: see ``read_bytes``.
        """
        import obstore

        with _errors(self):
            response = obstore.get(_store(self.scheme, self.bucket), self.key)
            for chunk in response.stream(min_chunk_size=_CHUNK):
                yield bytes(chunk)

    def read_suffix(self, length: int) -> bytes:
        """The last ``length`` bytes of the content, or all of it.

        Raises:
            FileNotFoundError, PlaceError: see ``read_bytes``.
        """
        import obstore

        with _errors(self):
            store = _store(self.scheme, self.bucket)
            response = obstore.get(store, self.key, options={"range": {"suffix": length}})
            return bytes(response.bytes())

    def open(self, mode: str = "r", *args: Any, **options: Any) -> Any:
        """A file to read from, in binary; parts are fetched as they are asked for.

        Raises:
            FileNotFoundError, PlaceError: see ``read_bytes``.
        """
        if mode != "rb":
            raise ValueError(f"{self} cannot be opened with mode {mode}: put it whole")
        return ObjectFile(self)

    def below(self, limit: int | None = None) -> Iterator[tuple[ObjectPath, ObjectStat]]:
        """Objects below, in no order."""
        import obstore

        with _errors(self):
            store = _store(self.scheme, self.bucket)
            options: dict[str, Any] = {} if limit is None else {"chunk_size": limit}
            prefix = f"{self.key}/" if self.key else None
            for batch in obstore.list(store, prefix, **options):
                for meta in batch:
                    changed = int(meta["last_modified"].timestamp() * 1e9)
                    stat = ObjectStat(int(meta["size"]), changed, meta["e_tag"] or "")
                    yield self._of_key(meta["path"]), stat

    def _of_key(self, key: str) -> ObjectPath:
        return ObjectPath(f"{self.scheme}:", self.bucket, *key.split("/"))

    def objects(self) -> list[tuple[ObjectPath, ObjectStat]]:
        """All objects below, however deep, sorted by name. A listing may be late."""
        return sorted(self.below(), key=lambda one: one[0].parts)

    def rglob(self, pattern: str, **options: Any) -> Iterator[ObjectPath]:  # type: ignore[override]
        """Objects below, however deep, whose name is like ``pattern``."""
        return (path for path, _ in self.objects() if path.match(pattern))

    def glob(self, pattern: str, **options: Any) -> Iterator[ObjectPath]:  # type: ignore[override]
        """Objects directly below whose name is like ``pattern``."""
        return (path for path in self.iterdir() if path.match(pattern))

    def iterdir(self) -> Generator[ObjectPath, None, None]:
        """What lies directly below, sorted by name.

        Raises:
            PlaceError: it may not be listed.
        """
        import obstore

        with _errors(self):
            store = _store(self.scheme, self.bucket)
            prefix = f"{self.key}/" if self.key else None
            listing = obstore.list_with_delimiter(store, prefix)
        names = [meta["path"] for meta in listing["objects"]] + list(listing["common_prefixes"])
        yield from sorted((self._of_key(name.rstrip("/")) for name in names), key=lambda p: p.parts)

    # writing

    def put(self, data: bytes | memoryview | Path, *, once: bool = False) -> bool:
        """Write the whole object.

        Args:
            data: its content, or the file that holds it.
            once: only where there is none of that name.

        Returns:
            whether it was written; False where ``once`` and there is one.

        Raises:
            PlaceError: the server refuses it.
        """
        if self.read_only:
            raise PlaceError("a place that can only be read", self, "choose another")
        if once:
            probe(self)
        return self._put(data, once=once)

    def _put(self, data: bytes | memoryview | Path, *, once: bool) -> bool:
        import obstore

        content: Any = data if isinstance(data, Path) else bytes(data)
        store = _store(self.scheme, self.bucket)
        if not once:
            with _errors(self):
                obstore.put(store, self.key, content)
            return True
        for attempt in range(_TRIES):
            try:
                with _errors(self):
                    # what is put in several parts could not be put once
                    obstore.put(store, self.key, content, mode="create", use_multipart=False)
                return True
            except FileExistsError:
                # or somebody is putting it (409), and may fail
                if self.is_file():
                    return False
                error = PlaceError("an object that others are putting", self)
            except PlaceError as refused:
                # obstore tries again by itself, but never what may not be done twice
                if not _TRANSIENT.search(str(refused.strerror)):
                    raise
                error = refused
            time.sleep(min(8.0, 0.1 * 2**attempt) * (0.5 + random.random()))
        raise error

    def write_bytes(self, data: Any) -> int:
        """Put it, also where there is one; returns the number of bytes."""
        self.put(data)
        return len(data)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object; no error where it is gone."""
        import obstore

        with _errors(self), suppress(FileNotFoundError):
            obstore.delete(_store(self.scheme, self.bucket), self.key)

    def remove_below(self) -> None:
        """Delete all objects below."""
        import obstore

        with _errors(self):
            keys = [path.key for path, _ in self.below()]
            for start in range(0, len(keys), 1000):
                obstore.delete(_store(self.scheme, self.bucket), keys[start : start + 1000])

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a prefix needs no making."""

    def rmdir(self) -> None:
        """Nothing: a prefix without objects is not there."""


class ObjectFile(io.RawIOBase):
    """An object as a file that can be read at any place.

    Small reads fetch a block of 32 KiB, larger ones exactly what is asked for.

    Args:
        path: of the object.

    Raises:
        FileNotFoundError, PlaceError: it is not there, or refused.
    """

    def __init__(self, path: ObjectPath) -> None:
        super().__init__()
        self._path, self._at = path, 0
        self._size: int | None = None
        self._start, self._block = 0, b""
        self.name = str(path)

    @property
    def size(self) -> int:
        """Bytes of the object."""
        if self._size is None:
            self._size = self._path.stat().st_size
        return self._size

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See ``io.IOBase.seek``."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        self._at = max(0, (self.size if start is None else start) + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes, fewer only at the end; all that are left where it is negative."""
        if size is None or size < 0:
            size = max(0, self.size - self._at)
        inside = self._at - self._start
        if not 0 <= inside <= len(self._block) - size:
            if size >= _BLOCK:
                data = self._fetch(self._at, size)
                self._at += len(data)
                return data
            self._start, self._block, inside = self._at, self._fetch(self._at, _BLOCK), 0
        data = self._block[inside : inside + size]
        self._at += len(data)
        return data

    def readall(self) -> bytes:
        """All that are left."""
        return self.read(-1)

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` as far as there is something; returns the number of bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _fetch(self, start: int, length: int) -> bytes:
        length = min(length, self.size - start)
        return self._path.read_range(start, length) if length > 0 else b""


@contextmanager
def _errors(path: ObjectPath) -> Iterator[None]:
    """Turn obstore's errors into those of the system, without anything secret.

    Raises:
        FileNotFoundError: no such object.
        FileExistsError: there is one that may not be replaced.
        PlaceError: everything else.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except FileNotFoundError as error:
        code = _code(str(error))
        if code in _CODES:
            raise _refusal(code, path) from None
        raise FileNotFoundError(errno.ENOENT, "no such object", str(path)) from None
    except (AlreadyExistsError, PreconditionError):
        raise FileExistsError(errno.EEXIST, "an object that is there", str(path)) from None
    except (BaseError, PermissionError, ValueError) as error:
        code = _code(str(error))
        if code in _CODES:
            raise _refusal(code, path) from None
        raise PlaceError(_short(str(error)), path) from None


def _refusal(code: str, path: ObjectPath) -> PlaceError:
    got, cure = _CODES[code]
    return PlaceError(got, path, cure)


def _code(text: str) -> str:
    """The server's own code of an error; that of its status where it gives none."""
    match = re.search(r"<Code>(\w+)</Code>", text)
    if match is not None:
        return match[1]
    if re.search(r"status (?:code )?40[13]|Unauthenticated|PermissionDenied", text, re.I):
        return "AccessDenied"
    return ""


def _short(text: str) -> str:
    """An error of obstore as one phrase: no debug text, no query, no password."""
    message = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    first = message[1] if message else text.split("\n\nDebug source")[0]
    clean = " ".join(_SECRETS.sub("", first).split())
    return clean[:300] or "an error of the server"


_probed: set[tuple[str, str]] = set()


def probe(path: ObjectPath) -> None:
    """Refuse a server that ignores that an object may be put only once; asked once per bucket.

    Raises:
        OutputError: it does.
        PlaceError: nothing can be written there.
    """
    if (path.scheme, path.bucket) in _probed:
        return
    here = path.parent / f".liif-probe-{os.urandom(8).hex()}"
    assert isinstance(here, ObjectPath)
    try:
        kept = here._put(b"1", once=True) and not here._put(b"2", once=True)
        kept = kept and here.read_bytes() == b"1"
    finally:
        here.unlink()
    if not kept:
        raise OutputError(
            f"{path.scheme}://{path.bucket}",
            got="a server that ignores conditional puts (If-None-Match)",
            expected="one that honours them, since several processes write at once",
            cure="update the server, or write to a folder and copy it",
        )
    _probed.add((path.scheme, path.bucket))


@cache
def _store(scheme: str, bucket: str) -> Any:
    """obstore's store of a bucket, set up by the environment alone.

    Raises:
        PlaceError: the environment does not say enough.
    """
    from obstore import store

    retry: Any = {"max_retries": 6, "retry_timeout": timedelta(seconds=90)}
    client: Any = {"timeout": "180s", "connect_timeout": "15s"}
    if scheme == "memory":
        return store.MemoryStore()
    if scheme in ("http", "https"):
        client["allow_http"] = scheme == "http"
        return store.HTTPStore.from_url(
            f"{scheme}://{bucket}", client_options=client, retry_config=retry
        )
    if scheme == "gs":
        return store.GCSStore(bucket, client_options=client, retry_config=retry)
    if scheme == "az":
        return store.AzureStore(bucket, client_options=client, retry_config=retry)
    options: dict[str, Any] = {}
    endpoint = next(filter(None, map(os.environ.get, _S3_ENDPOINTS)), None)
    if endpoint:
        options["endpoint"] = endpoint
        client["allow_http"] = endpoint.startswith("http://")
    if not any(name in os.environ for name in ("AWS_REGION", "AWS_DEFAULT_REGION")):
        options["region"] = "us-east-1"
    options |= _profile()
    return store.S3Store(bucket, client_options=client, retry_config=retry, **options)


_S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def _profile() -> dict[str, Any]:
    """Credentials of the configuration files, where no variable has any and boto3 can read them."""
    files = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser()
    config = Path(os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")).expanduser()
    there = files.is_file() or config.is_file()
    if "AWS_ACCESS_KEY_ID" in os.environ or not there or find_spec("boto3") is None:
        return {}
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.session.Session()
    if session.get_credentials() is None:
        return {}
    options: dict[str, Any] = {"credential_provider": Boto3CredentialProvider(session)}
    return options | ({"region": session.region_name} if session.region_name else {})
