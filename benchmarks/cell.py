"""PSNR by what a network is told of the pixel size, and by way of a fixed scale.

    python benchmarks/cell.py FOLDER [--names FILE] [--model NAME|PATH ...] [--crops DIR]

Which ``--cell`` and ``--via`` serve which scale: each image is reduced by antialiased bicubic
(Pillow, 8 bit) and rendered back with the true pixel size (scaled), with one that is never smaller
than that of a limit (clamped:L), and by way of the model's own image at a scale S, resampled by
Lanczos-3 (via S). RGB PSNR, scale + 6 pixels of border left out, mean over the images. ``--crops``
writes pictures of the original, bicubic and every policy side by side.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from liif_cli.bench.metrics import psnr_rgb
from liif_cli.engine.machine import cores
from liif_cli.engine.sampling import render_array
from liif_cli.geometry.window import Window
from liif_cli.io import is_image, open_source
from liif_cli.models.loader import DEFAULT_MODEL, load_model
from liif_cli.models.model import via_model

CROP = 288
Render = Callable[[np.ndarray, tuple[int, int]], np.ndarray]


def read_image(path: Path) -> np.ndarray:
    """Pixels (h, w, 3) uint8."""
    source = open_source(path)
    pixels = source.read(Window.whole(source.info.height, source.info.width))
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def pair(path: Path, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """HR cropped to whole multiples of the scale, and its LR, both uint8."""
    hr = read_image(path)
    height, width = (side // scale for side in hr.shape[:2])
    hr = hr[: height * scale, : width * scale]
    lr = Image.fromarray(hr).resize((width, height), Image.Resampling.BICUBIC)
    return hr, np.asarray(lr)


def bicubic(lr: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """8-bit bicubic, as the classic tables have it."""
    large = Image.fromarray(lr).resize(shape[::-1], Image.Resampling.BICUBIC)
    return np.asarray(large) / np.float32(255)


def policies(name: str, limits: list[str], vias: list[str]) -> dict[str, Render]:
    """Ways to render with one model."""
    model = load_model(name, torch.device("cpu")).model
    cells = ["scaled", *(f"clamped:{limit}" for limit in limits)]
    ways: dict[str, Render] = {cell: partial(render_array, model, cell=cell) for cell in cells}
    for scale in vias:
        ways[f"via {scale}"] = partial(render_array, via_model(model, scale))
    return ways


def psnr(path: Path, scale: int, render: Render) -> float:
    """RGB PSNR of one image; NaN where the border leaves nothing of it."""
    hr, lr = pair(path, scale)
    if min(hr.shape[:2]) <= 2 * (scale + 6):
        return float("nan")
    return psnr_rgb(render(lr, hr.shape[:2]), hr / 255, scale)


def write_crops(paths: list[Path], scale: int, ways: dict[str, Render], folder: Path) -> None:
    """The middle of each image: original, bicubic, then every way, from left to right."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        hr, lr = pair(path, scale)
        images = [hr] + [
            np.rint(np.clip(render(lr, hr.shape[:2]), 0, 1) * 255).astype(np.uint8)
            for render in (bicubic, *ways.values())
        ]
        top, left = ((side - CROP) // 2 for side in hr.shape[:2])
        parts = [image[top : top + CROP, left : left + CROP] for image in images]
        Image.fromarray(np.hstack(parts)).save(folder / f"{path.stem}-x{scale}.png")


def main() -> None:
    """Print a table a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", type=Path, help="file of names in FOLDER, one per line")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--scales", default="2,3,4,6,8,12,18,24,30")
    parser.add_argument("--limits", default="3,4,6")
    parser.add_argument("--via", default="4")
    parser.add_argument("--crops", type=Path, help="folder for pictures at --crop-scale")
    parser.add_argument("--crop-scale", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.names:
        paths = [options.folder / name for name in options.names.read_text().split()]
    else:
        paths = sorted(path for path in options.folder.iterdir() if is_image(path))
    scales = [int(text) for text in options.scales.split(",")]
    with ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for name in options.model or [DEFAULT_MODEL]:
            ways = policies(name, options.limits.split(","), options.via.split(","))
            table = Table(title=f"{name}: RGB PSNR, dB ({len(paths)} images)")
            table.add_column("")
            for scale in scales:
                table.add_column(f"x{scale}", justify="right")
            for label, render in {"bicubic": bicubic, **ways}.items():
                means = [
                    np.nanmean(list(pool.map(partial(psnr, scale=scale, render=render), paths)))
                    for scale in scales
                ]
                table.add_row(label, *(f"{mean:.3f}" for mean in means))
            Console(width=120).print(table)
            if options.crops:
                write_crops(paths, options.crop_scale, ways, options.crops / Path(name).stem)


if __name__ == "__main__":
    main()
