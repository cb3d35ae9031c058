"""How soon is an enormous store on the screen, and a step of zoom?

A store of 20000x15000 is shown by the server of ``liif view`` in a Chromium without a window of
1280x900 pixels, with the tiles that it sends and, in the same run, with PNG tiles. Seconds from the
address to the first picture with all of its tiles, and from a click to the next; memory of this
process.

    python -m benchmarks.view STORE
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.view.collection import collect
from liif_cli.view.picture import Picture
from liif_cli.view.server import ViewServer
from tests.view.browser import browser

STEPS = 9


def seconds(store: Path, *, png: bool) -> tuple[float, list[float]]:
    """To the first picture, and for each step of zoom from there to single pixels."""
    tile = Picture.tile
    if png:
        Picture.tile = lambda self, place, quick=False: tile(self, place)  # type: ignore[method-assign]
    server = ViewServer(collect([store]), store.name)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as page:
            page.size(1280, 900)
            page.open("about:blank")
            start = time.perf_counter()
            page.send("Page.navigate", url=server.url)
            page.until(
                "document.body && document.body.dataset.missing === '0'"
                " && Number(document.body.dataset.drawn) > 0"
            )
            first = time.perf_counter() - start
            steps = []
            for _ in range(STEPS):
                start = time.perf_counter()
                page.ask("document.getElementById('in').click()")
                page.drawn()
                steps.append(time.perf_counter() - start)
            return first, steps
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        Picture.tile = tile  # type: ignore[method-assign]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    store = parser.parse_args().store
    rows = [("as sent", *seconds(store, png=False)), ("PNG", *seconds(store, png=True))]
    print("tiles      first picture    longest step    median step")
    for name, first, steps in rows:
        print(f"{name:8} {first:13.2f} s {max(steps):13.2f} s {statistics.median(steps):12.2f} s")
    ratio = sum(rows[0][2]) / sum(rows[1][2])
    print(f"steps, as sent / PNG: {ratio:.2f}; {psutil.Process().memory_info().rss >> 20} MiB")


if __name__ == "__main__":
    main()
