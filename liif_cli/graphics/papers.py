"""Text on other than flat ground: scanned paper, gradients, something like a photo."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from liif_cli.graphics import words
from liif_cli.graphics.canvas import Canvas, Pixels
from liif_cli.graphics.documents import document
from liif_cli.graphics.style import Style, luma

Floats = npt.NDArray[np.float32]


def scan(style: Style) -> Canvas:
    """A printed page as a scanner sees it: turned a little, on paper with a texture."""
    rng = style.rng
    height, width = style.size
    style.paper, style.smooth, style.factor = (255, 255, 255), True, 2
    level = int(rng.integers(0, 90))
    style.ink = (level, level, level)
    if rng.random() < 0.15:
        style.ink = (int(rng.integers(0, 60)), int(rng.integers(0, 60)), int(rng.integers(90, 160)))
    page = document(style)
    printed = _turned(page, rng.normal(0, 1.2)).astype(np.float32) / 255
    gray = style.colours != "any" or bool(rng.random() < 0.15)
    light = np.array([1.0, 1.0, 1.0]) * rng.uniform(0.85, 1.0)
    if not gray:
        # aged paper lets less blue through than red
        light *= 1 - rng.uniform(0, 0.3) * np.array([0.05, 0.35, 1.0])
    ground = light * (1 + rng.uniform(0.01, 0.06) * _noise(rng, style.size, (3, 4)))[..., None]
    grain = _noise(rng, style.size, (height // 3, width // 3))
    ground *= (1 + rng.uniform(0, 0.02) * grain)[..., None]
    if rng.random() < 0.4:
        back = cv2.GaussianBlur(np.ascontiguousarray(printed[:, ::-1]), (0, 0), 2.5)
        ground *= 1 - rng.uniform(0.04, 0.15) * (1 - np.roll(back, 17, axis=0))
    if rng.random() < 0.4:
        # a printed letter has no sharp edge once it was scanned
        printed = np.asarray(cv2.GaussianBlur(printed, (0, 0), float(rng.uniform(0.4, 1.0))))
    if rng.random() < 0.3:
        # toner does not cover evenly
        wear = np.clip(0.9 + 0.1 * _noise(rng, style.size, (height // 2, width // 2)), 0, 1)
        printed = 1 - (1 - printed) * wear[..., None]
    seen = ground * printed
    if rng.random() < 0.3:
        fold = int(rng.uniform(0.3, 0.7) * width)
        far = np.abs(np.arange(width) - fold) / 25
        seen = seen * (1 - 0.25 * np.exp(-far))[None, :, None]
    shades = np.rint(np.clip(seen, 0, 1) * 255).astype(np.uint8)
    page.drawn, page.factor = np.repeat(shades[..., :1], 3, axis=2) if gray else shades, 1
    return page


def gradient(style: Style) -> Canvas:
    """Large letters over a gradient of two or three colours."""
    rng = style.rng
    canvas = style.canvas()
    angle = rng.uniform(0, 2 * np.pi)
    y = np.linspace(0, 1, canvas.drawn.shape[0], dtype=np.float32)[:, None]
    x = np.linspace(0, 1, canvas.drawn.shape[1], dtype=np.float32)[None, :]
    if rng.random() < 0.3:
        along = np.hypot(y - np.float32(rng.random()), x - np.float32(rng.random()))
    else:
        along = np.float32(np.sin(angle)) * y + np.float32(np.cos(angle)) * x
    along = (along - along.min()) / np.ptp(along)
    stops = np.array([style.colour() for _ in range(int(rng.integers(2, 4)))])
    places = np.linspace(0, 1, len(stops))
    # 4,096 steps of the ramp are more than 8 bit can show
    steps = np.linspace(0, 1, 4096)
    ramp = np.stack([np.interp(steps, places, stops[:, k]) for k in range(3)], axis=1)
    canvas.drawn[:] = np.rint(ramp).astype(np.uint8)[np.rint(along * 4095).astype(np.int16)]
    _captions(canvas, style)
    return canvas


def photo(style: Style) -> Canvas:
    """Captions over a smooth scene, as of an out-of-focus photo with grain."""
    rng = style.rng
    style.smooth, style.factor = True, 1
    height, width = style.size
    scene = np.zeros((height, width, 3), dtype=np.float32)
    for cells, share in (((3, 4), 1.0), ((8, 10), 0.5), ((24, 30), 0.2)):
        common = _noise(rng, style.size, cells)[..., None]
        own = np.stack([_noise(rng, style.size, cells) for _ in range(3)], axis=2)
        scene += share * (0.8 * common + 0.3 * own)
    for _ in range(int(rng.integers(0, 14))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        colour = rng.normal(0, 1, 3).tolist()
        blob = np.zeros_like(scene)
        cv2.circle(blob, centre, int(rng.integers(15, 120)), colour, -1, cv2.LINE_AA)
        scene += blob
    soft = np.asarray(cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(1, 9))))
    lit = 127 + rng.uniform(30, 60) * soft + rng.normal(0, rng.uniform(0, 3), soft.shape)
    if style.colours != "any":
        lit = lit.mean(axis=2, keepdims=True)
    canvas = style.canvas()
    canvas.drawn[:] = np.rint(np.clip(lit, 0, 255)).astype(np.uint8)
    _captions(canvas, style)
    return canvas


def _captions(canvas: Canvas, style: Style) -> None:
    """Lines of text over whatever is there; dark on light ground, light on dark."""
    rng = style.rng
    height, width = style.size
    y = rng.uniform(0, 60)
    while y < height:
        text = style.lettering(14, 90)
        kind = words.script(rng, text.font)
        y += text.size * rng.uniform(1.1, 2.5)
        line = " ".join(words.paragraph(rng, int(rng.integers(1, 9)), kind))
        x = rng.uniform(0, max(1.0, width - text.width(line)))
        if rng.random() < 0.3:
            x = 20.0
        f = canvas.factor
        top, left = int(max(0, y - text.size) * f), int(x * f)
        under = canvas.drawn[top : int(y * f) + 1, left : left + int(text.width(line) * f) + 1]
        mean = luma(tuple(under.reshape(-1, 3).mean(axis=0))) if under.size else 127.0
        ink = (255, 255, 255) if mean < 127 else (0, 0, 0)
        if rng.random() < 0.3:
            ink = style.readable((int(mean),) * 3)
        if rng.random() < 0.4:
            shadow = (0, 0, 0) if luma(ink) > 127 else (255, 255, 255)
            canvas.text(y + text.size / 18, x + text.size / 18, line, text, shadow)
        canvas.text(y, x, line, text, ink)


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> Floats:
    """Smooth noise of ``size`` with ``cells`` bumps along each axis; mean 0, deviation about 1."""
    coarse = rng.normal(size=(max(2, cells[0]), max(2, cells[1]))).astype(np.float32)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))


def _turned(page: Canvas, degrees: float) -> Pixels:
    """The page turned about its middle, with paper where nothing was."""
    size = (page.drawn.shape[1], page.drawn.shape[0])
    turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), degrees, 1.0)
    turned = cv2.warpAffine(
        page.drawn, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    page.drawn = turned.astype(np.uint8, copy=False)
    return page.page()
