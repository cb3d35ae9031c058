"""Peak memory of whole commands at rising sizes, against one ``--max-memory`` and each other.

    python -m benchmarks.memory PHOTO [--max-memory 1GiB] [--quick] [--formats zarr,tif]

Each case is a process of its own; its peak is the resident memory that the system saw (wait4). The
first column of ratios is the peak over the budget, the second over the smallest peak of the same
model and format. A warm-up run comes first: compiling the kernel takes memory once, and is cached.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.end_to_end import Cost, measure
from liif_cli.models.loader import DEFAULT_MODEL
from liif_cli.plan.memory import parse_memory

CASES = [
    (DEFAULT_MODEL, ["5000x3750", "20000x15000"]),
    ("bicubic", ["20000x15000", "60000x45000"]),
]
QUICK = [(DEFAULT_MODEL, ["5000x3750", "7000x5250"]), ("bicubic", ["8000x6000", "20000x15000"])]


def upscale(photo: Path, output: Path, size: str, model: str, memory: str) -> Cost:
    """One ``liif upscale``."""
    options = ["--size", size, "--model", model, "--max-memory", memory, "-q"]
    return measure([sys.executable, "-m", "liif_cli", "upscale", str(photo), str(output), *options])


def main() -> None:
    """Print a row a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--max-memory", default="1GiB")
    parser.add_argument("--formats", default="tif,zarr")
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    options = parser.parse_args()
    budget = parse_memory(options.max_memory)
    with tempfile.TemporaryDirectory() as name:
        upscale(options.photo, Path(name, "warm.tif"), "512x", DEFAULT_MODEL, options.max_memory)
    print(f"{options.photo.name}, --max-memory {options.max_memory}")
    print("what                                          seconds  peak MiB  of budget  of smallest")
    for suffix in options.formats.split(","):
        for model, sizes in QUICK if options.quick else CASES:
            smallest = None
            for size in sizes:
                # one output at a time: the largest is 8 GB
                with tempfile.TemporaryDirectory() as name:
                    output = Path(name, f"a.{suffix}")
                    cost = upscale(options.photo, output, size, model, options.max_memory)
                smallest = min(smallest or cost.peak, cost.peak)
                print(
                    f"{f'{model} {size} {suffix}':45} {cost.wall:7.1f} {cost.peak / 2**20:9.0f} "
                    f"{cost.peak / budget:9.2f}x {cost.peak / smallest:11.2f}x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
