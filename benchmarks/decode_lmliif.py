"""How fast is LM-LIIF's decoding against LIIF in its plain form?

LM-LIIF (random weights, the paper's sizes, on a feature map of the small encoder's 32 channels;
latent MLP included) on one thread, by the compiled kernel and by torch, against the plain form of
EDSR-baseline-LIIF's decoder (C = 64, 4 x 256, 30,000 queries a chunk). CPU time of the thread,
medians, one run.

    python -m benchmarks.decode_lmliif [--repeats N]
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.decode import cpu_seconds
from liif_cli.geometry.axis import AxisMap
from liif_cli.models.decoders import lmliif
from liif_cli.models.decoders.liif import LIIF
from liif_cli.models.decoders.lmliif import LMLIIF, compiled_kernel
from tests.reference.plain import QUERIES, plain_liif

CASES = [(2, 192), (3, 160), (4, 128), (8, 64), (16, 32), (20, 26)]
"""(scale, side of the LR map)."""


def mpx_a_second(decoder: LMLIIF, side: int, scale: int, repeats: int) -> float:
    """Output megapixels per second of CPU time, latent MLP included."""
    axis = AxisMap(side, side * scale)
    feat = torch.randn(1, decoder.channels, side, side)
    whole = axis.slice(0, axis.n_out)

    def decode() -> None:
        latent = decoder.prepare(feat[:, :3], feat, (axis.cell, axis.cell))
        decoder.query(latent, whole, whole)

    decode()
    return axis.n_out**2 / statistics.median(cpu_seconds(decode) for _ in range(repeats)) / 1e6


def plain_mpx_a_second(side: int, scale: int, repeats: int) -> float:
    """The same of LIIF's plain form, on as many pixels as 4 chunks hold."""
    decoder = LIIF(64).eval().requires_grad_(False)
    layers = decoder.imnet.linears
    feat = torch.randn(1, 64, side, side)
    pixels = min(4 * QUERIES, (side * scale) ** 2)

    def decode() -> None:
        plain_liif(
            feat,
            (side * scale, side * scale),
            [layer.weight for layer in layers],
            [layer.bias for layer in layers],
            first=pixels,
        )

    return pixels / statistics.median(cpu_seconds(decode) for _ in range(repeats)) / 1e6


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    decoder = LMLIIF(32).eval().requires_grad_(False)
    print(f"float32, 1 thread, CPU time, medians; plain LIIF: {QUERIES} queries a chunk")
    print("scale   compiled Mpx/s   torch Mpx/s   plain LIIF Mpx/s   compiled/plain   torch/plain")
    for scale, side in CASES:
        plain = plain_mpx_a_second(side, scale, options.repeats)
        kernel = compiled_kernel()
        fast = mpx_a_second(decoder, side, scale, options.repeats) if kernel else float("nan")
        lmliif.compiled_kernel = lambda: None  # type: ignore[assignment]
        fallback = mpx_a_second(decoder, side, scale, options.repeats)
        lmliif.compiled_kernel = compiled_kernel
        print(
            f"x{scale:<6} {fast:14.2f} {fallback:13.2f} {plain:18.4f} "
            f"{fast / plain:16.0f} {fallback / plain:13.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
