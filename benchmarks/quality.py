"""PSNR of models beside bicubic, by the papers' protocol, on folders of test images.

    python benchmarks/quality.py --benchmark DIR --photos DIR [--model NAME|PATH ...]

``--benchmark`` takes a tree with HR/NAME.png and LR_bicubic/X2, X3, X4 (luma PSNR), ``--photos`` a
folder of HR images that are reduced by antialiased bicubic here (RGB PSNR). Bicubic rounds to 8 bit
as in the classic tables; networks are clamped, not rounded.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from liif_cli.bench.metrics import psnr_luma, psnr_rgb
from liif_cli.engine.machine import cores
from liif_cli.engine.render import render_array
from liif_cli.geometry.resample import resample_weights
from liif_cli.geometry.window import Window
from liif_cli.io import is_image, open_source
from liif_cli.models.loader import LoadedModel, load_model


def read_image(path: Path) -> np.ndarray:
    """Pixels (h, w, 3) uint8."""
    source = open_source(path)
    pixels = source.read(Window.whole(source.info.height, source.info.width))
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def reduced(hr: np.ndarray, scale: int) -> np.ndarray:
    """8-bit antialiased bicubic reduction to floor(n / scale), columns first, as Pillow does."""
    height, width = (side // scale for side in hr.shape[:2])
    cropped = hr[: height * scale, : width * scale].astype(np.float64)
    narrow = np.einsum(
        "yxc,wx->ywc", cropped, resample_weights(width * scale, width), optimize=True
    )
    narrow = np.clip(np.rint(narrow), 0, 255)
    small = np.einsum(
        "ywc,hy->hwc", narrow, resample_weights(height * scale, height), optimize=True
    )
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def predict(model: LoadedModel, lr: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Colours (h, w, 3) in [0, 1]; interpolation rounds to 8 bit."""
    colours = render_array(model.model, lr, shape)
    if model.name == "bicubic":
        colours = np.rint(np.clip(colours, 0, 1) * 255) / 255
    return colours


def benchmark_psnr(path: Path, scale: int, model: LoadedModel, root: Path) -> float:
    """Luma PSNR of one image of a benchmark tree."""
    lr = read_image(root / "LR_bicubic" / f"X{scale}" / f"{path.stem}x{scale}.png")
    shape = (lr.shape[0] * scale, lr.shape[1] * scale)
    hr = read_image(path)[: shape[0], : shape[1]] / 255
    return psnr_luma(predict(model, lr, shape), hr, scale)


def photo_psnr(path: Path, scale: int, model: LoadedModel) -> float:
    """RGB PSNR of one HR image at a scale."""
    hr = read_image(path)
    lr = reduced(hr, scale)
    shape = (lr.shape[0] * scale, lr.shape[1] * scale)
    return psnr_rgb(predict(model, lr, shape), hr[: shape[0], : shape[1]] / 255, scale)


def main() -> None:
    """Print a table a set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", type=Path, action="append", default=[])
    parser.add_argument("--photos", type=Path, action="append", default=[])
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--scales", default="2,3,4")
    parser.add_argument("--photo-scales", default="2,3,4,6,12,18,24,30")
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = [load_model(name, torch.device("cpu")) for name in ["bicubic", *options.model]]
    sets = [
        (root, root / "HR", options.scales, partial(benchmark_psnr, root=root), "luma")
        for root in options.benchmark
    ] + [(root, root, options.photo_scales, photo_psnr, "RGB") for root in options.photos]
    console = Console()
    with ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for root, folder, scale_text, measure, kind in sets:
            scales = [int(text) for text in scale_text.split(",")]
            paths = sorted(path for path in folder.iterdir() if is_image(path))
            table = Table(
                title=f"{root.parent.name}/{root.name}: {kind} PSNR, dB ({len(paths)} images)"
            )
            table.add_column("model")
            for scale in scales:
                table.add_column(f"x{scale}", justify="right")
            base: list[float] = []
            for model in models:
                means = [
                    float(
                        np.mean(list(pool.map(partial(measure, scale=scale, model=model), paths)))
                    )
                    for scale in scales
                ]
                base = base or means
                cells = [
                    f"{mean:.2f}" + (f" ({mean - first:+.2f})" if model is not models[0] else "")
                    for mean, first in zip(means, base, strict=True)
                ]
                table.add_row(model.name, *cells)
            console.print(table)


if __name__ == "__main__":
    main()
