"""Icons of simple shapes."""

from __future__ import annotations

import numpy as np

from liif_cli.graphics.canvas import Canvas, Colour
from liif_cli.graphics.style import Style


def icon(canvas: Canvas, style: Style, ink: Colour, y: float, x: float, side: float) -> None:
    """A picture of simple shapes in a square."""
    rng = style.rng
    colour = style.vivid() if rng.random() < 0.6 else ink
    what = int(rng.integers(8))
    m, n = y + side / 2, x + side / 2
    if what == 0:
        canvas.rect(y + 0.25 * side, x, 0.65 * side, side, colour)
        canvas.rect(y + 0.1 * side, x, 0.2 * side, 0.45 * side, colour)
    elif what == 1:
        canvas.circle(m, n, 0.42 * side, colour)
    elif what == 2:
        canvas.fill([(y, n), (y + 0.9 * side, x + side), (y + 0.9 * side, x)], colour)
    elif what == 3:
        canvas.frame(round(y + 0.1 * side), round(x + 0.2 * side), 0.8 * side, 0.6 * side, colour)
        for k in (0.3, 0.5, 0.7):
            canvas.rect(round(y + k * side), round(x + 0.3 * side), 1, 0.4 * side, colour)
    elif what == 4:
        canvas.circle(m - 0.1 * side, n - 0.1 * side, 0.3 * side, colour, max(1.0, side / 12))
        end = (y + 0.95 * side, x + 0.95 * side)
        canvas.lines([(m + 0.1 * side, n + 0.1 * side), end], colour, max(1.0, side / 8))
    elif what == 5:
        thick = max(1.0, side / 8)
        canvas.rect(round(m - thick / 2), x + 0.1 * side, thick, 0.8 * side, colour)
        canvas.rect(y + 0.1 * side, round(n - thick / 2), 0.8 * side, thick, colour)
    elif what == 6:
        for k in (0.2, 0.45, 0.7):
            canvas.rect(
                round(y + k * side), x + 0.1 * side, max(1.0, side / 10), 0.8 * side, colour
            )
    else:
        angles = np.pi * (np.arange(10) / 5 - 0.5)
        radii = side * np.where(np.arange(10) % 2, 0.2, 0.48)
        star = np.stack([m + radii * np.sin(angles), n + radii * np.cos(angles)], axis=1)
        canvas.fill(star, colour)
