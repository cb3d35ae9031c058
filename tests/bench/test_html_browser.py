"""The report page in a real browser: no error, and what a click, a key and the pointer do.

Chromium runs without a window and prints the document as it is after the scripts. It cannot be told
to click, so a copy of the page gets a second script that does and writes down what came of it.
"""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import cv2
import pytest

from liif_cli.bench import html
from tests.bench.example import make_report

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

ACTIONS = """
const steps = [];
const note = (what) => {
  const viewer = document.querySelector("dialog");
  const pressed = [...viewer.querySelectorAll("[aria-pressed=true]")].map((b) => b.textContent);
  steps.push([what, viewer.open, viewer.dataset.shot ?? "", pressed.join(), location.hash,
    viewer.querySelector("p").textContent,
    document.querySelectorAll(".shot img")[["HR", "bicubic", "small network"].indexOf(pressed[0])]
      ?.src === viewer.querySelector("img").src]);
};
const key = (name, kind = "keydown") => document.querySelector("dialog").dispatchEvent(
  new KeyboardEvent(kind, { key: name, bubbles: true }));
note("start");
document.querySelectorAll("#crop-1 .frame")[1].click(); note("click bicubic");
key("ArrowRight"); note("right");
document.querySelector("dialog img").click(); note("click large");
key("ArrowRight"); note("right, around");
key("3"); note("3");
key("h"); steps.push(document.querySelector("dialog p").textContent);
key("h", "keyup"); steps.push(document.querySelector("dialog p").textContent);
key("ArrowDown"); note("down");
document.querySelector("dialog header button").click();
setTimeout(() => {
  steps.push(document.querySelector("dialog").open);
  const row = document.querySelector("#crop-1 .shots");
  const box = row.querySelector("#crop-1-1 .frame").getBoundingClientRect();
  row.querySelector("#crop-1-1 img").dispatchEvent(new PointerEvent("pointermove", {
    bubbles: true, clientX: box.left + box.width / 4, clientY: box.top + box.height / 2 }));
  steps.push([...row.querySelectorAll("img")].map((img) => getComputedStyle(img).transform));
  steps.push([row.style.getPropertyValue("--x"), row.style.getPropertyValue("--y")]);
  row.dispatchEvent(new PointerEvent("pointerleave"));
  steps.push(getComputedStyle(row.querySelector("img")).transform);
  document.documentElement.dataset.steps = JSON.stringify(steps);
}, 100);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    return html.write_html(make_report(folder), folder)


def chromium(url: str, folder: Path, *options: str) -> tuple[str, list[str]]:
    """What chromium prints, and the messages on the page's console."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",  # it refuses to run as root otherwise
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--v=0",
            "--virtual-time-budget=2000",
            f"--user-data-dir={folder / 'profile'}",
            *options,
            url,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"chromium ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout, re.findall(r":CONSOLE[^\]]*\] (.*)", done.stderr)


def data(dom: str, name: str) -> str | None:
    found = re.search(rf'<html[^>]* data-{name}="([^"]*)"', dom)
    return unescape(found[1]) if found else None


def test_scripts_run_without_an_error(page: Path, tmp_path: Path) -> None:
    dom, console = chromium(page.as_uri(), tmp_path, "--dump-dom")
    assert console == []
    assert data(dom, "ready") == "2", "both crops are in the viewer"
    assert '<dialog class="viewer" aria-label="Crop viewer">' in dom, "there, and not open"
    assert "<title>liif bench: photos" in dom, "no name ran as a script"


def test_the_console_is_heard(page: Path, tmp_path: Path) -> None:
    # the policy refuses a script that is not the page's own: seen on the console, and not run
    broken = page.with_name("broken.html")
    broken.write_text(
        page.read_text(encoding="utf-8").replace('"use strict";', 'nothing(); "use strict";'),
        encoding="utf-8",
    )
    dom, console = chromium(broken.as_uri(), tmp_path, "--dump-dom")
    assert any("Content Security Policy" in message for message in console)
    assert data(dom, "ready") is None


@pytest.mark.parametrize(
    ("fragment", "shot", "line"),
    [("crop-1", "crop-1-0", "HR: truth"), ("crop-2-2", "crop-2-2", "small network: 22.50 dB")],
)
def test_a_fragment_opens_the_viewer(
    page: Path, tmp_path: Path, fragment: str, shot: str, line: str
) -> None:
    dom, console = chromium(f"{page.as_uri()}#{fragment}", tmp_path, "--dump-dom")
    assert console == []
    viewer = dom[dom.index("<dialog") :]
    assert re.match(rf'<dialog[^>]* data-shot="{shot}"[^>]* open=""', viewer)
    assert f'<p aria-live="polite">{line}</p>' in viewer


def test_clicks_keys_and_pointer(page: Path, tmp_path: Path) -> None:
    acted = page.with_name("acted.html")
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    acted.write_text(text.replace("</body>", f"<script>{ACTIONS}</script></body>"), "utf-8")
    dom, console = chromium(acted.as_uri(), tmp_path, "--dump-dom")
    assert console == []
    steps = json.loads(data(dom, "steps") or "null")
    nasty = steps[3][3]
    assert nasty.startswith("<script>document.title"), "the label as text"
    assert steps[:6] == [
        ["start", False, "", "", "", "", False],
        ["click bicubic", True, "crop-1-1", "bicubic", "#crop-1-1", "bicubic: 20.00 dB", True],
        ["right", True, "crop-1-2", "small network", "#crop-1-2", "small network: 22.50 dB", True],
        ["click large", True, "crop-1-3", nasty, "#crop-1-3", f"{nasty}: 21.00 dB", False],
        ["right, around", True, "crop-1-0", "HR", "#crop-1-0", "HR: truth", True],
        ["3", True, "crop-1-2", "small network", "#crop-1-2", "small network: 22.50 dB", True],
    ]
    assert steps[6:8] == ["HR: truth", "small network: 22.50 dB"], "H held, and let go"
    assert steps[8][2] == "crop-2-2", "the same method of the next crop"
    closed, magnified, place, after = steps[9:]
    assert closed is False
    assert magnified == ["matrix(3, 0, 0, 3, 0, 0)"] * 4, "all crops of the place together"
    assert [float(part.rstrip("%")) for part in place] == [25, 50]
    assert after == "none"


def test_it_fits_the_window(page: Path, tmp_path: Path) -> None:
    # a window cannot be as narrow as a phone's, a frame in it can
    frames = "".join(
        f'<iframe src="{page.name}" style="width: {width}px; border: 0"></iframe>'
        for width in (390, 768, 1280)
    )
    framed = page.with_name("framed.html")
    framed.write_text(
        f"<!DOCTYPE html><html>{frames}<script>onload = () => {{"
        "document.documentElement.dataset.widths = JSON.stringify(Array.from(frames, (frame) => {"
        "const root = frame.document.documentElement;"
        "return [frame.innerWidth, root.scrollWidth - root.clientWidth]; })); }</script></html>",
        encoding="utf-8",
    )
    dom, _ = chromium(framed.as_uri(), tmp_path, "--dump-dom", "--allow-file-access-from-files")
    widths = json.loads(data(dom, "widths") or "null")
    assert widths == [[390, 0], [768, 0], [1280, 0]], "nothing to scroll sideways"


def test_dark_and_light(page: Path, tmp_path: Path) -> None:
    corners = []
    for scheme in (0, 1):
        path = tmp_path / f"{scheme}.png"
        chromium(
            page.as_uri(),
            tmp_path,
            f"--screenshot={path}",
            "--window-size=800,600",
            f"--blink-settings=preferredColorScheme={scheme}",
        )
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.shape[:2] == (600, 800)
        assert picture.std() > 5, "something is drawn"
        corners.append(int(picture[5, 5].max()))
    assert corners == [0x1A, 0xFF]
