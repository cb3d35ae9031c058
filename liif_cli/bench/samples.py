"""Sample images made from formulas and fixed seeds: nothing to download, the same on every run.

Each is drawn several times larger and averaged down, so that no edge carries aliasing that an
upscaler would then be blamed for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt

from liif_cli.errors import OutputError
from liif_cli.graphics import graphics_pages

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

FACTOR = 4
"""Drawn pixels per pixel, along each axis."""

LEAVES = [
    (0.86, 0.55, 0.17),
    (0.72, 0.28, 0.13),
    (0.55, 0.60, 0.25),
    (0.24, 0.38, 0.22),
    (0.90, 0.78, 0.42),
    (0.38, 0.22, 0.16),
    (0.30, 0.48, 0.52),
    (0.80, 0.74, 0.66),
]
"""Colours (R, G, B) of the dead leaves."""

LAND = [
    (-2.50, 0.05, 0.16, 0.33),
    (-0.60, 0.13, 0.36, 0.53),
    (-0.25, 0.30, 0.57, 0.65),
    (-0.20, 0.87, 0.80, 0.60),
    (0.10, 0.42, 0.56, 0.28),
    (0.70, 0.24, 0.42, 0.22),
    (1.20, 0.46, 0.38, 0.29),
    (1.70, 0.58, 0.54, 0.50),
    (2.40, 0.97, 0.97, 0.98),
]
"""Colours (height, R, G, B) of the fractal land, from the deep sea to snow."""


def sample_images() -> dict[str, Image]:
    """Name to image, (height, width, 3) RGB uint8."""
    return dict(_samples())


def _samples() -> Iterator[tuple[str, Image]]:
    """Those of ``sample_images``, one by one as they are asked for."""
    makers: dict[str, Callable[[], Floats]] = {
        "chart": _chart,
        "zone_plate": _zone_plate,
        "dead_leaves": _dead_leaves,
        "fractal": _fractal,
    }
    return ((name, _shrink(make())) for name, make in makers.items())


def bench_images() -> dict[str, Image]:
    """Name to image of the built-in test set: 0.94 Mpx, each side 384 pixels or more.

    Twelve low-resolution pixels are left of the shortest side at x30.
    """
    makers: dict[str, Callable[[], Floats]] = {
        "charts": _charts,
        "text": _page,
        "dead_leaves": lambda: _dead_leaves(384, 600, seed=1711),
        "fractal": lambda: _fractal(384, 600, seed=23),
    }
    return {name: _shrink(make()) for name, make in makers.items()}


def write_samples(folder: Path) -> list[Path]:
    """Write the sample images as PNG into ``folder``, which is made where it is missing.

    Files of the same names are replaced.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    return list(_write(folder, _samples()))


def write_graphics(folder: Path, count: int, seed: int = 0) -> Iterator[Path]:
    """Write ``count`` generated pages as PNG into ``folder``, one by one as they are asked for.

    They are drawn with OpenCV's own fonts, so that they do not depend on what else is installed.
    Files of the same names are replaced.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    pages = enumerate(graphics_pages(count, seed=seed))
    width = max(3, len(str(count - 1)))
    return _write(folder, ((f"page-{k:0{width}}-{kind}", page) for k, (kind, page) in pages))


def _write(folder: Path, images: Iterable[tuple[str, Image]]) -> Iterator[Path]:
    """Write each image as PNG under its name, and tell where."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, image in images:
            path = folder / f"{name}.png"
            path.write_bytes(imagecodecs.png_encode(image))
            yield path
    except OSError as error:
        raise OutputError(
            f"cannot write the samples to {folder}",
            got=error.strerror or str(error),
            cure="choose a folder that can be written",
        ) from error


def _shrink(drawn: Floats) -> Image:
    """Average blocks of FACTOR x FACTOR of (h, w, 3) values on [0, 1], and round to 8 bit."""
    height, width = drawn.shape[0] // FACTOR, drawn.shape[1] // FACTOR
    mean = drawn.reshape(height, FACTOR, width, FACTOR, 3).mean(axis=(1, 3))
    image: Image = np.rint(np.clip(mean, 0, 1) * 255).astype(np.uint8)
    return image


def _centres(height: int, width: int) -> tuple[Floats, Floats]:
    """(y, x) of the drawn pixels' centres in pixels of the image, each (h FACTOR, w FACTOR)."""
    y, x = np.mgrid[: height * FACTOR, : width * FACTOR]
    return (y + 0.5) / FACTOR, (x + 0.5) / FACTOR


def _text(drawn: Floats, text: str, y: float, x: float, size: float, ink: Any, bold: float) -> None:
    """Write ``text`` from (y, x), its baseline's left end; capitals are ``size`` pixels high."""
    # capitals and their descenders lie within this band of rows
    top, bottom = max(0, round((y - 2 * size) * FACTOR)), round((y + size) * FACTOR)
    band = drawn[top:bottom]
    mask = np.zeros(band.shape[:2], dtype=np.uint8)
    # OpenCV's simplex capitals are 21 units high at scale 1
    origin, scale = (round(x * FACTOR), round(y * FACTOR) - top), size * FACTOR / 21
    width = max(1, round(bold * FACTOR))
    cv2.putText(mask, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (255,), width, cv2.LINE_AA)
    cover = mask[:, :, None] / 255
    band += cover * (ink - band)


def _chart() -> Floats:
    """A test chart, 256 x 384: letters down to 4 pixels, star, rings, line pairs, edge, colours."""
    height, width = 256, 384
    y, x = _centres(height, width)
    paper, ink = np.array([0.97, 0.96, 0.92]), np.array([0.09, 0.11, 0.16])
    drawn: Floats = np.ones((*y.shape, 3)) * paper

    def put(where: npt.NDArray[np.bool_], colour: Any) -> None:
        drawn[where] = colour

    put((abs(y - 128) > 122) | (abs(x - 192) > 186), ink)
    put((abs(y - 128) > 120.5) & (abs(y - 128) <= 122) & (abs(x - 192) <= 186), paper)

    _text(drawn, "Continuous", 40, 16, 18, ink, 2.4)
    lines = [(11, 1.3, "any size, any scale"), (8, 1.0, "The quick brown fox 0123456789")]
    lines += [(6, 0.8, "jumps over the lazy dog & 3.14159"), (5, 0.6, "x1.5  x2  x3.7  x8  x30")]
    lines += [(4, 0.5, "a function of coordinates, queried anywhere")]
    baseline = 40.0
    for size, bold, text in lines:
        baseline += 12 + size
        _text(drawn, text, baseline, 16, size, ink, bold)

    # Siemens star: 18 dark spokes
    star_y, star_x = y - 78, x - 314
    radius = np.hypot(star_y, star_x)
    spokes = np.sin(18 * np.arctan2(star_y, star_x)) > 0
    put((radius < 50) & (radius > 5) & spokes, ink)
    put(abs(radius - 53) < 1, ink)
    # rings around a second centre, finer outwards
    ring = np.hypot(y - 190, x - 51)
    put((ring < 35) & (np.cos(ring * ring * 0.045) < 0), (0.10, 0.32, 0.55))
    # line pairs, upright above and lying below, periods 8 to 3 pixels
    left = 100.0
    for period in (8, 6, 4, 3):
        wide = period * 3.5
        inside = (x >= left) & (x < left + wide)
        put(inside & (y > 156) & (y < 188) & ((x - left) % period < period / 2), ink)
        put(inside & (y > 192) & (y < 224) & ((y - 192) % period < period / 2), ink)
        left += wide + 6
    # slanted edge, 5 degrees from upright
    put((abs(y - 190) < 34) & (abs(x - 220) < 20), (0.80, 0.79, 0.75))
    put((abs(y - 190) < 34) & (abs(x - 220) < 20) & (x - 220 > (y - 190) * np.tan(np.pi / 36)), ink)
    # colour patches and a gray ramp
    colours = [(0.80, 0.18, 0.16), (0.93, 0.60, 0.10), (0.97, 0.85, 0.25), (0.24, 0.58, 0.30)]
    colours += [(0.12, 0.50, 0.62), (0.16, 0.27, 0.58), (0.45, 0.24, 0.53), (0.86, 0.52, 0.56)]
    for k, colour in enumerate(colours):
        row, col = 156 + 23 * (k // 4), 250 + 30 * (k % 4)
        put((y > row) & (y < row + 20) & (x > col) & (x < col + 27), colour)
    ramp = (y > 204) & (y < 224) & (x > 250) & (x < 367)
    drawn[ramp] = ((x[ramp] - 250) / 117)[:, None]
    _text(drawn, "liif sample chart  384 x 256", 242, 16, 5, ink, 0.6)
    return drawn


def _charts() -> Floats:
    """The chart and the zone plate side by side over lines of text, 384 x 640."""
    strip: Floats = np.ones((128 * FACTOR, 640 * FACTOR, 3)) * np.array([0.13, 0.20, 0.31])
    ink = np.array([0.95, 0.93, 0.86])
    for line, size in enumerate((16, 12, 9, 7, 5)):
        text = f"{size} px: every size from one network, 0123456789"
        _text(strip, text, 26 + 22 * line, 14, size, ink, size / 10)
    return np.concatenate([np.concatenate([_chart(), _zone_plate()], axis=1), strip])


def _page() -> Floats:
    """A page of text in two columns, capitals of 4 to 14 pixels, 400 x 600."""
    page: Floats = np.ones((400 * FACTOR, 600 * FACTOR, 3)) * np.array([0.98, 0.97, 0.93])
    words = [
        "the",
        "image",
        "is",
        "a",
        "function",
        "of",
        "coordinates",
        "and",
        "cell",
        "tells",
        "it",
    ]
    rng = np.random.default_rng(2012)
    inks = np.array([(0.10, 0.10, 0.12), (0.55, 0.12, 0.10), (0.10, 0.25, 0.50)])
    for left in (16, 310):
        baseline, size = 24.0, 14.0
        while baseline < 392:
            text = " ".join(rng.permutation(words))[: int(270 / (0.95 * size))]
            _text(page, text, baseline, left, size, inks[rng.integers(3)], size / 9)
            baseline += 2 * size
            size = max(4.0, size * 0.94)
    return page


def _zone_plate() -> Floats:
    """A zone plate, 256 x 256: local frequency grows with the radius up to 0.5 cycles per pixel."""
    y, x = _centres(256, 256)
    radius = np.hypot(y - 128, x - 128)
    # phase pi f r: the frequency, its derivative over 2 pi, is 0.45 cycles a pixel at r = 128
    frequency = 0.45 * radius / 128
    # fades out before the pixel grid's limit of 0.5, where it could only alias
    fade = 0.5 + 0.5 * np.cos(np.pi * np.clip((frequency - 0.38) / 0.12, 0, 1))
    wave = 0.5 + 0.5 * fade * np.cos(np.pi * frequency * radius)
    plate: Floats = np.repeat(wave[:, :, None], 3, axis=2)
    return plate


def _dead_leaves(height: int = 240, width: int = 320, seed: int = 2021) -> Floats:
    """Dead leaves, height x width: discs of radius r as often as r ** -3, each hiding the next.

    The statistics of occlusion in natural images (Lee, Mumford, Huang, IJCV 2001).
    """
    low, high = 2.0, 60.0
    rng = np.random.default_rng(seed)
    palette = np.array(LEAVES)
    y, x = _centres(height, width)
    drawn = np.zeros((*y.shape, 3))
    free = np.ones(y.shape, dtype=bool)
    left = free.size
    while left:
        # inverse of the distribution function of r ** -3 on low .. high
        radius = (low**-2 - rng.random() * (low**-2 - high**-2)) ** -0.5
        row, col = rng.random(2) * (height + 2 * high, width + 2 * high) - high
        angle, tone = rng.random() * 2 * np.pi, rng.random(3)
        colour = palette[rng.integers(len(palette))] * (0.75 + 0.4 * tone[0]) + 0.06 * (tone - 0.5)
        rows = slice(max(0, int((row - radius) * FACTOR)), max(0, int((row + radius) * FACTOR) + 1))
        cols = slice(max(0, int((col - radius) * FACTOR)), max(0, int((col + radius) * FACTOR) + 1))
        # most of a box is covered soon, and at last all of nearly every one
        if not free[rows, cols].any():
            continue
        at = np.nonzero(free[rows, cols])
        dy, dx = (y[rows, cols][at] - row) / radius, (x[rows, cols][at] - col) / radius
        inside = dy * dy + dx * dx < 1
        if not inside.any():
            continue
        seen = at[0][inside] + rows.start, at[1][inside] + cols.start
        # a soft light from one side
        light = 1 + 0.22 * (np.cos(angle) * dx[inside] + np.sin(angle) * dy[inside])
        drawn[seen] = light[:, None] * colour
        free[seen] = False
        left -= len(seen[0])
    return drawn


def _noise(shape: tuple[int, int], slope: float, seed: int) -> Floats:
    """Noise of amplitude 1 / frequency ** slope, periodic, of mean 0 and deviation 1."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    # per drawn pixel; both axes in the same unit, so the noise has no direction
    frequency = np.hypot(fy[:, None], fx)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) / frequency**slope
    field = np.fft.irfft2(spectrum, s=shape)
    noise: Floats = field / field.std()
    return noise


def _fractal(rows: int = 240, cols: int = 320, seed: int = 7) -> Floats:
    """A fractal land from above, rows x cols: heights of amplitude 1 / f ** 2.1, coloured, lit."""
    shape = rows * FACTOR, cols * FACTOR
    height = _noise(shape, 2.1, seed)
    slope_y, slope_x = (g * FACTOR * 12 for g in np.gradient(height))
    # Lambert's law, light from the upper left
    light = (1 - 0.6 * slope_y - 0.6 * slope_x) / np.sqrt(1 + slope_y**2 + slope_x**2)
    levels, *channels = np.transpose(LAND)
    land = np.stack([np.interp(height, levels, channel) for channel in channels], axis=2)
    shade = np.where(height < -0.22, 0.94 + 0.06 * light, 0.35 + 0.65 * light)
    lit: Floats = land * shade[:, :, None]
    return lit
