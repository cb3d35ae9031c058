"""Which JPEG loses as much as a WebP or an AVIF, and as a JPEG of other tables than the standard's?

    python -m benchmarks.cleanup FOLDER [--photos N] [--reduce N]

Photos of the folder, made half as large so that what their own format lost is not seen, are
written by each codec at many qualities. Loss is the PSNR of luma. The JPEG that loses as much is
interpolated between the qualities of libjpeg, photo by photo; its level is 100 less its quality.
Prints the median level at knots of the quantiser's index, with the quartiles: what the tables in
``liif_cli/io/quantisation`` were taken from. Of JPEGs with other tables, what level they are taken
for and what it should be, with the mean error beside that of simpler rules: the mean logarithm of
the steps' ratios to those of libjpeg, over all frequencies or over low ones.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, JpegPresets

from liif_cli.io.quantisation import av1, vp8
from liif_cli.io.quantisation.jpeg import quality_of, read_tables, standard_table

QUALITIES = (*range(5, 90, 5), 88, 90, 92, 94, 95, 96, 97, 98, 99, 100)
ROBIDOUX = np.array(
    [
        [16, 16, 16, 18, 25, 37, 56, 85],
        [16, 17, 20, 27, 34, 40, 53, 75],
        [16, 20, 24, 31, 43, 62, 91, 135],
        [18, 27, 31, 40, 53, 74, 106, 156],
        [25, 34, 43, 53, 69, 94, 131, 189],
        [37, 40, 62, 74, 94, 124, 169, 238],
        [56, 53, 91, 106, 131, 169, 226, 311],
        [85, 75, 135, 156, 189, 238, 311, 418],
    ]
)
"""The luminance table of ImageMagick and mozjpeg, which is scaled as that of the standard is."""
RATIOS = (6, 8, 11, 15)


def luma(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float64) @ [0.299, 0.587, 0.114]


def loss(image: Image.Image, data: bytes) -> float:
    """PSNR of the luma of what an encoded image holds, in dB."""
    error = luma(Image.open(io.BytesIO(data)).convert("RGB")) - luma(image)
    return float(-10 * np.log10(np.maximum(np.mean(error**2), 1e-9) / 255**2))


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def after(data: bytes, name: bytes) -> bytes:
    return data[data.index(name) + len(name) :]


def scaled(table: np.ndarray, quality: int) -> np.ndarray:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((table * scale + 50) // 100).clip(1, 255)


def other_tables() -> Iterator[tuple[str, list[list[int]]]]:
    """Tables that are not the standard's, luma and chroma."""
    for name, preset in JpegPresets.presets.items():
        yield f"Photoshop {name}", [list(table) for table in preset["quantization"]]
    for quality in (20, 50, 75, 85, 95):
        yield f"Robidoux {quality}", [scaled(ROBIDOUX, quality).ravel().tolist()] * 2
    for step in (2, 4, 8, 16, 32):
        yield f"flat {step}", [[step] * 64] * 2


def by_ratio(table: np.ndarray, below: int) -> int:
    """The level by the mean logarithm of ratios where row and column add up to less."""
    low = np.add(*np.indices((8, 8))) < below
    steps = np.log(table[low])
    distance = [abs(np.mean(steps - np.log(standard_table(q)[low]))) for q in range(100, 0, -1)]
    return int(np.argmin(distance))


def curve(image: Image.Image) -> Callable[[float], float]:
    """The level of the JPEG of a PSNR."""
    points = [(loss(image, saved(image, "JPEG", quality=q, subsampling=0)), q) for q in QUALITIES]
    psnr, quality = np.array(points).T
    order = np.argsort(psnr)
    return lambda found: 100 - float(np.interp(found, psnr[order], quality[order]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--reduce", type=int, default=2)
    options = parser.parse_args()
    files = sorted(path for path in options.folder.iterdir() if path.suffix == ".avif")
    found: dict[str, dict[object, list[float]]] = {}
    rules: dict[str, list[int]] = {}
    curves = {"WebP": (0, *range(10, 121, 10), 127), "AVIF": (0, *range(16, 250, 16), 255)}
    for path in files[:: max(1, len(files) // options.photos)]:
        image = Image.open(path).convert("RGB").reduce(options.reduce)
        level = curve(image)

        points: dict[str, list[tuple[float, float]]] = {kind: [] for kind in curves}
        for quality in (0, 1, 2, *range(5, 100, 5), 98, 100):
            data = saved(image, "WEBP", quality=quality)
            index = vp8.mean_quantiser(after(data, b"VP8 ")[4:])
            points["WebP"].append((index, level(loss(image, data))))
            data = saved(image, "AVIF", quality=quality, speed=6, subsampling="4:4:4")
            index = av1.base_quantiser(after(data, b"mdat"))
            points["AVIF"].append((index, level(loss(image, data))))
        for kind, knots in curves.items():
            at, levels = np.array(sorted(points[kind])).T
            for knot, value in zip(knots, np.interp(knots, at, levels), strict=True):
                found.setdefault(kind, {}).setdefault(knot, []).append(value)
        for name, tables in other_tables():
            data = saved(image, "JPEG", qtables=tables, subsampling=0)
            segment = after(data, b"\xff\xdb")
            length = int.from_bytes(segment[:2], "big")
            table = read_tables(segment[2:length])[0]
            known = 100 - quality_of(table)
            entry = f"{name}, taken for {known}"
            rules[entry] = [known, *(by_ratio(table, below) for below in RATIOS)]
            found.setdefault("JPEG", {}).setdefault(entry, []).append(level(loss(image, data)))
    for kind, entries in found.items():
        print(kind)
        for at, levels in entries.items():
            low, middle, high = np.percentile(levels, (25, 50, 75))
            print(f"  {at!s:34} {middle:5.1f}  ({low:.1f} to {high:.1f}, {len(levels)} photos)")
    wanted = [[np.median(found["JPEG"][entry])] for entry in rules]
    errors = np.abs(np.array(list(rules.values())) - wanted).mean(axis=0)
    names = ("this rule", *(f"ratios below {below}" for below in RATIOS))
    print("mean error: " + ", ".join(f"{n} {e:.1f}" for n, e in zip(names, errors, strict=True)))


if __name__ == "__main__":
    main()
