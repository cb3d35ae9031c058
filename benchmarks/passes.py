"""Alpha by the network or by bicubic, and bands one by one or three at a time.

    python benchmarks/passes.py [MODEL]

Prints the mean PSNR of drawn shapes as alpha, and of generated samples as bands, at x4. Bands are
related (red, green and blue of one sample) or not (a channel each of three samples).
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import torch

from liif_cli.bench.samples import sample_images
from liif_cli.engine.sampling import render_array
from liif_cli.models.loader import DEFAULT_MODEL, load_model
from liif_cli.models.model import Model

SCALE, SIDE, DRAWN = 4, 256, 4


def shapes(seed: int) -> np.ndarray:
    """Polygons and letters as alpha (SIDE, SIDE) in [0, 1], drawn larger and averaged down."""
    rng = np.random.default_rng(seed)
    big = np.zeros((SIDE * DRAWN, SIDE * DRAWN), np.uint8)
    for _ in range(9):
        points = rng.integers(0, SIDE * DRAWN, (rng.integers(3, 7), 2)).astype(np.int32)
        cv2.fillPoly(big, [points], int(255 * (rng.random() < 0.6)))
    cv2.putText(big, "liif", (60, 600), cv2.FONT_HERSHEY_SIMPLEX, 9, 255, 20)
    return shrunk(big[..., np.newaxis] / 255, DRAWN)


def shrunk(image: np.ndarray, by: int) -> np.ndarray:
    """Means over squares of that side."""
    height, width = image.shape[0] // by, image.shape[1] // by
    cut = image[: height * by, : width * by]
    return cut.reshape(height, by, width, by, -1).mean(axis=(1, 3))


def middle(image: np.ndarray) -> np.ndarray:
    """The middle of a sample, of SIDE / 2 pixels."""
    row, col = (n // 2 - SIDE // 4 for n in image.shape[:2])
    return image[row : row + SIDE // 2, col : col + SIDE // 2]


def psnr(errors: list[float]) -> str:
    return f"{-10 * np.log10(np.mean(errors)):.2f} dB"


def error(model: Model, image: np.ndarray) -> float:
    """Mean squared error of an image (h, w, 1 or 3) in [0, 1] made smaller and upscaled."""
    small = np.round(shrunk(image, SCALE) * 255).astype(np.uint8)
    found = np.clip(render_array(model, small, image.shape[:2]), 0, 1)
    if image.shape[2] == 1:
        found = found.mean(axis=2, keepdims=True)
    return float(((found - image) ** 2).mean())


def main() -> None:
    torch.set_num_threads(1)
    device = torch.device("cpu")
    name = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_MODEL
    network, bicubic = load_model(name, device).model, load_model("bicubic", device).model
    drawn = [shapes(seed) for seed in range(4)]
    for label, model in (("network", network), ("bicubic", bicubic)):
        print(f"alpha, {label}: {psnr([error(model, one) for one in drawn])}")
    colour = [middle(image) / 255 for image in sample_images().values() if image.ndim == 3]
    mixed = [
        np.stack([colour[(k + c) % len(colour)][..., c] for c in range(3)], -1)
        for k in range(len(colour))
    ]
    for label, images in (("related", colour), ("unrelated", mixed)):
        alone = [error(network, one[..., c : c + 1]) for one in images for c in range(3)]
        together = [error(network, one) for one in images]
        print(f"{len(images)} times 3 {label} bands, one by one: {psnr(alone)}")
        print(f"{len(images)} times 3 {label} bands, as RGB: {psnr(together)}")


if __name__ == "__main__":
    main()
