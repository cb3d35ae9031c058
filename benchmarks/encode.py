"""What does encoding by windows cost against encoding the whole image?

An encoder of random weights, float32: the renderer's way (channels-last, windows read with their
halo, features cropped) against the plain one (the whole image at once, contiguous NCHW). CPU time
of one thread, medians, one run. ``recomputed`` is the share of encoded pixels that other windows
encode as well; the first row has none, and its ratio is what the memory format gains.

    python -m benchmarks.encode [--encoder small|baseline ...] [--size HxW] [--window SIDE ...]
        [--repeats N]
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
from liif_cli.geometry.grid import TileGrid
from liif_cli.geometry.halo import read_window
from liif_cli.models.encoders.edsr import EDSR
from liif_cli.models.model import Model, ModelSpec, Part

ENCODERS = {
    "small": {"n_resblocks": 8, "n_feats": 32},
    "baseline": {"n_resblocks": 16, "n_feats": 64},
}
WINDOWS = [512, 192, 96]


def by_windows(model: Model, image: torch.Tensor, side: int) -> tuple[torch.Tensor, int]:
    """Features (1, C, h, w) put together from windows, and the pixels that were encoded."""
    height, width = image.shape[2:]
    rows, cols = AxisMap(height, height), AxisMap(width, width)
    encoder = model.encoder
    assert isinstance(encoder, EDSR)
    feat = torch.empty(1, encoder.channels, height, width, memory_format=torch.channels_last)
    encoded = 0
    for own in TileGrid(height, width, side, side):
        read = read_window(own, rows, cols, (encoder.radius, encoder.radius))
        part = model.encode(image[(..., *read.to_slices())])
        feat[(..., *own.to_slices())] = part[(..., *own.relative_to(read).to_slices())]
        encoded += read.pixels
    return feat, encoded


def run(name: str, size: tuple[int, int], sides: list[int], repeats: int) -> None:
    """Measure one encoder and print a row a window."""
    torch.manual_seed(0)
    plain = EDSR(**ENCODERS[name]).eval().requires_grad_(False)
    model = Model(ModelSpec(encoder=Part("edsr", ENCODERS[name]), decoder=Part("liif"))).eval()
    model.encoder.load_state_dict(plain.state_dict())
    model = model.requires_grad_(False).to(memory_format=torch.channels_last)
    image = torch.rand(1, 3, *size) * 2 - 1
    pixels = size[0] * size[1]
    expected = plain(image)
    for side in sides:
        feat, encoded = by_windows(model, image, side)
        difference = (feat - expected).abs().max().item()
        times: dict[str, list[float]] = {"plain": [], "ours": []}
        for _ in range(repeats):
            times["plain"].append(cpu_seconds(lambda: plain(image)))
            times["ours"].append(cpu_seconds(lambda side=side: by_windows(model, image, side)))
        slow, fast = (statistics.median(taken) for taken in times.values())
        print(
            f"{name:9} {side:6} {1 - pixels / encoded:10.0%} {1e6 * fast / pixels:13.2f} "
            f"{1e6 * slow / pixels:14.2f} {slow / fast:6.2f} {difference:9.1e}",
            flush=True,
        )


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", nargs="*", choices=[*ENCODERS], default=[*ENCODERS])
    parser.add_argument("--size", default="256x384", help="height x width of the image")
    parser.add_argument("--window", nargs="*", type=int, default=WINDOWS, help="side, LR pixels")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    height, width = (int(side) for side in options.size.split("x"))
    print(f"{height}x{width} LR pixels, float32, 1 thread, CPU time, medians of {options.repeats}")
    print("encoder   window recomputed  ours us/LR px  plain us/LR px  ratio  max diff")
    for name in options.encoder:
        run(name, (height, width), options.window, options.repeats)


if __name__ == "__main__":
    main()
