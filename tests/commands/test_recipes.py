"""The recipes of docs/unattended.md, run as they are written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/unattended.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def script(tmp_path: Path) -> list[str]:
    """The script of the page, and a liif in its path."""
    (text,) = (block for block in blocks("sh") if block.startswith("#!/bin/sh"))
    path = tmp_path / "nightly.sh"
    path.write_text(text)
    (tmp_path / "bin").mkdir()
    liif = tmp_path / "bin/liif"
    liif.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m liif_cli "$@"\n')
    liif.chmod(0o755)
    folders = [str(tmp_path / name) for name in ("in", "out", "logs")]
    return ["sh", str(path), *folders, "--scale", "2", "--model", "bicubic"]


def run(script: list[str], folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    env = {**os.environ, "PATH": paths, "PYTHONPATH": str(ROOT)}
    return subprocess.run([*script, *more], env=env, capture_output=True, text=True, check=False)


def test_the_script_for_the_night(tmp_path: Path, script: list[str]) -> None:
    (tmp_path / "in").mkdir()
    pixels = np.zeros((20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in/a.png")
    good = run(script, tmp_path)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert json.loads((tmp_path / "logs/last.json").read_text())["counts"]["done"] == 1
    (tmp_path / "in/b.png").write_bytes(b"no image")
    bad = run(script, tmp_path)
    assert bad.returncode == 1
    assert "exit code 1" in bad.stdout
    assert "b.png" in bad.stdout
    report = json.loads((tmp_path / "logs/last.json").read_text())
    assert report["counts"] == {"done": 0, "skipped": 1, "failed": 1, "interrupted": 0}
    # out of time at once: no mail, and the next night resumes
    (tmp_path / "in/b.png").unlink()
    Image.fromarray(pixels + 9).save(tmp_path / "in/c.png")
    late = run(script, tmp_path, "--stop-after", "0.001s")
    assert (late.returncode, late.stdout) == (3, "")
    assert json.loads((tmp_path / "logs/last.json").read_text())["out_of_time"]


def test_options_of_the_page_are_those_of_the_command() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "liif_cli", "upscale", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout
    named = set(re.findall(r"--[a-z][a-z-]+", "".join(blocks("sh") + blocks("ini"))))
    assert {option for option in named if option not in text} == set()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_units_are_those_of_systemd(tmp_path: Path) -> None:
    service, timer = blocks("ini")
    service = service.replace("/usr/local/bin/nightly.sh", "/bin/true")
    (tmp_path / "liif.service").write_text(service)
    (tmp_path / "liif.timer").write_text(timer)
    units = [str(tmp_path / name) for name in ("liif.service", "liif.timer")]
    found = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
