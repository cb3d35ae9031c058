"""Whole commands: time, memory and use of the cores of ``liif upscale`` on one photo.

    python -m benchmarks.end_to_end PHOTO [--size WxH] [--model NAME|PATH ...] [--formats zarr,tif]

Each model is run beside ``--model bicubic`` of the same command; and, where ``vips`` is installed,
beside ``vips resize --kernel cubic`` writing a deflate tiled TIFF. Wall time, CPU time and peak
resident memory are those of the process (wait4). ``busy`` is CPU time over wall time and cores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.engine.machine import cores
from liif_cli.io import open_source
from liif_cli.models.loader import DEFAULT_MODEL


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
    start = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


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
    parser.add_argument("--size", default="20000x15000")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--formats", default="zarr,tif")
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    mpx = width * height / 1e6
    print(f"{options.photo.name} to {options.size}, {cores()} cores")
    print("what                                  wall s   Mpx/s    busy   peak MiB   of bicubic")

    def row(name: str, cost: Cost, base: Cost | None) -> None:
        ratio = f"{cost.wall / base.wall:10.2f}x" if base else ""
        busy = cost.cpu / cost.wall / cores()
        print(
            f"{name:36} {cost.wall:7.1f} {mpx / cost.wall:7.2f} {busy:7.0%} "
            f"{cost.peak / 2**20:10.0f} {ratio}",
            flush=True,
        )

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for suffix in options.formats.split(","):
            base = liif(options.photo, folder / f"base.{suffix}", options.size, "bicubic")
            row(f"bicubic to {suffix}", base, None)
            for number, model in enumerate(options.model or [DEFAULT_MODEL]):
                cost = liif(options.photo, folder / f"{number}.{suffix}", options.size, model)
                row(f"{Path(model).name} to {suffix}", cost, base)
            if suffix in ("tif", "tiff") and shutil.which("vips"):
                row(
                    "vips cubic to deflate tif",
                    vips(options.photo, folder / "v.tif", options.size),
                    base,
                )


if __name__ == "__main__":
    main()
