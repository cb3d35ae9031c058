"""How fast is exact LIIF decoding against the plain form?

EDSR-baseline-LIIF's decoder (C = 64, hidden 4 x 256, random weights, float32) on one thread: ours
(first layer on the LR grid included) against the plain form of tests/reference/plain.py (unfolded
features, unfolding included, 30,000 queries a chunk; of large outputs its first 300,000 pixels).
CPU time of the thread, medians, one run.

The last column is the share of the machine's GEMM rate for [512, 256] x [256, 256], measured right
before and after each case: useful multiply-adds (members of weight above 0 only, and the first
layer's convolution) over time over rate.

    python -m benchmarks.decode [--repeats N] [--case HxWxS ...]
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.grid import TileGrid
from liif_cli.models.decoders.liif import LIIF
from liif_cli.testing.rendering import well_defined
from tests.reference.plain import QUERIES, plain_liif

CHANNELS = 64
CASES = ["96x64x2", "96x64x3", "96x64x4", "96x64x8", "96x64x30", "256x192x2", "256x192x4"]
TILE = 512
PLAIN_QUERIES = 10 * QUERIES
"""Pixels that the plain form is measured on, at most; its time is proportional to them."""
ENOUGH_SECONDS = 30.0
"""CPU time of ours after which a case is not repeated."""


def cpu_seconds(job: Callable[[], object]) -> float:
    """CPU time that ``job`` takes this thread, the only one at work."""
    start = time.thread_time()
    job()
    return time.thread_time() - start


def gemm_rate() -> float:
    """Multiply-adds per second of [512, 256] x [256, 256] with bias; median of 15."""
    left, right, bias = torch.randn(512, 256), torch.randn(256, 256), torch.randn(256)
    out = torch.empty(512, 256)

    def products() -> None:
        for _ in range(40):
            torch.addmm(bias, left, right.t(), out=out)

    products()
    return 40 * 512 * 256 * 256 / statistics.median(cpu_seconds(products) for _ in range(15))


def decode(decoder: LIIF, feat: torch.Tensor, rows: AxisMap, cols: AxisMap) -> torch.Tensor:
    """The whole output, tile by tile from one window."""
    latent = decoder.prepare(feat, feat, (rows.cell, cols.cell))
    result = torch.empty(rows.n_out, cols.n_out, 3)
    for tile in TileGrid(rows.n_out, cols.n_out, TILE, TILE):
        result[tile.to_slices()] = decoder.query(
            latent,
            rows.slice(tile.row_off, tile.row_stop),
            cols.slice(tile.col_off, tile.col_stop),
        )
    return result


def useful_macs(decoder: LIIF, rows: AxisMap, cols: AxisMap) -> int:
    """Multiply-adds that an exact fast decoding cannot leave out."""
    members = []
    for axis in (rows, cols):
        whole = axis.slice(0, axis.n_out)
        members.append(np.count_nonzero(whole.weight_left) + np.count_nonzero(whole.weight_right))
    first, *others = decoder.imnet.linears
    on_grid = rows.n_in * cols.n_in * decoder.code_channels * first.out_features
    return int(on_grid + members[0] * members[1] * sum(layer.weight.numel() for layer in others))


def run(case: str, repeats: int) -> None:
    """Measure one case and print its row."""
    height, width, scale = (int(number) for number in case.split("x"))
    torch.manual_seed(0)
    decoder = LIIF(CHANNELS).eval().requires_grad_(False)
    feat = torch.randn(1, CHANNELS, height, width).contiguous(memory_format=torch.channels_last)
    rows, cols = AxisMap(height, height * scale), AxisMap(width, width * scale)
    pixels = rows.n_out * cols.n_out
    answered = min(pixels, PLAIN_QUERIES)
    layers = decoder.imnet.linears
    weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
    outputs: dict[str, torch.Tensor] = {}

    def ours() -> None:
        outputs["ours"] = decode(decoder, feat, rows, cols)

    def plain() -> None:
        outputs["plain"] = plain_liif(
            feat, (rows.n_out, cols.n_out), weights, biases, first=answered
        )

    # one LR row's worth of warm-up: kernels chosen, pages mapped
    decode(decoder, feat[:, :, :2], AxisMap(2, 2 * scale), cols)
    fast_times: list[float] = []
    plain_times: list[float] = []
    rates = [gemm_rate()]
    while len(fast_times) < repeats:
        fast_times.append(cpu_seconds(ours))
        plain_times.append(cpu_seconds(plain) * pixels / answered)
        rates.append(gemm_rate())
        if sum(fast_times) > ENOUGH_SECONDS:
            break
    fast, slow, rate = (statistics.median(times) for times in (fast_times, plain_times, rates))
    mask = torch.from_numpy(well_defined((height, width), (rows.n_out, cols.n_out)))
    errors = (outputs["ours"].view(-1, 3)[:answered] - outputs["plain"]).abs()
    difference = errors[mask.flatten()[:answered]].max().item()
    share = useful_macs(decoder, rows, cols) / fast / rate
    print(
        f"{height}x{width} x{scale:<3} {pixels / fast / 1e3:10.1f} {pixels / slow / 1e3:10.1f} "
        f"{slow / fast:7.2f} {rate * 2e-9:8.1f} {share:7.0%} {difference:10.1e} "
        f"{len(fast_times):5}",
        flush=True,
    )


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of a case, at most")
    parser.add_argument("--case", nargs="*", default=CASES, help="LR height x width x scale")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"float32, 1 thread, CPU time, medians; plain form: {QUERIES} queries a chunk")
    print("LR         ours kpx/s  plain kpx/s  ratio  GEMM GF/s  share   max diff  runs")
    for case in options.case:
        run(case, options.repeats)


if __name__ == "__main__":
    main()
