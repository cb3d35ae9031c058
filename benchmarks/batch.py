"""What does a batch cost beside its images?

``liif upscale`` on a folder of small photos (start of the process and loading of the model
included) against the sum of single-image library calls in this process with the same number of
threads: read, render, write. Wall time, one run, cold outputs.

    python -m benchmarks.batch [--photos N] [--scale S] [--model NAME|PATH]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.engine.machine import cores
from liif_cli.engine.sampling import render_array
from liif_cli.geometry.window import Window
from liif_cli.io import exporter_for, open_source
from liif_cli.io.base import OutputInfo
from liif_cli.models.loader import DEFAULT_MODEL, LoadedModel, load_model

HEIGHT, WIDTH = 200, 300


def write_photos(folder: Path, count: int) -> None:
    """PNG files of smooth noise."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        small = rng.integers(0, 256, (25, 37, 3), dtype=np.uint8)
        photo = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:04}.png"), photo)


class Result:
    """Pixels in memory behind the exporters' reader."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.height, self.width, self.channels = array.shape
        self.dtype = array.dtype

    def read(self, window: Window) -> np.ndarray:
        """A view of a window."""
        return self.array[window.to_slices()]


def library_call(model: LoadedModel, source_path: Path, output: Path, scale: float) -> None:
    """One image: read, render, write."""
    source = open_source(source_path)
    pixels = source.read(Window.whole(source.info.height, source.info.width))
    source.close()
    shape = (round(pixels.shape[0] * scale), round(pixels.shape[1] * scale))
    colours = render_array(model.model, pixels, shape)
    result = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    exporter_for("png").export(Result(result), output, OutputInfo())


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--scale", type=float, default=4)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    options = parser.parse_args()
    torch.set_num_threads(cores())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "in", options.photos)
        (folder / "library").mkdir()
        model = load_model(options.model, torch.device("cpu"))
        paths = sorted((folder / "in").iterdir())
        library_call(model, paths[0], folder / "library" / "warm-up.png", options.scale)
        start = time.perf_counter()
        for path in paths:
            library_call(model, path, folder / "library" / path.name, options.scale)
        library = time.perf_counter() - start
        command = [
            *(sys.executable, "-m", "liif_cli", "upscale", str(folder / "in")),
            *(str(folder / "out"), "--scale", str(options.scale), "--model", options.model, "-q"),
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True)
        batch = time.perf_counter() - start
    print(f"{options.photos} photos of {WIDTH}x{HEIGHT}, x{options.scale:g}, {options.model}")
    print(f"library calls, {cores()} torch threads  {library:8.1f} s")
    print(f"liif upscale, the whole command   {batch:8.1f} s   ratio {batch / library:.2f}")


if __name__ == "__main__":
    main()
