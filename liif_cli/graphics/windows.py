"""Screens: windows with title bars, menus, buttons, lists and boxes to tick."""

from __future__ import annotations

import numpy as np

from liif_cli.graphics import words
from liif_cli.graphics.canvas import Canvas, Colour
from liif_cli.graphics.documents import broken, write_line
from liif_cli.graphics.icons import icon
from liif_cli.graphics.style import BLACK, WHITE, Style, luma, mix


class Theme:
    """Colours, letters and edges of a desktop, drawn by chance."""

    def __init__(self, style: Style) -> None:
        rng = style.rng
        dark = bool(rng.random() < 0.35)
        level = int(rng.integers(30, 70) if dark else rng.integers(205, 251))
        self.face: Colour = (level, level, level)
        if rng.random() < 0.2:
            self.face = mix(self.face, style.vivid(), 0.15)
        self.field: Colour = mix(self.face, BLACK if dark else WHITE, rng.uniform(0.4, 1))
        self.ink: Colour = WHITE if dark and rng.random() < 0.5 else mix(BLACK, WHITE, 0.87 * dark)
        self.light = mix(self.face, WHITE, 0.25 if dark else 1.0)
        self.shade = mix(self.face, BLACK, 0.5)
        self.edge = mix(self.face, self.ink, 0.3)
        self.accent = style.vivid()
        self.on_accent = WHITE if luma(self.accent) < 150 else BLACK
        self.bevel = bool(rng.random() < 0.45)
        self.text = style.lettering(14, 24)
        self.kind = words.script(rng, self.text.font)
        self.row = round(1.7 * self.text.size)


def window(style: Style) -> Canvas:
    """A desktop with one to four windows that overlap, and a task bar."""
    rng = style.rng
    style.factor = 1
    # a desktop writes in a sans serif that knows many scripts
    style.fonts = [font for font in style.fonts if font.scripts[0] == "latin"] or style.fonts
    theme = Theme(style)
    style.paper = style.colour() if rng.random() < 0.7 else mix(theme.face, BLACK, 0.4)
    canvas = style.canvas()
    height, width = style.size
    if rng.random() < 0.4:
        _shade_down(canvas, style.paper, style.colour())
    for k in range(int(rng.integers(1, 5))):
        tall = int(height * rng.uniform(0.5, 1.0))
        wide = int(width * rng.uniform(0.5, 1.0))
        top = int(rng.integers(0, height - tall + 1))
        left = int(rng.integers(0, width - wide + 1))
        if k == 0:
            top, left, tall, wide = 0, 0, height, width
        _window(canvas, style, theme, (top, left, tall, wide))
    if rng.random() < 0.5:
        _bar(canvas, style, theme)
    return canvas


def _shade_down(canvas: Canvas, first: Colour, second: Colour) -> None:
    share = np.linspace(0, 1, canvas.drawn.shape[0])[:, None]
    ramp = np.array(first) * (1 - share) + np.array(second) * share
    canvas.drawn[:] = np.rint(ramp).astype(np.uint8)[:, None, :]


def _raised(
    canvas: Canvas, theme: Theme, y: int, x: int, tall: int, wide: int, *, sunk: bool = False
) -> None:
    """A face with edges that are lit from the top left, or a flat one with an outline."""
    canvas.rect(y, x, tall, wide, theme.field if sunk else theme.face)
    if not theme.bevel:
        canvas.frame(y, x, tall, wide, theme.edge)
        return
    lit, unlit = (theme.shade, theme.light) if sunk else (theme.light, theme.shade)
    canvas.rect(y, x, 1, wide, lit)
    canvas.rect(y, x, tall, 1, lit)
    canvas.rect(y + tall - 1, x, 1, wide, unlit)
    canvas.rect(y, x + wide - 1, tall, 1, unlit)


def _window(canvas: Canvas, style: Style, theme: Theme, box: tuple[int, int, int, int]) -> None:
    rng = style.rng
    top, left, tall, wide = box
    text, row = theme.text, theme.row
    _raised(canvas, theme, top, left, tall, wide)
    active = bool(rng.random() < 0.7)
    bar = theme.accent if active else mix(theme.face, theme.ink, 0.15)
    on_bar = theme.on_accent if active else theme.ink
    canvas.rect(top + 2, left + 2, row, wide - 4, bar)
    base = 0.7 * row
    canvas.text(
        top + 2 + base,
        left + 10,
        text.fit(words.title(rng, theme.kind), wide - 4 * row),
        text.bold,
        on_bar,
    )
    for k, sign in enumerate("x□_"):
        x = left + wide - (k + 1) * row
        mid_y, mid_x, arm = top + 2 + row / 2, x + row / 2, 0.2 * row
        if theme.bevel:
            _raised(canvas, theme, top + 5, x + 2, row - 6, row - 4)
        ink = theme.ink if theme.bevel else on_bar
        if sign == "x":
            canvas.lines([(mid_y - arm, mid_x - arm), (mid_y + arm, mid_x + arm)], ink, 1.5)
            canvas.lines([(mid_y - arm, mid_x + arm), (mid_y + arm, mid_x - arm)], ink, 1.5)
        elif sign == "□":
            side = round(2 * arm)
            canvas.frame(round(mid_y - arm), round(mid_x - arm), side, side, ink)
        else:
            canvas.rect(round(mid_y + arm), round(mid_x - arm), 1, round(2 * arm), ink)
    y, end = top + 2 + row, left + 10.0
    while end < left + wide - 3 * row:
        entry = words.title(rng, theme.kind, 1)
        end += canvas.text(y + base, end, entry, text, theme.ink) + text.size
    y += row
    canvas.rect(y, left + 2, 1, wide - 4, theme.edge)
    if rng.random() < 0.6:
        for k in range((wide - 20) // (row + 4)):
            if rng.random() < 0.85:
                icon(canvas, style, theme.ink, y + 4, left + 8 + k * (row + 4), row - 2)
        y += row + 8
        canvas.rect(y, left + 2, 1, wide - 4, theme.edge)
    split = left + 2 + int((wide - 4) * rng.uniform(0.2, 0.6))
    parts = ((left + 2, split), (split, left + wide - 2))
    panels = (_list, _form, _form, _article, _grid)
    for start, stop in parts:
        panel = panels[int(rng.integers(len(panels)))]
        panel(canvas, style, theme, (y + 1, start, top + tall - 3 - y - row, stop - start))
    canvas.rect(top + tall - row, left + 1, 1, wide - 2, theme.edge)
    foot = f"{words.title(rng, theme.kind, 2)}   {words.number(rng)}"
    canvas.rect(top + tall - row + 1, left + 1, row - 2, wide - 2, theme.face)
    canvas.text(top + tall - 0.35 * row, left + 10, foot, text, theme.ink)


Box = tuple[int, int, int, int]
"""Top, left, height, width."""


def _list(canvas: Canvas, style: Style, theme: Theme, box: Box) -> None:
    """Entries, some selected, with icons before and numbers behind, and a scroll bar."""
    rng, text, row = style.rng, theme.text, theme.row
    top, left, tall, wide = box
    _raised(canvas, theme, top, left, tall, wide, sunk=True)
    icons, numbers = rng.random() < 0.5, rng.random() < 0.5
    room = wide - 24 - (row if icons else 0) - (6 * text.size if numbers else 0)
    for k in range(max(0, (tall - 4) // row)):
        y, ink = top + 2 + k * row, theme.ink
        if rng.random() < 0.12:
            canvas.rect(y, left + 2, row, wide - 4, theme.accent)
            ink = theme.on_accent
        x = left + 8
        if icons:
            icon(canvas, style, theme.ink, y + 2, x, row - 5)
            x += row
        canvas.text(y + 0.7 * row, x, text.fit(words.title(rng, theme.kind), room), text, ink)
        if numbers:
            entry = words.number(rng)
            canvas.text(y + 0.7 * row, left + wide - 20 - text.width(entry), entry, text, ink)
    canvas.rect(top + 1, left + wide - 14, tall - 2, 13, mix(theme.face, theme.ink, 0.08))
    if tall > 60:
        _raised(
            canvas, theme, top + int(tall * rng.uniform(0, 0.6)), left + wide - 14, tall // 3, 13
        )


def _form(canvas: Canvas, style: Style, theme: Theme, box: Box) -> None:
    """Labels with buttons, fields, boxes to tick, round choices, bars of progress."""
    rng, text, row = style.rng, theme.text, theme.row
    top, left, tall, wide = box
    canvas.rect(top, left, tall, wide, theme.face)
    for y in range(top + 6, top + tall - row - 6, row + 8):
        x = left + 10
        label = text.fit(words.title(rng, theme.kind, 3), wide - 30 - row)
        side = round(0.8 * text.size)
        what = int(rng.integers(6))
        middle = y + row // 2
        if what == 0 and text.width(label) + 30 < wide:
            _raised(canvas, theme, y, x, row, round(text.width(label)) + 20)
            canvas.text(y + 0.68 * row, x + 10, label, text, theme.ink)
            if rng.random() < 0.3:
                canvas.frame(y - 2, x - 2, row + 4, round(text.width(label)) + 24, theme.accent, 2)
        elif what == 1:
            _raised(canvas, theme, y, x, row, max(20, wide - 24), sunk=True)
            canvas.text(y + 0.68 * row, x + 6, label, text, theme.ink)
            if rng.random() < 0.5:
                canvas.rect(y + 4, round(x + 8 + text.width(label)), row - 8, 1, theme.ink)
        elif what == 2:
            _raised(canvas, theme, middle - side // 2, x, side, side, sunk=True)
            if rng.random() < 0.6:
                tick = [(middle, x + 2), (middle + side * 0.3, x + side * 0.4)]
                tick.append((middle - side * 0.4, x + side - 2.0))
                canvas.lines(tick, theme.ink, 1.5)
            canvas.text(y + 0.68 * row, x + side + 8, label, text, theme.ink)
        elif what == 3:
            canvas.circle(middle, x + side / 2, side / 2, theme.field)
            canvas.circle(middle, x + side / 2, side / 2, theme.ink, 1)
            if rng.random() < 0.5:
                canvas.circle(middle, x + side / 2, side / 4, theme.ink)
            canvas.text(y + 0.68 * row, x + side + 8, label, text, theme.ink)
        elif what == 4:
            long = max(20, wide - 24)
            _raised(canvas, theme, middle - 6, x, 12, long, sunk=True)
            canvas.rect(middle - 4, x + 2, 8, int((long - 4) * rng.random()), theme.accent)
        else:
            canvas.text(y + 0.68 * row, x, label, text.bold, theme.ink)
            line = round(x + text.width(label) + 8)
            canvas.rect(middle, line, 1, max(0, left + wide - 10 - line), theme.edge)


def _article(canvas: Canvas, style: Style, theme: Theme, box: Box) -> None:
    """Text as a browser or a chat shows it."""
    rng, text = style.rng, theme.text
    top, left, tall, wide = box
    canvas.rect(top, left, tall, wide, theme.field)
    glue = "" if theme.kind == "cjk" else " "
    y: float = top + 0.3 * text.size
    room = max(40, wide - 24)
    while y < top + tall:
        some = words.paragraph(rng, int(rng.integers(3, 40)), theme.kind)
        linked = rng.random() < 0.15
        ink = theme.accent if linked else theme.ink
        for line, _ in broken(some, text, room, glue):
            y += 1.4 * text.size
            if y > top + tall - 4:
                return
            write_line(canvas, (y, left + 12), line, text, ink, glue)
            if linked:
                long = min(room, text.width(glue.join(line)))
                canvas.rect(round(y + 2), left + 12, 1, long, ink)
        y += 0.8 * text.size


def _grid(canvas: Canvas, style: Style, theme: Theme, box: Box) -> None:
    """Large icons with a caption each."""
    rng, text = style.rng, theme.text
    top, left, tall, wide = box
    canvas.rect(top, left, tall, wide, theme.field)
    side = round(3 * text.size)
    step = round(6 * text.size)
    for y in range(top + 8, top + tall - side - 30, step):
        for x in range(left + 8, left + wide - step + 8, step):
            icon(canvas, style, theme.ink, y, x + (step - side) // 2 - 8, side)
            name = text.fit(words.title(rng, theme.kind, 1), step - 10)
            middle = x + (step - 16 - text.width(name)) / 2
            canvas.text(y + side + 1.3 * text.size, middle, name, text, theme.ink)


def _bar(canvas: Canvas, style: Style, theme: Theme) -> None:
    """A task bar along the lower edge."""
    rng, text, row = style.rng, theme.text, theme.row
    height, width = style.size
    tall = row + 10
    y = height - tall
    _raised(canvas, theme, y, 0, tall, width)
    x = 8
    while x < width - 12 * text.size:
        label = text.fit(words.title(rng, theme.kind, 2), 8 * text.size)
        wide = round(text.width(label)) + row + 14
        _raised(canvas, theme, y + 4, x, row + 2, wide)
        icon(canvas, style, theme.ink, y + 7, x + 5, row - 5)
        canvas.text(y + 4 + 0.7 * row, x + row + 6, label, text, theme.ink)
        x += wide + 6
    clock = f"{int(rng.integers(24)):02}:{int(rng.integers(60)):02}"
    canvas.text(y + 5 + 0.7 * row, width - 10 - text.width(clock), clock, text, theme.ink)
