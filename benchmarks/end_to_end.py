"""Whole commands: time, memory and use of the cores of ``liif upscale`` on one photo.

    python -m benchmarks.end_to_end PHOTO [--size WxH ...] [--model NAME|PATH ...]
        [--formats zarr,tif]

Each model is run beside ``--model bicubic`` of the same command; and, where ``vips`` is installed,
beside ``vips resize --kernel cubic`` writing a deflate tiled TIFF. Wall time, CPU time and peak
resident memory are those of the process (wait4). ``busy`` is CPU time over wall time and cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.engine.machine import cores
from liif_cli.io import open_source
from liif_cli.models.loader import DEFAULT_MODEL

_LAUNCH = """
import json, os, sys, time
begun = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
spent = time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
os.write(int(sys.argv[1]), json.dumps([status, *spent]).encode())
"""
"""Runs a command from a process that holds nothing: a new process's peak begins at its parent's."""


@dataclass(frozen=True)
class Cost:
    """Of one process: seconds of wall and CPU time, peak bytes."""

    wall: float
    cpu: float
    peak: int


def measure(command: list[str]) -> Cost:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    reading, writing = os.pipe()
    launch = [sys.executable, "-S", "-c", _LAUNCH, str(writing), *command]
    subprocess.run(launch, check=True, pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading) as told:
        status, wall, cpu, peak = json.load(told)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return Cost(wall, cpu, peak)


def liif(photo: Path, output: Path, size: str, model: str) -> Cost:
    """``liif upscale`` of one photo."""
    options = ["--size", size, "--model", model, "-q"]
    return measure([sys.executable, "-m", "liif_cli", "upscale", str(photo), str(output), *options])


def vips(photo: Path, output: Path, size: str) -> Cost:
    """``vips resize`` of one photo to a deflate tiled TIFF."""
    width, height = (int(side) for side in size.split("x"))
    source = open_source(photo)
    factors = width / source.info.width, height / source.info.height
    source.close()
    target = f"{output}[tile,compression=deflate,bigtiff]"
    scales = [str(factors[0]), "--vscale", str(factors[1])]
    return measure(["vips", "resize", str(photo), target, *scales, "--kernel", "cubic"])


def main() -> None:
    """Print a row a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--size", action="append", default=[], help="WxH, more than once")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--formats", default="zarr,tif")
    options = parser.parse_args()
    print(f"{options.photo.name}, {cores()} cores")
    print("what                                          wall s  Mpx/s  busy  peak MiB  of bicubic")
    for size in options.size or ["20000x15000"]:
        for suffix in options.formats.split(","):
            compare(options.photo, size, suffix, options.model or [DEFAULT_MODEL])


def compare(photo: Path, size: str, suffix: str, models: list[str]) -> None:
    """Rows of bicubic, of each model, and of vips for TIFF."""
    width, height = (int(side) for side in size.split("x"))

    def row(name: str, cost: Cost, base: Cost | None) -> None:
        busy = cost.cpu / cost.wall / cores()
        ratio = f"{cost.wall / base.wall:10.2f}x" if base else ""
        speed = width * height / cost.wall / 1e6
        print(
            f"{f'{name} {size} {suffix}':45} {cost.wall:6.1f} {speed:6.2f} {busy:5.0%} "
            f"{cost.peak / 2**20:9.0f} {ratio}",
            flush=True,
        )

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = liif(photo, folder / f"base.{suffix}", size, "bicubic")
        row("bicubic", base, None)
        for number, model in enumerate(models):
            cost = liif(photo, folder / f"{number}.{suffix}", size, model)
            row(Path(model).name, cost, base)
        if suffix == "tif" and shutil.which("vips"):
            row("vips cubic, deflate", vips(photo, folder / "vips.tif", size), base)


if __name__ == "__main__":
    main()
