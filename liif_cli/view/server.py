"""A page and its tiles on the loopback interface, made when they are asked for."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from liif_cli.errors import LiifError, UsageError
from liif_cli.io.deepzoom import DeepZoom
from liif_cli.io.viewerpage import Layer, Shown, page
from liif_cli.view.collection import Item, View
from liif_cli.view.picture import TILE, Picture, Tiles, open_picture

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
OPEN_PICTURES = 8
"""Images whose files stay open."""
KEPT_BYTES = 32 * 2**20
"""Tiles that are kept, for the way back."""
_KINDS = {b"\x89P": "image/png", b"BM": "image/bmp"}
_SUFFIX = "img"
"""Of tiles in addresses; what they are is in their head."""
_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class ViewServer(ThreadingHTTPServer):
    """Serves a page of ``items`` at ``url`` to programs of this machine.

    Args:
        items: what is shown.
        title: of the page.
        port: 0 is any that is free.

    Raises:
        UsageError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, items: Sequence[Item], title: str, port: int = 0) -> None:
        self.items = items
        shown = [
            Shown(
                item.name,
                [_layer(view, f"tiles/{number}/{layer}/") for layer, view in enumerate(item.views)],
            )
            for number, item in enumerate(items)
        ]
        self.page = page(title, shown).encode()
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[int, int], _Held] = OrderedDict()
        self._tiles: OrderedDict[str, bytes] = OrderedDict()
        self._kept = 0
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(
                "--port", got=f"{port}: {error}", expected="a free port", cure="leave --port out"
            ) from error

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def server_close(self) -> None:
        """Stop listening, close images, remove what was made for them."""
        super().server_close()
        with self._lock:
            for held in self._pictures.values():
                held.close()
            self._pictures.clear()

    def tile(self, path: str) -> bytes:
        """The tile of a path ITEM/LAYER/LEVEL/COL_ROW.SUFFIX.

        Raises:
            KeyError: there is none.
            LiifError: the image is damaged, or gone.
        """
        with self._lock:
            if path in self._tiles:
                self._tiles.move_to_end(path)
                return self._tiles[path]
        try:
            item, layer, level, name = path.split("/")
            col, row = name.partition(".")[0].split("_")
            numbers = int(item), int(layer)
            place = int(level), int(col), int(row)
        except ValueError:
            raise KeyError(path) from None
        with self._held(numbers) as picture:
            data = picture.tile(place, quick=True)
        with self._lock:
            if path not in self._tiles:
                self._kept += len(data)
                self._tiles[path] = data
            while self._kept > KEPT_BYTES:
                self._kept -= len(self._tiles.popitem(last=False)[1])
        return data

    def _held(self, numbers: tuple[int, int]) -> _Held:
        """An image that stays open while it is used."""
        with self._lock:
            held = self._pictures.get(numbers)
            if held is None:
                if min(numbers) < 0:
                    raise KeyError(numbers)
                try:
                    view = self.items[numbers[0]].views[numbers[1]]
                except IndexError:
                    raise KeyError(numbers) from None
                held = self._pictures[numbers] = _Held(view, self.release)
            self._pictures.move_to_end(numbers)
            held.users += 1
            self._close_idle()
        return held

    def release(self, held: _Held) -> None:
        """An image is used by one thread less."""
        with self._lock:
            held.users -= 1
            self._close_idle()

    def _close_idle(self) -> None:
        """Close images that nobody uses, those first that were used longest ago."""
        idle = [key for key, one in self._pictures.items() if not one.users]
        for key in idle[: max(0, len(self._pictures) - OPEN_PICTURES)]:
            self._pictures.pop(key).close()


class _Held:
    """A picture, opened by whoever needs it first, and how many use it now."""

    def __init__(self, view: View, release: Callable[[_Held], None]) -> None:
        self._view, self._release = view, release
        self._lock = threading.Lock()
        self._picture: Picture | Tiles | None = None
        self.users = 0

    def __enter__(self) -> Picture | Tiles:
        try:
            with self._lock:
                if self._picture is None:
                    self._picture = open_picture(self._view.path)
            return self._picture
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        self._release(self)

    def close(self) -> None:
        if self._picture is not None:
            self._picture.close()


def _layer(view: View, base: str) -> Layer:
    if view.path.suffix.lower() == ".dzi":
        return Layer.of(DeepZoom.open(view.path), view.label, base, view.rect)
    zoom = DeepZoom(view.path, view.height, view.width, _SUFFIX, TILE, 0)
    return Layer.of(zoom, view.label, base, view.rect)


class _Handler(BaseHTTPRequestHandler):
    """GET of the page and of tiles, from pages of this server only."""

    server: ViewServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in _HOSTS:
            # another site's name that leads here (DNS rebinding) would read the images
            self._answer(HTTPStatus.FORBIDDEN, b"only for this machine", "text/plain")
            return
        path = urlsplit(self.path).path
        if path == "/":
            self._answer(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif path.startswith("/tiles/"):
            self._tile(path.removeprefix("/tiles/"))
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"not found", "text/plain")

    def _tile(self, path: str) -> None:
        try:
            data = self.server.tile(path)
        except KeyError:
            self._answer(HTTPStatus.NOT_FOUND, b"no such tile", "text/plain")
        except (LiifError, OSError) as error:
            log.warning("%s", error)
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode(), "text/plain")
        else:
            kind = _KINDS.get(data[:2], "image/jpeg")
            self._answer(HTTPStatus.OK, data, kind)

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            # an output may be rendered again under the same name
            self.send_header("Cache-Control", "no-cache")
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the page went on

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)
