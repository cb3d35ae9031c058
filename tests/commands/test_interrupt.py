"""Stopped in the middle by a signal, kill -9 too: the same command goes on to the same pixels."""

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

ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
SIDE = 6000
SHARDS = 9


def command(folder: Path) -> list[str]:
    # too large for that much memory, so it goes by way of a tile store
    options = ["--size", f"{SIDE}x{SIDE}", "--model", "bicubic", "--max-memory", "800MiB"]
    return [
        *(sys.executable, "-m", "liif_cli", "upscale"),
        *(str(folder / "in"), str(folder / "out"), *options),
    ]


def write_input(folder: Path) -> None:
    (folder / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 65536, (300, 300, 3), dtype=np.uint16)
    tifffile.imwrite(folder / "in/a.tif", noise, photometric="rgb")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    write_input(folder)
    subprocess.run(command(folder), check=True, env=ENV, timeout=300, capture_output=True)
    return folder / "out/a.tif"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_in_the_middle(
    tmp_path: Path, uninterrupted: Path, number: signal.Signals
) -> None:
    write_input(tmp_path)
    target = tmp_path / "out/a.tif"
    process = subprocess.Popen(command(tmp_path), stderr=subprocess.PIPE, text=True, env=ENV)
    limit = time.monotonic() + 120
    # a shard that is done is a file under c/ of the hidden store
    while not list(target.parent.glob(".*.zarr/0/c/*/*/[0-9]")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    if number is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 3, stderr
        assert "interrupted" in stderr
        assert "Traceback" not in stderr
    assert not target.exists()
    # what is done stays
    assert 0 < len(list(target.parent.glob(".*.zarr/0/c/*/*/[0-9]"))) < SHARDS

    again = subprocess.run(command(tmp_path), capture_output=True, text=True, env=ENV, timeout=300)
    assert again.returncode == 0, again.stderr
    assert "resumed at" in again.stderr
    assert sorted(path.name for path in target.parent.iterdir()) == [".liif", "a.tif"]
    np.testing.assert_array_equal(tifffile.imread(target), tifffile.imread(uninterrupted))
