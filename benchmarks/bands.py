"""What does an encoder gain by going through its layers in bands of rows, and by compiled code?

A window of random pixels, an encoder of random weights: layer by layer, in bands of torch
(``models/bands.py``), and by the compiled kernel (``models/encoders/edsr_kernel.py``, with matrix
instructions ``edsr_amx_kernel.py``), in one run. In bf16x3 torch computes in float32. Wall time of
one thread, best of N, and the largest difference of the features from those of torch.

    python -m benchmarks.bands [--encoder small baseline] [--side N ...]
        [--precision fp32 bf16x3 bf16] [--repeats N]
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time
from pathlib import Path
from unittest.mock import patch

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.models import bands
from liif_cli.models.device import PRECISION_DTYPES, PRODUCTS
from liif_cli.models.encoders import edsr
from liif_cli.models.encoders.edsr import EDSR

ENCODERS = {"small": lambda: EDSR(16, 32), "baseline": lambda: EDSR(16, 64)}
NEVER, ALWAYS = 1 << 60, 0
WAYS = ("layers", "bands", "compiled")


def timed(
    encoder: torch.nn.Module, image: torch.Tensor, way: str, repeats: int
) -> tuple[float, torch.Tensor]:
    """Best seconds, and the features; ``way`` is one of ``WAYS``."""
    best, feat = float("inf"), image
    whole_bytes = dict.fromkeys((2, 4, 8), NEVER if way == "layers" else ALWAYS)
    compiled = edsr.compiled_body() if way == "compiled" else None
    with (
        patch.object(bands, "WHOLE_BYTES", whole_bytes),
        patch.object(edsr, "compiled_body", lambda: compiled),
    ):
        for _ in range(repeats + 1):
            started = time.perf_counter()
            feat = encoder(image)
            best = min(best, time.perf_counter() - started)
    return best, feat


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", nargs="*", choices=[*ENCODERS], default=[*ENCODERS])
    parser.add_argument("--side", nargs="*", type=int, default=[128, 192, 256, 384, 512, 768])
    parser.add_argument(
        "--precision", nargs="*", choices=["fp32", "bf16x3", "bf16"], default=["fp32"]
    )
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("us per LR pixel; ratio: of what is in use to layers")
    print("encoder   precision   side   layers    bands compiled  ratio  max diff  in use")
    for name in options.encoder:
        for precision in options.precision:
            dtype = PRECISION_DTYPES[precision]
            encoder = ENCODERS[name]().to(memory_format=torch.channels_last).eval()
            encoder.body.to(dtype)
            encoder.products = PRODUCTS.get(precision, 0)
            for side in options.side:
                image = torch.rand(1, 3, side, side) * 2 - 1
                image = image.contiguous(memory_format=torch.channels_last)
                seconds, feats = zip(
                    *(timed(encoder, image, way, options.repeats) for way in WAYS), strict=True
                )
                by_torch = "bands" if bands.in_bands(image, encoder.channels) else "layers"
                used = "compiled" if encoder.bands_only else by_torch
                unit = 1e6 / side**2
                figures = [f"{each * unit:8.2f}" for each in seconds]
                if not encoder.bands_only:
                    figures[-1] = f"{'-':>8}"
                ratio = seconds[WAYS.index(used)] / seconds[0]
                difference = max(float((feat - feats[0]).abs().max()) for feat in feats)
                print(
                    f"{name:9} {precision:9} {side:6} {' '.join(figures)} "
                    f"{ratio:6.2f} {difference:9.1e}  {used}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
