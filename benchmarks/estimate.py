"""How near does ``liif upscale --dry-run`` come to the time that the command then takes?

For a folder of small photos, and for one image into each kind of output: the time that the dry run
foretells, the wall time of the same command, and their ratio; 1 is exact. Cold outputs, one run.

    python -m benchmarks.estimate [--photos N] [--only WORD]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.batch import write_photos

FORETOLD = re.compile(r"in about (?P<time>[\d:.e-]+) (?P<unit>s|min|h),")


def seconds_of(text: str) -> float:
    """The whole command's time in the last line of a dry run."""
    found = FORETOLD.search(text)
    if found is None:
        raise SystemExit(f"no time in what the dry run says: {text!r}")
    if found["unit"] == "s":
        return float(found["time"])
    seconds = 0
    for part in found["time"].split(":"):
        seconds = seconds * 60 + int(part)
    return float(seconds)


def main() -> None:
    """Foretell, run and compare each case."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--photos", type=int, default=30)
    parser.add_argument("--only", default="", help="cases whose name holds this word")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "small", args.photos)
        large = folder / "large.png"
        _mosaic(folder / "small", large)
        small = folder / "small"
        cases = [
            (small, "png", "--scale=4 --model=bicubic"),
            (small, "png", "--scale=2"),
            (small, "jpg", "--scale=2 --format=jpg"),
            (large, "tif", "--scale=4"),
            (large, "zarr", "--scale=4"),
            (large, "png", "--scale=4"),
            (large, "dzi", "--scale=8 --model=bicubic"),
            (large, "tif", "--scale=16 --model=bicubic"),
        ]
        for number, (source, kind, options) in enumerate(cases):
            case = f"{source.stem} to {kind}, {options}"
            if args.only not in case:
                continue
            target = folder / (f"out{number}" if source.is_dir() else f"out{number}.{kind}")
            command = [
                sys.executable,
                "-m",
                "liif_cli",
                "upscale",
                source,
                target,
                *options.split(),
            ]
            dry = subprocess.run(
                [*command, "--dry-run"], check=True, capture_output=True, text=True
            )
            foretold = seconds_of(dry.stdout.splitlines()[-1])
            begun = time.perf_counter()
            subprocess.run([*command, "--quiet"], check=True)
            taken = time.perf_counter() - begun
            print(
                f"{case}: foretold {foretold:.3g} s, took {taken:.3g} s, "
                f"ratio {foretold / taken:.2f}",
                flush=True,
            )


def _mosaic(folder: Path, target: Path) -> None:
    """One image of 5 x 5 small ones."""
    photos = [cv2.imread(str(path)) for path in sorted(folder.iterdir())]
    rows = [
        np.hstack([photos[(5 * row + at) % len(photos)] for at in range(5)]) for row in range(5)
    ]
    cv2.imwrite(str(target), np.vstack(rows))


if __name__ == "__main__":
    main()
