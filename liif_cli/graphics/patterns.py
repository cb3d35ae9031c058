"""Patterns: codes that machines read, checkerboards, stripes, a printer's dots, icons of pixels."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from liif_cli.graphics.canvas import Canvas
from liif_cli.graphics.style import Style


def pattern(style: Style) -> Canvas:
    """Codes of black and white modules, checkerboards, stripes, dots, and icons of pixels."""
    rng = style.rng
    height, width = style.size
    style.factor = 1
    canvas = style.canvas()
    rows, cols = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    for row in range(rows):
        for col in range(cols):
            top, left = row * height // rows, col * width // cols
            part = canvas.drawn[top : (row + 1) * height // rows, left : (col + 1) * width // cols]
            paper, ink = style.paper, style.ink
            if rng.random() < 0.3:
                paper = style.colour()
                ink = style.readable(paper)
            part[:] = paper
            what = int(rng.integers(8))
            if what >= 6:
                cover = _screen(style, part.shape[:2], checks=what == 6)[..., None]
                tones = np.array(paper) + cover * (np.array(ink) - np.array(paper))
                part[:] = np.rint(tones).astype(np.uint8)
                continue
            pixel = int(rng.integers(2, 17))
            tall, wide = part.shape[0] // pixel + 1, part.shape[1] // pixel + 1
            if what <= 1:
                on = rng.random((tall, wide)) < 0.5
                for y, x in ((0, 0), (0, wide - 9), (tall - 9, 0)):
                    _finder(on, y, x)
            elif what == 2:
                on = np.add.outer(np.arange(tall), np.arange(wide)) % 2 == 0
            elif what == 3:
                on = np.broadcast_to(rng.random(wide) < 0.5, (tall, wide))
            elif what == 4:
                half = rng.random((tall, wide // 2 + 1)) < 0.45
                on = np.concatenate([half, half[:, ::-1]], axis=1)[:, :wide]
            else:
                bars = np.arange(wide) // int(rng.integers(1, 4)) % 2 == 0
                on = np.broadcast_to(bars, (tall, wide))
                if rng.random() < 0.5:
                    on = on ^ (np.arange(tall) // int(rng.integers(1, 4)) % 2 == 0)[:, None]
            large = np.repeat(np.repeat(on, pixel, 0), pixel, 1)[: part.shape[0], : part.shape[1]]
            if what == 4 and rng.random() < 0.7:
                tints = np.array([style.colour() for _ in range(4)], dtype=np.uint8)
                shades = tints[rng.integers(0, 4, on.shape)]
                tinted = np.repeat(np.repeat(shades, pixel, 0), pixel, 1)
                part[large] = tinted[: part.shape[0], : part.shape[1]][large]
            else:
                part[large] = ink
    return canvas


def _screen(style: Style, size: tuple[int, int], *, checks: bool) -> npt.NDArray[np.float32]:
    """Cover, 0 to 1, of checks or of a printer's dots, at any angle."""
    rng = style.rng
    fine = 4 if style.smooth else 1
    y = (np.arange(size[0] * fine, dtype=np.float32) / fine)[:, None]
    x = (np.arange(size[1] * fine, dtype=np.float32) / fine)[None, :]
    angle, step = rng.uniform(0, np.pi), 2 * np.pi / rng.uniform(5, 24)
    u = np.sin(step * (np.float32(np.sin(angle)) * y + np.float32(np.cos(angle)) * x))
    v = np.sin(step * (np.float32(np.cos(angle)) * y - np.float32(np.sin(angle)) * x))
    # the dots grow from the left to the right, as the print of a gradient
    on = u * v > 0 if checks else u * v > 1.6 * x / size[1] - 0.8
    cover = cv2.resize(on.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cover, dtype=np.float32)


def _finder(on: npt.NDArray[np.bool_], y: int, x: int) -> None:
    """The square that a reader of QR codes looks for, 7 modules wide."""
    if y < 0 or x < 0 or min(on.shape) < 18:
        return
    ring = np.maximum(*np.abs(np.mgrid[-4:5, -4:5]))
    on[y : y + 9, x : x + 9] = ((ring != 2) & (ring != 4))[: on.shape[0] - y, : on.shape[1] - x]
