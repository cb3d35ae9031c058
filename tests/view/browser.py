"""A real browser without a window, told what to do over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One page of a running Chromium."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: WebSocketClientConnection) -> None:
        self._loop, self._socket, self._number = loop, socket, 0
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._number += 1
        number = self._number

        async def call() -> dict[str, Any]:
            await self._socket.write_message(
                json.dumps({"id": number, "method": method, "params": params})
            )
            while True:
                text = await asyncio.wait_for(self._socket.read_message(), 60)
                message = json.loads(text or "{}")
                self._note(message)
                if message.get("id") == number:
                    assert "error" not in message, message
                    return dict(message["result"])

        return self._loop.run_until_complete(call())

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        entry = params.get("entry", {})
        if message.get("method") == "Log.entryAdded" and entry.get("level") == "error":
            self.errors.append(f"{entry.get('text')} {entry.get('url')}")

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Give the page that many CSS pixels, one screen pixel each."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self.send("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 30) -> float:
        """Wait until an expression is true: how long it took, in seconds."""
        start = time.monotonic()
        while not self.ask(expression):
            assert time.monotonic() - start < seconds, f"never: {expression}"
            time.sleep(0.01)
        return time.monotonic() - start

    def drawn(self) -> float:
        """Wait until all tiles on the screen are there: how long it took, in seconds."""
        frame = "Number(document.body.dataset.drawn || 0)"
        before = self.ask(frame)
        self.ask("window.dispatchEvent(new Event('resize'))")
        return self.until(f"{frame} > {before} && document.body.dataset.missing === '0'")

    def press(self, key: str) -> None:
        """Press a key."""
        text = {"text": key} if len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def drag(self, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """Move the pointer from one place to another with its button held."""
        places = [start, ((start[0] + stop[0]) / 2, (start[1] + stop[1]) / 2), stop]
        held = {"button": "left", "buttons": 1, "clickCount": 1}
        for kind, (x, y) in zip(["mousePressed", "mouseMoved", "mouseMoved"], places, strict=True):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held)
        self.send("Input.dispatchMouseEvent", type="mouseReleased", x=stop[0], y=stop[1], **held)

    def wheel(self, x: float, y: float, by: float) -> None:
        """Turn the wheel."""
        self.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=by)

    def screenshot(self, path: Path | None = None) -> bytes:
        """What is on the screen, a PNG."""
        data = base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])
        if path is not None:
            path.write_bytes(data)
        return data


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A Chromium with an empty profile in ``folder``."""
    assert CHROMIUM is not None
    profile = folder / "profile"
    process = subprocess.Popen(
        [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",  # it refuses to run as root otherwise
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    loop = asyncio.new_event_loop()
    try:
        yield Browser(loop, loop.run_until_complete(_connect(profile)))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        loop.close()


async def _connect(profile: Path) -> WebSocketClientConnection:
    from tornado.httpclient import AsyncHTTPClient

    said = profile / "DevToolsActivePort"
    for _ in range(600):
        if said.is_file() and len(said.read_text().split()) == 2:
            break
        await asyncio.sleep(0.05)
    port = said.read_text().split()[0]
    for _ in range(100):
        answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/json")
        pages = [one for one in json.loads(answer.body) if one["type"] == "page"]
        if pages:
            return await websocket_connect(
                pages[0]["webSocketDebuggerUrl"], max_message_size=64 << 20
            )
        await asyncio.sleep(0.05)
    raise AssertionError("chromium opened no page")
