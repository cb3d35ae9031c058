"""The renderer of ``liif upscale`` with a stop-watch: encoder and decoder apart, and the memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from liif_cli.engine.sampling import ALL_TURNS, IDENTITY, Sampling, Turn, WindowRenderer
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.cell import CellPolicy
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.halo import read_window
from liif_cli.geometry.window import Window
from liif_cli.models.device import synchronise
from liif_cli.models.model import Model

LR_WINDOW = 512
"""Side of the LR window that is encoded at once; bounds the memory of the encoder."""
TILE_PIXELS = {True: 256, False: 128}
"""Side of a query: for outputs of 2 ** 18 pixels or more, and for smaller ones."""


@dataclass(frozen=True)
class Timed:
    """Colours (h, w, 3) float32, about [0, 1], neither clamped nor rounded; and what they took."""

    colours: npt.NDArray[np.float32]
    encode_seconds: float
    decode_seconds: float
    peak_bytes: int = 0


@dataclass(frozen=True)
class Place:
    """Where networks run. ``threads`` is of the CPU; ``precision`` fp32, bf16x3, bf16, fp16."""

    device: torch.device
    threads: int
    precision: str = "fp32"

    def synchronise(self) -> None:
        """Wait for the device's work, so that the clock counts it."""
        synchronise(self.device)


@torch.inference_mode()
def render_timed(
    model: Model,
    pixels: npt.NDArray[np.uint8],
    out_shape: tuple[int, int],
    place: Place,
    *,
    cell: CellPolicy | float = 1.0,
    self_ensemble: bool = False,
) -> Timed:
    """Upscale an image (h, w, 3) to ``out_shape``.

    On a CPU the encoder uses all threads at once and the decoder a thread per tile, as the batch
    does. Tiles and windows depend on the sizes alone, so that the colours do.

    Args:
        model: on the place's device and in its precision.
        pixels: (h, w, 3) uint8.
        out_shape: (height, width).
        place: device, threads and precision.
        cell: the pixel size told to the network: a policy, or a factor of the true one.
        self_ensemble: average over the 8 flips and turns.
    """
    rows, cols = (AxisMap(a, b) for a, b in zip(pixels.shape[:2], out_shape, strict=True))
    told = CellPolicy.of(cell)
    sampling = Sampling(rows, cols, told, str(place.device), place.precision)
    radius = model.radius(rows), model.radius(cols)
    turns = ALL_TURNS if self_ensemble else (IDENTITY,)
    result = np.zeros((*out_shape, 3), np.float32)
    side = TILE_PIXELS[out_shape[0] * out_shape[1] >= 2**18]
    tiles = TileGrid(*out_shape, side, side)
    windows = TileGrid(*out_shape, round(LR_WINDOW * rows.scale), round(LR_WINDOW * cols.scale))
    spent = {"encode": 0.0, "decode": 0.0}

    @contextmanager
    def clock(part: str, threads: int) -> Iterator[None]:
        torch.set_num_threads(threads)
        start = time.perf_counter()
        yield
        place.synchronise()
        spent[part] += time.perf_counter() - start

    def encode(window: Window, turn: Turn) -> WindowRenderer:
        read = read_window(window, rows, cols, radius)
        return WindowRenderer(model, sampling, pixels[read.to_slices()], read, turn)

    @torch.inference_mode()
    def query(renderer: WindowRenderer, tile: Window) -> None:
        colours = renderer.query(tile).mul_(0.5 / len(turns)).add_(0.5 / len(turns))
        result[tile.to_slices()] += colours.cpu().numpy()

    workers = place.threads if place.device.type == "cpu" else 1
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for window in windows:
            for turn in turns:
                with clock("encode", place.threads):
                    renderer = encode(window, turn)
                with clock("decode", 1):
                    # no two tiles share a pixel, so that the order of threads changes nothing
                    for done in [
                        pool.submit(query, renderer, tile) for tile in tiles.split(window)
                    ]:
                        done.result()
    torch.set_num_threads(place.threads)
    return Timed(result, spent["encode"], spent["decode"])


class PeakMemory:
    """High-water mark of memory from the entry of a ``with`` block.

    Of the accelerator's memory in torch's hands, or of the process's resident memory on a CPU;
    where the system cannot forget the old mark (anything but Linux), of the process's whole life.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif sys.platform == "linux":
            # not allowed in some containers; the mark is then of the whole life
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
        return self

    def __exit__(self, *error: object) -> None:
        return None

    @property
    def bytes(self) -> int:
        """The mark so far; 0 where the system does not tell."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        return process_peak()


def process_peak() -> int:
    """High-water mark of the process's resident memory in bytes; 0 where it is not known."""
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if os.name == "nt":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
