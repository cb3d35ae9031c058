"""The page in a real browser, on a wide and on a narrow screen: what one sees and can do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("tornado")

from liif_cli.view.collection import collect
from liif_cli.view.server import ViewServer
from liif_cli.view.static import write_static
from tests.view.browser import CHROMIUM, Browser, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

RED, BLUE = (220, 30, 40), (20, 60, 230)
IN, OUT = (120, 160), (1200, 1600)
"""(height, width) of an input and of its output."""


def plain(path: Path, shape: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """An image of one colour with a white pixel in its middle and a green frame."""
    pixels = np.full((*shape, 3), colour, np.uint8)
    pixels[[0, -1]] = pixels[:, [0, -1]] = 0, 160, 0
    pixels[shape[0] // 2, shape[1] // 2] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    imagecodecs.imwrite(path, pixels)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    for name in ("a", "b", "long name of a photo that somebody took"):
        plain(folder / "in" / f"{name}.png", IN, RED)
        plain(folder / "out" / f"{name}.png", OUT, BLUE)
    plain(folder / "out" / "z.png", (3000, 400), BLUE)
    return folder


@pytest.fixture(scope="module", params=["server", "files"])
def url(request: pytest.FixtureRequest, batch: Path) -> Iterator[str]:
    """Both ways to open the page."""
    items = collect([batch / "out"], batch / "in")
    if request.param == "files":
        yield write_static(items, "out", batch / "site").as_uri()
        return
    server = ViewServer(items, "out")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.url
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["wide", "narrow"])
def screen(request: pytest.FixtureRequest, page: Browser, url: str) -> Iterator[Browser]:
    """The sheet, on a screen of that size."""
    width, height = request.param
    page.size(width, height, mobile=width < 500)
    page.open("about:blank")
    page.open(url)
    page.errors.clear()
    yield page
    assert page.errors == []
    # nothing is cut off, and nothing scrolls sideways
    assert page.ask("document.documentElement.scrollWidth") <= width


def seen(page: Browser) -> npt.NDArray[np.uint8]:
    """What is on the canvas, RGB, cut out of the screen."""
    box = page.ask("JSON.stringify(document.getElementById('stage').getBoundingClientRect())")
    area: dict[str, float] = json.loads(box)
    data = np.frombuffer(page.screenshot(), np.uint8)
    pixels = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    top, left = round(area["top"]), round(area["left"])
    found = pixels[top : top + round(area["height"]), left : left + round(area["width"])]
    return found.astype(np.uint8)


def share(pixels: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    return float((np.abs(pixels.astype(int) - colour).max(axis=2) <= 12).mean())


def text(page: Browser, name: str) -> str:
    return str(page.ask(f"document.getElementById('{name}').textContent"))


def test_the_sheet_is_filtered_and_sorted(screen: Browser) -> None:
    names = "[...document.querySelectorAll('#cards b')].map((b) => b.textContent).join('|')"
    assert screen.ask(names) == "a|b|long name of a photo that somebody took|z"
    screen.until("[...document.querySelectorAll('#cards img')].every((i) => i.naturalWidth > 0)")
    screen.ask(
        "{const f = document.getElementById('filter'); f.value = 'PHOTO';"
        "f.dispatchEvent(new Event('input'))}"
    )
    assert screen.ask(names) == "long name of a photo that somebody took"
    assert text(screen, "count") == "1 of 4 images"
    screen.ask(
        "{const f = document.getElementById('filter'); f.value = '';"
        "f.dispatchEvent(new Event('input')); const s = document.getElementById('sort');"
        "s.value = 'size'; s.dispatchEvent(new Event('change'))}"
    )
    assert screen.ask(names).startswith("a|b|")


def test_a_divider_parts_input_and_output(screen: Browser) -> None:
    screen.ask("document.querySelector('#cards a').click()")
    screen.until("!document.getElementById('image').hidden")
    screen.drawn()
    assert text(screen, "name") == "a"
    pixels = seen(screen)
    half = pixels.shape[1] // 2
    assert share(pixels[:, : half - 25], RED) > 0.25
    assert share(pixels[:, : half - 25], BLUE) == 0
    assert share(pixels[:, half + 25 :], BLUE) > 0.25
    assert share(pixels[:, half + 25 :], RED) == 0
    # to the left by hand: more of the output is seen
    box = json.loads(
        screen.ask("JSON.stringify(document.getElementById('divider').getBoundingClientRect())")
    )
    x, y = box["left"] + box["width"] / 2, box["top"] + box["height"] / 2
    screen.drag((x, y), (x / 2, y))
    screen.drawn()
    assert share(seen(screen), BLUE) > 1.3 * share(pixels, BLUE)
    screen.press(" ")
    screen.drawn()
    assert share(seen(screen), RED) > 1.3 * share(pixels, RED)


def test_one_zooms_to_single_pixels(screen: Browser) -> None:
    screen.ask("location.hash = '#1/0.5,0.5,16'")
    screen.until("!document.getElementById('image').hidden")
    screen.drawn()
    assert text(screen, "status").startswith("1600 %")
    # the divider to the left edge: the output alone
    screen.ask("document.getElementById('divider').focus()")
    screen.press("Home")
    for sides in ((16, 16), (160, 160)):
        screen.drawn()
        pixels = seen(screen)
        top, left = pixels.shape[0] // 2 - 90, pixels.shape[1] // 2 - 90
        part = pixels[top : top + 260, left : left + 260]
        white = (part > 250).all(axis=2)
        rows, cols = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
        assert (np.ptp(rows) + 1, np.ptp(cols) + 1) == sides
        assert white.sum() == sides[0] * sides[1]
        # then the input alone, whose pixels are ten times as large
        screen.press(" ")


def test_two_pictures_move_together(screen: Browser) -> None:
    screen.ask("location.hash = '#1'")
    screen.until("!document.getElementById('image').hidden")
    screen.ask("document.querySelector('[data-mode=side]').click()")
    screen.drawn()
    for key in "++":
        screen.press(key)
    pixels = seen(screen)
    middle = pixels.shape[1] // 2
    screen.drag((middle / 2, 500), (middle / 2 + 60, 520))
    screen.drawn()
    pixels = seen(screen)
    left, right = pixels[:, : middle - 2], pixels[:, middle + 2 :]
    edges = [np.flatnonzero((part[:, :, 1] > 120).mean(axis=0) > 0.2) for part in (left, right)]
    assert share(left, RED) > 0.2
    assert share(right, BLUE) > 0.2
    assert share(left, BLUE) == share(right, RED) == 0
    assert len(edges[0]) == 0 or abs(int(edges[0].max()) - int(edges[1].max())) <= 10


def test_keys_step_through_the_images(screen: Browser) -> None:
    screen.ask("location.hash = '#1'")
    screen.until("!document.getElementById('image').hidden")
    for key, name in [("ArrowRight", "b"), ("ArrowRight", "long"), ("ArrowLeft", "b")]:
        screen.press(key)
        screen.until(f"document.getElementById('name').textContent.startsWith('{name}')")
    screen.drawn()
    screen.press("Escape")
    screen.until("!document.getElementById('sheet').hidden")


def test_an_image_without_an_input_is_shown_alone(screen: Browser) -> None:
    screen.ask("location.hash = '#4'")
    screen.until("!document.getElementById('image').hidden")
    screen.drawn()
    assert screen.ask("document.getElementById('divider').hidden")
    assert screen.ask("document.getElementById('comparing').hidden")
    assert share(seen(screen), BLUE) > 0.05


def test_a_link_leads_to_the_same_place(screen: Browser) -> None:
    screen.ask("location.hash = '#2/0.25,0.75,2'")
    screen.until("!document.getElementById('image').hidden")
    screen.drawn()
    screen.wheel(100, 500, -240)
    screen.until("!location.hash.includes('0.25,0.75,2')")
    there = screen.ask("location.hash")
    before = seen(screen)
    screen.ask(f"location.hash = '#1'; location.hash = {json.dumps(there)}")
    screen.until("document.getElementById('name').textContent === 'b'")
    screen.drawn()
    np.testing.assert_allclose(seen(screen).astype(int), before.astype(int), atol=40)


def test_a_tile_that_is_missing_is_said(batch: Path, page: Browser, tmp_path: Path) -> None:
    index = write_static(collect([batch / "out" / "a.png"]), "out", tmp_path / "site")
    for path in (tmp_path / "site" / "tiles" / "0" / "0" / "11").glob("1_*.png"):
        path.unlink()
    page.size(1280, 900)
    page.open(index.as_uri() + "#1/0.3,0.3,1")
    page.until("Number(document.body.dataset.failed) > 0")
    assert "could not be read" in text(page, "trouble")
    assert not page.ask("document.getElementById('trouble').hidden")
    page.errors.clear()
