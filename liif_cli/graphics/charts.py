"""Charts: lines, bars, points, shares; axes with ticks and labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liif_cli.graphics import words
from liif_cli.graphics.canvas import Canvas, Colour, Lettering
from liif_cli.graphics.style import BLACK, Style, mix

Floats = npt.NDArray[np.float64]


def charts(style: Style) -> Canvas:
    """One to six charts on a page."""
    rng, canvas = style.rng, style.canvas()
    height, width = style.size
    text = style.lettering(14, min(32, height / 12))
    # a chart with its labels needs 12 lines of text, and twice as much across
    most_rows, most_cols = int(height / (12 * text.size)), int(width / (20 * text.size))
    rows = int(rng.integers(1, max(1, min(3, most_rows)) + 1))
    cols = int(rng.integers(1, max(1, min(3, most_cols)) + 1))
    colours = [style.vivid() for _ in range(6)]
    if style.colours == "ink" or rng.random() < 0.2:
        colours = [mix(style.paper, style.ink, share) for share in (1, 0.5, 0.75, 0.3, 0.6, 0.4)]
    kinds = [_line, _line, _bar, _points, _shares]
    for row in range(rows):
        for col in range(cols):
            box = (row * height / rows, col * width / cols, height / rows, width / cols)
            kinds[int(rng.integers(len(kinds)))](canvas, style, box, text, colours)
    return canvas


Box = tuple[float, float, float, float]
"""Top, left, height, width."""


def _axes(
    canvas: Canvas, style: Style, box: Box, text: Lettering, labels: list[str] | None = None
) -> Box:
    """Axes, ticks, labels, title and grid; returns the box between the axes."""
    rng = style.rng
    top, left, height, width = box
    kind = words.script(rng, text.font)
    ink, grid = style.ink, mix(style.paper, style.ink, rng.uniform(0.1, 0.3))
    most = rng.choice([1, 10, 100, 1000, 0.1])
    # no more ticks than there is room for their labels
    most_steps = max(1, int((height - 5 * text.size) / (1.4 * text.size)))
    steps = min(most_steps, int(rng.integers(3, 8)))
    digits = 2 if most < 1 else 1 if most == 1 else 0
    marks = [f"{most * k / steps:.{digits}f}" for k in range(steps + 1)]
    room = max(text.width(mark) for mark in marks) + 0.8 * text.size
    y0 = round(top + 1.8 * text.size)
    x0 = round(left + room + 1.5 * text.size)
    y1 = round(top + height - 3.2 * text.size)
    x1 = round(left + width - text.size)
    y1, x1 = max(y0 + 20, y1), max(x0 + 20, x1)
    heading = text.bold.fit(words.title(rng, kind), x1 - x0)
    canvas.text(top + 1.2 * text.size, (x0 + x1 - text.width(heading)) / 2, heading, text.bold, ink)
    wide = 1 if rng.random() < 0.7 else 2
    dashed = rng.random() < 0.4
    gridded = rng.random() < 0.6
    for k, mark in enumerate(marks):
        y = round(y1 + (y0 - y1) * k / steps)
        if gridded and k:
            _rule(canvas, y, x0, x1, grid, dashed)
        canvas.rect(y, x0 - 0.35 * text.size, wide, 0.35 * text.size, ink)
        x = x0 - 0.5 * text.size - text.width(mark)
        canvas.text(y + 0.35 * text.size, x, mark, text, ink)
    if labels is None:
        count = min(int(rng.integers(3, 9)), max(1, int((x1 - x0) / (2 * text.size))))
        labels = [f"{k * 5}" for k in range(count + 1)]
        places = [x0 + (x1 - x0) * k / count for k in range(count + 1)]
    else:
        places = [x0 + (x1 - x0) * (k + 0.5) / len(labels) for k in range(len(labels))]
    for place, label in zip(places, labels, strict=True):
        canvas.rect(y1, round(place), 0.35 * text.size, wide, ink)
        canvas.text(y1 + 1.4 * text.size, place - text.width(label) / 2, label, text, ink)
    name = text.fit(words.title(rng, kind, 3), x1 - x0)
    middle = (x0 + x1 - text.width(name)) / 2
    canvas.text(y1 + 2.7 * text.size, middle, name, text, ink)
    name = text.fit(words.title(rng, kind, 2), y1 - y0)
    middle = (y0 + y1 + text.width(name)) / 2
    canvas.text(middle, left + 1.1 * text.size, name, text, ink, turn=1)
    canvas.rect(y0, x0, y1 - y0 + wide, wide, ink)
    canvas.rect(y1, x0, wide, x1 - x0, ink)
    if rng.random() < 0.4:
        canvas.frame(y0, x0, y1 - y0 + wide, x1 - x0, ink, wide)
    return y0, x0, y1 - y0, x1 - x0


def _rule(canvas: Canvas, y: float, x0: float, x1: float, colour: Colour, dashed: bool) -> None:
    if not dashed:
        canvas.rect(y, x0, 1, x1 - x0, colour)
        return
    for x in range(round(x0), round(x1), 8):
        canvas.rect(y, x, 1, min(5, x1 - x), colour)


def _curve(rng: np.random.Generator, count: int) -> Floats:
    """A smooth or a jagged curve of ``count`` values on 0.05..0.95."""
    x = np.linspace(0, 1, count)
    roll = rng.random()
    if roll < 0.35:
        y = np.cumsum(rng.normal(size=count))
    elif roll < 0.7:
        turns = rng.uniform(0.5, 4, 3)
        y = np.sum([np.sin(6.28 * (turn * x + rng.random())) / turn for turn in turns], axis=0)
    else:
        y = np.exp(-rng.uniform(1, 6) * x) + rng.normal(size=count) * 0.03
    spread = np.ptp(y) or 1.0
    scaled: Floats = 0.05 + 0.9 * (y - y.min()) / spread
    return scaled


def _line(canvas: Canvas, style: Style, box: Box, text: Lettering, colours: list[Colour]) -> None:
    rng = style.rng
    top, left, height, width = _axes(canvas, style, box, text)
    names = []
    for k in range(int(rng.integers(1, 5))):
        colour = colours[k]
        count = int(rng.choice([8, 20, 120]))
        heights = 1 - _curve(rng, count)
        points = np.stack([heights, np.linspace(0, 1, count)], axis=1) * (height, width)
        points += (top, left)
        thick = float(rng.choice([1, 1.5, 2, 3]))
        if rng.random() < 0.25:
            for start, stop in zip(points[:-1:2], points[1::2], strict=False):
                canvas.lines([tuple(start), tuple(stop)], colour, thick)
        else:
            canvas.lines(points, colour, thick)
        if count <= 20 and rng.random() < 0.6:
            for row, col in points:
                canvas.circle(row, col, 2 + thick, colour)
        names.append(words.title(rng, "plain", 2))
    wide = max(text.width(name) for name in names) + 3 * text.size
    if wide < 0.6 * width and len(names) * 1.4 * text.size < 0.7 * height and rng.random() < 0.7:
        y, x = round(top + 6), round(left + width - wide - 6)
        canvas.rect(y, x, 1.4 * text.size * len(names) + 6, wide, style.paper)
        canvas.frame(y, x, 1.4 * text.size * len(names) + 6, wide, style.ink)
        for k, name in enumerate(names):
            base = y + 1.4 * text.size * (k + 1)
            middle = base - 0.3 * text.size
            canvas.lines([(middle, x + 6), (middle, x + 2 * text.size)], colours[k], 2)
            canvas.text(base, x + 2.4 * text.size, name, text, style.ink)


def _bar(canvas: Canvas, style: Style, box: Box, text: Lettering, colours: list[Colour]) -> None:
    rng = style.rng
    most = max(2, int(box[3] / (4.5 * text.size)))
    count = int(rng.integers(2, min(most, 12) + 1))
    labels = [words.title(rng, "plain", 1)[:5] for _ in range(count)]
    top, left, height, width = _axes(canvas, style, box, text, labels)
    groups = int(rng.integers(1, 4))
    step = width / count
    bar = max(2, round(0.75 * step / groups))
    outlined = rng.random() < 0.4
    for k in range(count):
        for group in range(groups):
            tall = round(height * rng.uniform(0.05, 0.95))
            y, x = top + height - tall, round(left + step * (k + 0.12) + group * bar)
            canvas.rect(y, x, tall, bar, colours[group])
            if outlined:
                canvas.frame(y, x, tall, bar, style.ink)


def _points(canvas: Canvas, style: Style, box: Box, text: Lettering, colours: list[Colour]) -> None:
    rng = style.rng
    top, left, height, width = _axes(canvas, style, box, text)
    for group in range(int(rng.integers(1, 4))):
        centre, spread = rng.uniform(0.2, 0.8, 2), rng.uniform(0.05, 0.2, 2)
        radius = rng.uniform(1.5, 6)
        hollow = 1.0 if rng.random() < 0.3 else None
        for place in np.clip(rng.normal(centre, spread, (60, 2)), 0.02, 0.98):
            y, x = top + place[0] * height, left + place[1] * width
            canvas.circle(y, x, radius, colours[group], hollow)


def _shares(canvas: Canvas, style: Style, box: Box, text: Lettering, colours: list[Colour]) -> None:
    """A pie with a legend."""
    rng = style.rng
    top, left, height, width = box
    kind = words.script(rng, text.font)
    heading = words.title(rng, kind)
    middle = left + (width - text.width(heading)) / 2
    canvas.text(top + 1.3 * text.size, middle, heading, text.bold, style.ink)
    radius = max(10.0, min(0.42 * (height - 2 * text.size), 0.28 * width))
    y, x = top + 1.5 * text.size + (height - 1.5 * text.size) / 2, left + 0.32 * width
    shares = rng.dirichlet(np.full(int(rng.integers(3, 7)), 2.0))
    turn = rng.random()
    for k, share in enumerate(shares):
        angles = 2 * np.pi * np.linspace(turn, turn + share, 40)
        arc = np.stack([y + radius * np.sin(angles), x + radius * np.cos(angles)], axis=1)
        canvas.fill(np.concatenate([arc, [[y, x]]]), colours[k])
        canvas.lines(np.concatenate([arc, [[y, x]]]), style.paper, 1, closed=True)
        turn += share
        row = y - radius + 1.5 * text.size * k + 0.5 * text.size
        side = 0.8 * text.size
        canvas.rect(
            round(row - 0.7 * text.size), round(left + 0.65 * width), side, side, colours[k]
        )
        label = f"{100 * share:.0f}%"
        canvas.text(row, left + 0.65 * width + 1.2 * text.size, label, text, style.ink)
    if rng.random() < 0.3:
        canvas.circle(y, x, 0.5 * radius, style.paper)
    if rng.random() < 0.3:
        canvas.circle(y, x, radius, BLACK if style.paper != BLACK else style.ink, 1)
