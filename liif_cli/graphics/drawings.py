"""Drawings: line art, technical drawings, maps, logos."""

from __future__ import annotations

import cv2
import numpy as np

from liif_cli.graphics import words
from liif_cli.graphics.canvas import Canvas
from liif_cli.graphics.style import BLACK, WHITE, Style, mix


def technical(style: Style) -> Canvas:
    """Parts with hatching, dashed axes, circles, dimensions and their numbers."""
    rng, canvas = style.rng, style.canvas()
    height, width = style.size
    text = style.lettering(14, 24)
    thin, thick = float(rng.choice([1, 1.3])), float(rng.choice([1.5, 2, 3]))
    ink, faint = style.ink, mix(style.paper, style.ink, 0.6)
    if rng.random() < 0.3:
        grid = mix(style.paper, style.ink, 0.15)
        for k in range(0, max(style.size), 20):
            canvas.rect(0, k, height, 1, grid)
            canvas.rect(k, 0, 1, width, grid)
    for _ in range(int(rng.integers(16, 44))):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        size = rng.uniform(30, 160)
        what = int(rng.integers(7))
        if what == 0:
            for radius in np.arange(size * 0.3, size, rng.uniform(4, 20)):
                canvas.circle(y, x, radius, ink, thin)
        elif what == 1:
            tall, wide = size, size * rng.uniform(0.6, 2)
            canvas.frame(round(y), round(x), round(tall), round(wide), ink, round(thick))
            gap = rng.uniform(4, 14)
            for off in np.arange(gap, tall + wide, gap).tolist():
                low = (y + min(off, tall), x + max(0.0, off - tall))
                high = (y + max(0.0, off - wide), x + min(off, wide))
                canvas.lines([low, high], faint, thin)
        elif what == 2:
            angle = rng.uniform(0, np.pi)
            step = np.array([np.sin(angle), np.cos(angle)])
            for start in np.arange(-2 * size, 2 * size, 14):
                dash = np.outer((start, start + 9), step) + np.array([y, x])
                canvas.lines(dash, ink, thin)
        elif what == 3:
            count = int(rng.integers(3, 9))
            angles = 2 * np.pi * (np.arange(count) / count + rng.random())
            corners = np.stack([y + size * np.sin(angles), x + size * np.cos(angles)], axis=1)
            canvas.lines(corners, ink, thick, closed=True)
        elif what == 4:
            long = 2 * size
            label = words.number(rng)
            canvas.lines([(y, x), (y, x + long)], ink, thin)
            for end, way in ((x, 1), (x + long, -1)):
                canvas.fill([(y, end), (y - 3, end + 9 * way), (y + 3, end + 9 * way)], ink)
                canvas.lines([(y - 14, end), (y + 14, end)], faint, thin)
            canvas.text(y - 4, x + (long - text.width(label)) / 2, label, text, ink)
        elif what == 5:
            t = np.linspace(0, 2 * np.pi * rng.integers(1, 5), 200)
            wave = size * 0.4 * np.sin(t + rng.random())
            canvas.lines(np.stack([y + wave, x + t * size / 6], axis=1), ink, thin)
        else:
            for k in np.linspace(0, np.pi, int(rng.integers(4, 24)), endpoint=False):
                arm = size * np.array([np.sin(k), np.cos(k)])
                middle = np.array([y, x])
                canvas.lines(np.stack([middle - arm, middle + arm]), ink, thin)
    return canvas


def line_art(style: Style) -> Canvas:
    """Free curves of changing width, closed shapes filled flat, as in a comic."""
    rng, canvas = style.rng, style.canvas()
    height, width = style.size
    flat = bool(rng.random() < 0.6)
    for _ in range(int(rng.integers(16, 40))):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
        radius = rng.uniform(20, 180) * np.ones(80)
        for wave in range(2, 6):
            radius *= 1 + rng.uniform(0, 0.8 / wave) * np.sin(wave * angles + 6 * rng.random())
        squash = rng.uniform(0.4, 1.5)
        shape = np.stack(
            [y + squash * radius * np.sin(angles), x + radius * np.cos(angles)], axis=1
        )
        if flat:
            canvas.fill(shape, style.colour() if rng.random() < 0.7 else style.paper)
        thick = float(rng.choice([1, 1.5, 2, 4, 7]))
        if rng.random() < 0.8:
            canvas.lines(shape, style.ink, thick, closed=True)
        else:
            part = shape[: int(rng.integers(20, 70))]
            for k in range(len(part) - 1):
                canvas.lines(part[k : k + 2], style.ink, thick * (0.4 + k / len(part)))
    return canvas


def region_map(style: Style) -> Canvas:
    """Regions with borders, roads, a river, and names of places."""
    rng = style.rng
    height, width = style.size
    count = int(rng.integers(12, 60))
    # the nearest of some seeds tells the region; a warp makes the borders wind
    small = (height // 4 + 1, width // 4 + 1)
    rows, cols = np.mgrid[: small[0], : small[1]].astype(np.float32)
    for _ in range(2):
        bend = rng.normal(size=(9, 9, 2)).astype(np.float32) * 7
        bend = np.asarray(cv2.resize(bend, small[::-1], interpolation=cv2.INTER_CUBIC))
        rows, cols = rows + bend[..., 0], cols + bend[..., 1]
    seeds = rng.random((count, 2)) * small
    far = (rows[..., None] - seeds[:, 0]) ** 2 + (cols[..., None] - seeds[:, 1]) ** 2
    region = far.argmin(axis=2)
    sea = style.colour()
    tints = [mix(style.colour(), WHITE, 0.45) for _ in range(5)]
    canvas = style.canvas()
    canvas.rect(0, 0, height, width, sea)
    border = mix(style.ink, sea, 0.2)
    for k in range(count):
        land = (region == k).astype(np.uint8)
        outlines, _ = cv2.findContours(land, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            points = outline[:, 0, ::-1].astype(np.float64)
            if len(points) < 6:
                continue
            # smoothed along the outline, so that it does not show the coarse grid
            rolled = [np.roll(points, shift, axis=0) for shift in range(-3, 4)]
            points = np.mean(rolled, axis=0) * 4 + 2
            if rng.random() < 0.9 and k % 6:
                canvas.fill(points, tints[k % 5])
            canvas.lines(points, border, 1, closed=True)
    for _ in range(int(rng.integers(2, 7))):
        t = np.linspace(0, 1, 60)
        steps = np.asarray(
            cv2.resize(rng.normal(size=(9, 2)), (2, 60), interpolation=cv2.INTER_CUBIC)
        )
        steps = np.cumsum(steps, axis=0) * 6
        ends = rng.random((2, 2)) * (height, width)
        path = ends[0] * (1 - t[:, None]) + ends[1] * t[:, None] + steps
        wide = float(rng.choice([2, 3, 5]))
        road = style.vivid()
        canvas.lines(path, border, wide + 2)
        canvas.lines(path, road, wide)
    for seed in seeds[: int(rng.integers(8, 30))] * 4:
        text = style.lettering(14, 26)
        name = words.title(rng, words.script(rng, text.font), 2)
        y, x = float(seed[0]), float(seed[1] - text.width(name) / 2)
        if rng.random() < 0.5:
            for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                canvas.text(y + dy, x + dx, name, text, WHITE)
            canvas.text(y, x, name, text, BLACK)
        else:
            canvas.text(y, x, name, text, style.readable(tints[0]))
        canvas.circle(y + 8, float(seed[1]), 3, BLACK)
        canvas.circle(y + 8, float(seed[1]), 1.5, WHITE)
    return canvas


def logos(style: Style) -> Canvas:
    """Flat shapes with large letters in them."""
    rng, canvas = style.rng, style.canvas()
    height, width = style.size
    rows, cols = int(rng.integers(2, 5)), int(rng.integers(2, 5))
    for row in range(rows):
        for col in range(cols):
            tall, wide = height / rows, width / cols
            y, x = (row + 0.5) * tall, (col + 0.5) * wide
            size = 0.42 * min(tall, wide)
            colour, other = style.vivid(), style.readable(style.paper)
            what = int(rng.integers(6))
            if what == 0:
                canvas.circle(y, x, size, colour)
                canvas.circle(y, x, size * rng.uniform(0.5, 0.9), other)
            elif what == 1:
                canvas.rect(round(y - size), round(x - size), 2 * size, 2 * size, colour)
            elif what == 2:
                canvas.fill([(y - size, x), (y, x + size), (y + size, x), (y, x - size)], colour)
            elif what == 3:
                for k in range(4):
                    canvas.circle(y, x, size * (1 - k / 4), (colour, other)[k % 2])
            elif what == 4:
                # a superellipse, the rounded square of many icons
                turn = np.linspace(0, 2 * np.pi, 160, endpoint=False)
                arm = np.stack([np.sin(turn), np.cos(turn)], axis=1)
                arm = np.sign(arm) * np.abs(arm) ** rng.uniform(0.15, 0.6)
                canvas.fill(size * arm + np.array([y, x]), colour)
            else:
                for k in range(3):
                    bottom = y + size
                    left = x - size + 2 * size * k / 3
                    rise = size * rng.uniform(0.5, 2)
                    canvas.rect(bottom - rise, left, rise, 0.55 * size, (colour, other)[k % 2])
            text = style.lettering(20)
            name = words.title(rng, words.script(rng, text.font), 1)[: int(rng.integers(1, 9))]
            fit = 1.5 * size / max(1.0, text.width(name))
            text = style.near(text.bold, min(1.2 * size, text.size * fit))
            ink = style.readable(colour) if what < 5 else style.ink
            canvas.text(y + 0.35 * text.size, x - text.width(name) / 2, name, text, ink)
    return canvas
