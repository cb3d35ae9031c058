"""Pages of text: paragraphs in columns, tables, code, specimens of many sizes."""

from __future__ import annotations

from liif_cli.graphics import words
from liif_cli.graphics.canvas import Canvas, Colour, Lettering
from liif_cli.graphics.style import Style, luma, mix

LIGHT_CODE: dict[str, Colour] = {
    "word": (0, 0, 200),
    "name": (20, 20, 20),
    "call": (120, 80, 20),
    "number": (9, 134, 88),
    "text": (163, 21, 21),
    "note": (0, 128, 0),
    "sign": (60, 60, 60),
}
DARK_CODE: dict[str, Colour] = {
    "word": (197, 134, 192),
    "name": (156, 220, 254),
    "call": (220, 220, 170),
    "number": (181, 206, 168),
    "text": (206, 145, 120),
    "note": (106, 153, 85),
    "sign": (212, 212, 212),
}
"""Colours of code, in the manner of the commonest editors' light and dark themes."""


def document(style: Style) -> Canvas:
    """Headings and paragraphs in one to three columns, flush or justified."""
    rng, canvas = style.rng, style.canvas()
    height, width = style.size
    text = style.lettering(14, 60, mono=bool(rng.random() < 0.12), cjk=True)
    kind = words.script(rng, text.font)
    columns = max(1, min(int(rng.integers(1, 4)), int(width / (13 * text.size))))
    margin = rng.uniform(0.4, 2.2) * text.size
    gap = rng.uniform(0.8, 1.6) * text.size
    column = (width - 2 * margin - gap * (columns - 1)) / columns
    justified = bool(rng.random() < 0.5)
    leading = rng.uniform(1.15, 1.7)
    accent = style.ink if rng.random() < 0.75 else style.readable(style.paper)
    for k in range(columns):
        x = margin + k * (column + gap)
        y = margin
        while y < height:
            roll = rng.random()
            if roll < 0.3:
                head = style.near(text.bold, text.size * rng.uniform(1.2, 2.4))
                heading = words.title(rng, kind)
                if head.width(heading) > column:
                    head = style.near(head, head.size * column / head.width(heading))
                y += 1.3 * head.size
                canvas.text(y, x, heading, head, accent)
                y += 0.5 * head.size
                if rng.random() < 0.3:
                    canvas.rect(round(y), x, max(1.0, text.size // 14), column, accent)
                    y += 0.3 * text.size
            indent = rng.choice([0.0, 0.0, 1.5]) * text.size
            some = words.paragraph(rng, int(rng.integers(8, 60)), kind)
            glue = "" if kind == "cjk" else " "
            if rng.random() < 0.15:
                middle = y + (leading - 0.33) * text.size
                canvas.circle(middle, x + 0.4 * text.size, 0.15 * text.size, accent)
                indent = max(indent, 1.2 * text.size)
            for line, last in broken(some, text, column - indent, glue):
                y += leading * text.size
                if y > height + text.size:
                    break
                fit = column - indent if justified and not last else None
                write_line(canvas, (y, x + indent), line, text, style.ink, glue, fit)
            y += rng.uniform(0, 1) * text.size
    return canvas


def broken(
    some: list[str], lettering: Lettering, width: float, glue: str = " "
) -> list[tuple[list[str], bool]]:
    """Words as lines of at most ``width`` pixels, each with whether it is the last one."""
    space = lettering.width(glue)
    lines: list[list[str]] = [[]]
    used = 0.0
    for word in some:
        need = lettering.width(word)
        if lines[-1] and used + need > width:
            lines.append([])
            used = 0.0
        lines[-1].append(word)
        used += need + space
    return [(line, k == len(lines) - 1) for k, line in enumerate(lines)]


def write_line(
    canvas: Canvas,
    at: tuple[float, float],
    line: list[str],
    lettering: Lettering,
    colour: Colour,
    glue: str = " ",
    width: float | None = None,
) -> None:
    """Write a line from ``at`` (y, x); spread to ``width`` where one is given."""
    y, x = at
    if width is None or len(line) < 2:
        canvas.text(y, x, glue.join(line), lettering, colour)
        return
    widths = [lettering.width(word) for word in line]
    space = (width - sum(widths)) / (len(line) - 1)
    if space > 2 * lettering.size:
        canvas.text(y, x, glue.join(line), lettering, colour)
        return
    for word, wide in zip(line, widths, strict=True):
        canvas.text(y, x, word, lettering, colour)
        x += wide + space


def table(style: Style) -> Canvas:
    """Rows of words and numbers, with rules, a frame, or every second row shaded."""
    rng, canvas = style.rng, style.canvas()
    height, width = style.size
    text = style.lettering(14, 36)
    kind = words.script(rng, text.font)
    pad = rng.uniform(0.3, 0.8) * text.size
    row = round(text.size * rng.uniform(1.3, 2.0))
    rule = mix(style.paper, style.ink, rng.choice([0.25, 0.5, 1.0]))
    shade = mix(style.paper, style.readable(style.paper), 0.12)
    look = int(rng.integers(4))
    y: float = round(rng.uniform(0, 2) * row)
    while y < height:
        if rng.random() < 0.7:
            heading = words.title(rng, kind, 6)
            canvas.text(y + 0.72 * row, pad, heading, text.bold, style.ink)
            y += row
        left = round(rng.uniform(0, 30))
        edges = [left]
        while edges[-1] < width - 30:
            edges.append(edges[-1] + round(text.size * rng.uniform(3, 10)))
        edges[-1] = min(edges[-1], width - 1 - left)
        numeric = rng.random(len(edges)) < 0.6
        count = int(rng.integers(4, 18))
        for k in range(count):
            if y > height:
                break
            head = k == 0
            if head and look != 0:
                canvas.rect(y, left, row, edges[-1] - left, mix(style.paper, style.ink, 0.15))
            elif k % 2 and look == 3:
                canvas.rect(y, left, row, edges[-1] - left, shade)
            for start, stop, digits in zip(edges[:-1], edges[1:], numeric[:-1], strict=True):
                entry = words.number(rng) if digits and not head else words.title(rng, kind, 2)
                room = stop - start - 2 * pad
                entry = text.fit(entry, room)
                right = stop - pad - text.width(entry)
                x = right if digits else start + pad
                canvas.text(y + 0.72 * row, x, entry, text.bold if head else text, style.ink)
            if look in (0, 1) or head:
                canvas.rect(y + row - 1, left, 1, edges[-1] - left, rule)
            y += row
        if look == 1:
            top = y - row * (k + (y <= height))
            for edge in edges:
                canvas.rect(top, edge, y - top, 1, rule)
        y += row
    return canvas


def code(style: Style) -> Canvas:
    """Lines of code in an editor's colours, light or dark, with or without line numbers."""
    rng = style.rng
    if style.colours != "ink" and rng.random() < 0.75:
        dark = bool(rng.random() < 0.6)
        level = int(rng.integers(0, 50) if dark else rng.integers(240, 256))
        style.paper = (level, level, min(255, level + (4 if dark else 0)))
        style.ink = (212, 212, 212) if dark else (20, 20, 20)
    dark = luma(style.paper) < 100
    colours = dict(DARK_CODE if dark else LIGHT_CODE)
    if rng.random() < 0.3:
        colours = {kind: style.readable(style.paper) for kind in colours}
    if rng.random() < 0.12 or style.colours == "ink":
        colours = dict.fromkeys(colours, style.ink)
    colours = {kind: style.shade(colour) for kind, colour in colours.items()}
    canvas = style.canvas()
    height, width = style.size
    text = style.lettering(14, 30, mono=True)
    cell = text.width("0") if text.font.mono else text.width("n")
    leading = round(text.size * rng.uniform(1.15, 1.55))
    gutter = round(cell * 5) if rng.random() < 0.6 else round(cell)
    faint = mix(style.paper, style.ink, 0.4)
    depth, first = 0, int(rng.integers(1, 900))
    marked = int(rng.integers(0, 40))
    for k in range(height // leading + 1):
        baseline = (k + 0.78) * leading
        if k == marked:
            canvas.rect(k * leading, gutter, leading, width, mix(style.paper, style.ink, 0.12))
        if gutter > 2 * cell:
            digits = str(first + k)
            canvas.text(baseline, gutter - cell - text.width(digits), digits, text, faint)
        line = words.code_line(rng, text.font)
        if rng.random() < 0.1 or not line:
            continue
        x = gutter + 4 * cell * depth
        for kind, part in line:
            x += canvas.text(baseline, x, part, text, colours[kind])
        opens = line[-1][1].endswith((":", "{"))
        depth = min(5, depth + 1) if opens else max(0, depth - int(rng.integers(0, 3) == 0))
    return canvas


def specimen(style: Style) -> Canvas:
    """Lines of every size and font, words and scrambled signs, colours changing."""
    rng, canvas = style.rng, style.canvas()
    height, width = style.size
    y = 0.0
    colourful = bool(rng.random() < 0.4)
    while y < height:
        text = style.lettering(cjk=True)
        kind = words.script(rng, text.font)
        glue = "" if kind == "cjk" else " "
        y += text.size * rng.uniform(0.95, 1.5)
        x = rng.uniform(-0.5, 2) * text.size
        ground, ink = style.paper, style.ink
        if colourful and rng.random() < 0.5:
            ground = style.colour()
            band = round(1.5 * text.size)
            canvas.rect(round(y - 1.1 * text.size), 0, band, width, ground)
            ink = style.readable(ground)
        elif colourful:
            ink = style.readable(ground)
        while x < width:
            if rng.random() < 0.25 and kind != "cjk":
                piece = words.scramble(rng, int(rng.integers(3, 12)), text.font)
            else:
                piece = glue.join(words.paragraph(rng, int(rng.integers(1, 8)), kind))
            x += canvas.text(y, x, piece, text, ink) + text.size * 0.4
        y += 0.35 * text.size
    return canvas
