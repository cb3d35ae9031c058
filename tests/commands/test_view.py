"""``liif view`` as it is typed: an address on stdout, an end without an error, a folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from liif_cli.cli import liif


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in "ab":
        pixels = np.random.default_rng(ord(name)).integers(0, 255, (20, 30, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), pixels)
    words = ["upscale", f"{tmp_path / 'in'}", f"{tmp_path / 'out'}", "-s", "2", "-m", "bicubic"]
    done = CliRunner().invoke(liif, [*words, "-q"])
    assert done.exit_code == 0, done.output
    return tmp_path


@contextmanager
def served(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "liif_cli", "view", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_an_error(batch: Path, number: signal.Signals) -> None:
    with served(str(batch / "out")) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert b'"label": "input"' in answer.read()
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "error" not in said


def test_the_start_takes_no_network(batch: Path) -> None:
    """Looking needs no torch: it would take as long as all the rest."""
    code = (
        "import sys; from liif_cli.view.collection import collect; from pathlib import Path;"
        "from liif_cli.view.server import ViewServer; import liif_cli.commands.view;"
        "ViewServer(collect([Path(sys.argv[1])]), 'x').server_close();"
        "assert 'torch' not in sys.modules and 'zarr' not in sys.modules, 'imported'"
    )
    subprocess.run([sys.executable, "-c", code, str(batch / "out")], check=True, timeout=60)


def test_a_folder_is_written(batch: Path) -> None:
    words = ["view", str(batch / "out"), "--out", str(batch / "site")]
    done = CliRunner().invoke(liif, words)
    assert done.exit_code == 0, done.output
    assert "2 images" in done.output
    page = (batch / "site" / "index.html").read_text(encoding="utf-8")
    assert '"name": "b"' in page
    # nothing from elsewhere: it opens without a network
    assert "http" not in page.replace("http-equiv", "")


def test_what_is_missing_is_wrong_usage(tmp_path: Path) -> None:
    done = CliRunner().invoke(liif, ["view", str(tmp_path / "nothing")])
    assert done.exit_code == 2
    assert "no such file or folder" in done.output
