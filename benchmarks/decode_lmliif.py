"""How fast is LM-LIIF's decoding against LIIF in its plain form?

LM-LIIF (random weights, the paper's sizes, on a feature map of the small encoder's 32 channels;
latent MLP included) on one thread, by compiled kernels, with the latent MLP by torch, and all by
torch, against the plain form of EDSR-baseline-LIIF's decoder (C = 64, 4 x 256, 30,000 queries per
chunk). CPU time of the thread, medians, one run.

In a lower precision the latent MLP is in it, with matrix instructions where the processor has them.

    python -m benchmarks.decode_lmliif [--precision fp32|bf16x3|bf16] [--repeats N]
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.decode import cpu_seconds
from liif_cli.geometry.axis import AxisMap
from liif_cli.models.decoders import lmliif
from liif_cli.models.decoders.liif import LIIF
from liif_cli.models.decoders.lmliif import LMLIIF
from liif_cli.models.device import PRECISION_DTYPES, PRODUCTS
from tests.reference.plain import QUERIES, plain_liif

CASES = [(2, 192), (3, 160), (4, 128), (8, 64), (16, 32), (20, 26)]
"""(scale, side of the LR map)."""


def mpx_a_second(decoder: LMLIIF, side: int, scale: int, repeats: int) -> float:
    """Output megapixels per second of CPU time, latent MLP included."""
    axis = AxisMap(side, side * scale)
    dtype = decoder.latent.linears[0].weight.dtype
    feat = torch.randn(1, decoder.channels, side, side, dtype=dtype)
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
    parser.add_argument("--precision", choices=["fp32", "bf16x3", "bf16"], default="fp32")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    decoder = LMLIIF(32).eval().requires_grad_(False)
    decoder.latent.to(PRECISION_DTYPES[options.precision])
    decoder.products = PRODUCTS.get(options.precision, 0)
    print(
        f"{options.precision}, 1 thread, CPU time, medians; plain LIIF: {QUERIES} queries a chunk"
    )
    print("Mpx/s                                             ratio to plain LIIF")
    print("scale   compiled  latent by torch  torch     plain    compiled  torch")
    for scale, side in CASES:
        plain = plain_mpx_a_second(side, scale, options.repeats)
        speeds = []
        for without in ((), ("compiled_latent",), ("compiled_latent", "compiled_kernel")):
            with ExitStack() as stack:
                for name in without:
                    stack.enter_context(patch.object(lmliif, name, lambda: None))
                speeds.append(mpx_a_second(decoder, side, scale, options.repeats))
        compiled, latent_by_torch, by_torch = speeds
        print(
            f"x{scale:<6} {compiled:8.2f} {latent_by_torch:16.2f} {by_torch:6.2f} {plain:9.4f} "
            f"{compiled / plain:11.0f} {by_torch / plain:6.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
