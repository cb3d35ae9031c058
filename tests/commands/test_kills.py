"""Killed at random moments, again and again: the pixels are those of an undisturbed run."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner

from liif_cli.cli import liif
from tests.commands.forked import Forked, ended


def command(folder: Path, name: str) -> list[str]:
    # 36 shards by way of a store: Zarr always is, TIFF with so little memory
    size = "3000x3000" if name.endswith(".zarr") else "6000x6000"
    options = ["--size", size, "--model", "bicubic", "--max-memory", "800MiB", "-q"]
    return ["upscale", str(folder / "a.tif"), str(folder / "out" / name), *options]


def pixels_of(path: Path) -> str:
    """Digest of an output's pixels."""
    if path.suffix == ".zarr":
        found = zarr.open(path, mode="r")
        pixels = np.asarray(found if isinstance(found, zarr.Array) else found["0"])
    else:
        pixels = tifffile.imread(path)
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()


def kill_once(folder: Path, name: str, rng: random.Random) -> bool:
    """Kill a run somewhere between its first trace and its end; False where it was done before."""
    out = folder / "out"

    def traces() -> set[tuple[str, int]]:
        found = set()
        # os.walk: folders too may go while it reads, which rglob does not bear
        for parent, folders, files in os.walk(out):
            for entry in (*folders, *files):
                path = Path(parent, entry)
                try:
                    found.add((str(path), path.stat().st_mtime_ns))
                except FileNotFoundError:
                    continue  # renamed in between
        return found

    before = traces()
    process = Forked(command(folder, name))
    limit = time.monotonic() + 120
    while process.poll() is None and traces() == before:
        assert time.monotonic() < limit
        time.sleep(0.005)
    time.sleep(rng.random() * 0.4)
    # what is there under the final name before the kill must be whole
    named = (out / name).exists()
    process.send_signal(signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), stderr
    return not (named or process.returncode == 0 or (out / name).exists())


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        ("a.zarr", 2),
        pytest.param("a.zarr", 30, marks=pytest.mark.slow),
        pytest.param("a.tif", 30, marks=pytest.mark.slow),
    ],
)
def test_kills(tmp_path: Path, name: str, kills: int) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (300, 300, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", noise, photometric="rgb")
    out = tmp_path / "out"
    # undisturbed, in this process, whose memory is not so small
    words = [word for word in command(tmp_path, name) if word not in ("--max-memory", "800MiB")]
    done = CliRunner().invoke(liif, words)
    assert done.exit_code == 0, done.output
    expected = pixels_of(out / name)
    shutil.rmtree(out)
    rng = random.Random(kills)
    killed = 0
    while killed < kills:
        if kill_once(tmp_path, name, rng):
            killed += 1
        else:
            # it was done before the kill came: whole, and begun once more
            assert pixels_of(out / name) == expected
            shutil.rmtree(out)
    run = ended(command(tmp_path, name))
    assert run.returncode == 0, run.stderr
    assert pixels_of(out / name) == expected
    assert sorted(path.name for path in out.iterdir()) == [".liif", name]
