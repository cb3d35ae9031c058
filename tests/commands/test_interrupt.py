"""Stopped in the middle by a signal: exit code 3, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
SIDE = 9000


def command(folder: Path) -> list[str]:
    options = ["--size", f"{SIDE}x{SIDE}", "--model", "bicubic", "--max-memory", "900MiB"]
    return [
        *(sys.executable, "-m", "liif_cli", "upscale"),
        *(str(folder / "in"), str(folder / "out"), "--format", "tiff", *options),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "in/a.png")
    process = subprocess.Popen(command(tmp_path), stderr=subprocess.PIPE, text=True, env=ENV)
    limit = time.monotonic() + 60
    # a shard that is done is a file under c/ of the hidden store
    while not list((tmp_path / "out").glob(".*.zarr/c/*/*/*")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3, stderr
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert not list((tmp_path / "out").glob("*.tif*"))
    shards = list((tmp_path / "out").glob(".*.zarr/c/*/*/*"))
    times = {path: path.stat().st_mtime_ns for path in shards}

    again = subprocess.run(command(tmp_path), capture_output=True, text=True, env=ENV, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "going on at" in again.stderr
    assert times
    (target,) = (tmp_path / "out").glob("*.tif*")
    assert tifffile.TiffFile(target).pages[0].shape == (SIDE, SIDE, 3)
    assert not list((tmp_path / "out").glob(".*.zarr"))

    whole = tmp_path / "whole"
    (whole / "in").mkdir(parents=True)
    (whole / "in/a.png").write_bytes((tmp_path / "in/a.png").read_bytes())
    subprocess.run(command(whole), check=True, env=ENV, timeout=120, capture_output=True)
    np.testing.assert_array_equal(
        tifffile.imread(target), tifffile.imread(whole / "out" / target.name)
    )
