"""How fast do the decoders run on an accelerator, and how much of it do they use?

LM-LIIF and LIIF (random weights, the paper's sizes) on noise features, the tiles of a window one
after the other:

- decode: Mpx/s of the decoder alone;
- GEMM: its multiply-adds per second as a share of those of a large square product in the same
  precision and run;
- serial and pipelined: Mpx/s with the pixels as uint8 in host memory, each tile waited for, or
  through the ring of pinned buffers that rendering uses on CUDA (on a CPU both are the same).

    python -m benchmarks.device [--device cuda|cpu] [--precision NAME ...] [--side N] [--seconds S]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.engine.machine import resolve_device
from liif_cli.engine.transfer import Direct, TileRing, delivery
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.window import Window
from liif_cli.models.decoders.liif import LIIF
from liif_cli.models.decoders.lmliif import LMLIIF
from liif_cli.models.device import PRECISION_DTYPES, use_full_precision
from liif_cli.plan.cutting import TILE

SCALES = (4, 16)
GEMM_SIDE = {"cuda": 8192, "cpu": 1024}


def seconds_of(work: Callable[[], object], device: torch.device, least: float) -> float:
    """Wall seconds of one call, the mean over at least ``least``, after one that is not counted."""

    def synchronise() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    work()
    synchronise()
    start, count = time.perf_counter(), 0
    while True:
        work()
        count += 1
        synchronise()
        if (spent := time.perf_counter() - start) >= least:
            return spent / count


def gemm_macs(device: torch.device, dtype: torch.dtype, least: float) -> float:
    """Multiply-adds per second of a large square product."""
    side = GEMM_SIDE[device.type]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return float(side**3) / seconds_of(lambda: left @ right, device, least)


class Case:
    """A decoder at a scale, with the tiles of a window of ``side`` LR pixels."""

    def __init__(
        self,
        decoder: LIIF | LMLIIF,
        side: int,
        scale: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.decoder = decoder.to(device, dtype).eval().requires_grad_(False)
        self.device = device
        self.axis = AxisMap(side, side * scale)
        feat = torch.randn(1, decoder.channels, side, side, device=device).to(dtype)
        cell = (self.axis.cell, self.axis.cell)
        self.latent = self.decoder.prepare(feat[:, :3], feat, cell)
        self.tiles = list(TileGrid(self.axis.n_out, self.axis.n_out, TILE, TILE))
        self.pixels = np.empty((self.axis.n_out, self.axis.n_out, 3), np.uint8)

    def query(self, tile: Window) -> torch.Tensor:
        """Colours of a tile on the device."""
        rows = self.axis.slice(tile.row_off, tile.row_stop)
        cols = self.axis.slice(tile.col_off, tile.col_stop)
        return self.decoder.query(self.latent, rows, cols)

    def decode(self) -> None:
        """All tiles, which stay on the device."""
        for tile in self.tiles:
            self.query(tile)

    def serial(self) -> None:
        """All tiles to the host, each waited for."""
        self._through(Direct())

    def pipelined(self) -> None:
        """All tiles to the host as rendering brings them there."""
        self._through(delivery(self.device))

    def _through(self, way: Direct | TileRing) -> None:
        for tile in self.tiles:
            way.put(self.query(tile), self.pixels[tile.to_slices()], 3, None)
        while way.place():
            pass


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", nargs="*", default=["fp16", "bf16", "fp32"])
    parser.add_argument("--side", type=int, default=256, help="of the window at x4, in LR pixels")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement, at least")
    options = parser.parse_args()
    device = resolve_device(options.device)
    use_full_precision()
    torch.manual_seed(0)
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{named}, torch {torch.__version__}, {torch.get_num_threads()} CPU threads, tile {TILE}")
    print("precision  GEMM Tmac/s  decoder  scale  decode   GEMM  serial  pipelined  pipe/serial")
    for precision in options.precision:
        dtype = PRECISION_DTYPES[precision]
        peak = gemm_macs(device, dtype, options.seconds)
        for name, decoder in (("lmliif", LMLIIF(32)), ("liif", LIIF(64))):
            for scale in SCALES:
                side = max(8, options.side * SCALES[0] // scale)
                case = Case(decoder, side, scale, device, dtype)
                macs = case.decoder.macs((scale, scale))
                a_pixel = macs[1] + (macs[0] / scale**2 if name == "lmliif" else 0)
                speeds = [
                    case.axis.n_out**2 / seconds_of(work, device, options.seconds)
                    for work in (case.decode, case.serial, case.pipelined)
                ]
                decode, serial, pipelined = (speed / 1e6 for speed in speeds)
                print(
                    f"{precision:9} {peak / 1e12:12.2f}  {name:7} x{scale:<4} {decode:8.2f} "
                    f"{speeds[0] * a_pixel / peak:6.1%} {serial:7.2f} {pipelined:10.2f} "
                    f"{pipelined / serial:12.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
