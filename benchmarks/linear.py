"""Does the time of ``liif upscale`` grow in proportion to the output?

One input to outputs of rising sizes. For each the Mpx/s of the whole command (start of
Python, loading of the model, reading, encoding, decoding, writing) and of rendering alone: decoding
and writing, without start-up and without encoding the input. Encoding is what the threads spend on
making a window ready for queries, shared out over the threads that do it. ``of largest`` is a
size's Mpx/s over that of the largest output, which has the least of what does not grow; the last
lines are the slowest over the fastest. A run before the clock starts compiles the kernels.

What does not grow with the output is start-up, and the work on the LR grid: encoding, and LM-LIIF's
modulations, which belong to rendering. ``--input`` says how large that grid is.

    python -m benchmarks.linear [--input 1000x750] [--sizes 5,20,80,300] [--model NAME|PATH]
        [--format zarr] [--repeats N] [--photo FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.end_to_end import measure
from liif_cli.engine.machine import cores
from liif_cli.models.loader import DEFAULT_MODEL

CHILD = "--as-command"


@dataclass(frozen=True)
class Speed:
    """Output Mpx/s of a whole command, and of its rendering."""

    command: float
    render: float


def write_photo(path: Path, width: int, height: int) -> None:
    """Smooth noise of two sizes, (height, width, 3)."""
    rng = np.random.default_rng(0)
    parts = [
        cv2.resize(rng.random((height // grain, width // grain, 3)), (width, height))
        for grain in (4, 50)
    ]
    cv2.imwrite(str(path), (np.mean(parts, 0) * 255).astype(np.uint8))


def as_command(record: Path, arguments: list[str]) -> int:
    """``liif`` with a clock around the encoding of windows, which goes to ``record`` as JSON.

    Returns the exit code.
    """
    from liif_cli.cli import main as liif
    from liif_cli.engine import render

    spent: dict[int, float] = {}

    encoded = render.Shown.answer

    def clocked(*args: Any, **options: Any) -> render.Answer:
        start = time.perf_counter()
        answer = encoded(*args, **options)
        thread = threading.get_ident()
        spent[thread] = spent.get(thread, 0.0) + time.perf_counter() - start
        return answer

    # of tasks only: the run that compiles kernels takes another way
    render.Shown.answer = clocked
    sys.argv = ["liif", *arguments]
    try:
        liif()
    except SystemExit as done:
        code = done.code
    else:
        code = 0
    record.write_text(json.dumps(list(spent.values())))
    return code if isinstance(code, int) else int(code is not None)


def upscale(photo: Path, size: tuple[int, int], model: str, suffix: str) -> Speed:
    """One whole command in a process of its own."""
    width, height = size
    with tempfile.TemporaryDirectory() as name:
        record, report = Path(name, "encoding.json"), Path(name, "report.json")
        options = ["--size", f"{width}x{height}", "--model", model, "-q", "--report", str(report)]
        command = [sys.executable, __file__, CHILD, str(record), "upscale", str(photo)]
        cost = measure([*command, str(Path(name, f"a.{suffix}")), *options])
        image = json.loads(report.read_text())["images"][0]
        encoding = json.loads(record.read_text())
    megapixels = width * height / 1e6
    rendering = image["seconds"] - sum(encoding) / max(1, len(encoding))
    return Speed(megapixels / cost.wall, megapixels / rendering)


def output_size(megapixels: float, shape: float) -> tuple[int, int]:
    """(width, height) of about so many pixels; ``shape`` is width over height."""
    width = math.sqrt(megapixels * 1e6 * shape)
    return round(width), round(width / shape)


def main() -> None:
    """Print a row a size, and the spread."""
    if sys.argv[1:2] == [CHILD]:
        raise SystemExit(as_command(Path(sys.argv[2]), sys.argv[3:]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="5,20,80,300", help="of the output, Mpx")
    parser.add_argument("--input", default="1000x750", help="WxH of the generated photo")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--format", default="zarr", help="suffix of the output")
    parser.add_argument("--repeats", type=int, default=1, help="medians of so many runs")
    parser.add_argument("--photo", type=Path, help="instead of a generated one")
    options = parser.parse_args()
    across, down = map(int, options.input.split("x"))
    sizes = [output_size(float(text), across / down) for text in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as name:
        photo = options.photo or Path(name, "photo.png")
        if options.photo is None:
            write_photo(photo, across, down)
        upscale(photo, output_size(1, across / down), options.model, options.format)
        found = []
        for size in sizes:
            runs = [
                upscale(photo, size, options.model, options.format) for _ in range(options.repeats)
            ]
            command, render = (
                statistics.median(getattr(one, what) for one in runs)
                for what in ("command", "render")
            )
            found.append(Speed(command, render))
    print(f"{options.model}, to {options.format}, {cores()} cores, medians of {options.repeats}")
    print("output           Mpx  command Mpx/s  of largest  render Mpx/s  of largest")
    largest = found[max(range(len(sizes)), key=lambda number: sizes[number])]
    for (width, height), speed in zip(sizes, found, strict=True):
        print(
            f"{f'{width}x{height}':12} {width * height / 1e6:7.1f} {speed.command:14.2f} "
            f"{speed.command / largest.command:11.2f} {speed.render:13.2f} "
            f"{speed.render / largest.render:11.2f}"
        )
    for what in ("command", "render"):
        speeds = [getattr(speed, what) for speed in found]
        print(f"spread of {what} Mpx/s, slowest over fastest: {min(speeds) / max(speeds):.2f}")


if __name__ == "__main__":
    main()
