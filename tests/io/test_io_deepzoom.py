"""Deep Zoom: the layout, levels, and a browser that opens it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liif_cli.errors import InputError, OutputError
from liif_cli.io import exporter_for
from liif_cli.io.atomic import atomic_path
from liif_cli.io.base import OutputInfo
from liif_cli.io.deepzoom import DeepZoom
from tests.io.conftest import half


def write(path: Path, pixels, reader, **info) -> Path:
    with atomic_path(path) as partial:
        exporter_for("dzi").export(reader(pixels), partial, OutputInfo(**info))
    return path


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_level_tile_by_tile(tmp_path, picture, reader, channels):
    pixels = picture(531, 780, channels).reshape(531, 780, channels)
    alpha = channels in (2, 4)
    path = write(tmp_path / "a.dzi", pixels, reader, compression="png", alpha=alpha)
    folders = sorted(int(folder.name) for folder in (tmp_path / "a_files").iterdir())
    # 780 pixels need 10 doublings
    assert folders == list(range(11))
    for level in reversed(folders):
        files = list((tmp_path / "a_files" / str(level)).iterdir())
        assert len(files) == -(-pixels.shape[0] // 254) * -(-pixels.shape[1] // 254)
        for file in files:
            col, row = map(int, file.stem.split("_"))
            rows = slice(max(0, row * 254 - 1), min(pixels.shape[0], row * 254 + 255))
            cols = slice(max(0, col * 254 - 1), min(pixels.shape[1], col * 254 + 255))
            with Image.open(file) as image:
                found = np.asarray(image).reshape(*image.size[::-1], channels)
            np.testing.assert_array_equal(found, pixels[rows, cols])
        pixels = half(pixels, alpha)
    image = DeepZoom.open(path)
    assert (image.height, image.width, image.suffix) == (531, 780, "png")
    assert all(image.damage(tile) is None for tile in image.tiles())
    shown = {found.name for found in tmp_path.iterdir() if not found.name.startswith(".")}
    assert shown == {path.name, "a_files", "index.html"}


def test_tiles_are_jpeg_or_png_where_there_is_alpha(tmp_path, picture, reader):
    for channels, suffix in ((1, ".jpeg"), (3, ".jpeg"), (2, ".png"), (4, ".png")):
        path = write(
            tmp_path / f"{channels}.dzi",
            picture(9, 300, channels),
            reader,
            alpha=channels in (2, 4),
        )
        tiles = list((tmp_path / f"{channels}_files").rglob("*_*.*"))
        assert {tile.suffix for tile in tiles} == {suffix}
        assert DeepZoom.open(path).suffix == suffix[1:]
    with pytest.raises(OutputError, match=r"RGB with alpha.*leave out --compression"):
        write(tmp_path / "b.dzi", picture(9, 9, 4), reader, compression="jpeg", alpha=True)


def test_a_failure_leaves_nothing(tmp_path, picture, reader):
    class Failing(reader):
        def read(self, window):
            if window.row_off > 2000:
                raise OutputError("stop")
            return super().read(window)

    with pytest.raises(OutputError, match="stop"):
        write(tmp_path / "a.dzi", np.zeros((2100, 20, 3), np.uint8), Failing)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_image_is_replaced_and_other_folders_are_not(tmp_path, picture, reader):
    path = write(tmp_path / "a.dzi", picture(700, 40), reader)
    write(path, picture(40, 30), reader)
    assert DeepZoom.open(path).height == 40
    assert sorted(int(f.name) for f in (tmp_path / "a_files").iterdir()) == list(range(7))
    (tmp_path / "b_files").mkdir()
    (tmp_path / "b_files" / "letter.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds no tiles"):
        write(tmp_path / "b.dzi", picture(40, 30), reader)
    assert (tmp_path / "b_files" / "letter.txt").read_text() == "mine"


def test_verification_finds_lost_and_damaged_tiles(tmp_path, picture, reader):
    from liif_cli.engine.verify import verify

    path = write(tmp_path / "a.dzi", picture(300, 600), reader)
    assert verify(path).intact
    (tmp_path / "a_files/10/1_0.jpeg").unlink()
    (tmp_path / "a_files/9/0_0.jpeg").write_bytes(b"\xff\xd8")
    shutil.copy(tmp_path / "a_files/0/0_0.jpeg", tmp_path / "a_files/8/0_0.jpeg")
    found = {each.where: each.what for each in verify(path).damage}
    assert set(found) == {f"a_files/{name}.jpeg" for name in ("10/1_0", "9/0_0", "8/0_0")}
    path.write_text("<Image/>")
    assert not verify(path).intact
    with pytest.raises(InputError, match="no readable descriptor"):
        DeepZoom.open(path)


PAGE = """<!doctype html>
<body style="margin:0"><div id="v" style="width:800px;height:600px"></div>
<script src="openseadragon.min.js"></script>
<script>
const viewer = OpenSeadragon({id: "v", tileSources: "a.dzi", showNavigationControl: false,
  immediateRender: true, animationTime: 0, drawer: "canvas"});
// a sixteenth of the width around the centre, where the quarters meet
viewer.addHandler("open", () => viewer.viewport.fitBounds(
  new OpenSeadragon.Rect(0.46875, 0.3515625, 0.0625, 0.046875), true));
</script></body>
"""


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The folder's address on this machine, and the paths that are asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, format, *args):
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.slow
def test_openseadragon_shows_it(tmp_path, reader):
    """LIIF_OPENSEADRAGON names openseadragon.min.js; chromium must be on the PATH."""
    script, browser = os.environ.get("LIIF_OPENSEADRAGON"), shutil.which("chromium")
    if not script or not browser:
        pytest.skip("needs LIIF_OPENSEADRAGON, a path of openseadragon.min.js, and chromium")
    # quarters of four colours, with darker lines of one pixel every 16
    pixels = np.zeros((1500, 2000, 3), np.uint8)
    pixels[:750, :1000], pixels[:750, 1000:] = (200, 0, 0), (0, 200, 0)
    pixels[750:, :1000], pixels[750:, 1000:] = (0, 0, 200), (200, 200, 0)
    pixels[::16] //= 2
    pixels[:, ::16] //= 2
    write(tmp_path / "a.dzi", pixels, reader, compression="png")
    shutil.copy(script, tmp_path / "openseadragon.min.js")
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    shot = tmp_path / "shot.png"
    options = (
        "--headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=800,600 "
        f"--virtual-time-budget=8000 --user-data-dir={tmp_path}/profile --screenshot={shot}"
    )
    with served(tmp_path) as (address, asked):
        subprocess.run(
            [browser, *options.split(), f"{address}/page.html"],
            check=True,
            capture_output=True,
            timeout=120,
        )
    # level 11 is the image itself: zoomed in, its tiles were asked for
    assert any(path.startswith("/a_files/11/") for path in asked)
    with Image.open(shot) as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    # 125 x 93.75 pixels around the centre are shown 6.4 times larger
    for row, col in ((150, 200), (150, 600), (450, 200), (450, 600)):
        at = (750 + round((row - 300) / 6.4), 1000 + round((col - 400) / 6.4))
        assert np.abs(found[row, col] - pixels[at]).max() <= 8, (row, col)
