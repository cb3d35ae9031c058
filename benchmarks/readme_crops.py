"""Strips of crops for the README, from the folder of results that ``liif bench --out`` makes.

    python -m benchmarks.readme_crops OUT [--crop NUMBER ...] [--methods NAME,...] [--to DIR]

Lists the crops of OUT/report.json by number, and draws the chosen ones, one PNG each: HR and every
method side by side, enlarged 3 times without smoothing, with name and PSNR over the crop.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from liif_cli.bench.crops import crop_stem
from liif_cli.bench.results import CLEAN, BenchReport, Crop

ENLARGED = 3
GAP, LINE, INK = 8, 20, (60, 60, 60)
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
MOST_BYTES = 150_000
"""Of a picture, so that the page loads at once."""


def panel(pixels: np.ndarray, lines: list[str]) -> np.ndarray:
    """An enlarged crop (h, w, 3) uint8 with lines of text below it, on white."""
    large = cv2.resize(pixels, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_NEAREST)
    foot = np.full((LINE * len(lines) + GAP // 2, large.shape[1], 3), 255, np.uint8)
    for number, text in enumerate(lines):
        width = cv2.getTextSize(text, FONT, FONT_SCALE, 1)[0][0]
        fitted = FONT_SCALE * min(1, large.shape[1] / width)
        place = (0, LINE * (number + 1) - LINE // 4)
        cv2.putText(foot, text, place, FONT, fitted, INK, 1, cv2.LINE_AA)
    return np.vstack([large, foot])


def strip(crop: Crop, folder: Path, names: list[str]) -> np.ndarray:
    """The panels of a crop from left to right, BGR.

    Raises:
        SystemExit: a file of the crop cannot be read.
    """
    panels: list[np.ndarray] = []
    for name in names:
        pixels = cv2.imread(str(folder / crop.files[name]))
        if pixels is None:
            raise SystemExit(f"cannot read {folder / crop.files[name]}; run liif bench again")
        about = f"{crop.image}, x{crop.scale:g}{_at(crop)}"
        value = f"{crop.psnr[name]:.2f} dB" if name in crop.psnr else about
        panels += [panel(pixels, [name, value])]
    gap = np.full((panels[0].shape[0], GAP, 3), 255, np.uint8)
    return np.hstack([part for one in panels for part in (one, gap)][:-1])


def _at(crop: Crop) -> str:
    return f", {crop.input}" if crop.input != CLEAN else ""


def chosen_names(crop: Crop, methods: str | None) -> list[str]:
    """HR first, then the methods in the order asked for, or all of them, bicubic first.

    Raises:
        SystemExit: a name that the crop lacks.
    """
    known = [name for name in crop.files if name != "HR"]
    wanted = methods.split(",") if methods else sorted(known, key=lambda name: name != "bicubic")
    if missing := [name for name in wanted if name not in known]:
        raise SystemExit(f"no crop of {', '.join(missing)}; there are {', '.join(known)}")
    return ["HR", *wanted]


def main(arguments: list[str] | None = None) -> None:
    """List the crops and draw the chosen ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--crop", type=int, action="append", help="by number [1 and 2]")
    parser.add_argument("--methods", help="names, separated by commas [all]")
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    options = parser.parse_args(arguments)
    report = BenchReport.from_json(json.loads((options.out / "report.json").read_text()))
    for number, crop in enumerate(report.crops, 1):
        gains = ", ".join(f"{name} {value:.2f}" for name, value in crop.psnr.items())
        print(f"{number:3} {crop.set}, {crop.image}, x{crop.scale:g}{_at(crop)}: {gains}")
    numbers = options.crop or range(1, min(2, len(report.crops)) + 1)
    if not report.crops or not 1 <= min(numbers) <= max(numbers) <= len(report.crops):
        raise SystemExit(f"--crop: expected numbers from 1 to {len(report.crops)}")
    options.to.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        crop = report.crops[number - 1]
        picture = strip(crop, options.out, chosen_names(crop, options.methods))
        _, png = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        path = options.to / f"{crop_stem(crop.set, crop.image, crop.scale, crop.input)}.png"
        if len(png) > MOST_BYTES:
            raise SystemExit(f"{path}: {len(png)} bytes, more than {MOST_BYTES}; name --methods")
        path.write_bytes(png.tobytes())
        print(f"{path}: {picture.shape[1]}x{picture.shape[0]}, {len(png) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
