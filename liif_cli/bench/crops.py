"""Places where methods differ most, cut out of their results and of HR, as PNG files."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt

from liif_cli.bench.data import BenchImage, DataSet
from liif_cli.bench.imresize import imresize
from liif_cli.bench.inputs import VERSION as RECIPES
from liif_cli.bench.inputs import Recipe, degrade
from liif_cli.bench.methods import Method
from liif_cli.bench.protocol import Pair, answer, border, squared_error
from liif_cli.bench.results import CLEAN, SCALED, Crop, ImageScore
from liif_cli.geometry.window import Window
from liif_cli.io.atomic import write_atomically

FOLDER = "crops"
PREFERRED_SCALES = (4.0, 12.0)
PLACES = 3
"""Crops of a set and scale, each of another image."""
SIDES = (48, 80)
"""Least and largest side of a crop in HR pixels; between them a quarter of the image.

Small enough that several fit side by side at 3 times their size.
"""

HR, INPUT = "HR", "input"
"""Names among a crop's files that are not methods'."""

Pairing = Callable[[DataSet, float, BenchImage], Pair]


def make_crops(
    entry: DataSet,
    methods: Sequence[Method],
    scores: Sequence[ImageScore],
    out: Path,
    pairing: Pairing,
    recipe: Recipe,
) -> list[Crop]:
    """Crops of a set at one input, from an earlier run where they belong to the same figures.

    The images are those where the best and the worst method, or bicubic where it takes part, lie
    farthest apart; the place is where the squared errors of these two do.

    Args:
        entry: the set.
        methods: what was compared.
        scores: of all sets.
        out: folder of results; files go to crops/ in it.
        pairing: gives LR and HR of an image at a scale.
        recipe: what the LR goes through.

    Raises:
        OutputError: a file cannot be written.
    """
    here = [
        score
        for score in scores
        if (score.set, score.cell, score.input) == (entry.name, SCALED, recipe.name)
        and score.psnr is not None
    ]
    known = {score.scale for score in here}
    scales = [scale for scale in PREFERRED_SCALES if scale in known] or sorted(known)[-1:]
    crops = []
    for scale in scales:
        for image, base, best in _images([score for score in here if score.scale == scale]):
            source = next(one for one in entry.images if one.name == image)
            crops.append(_crop(entry, source, scale, methods, (base, best), out, pairing, recipe))
    return crops


def _images(scores: Sequence[ImageScore]) -> list[tuple[str, str, str]]:
    """(image, method to compare with, best method) of the widest gaps in dB."""
    by_image: dict[str, dict[str, float]] = {}
    for score in scores:
        if score.psnr is not None and math.isfinite(score.psnr):
            by_image.setdefault(score.image, {})[score.method] = score.psnr
    gaps = []
    for image, psnr in by_image.items():
        best = max(psnr, key=psnr.__getitem__)
        worst = min(psnr, key=psnr.__getitem__)
        base = "bicubic" if "bicubic" in psnr and best != "bicubic" else worst
        if base != best:
            gaps.append((psnr[base] - psnr[best], image, base, best))
    return [(image, base, best) for _, image, base, best in sorted(gaps)[:PLACES]]


def _crop(
    entry: DataSet,
    image: BenchImage,
    scale: float,
    methods: Sequence[Method],
    compared: tuple[str, str],
    out: Path,
    pairing: Pairing,
    recipe: Recipe,
) -> Crop:
    """One crop, remembered in a JSON file beside its PNG files with what it was made from."""
    stem = crop_stem(entry.name, image.name, scale, recipe.name)
    record = out / FOLDER / f"{stem}.json"
    identity: dict[str, object] = {
        "image": image.digest(scale),
        "protocol": entry.protocol,
        "compared": list(compared),
        "sides": list(SIDES),
        "methods": {method.info.name: method.info.digest for method in methods},
    }
    if recipe.name != CLEAN:
        identity |= {"input": recipe.name, "recipes": RECIPES}
    old = _remembered(record, identity, out)
    if old is not None:
        return old
    pair = degrade(pairing(entry, scale, image), recipe, image.name, scale)
    shape = (pair.hr.shape[0], pair.hr.shape[1])

    def result(method: Method) -> npt.NDArray[np.float32]:
        timed = method.run(pair.lr, shape, entry.protocol, cleanup=pair.cleanup)
        return answer(timed.colours, pair.lr, entry.protocol)

    results = {method.info.name: result(method) for method in methods}
    errors = {
        name: squared_error(colours, pair.hr, entry.protocol) for name, colours in results.items()
    }
    base, best = compared
    part = _place(errors[base] - errors[best], border(entry.protocol, scale))
    pictures = {HR: pair.hr, **{name: _to_8_bit(value) for name, value in results.items()}}
    if recipe.name != CLEAN and "bicubic" not in results:
        pictures[INPUT] = imresize(pair.lr, shape)
    files = {name: f"{FOLDER}/{stem}-{slug(name)}.png" for name in pictures}
    for name, pixels in pictures.items():
        png = bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels[part.to_slices()])))
        write_atomically(out / files[name], png)
    crop = Crop(
        set=entry.name,
        image=image.name,
        scale=scale,
        box=(part.col_off, part.row_off, part.width, part.height),
        files=files,
        psnr={name: _decibels(error[part.to_slices()]) for name, error in errors.items()},
        input=recipe.name,
    )
    data = {"identity": identity, "crop": asdict(crop)}
    write_atomically(record, (json.dumps(data, indent=1) + "\n").encode())
    return crop


def _remembered(record: Path, identity: dict[str, object], out: Path) -> Crop | None:
    """The crop of an earlier run, when it had the same inputs and all files are still there."""
    try:
        data = json.loads(record.read_bytes())
        crop = Crop(**{**data["crop"], "box": tuple(data["crop"]["box"])})
        same = data["identity"] == identity
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return crop if same and all((out / name).is_file() for name in crop.files.values()) else None


def _place(gain: npt.NDArray[np.float64], margin: int) -> Window:
    """The square whose mean of ``gain`` (h, w) is largest, ``margin`` away from the border."""
    height, width = (side - 2 * margin for side in gain.shape)
    side = min(height, width, max(SIDES[0], min(SIDES[1], min(gain.shape) // 4)))
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = gain[margin : margin + height, margin : margin + width].cumsum(0).cumsum(1)
    boxes = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    row, col = np.unravel_index(int(boxes.argmax()), boxes.shape)
    return Window(int(row) + margin, int(col) + margin, side, side)


def _to_8_bit(colours: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    return pixels


def _decibels(error: npt.NDArray[np.float64]) -> float:
    """PSNR of a crop; 100 dB where hardly a difference is left, so that JSON can hold it."""
    return -10 * math.log10(max(float(error.mean()), 1e-10))


def crop_stem(set: str, image: str, scale: float, input: str) -> str:
    """What the file names of a crop begin with."""
    return slug(f"{set}-{image}-x{scale:g}" + (f"-{input}" if input != CLEAN else ""))


def slug(text: str) -> str:
    """A file name; a short digest keeps names apart that look the same without their marks."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
