"""The tables of the report page: PSNR, gain, chroma, SSIM, speed and costs of a set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape

from liif_cli.bench.compare import BASE, gain, main_cell, main_input, speed_scale
from liif_cli.bench.results import SCALED, BenchReport, Cell, Mean, MethodInfo, SetInfo
from liif_cli.bench.tables import Column, Grid, by_scale, chroma_text, grids, leader, measures


def psnr_html(report: BenchReport, entry: SetInfo, cell: Cell) -> str:
    """Tables of mean PSNR, gain and chroma: by scale, or for each scale by input."""
    main = cell == main_cell(report)
    kinds = [what for what in measures(report, entry) if main or what != "gain"]
    return "".join(
        _side_by_side(_grid_html(report, entry, cell, what, grid) for what in kinds)
        for grid in grids(report, entry)
    )


def tables_html(report: BenchReport, entry: SetInfo, cell: Cell) -> str:
    """SSIM as PSNR, speed by scale, and the costs at one scale."""
    ssim = [_grid_html(report, entry, cell, "ssim", grid) for grid in grids(report, entry)]
    grid = by_scale(report, entry, main_input(report))
    costs = _grid_html(report, entry, cell, "time", grid) + _cost_html(report, entry, cell)
    return _side_by_side([*ssim, costs])


def _side_by_side(tables: Iterable[str]) -> str:
    return f'<div class="tables">{"".join(tables)}</div>\n'


_TITLES = {
    "psnr": "Mean PSNR, dB",
    "gain": "dB above bicubic of the same input",
    "ssim": "Mean SSIM",
    "chroma": "Largest chroma of gray images (pixels above 48)",
    "time": "Speed, output Mpx/s, encoder and decoder",
}


def _grid_html(report: BenchReport, entry: SetInfo, cell: Cell, what: str, grid: Grid) -> str:
    """A row a method, a column as the grid says; empty columns and rows are left out."""
    means = {
        (method.name, column): report.mean(
            entry.name, method.name, column.scale, cell, column.input
        )
        for method in report.methods
        for column in grid.columns
    }
    texts = {
        (method.name, column): _text(report, entry, method, column, what, means)
        for method in report.methods
        for column in grid.columns
    }
    tried = {column for (_, column), mean in means.items() if mean.count or mean.left_out}
    columns = [column for column in grid.columns if column in tried]
    leaders = {column: leader(report, entry, what, column, cell) for column in columns}
    rows = []
    for method in report.methods:
        if (what == "gain" and method.name == BASE) or not any(
            texts[method.name, column] or means[method.name, column].left_out for column in columns
        ):
            continue
        cells = ""
        for column in columns:
            text, mean = texts[method.name, column], means[method.name, column]
            is_best = text is not None and leaders[column] == method.name
            inner = escape(text or "-")
            if is_best:
                inner = f'<strong>{inner}</strong><span class="unseen"> best</span>'
            if what != "chroma" and mean.left_out and (text or mean.count == 0):
                images = mean.count + mean.left_out
                inner += f'<small class="count">{mean.count} of {images}</small>'
            kind = ' class="best"' if is_best else ""
            cells += f"<td{kind}>{inner}</td>"
        rows.append(row_html(method, cells))
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">{escape(column.head)}</th>' for column in columns)
    about = f", {grid.about}" if grid.about else ""
    title = _TITLES[what] + about + _cell(cell)
    return table_html(title, f'<th scope="col">method</th>{heads}', rows)


def _text(
    report: BenchReport,
    entry: SetInfo,
    method: MethodInfo,
    column: Column,
    what: str,
    means: Mapping[tuple[str, Column], Mean],
) -> str | None:
    mean = means[method.name, column]
    if what == "gain":
        return signed(gain(report, entry, method.name, column.scale, column.input))
    if what == "chroma":
        return None if mean.chroma is None else chroma_text(mean)
    if what == "time":
        return three_digits(mean.mpx_per_s) if mean.mpx_per_s else None
    if what == "ssim":
        return None if mean.ssim is None else f"{mean.ssim:.4f}"
    return None if mean.psnr is None else decibels(mean.psnr)


def _cost_html(report: BenchReport, entry: SetInfo, cell: Cell) -> str:
    """Time of an image, encoder and decoder apart, and peak memory, at the scale of comparison."""
    if not report.scales:
        return ""
    scale, input = speed_scale(report, entry), main_input(report)
    rows = []
    for method in report.methods:
        scores = [
            score
            for score in report.scores
            if (score.set, score.method, score.scale, score.cell, score.input)
            == (entry.name, method.name, scale, cell, input)
            and score.psnr is not None
        ]
        if method.cited or not scores:
            continue
        encode = sum(score.encode_seconds for score in scores) / len(scores)
        decode = sum(score.decode_seconds for score in scores) / len(scores)
        cells = [three_digits(1e3 * value) for value in (encode, decode, encode + decode)]
        cells.append(f"{max(score.peak_bytes for score in scores) / 2**20:,.0f}")
        rows.append(row_html(method, "".join(f"<td>{text}</td>" for text in cells)))
    if not rows:
        return ""
    # on a CPU a high-water mark of the process, which methods that ran before have part in
    peak = "process peak, MiB" if report.header.device == "cpu" else "peak memory, MiB"
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("method", "encoder, ms", "decoder, ms", "both, ms", peak)
    )
    return table_html(f"Mean time an image and peak memory at x{scale:g}{_cell(cell)}", heads, rows)


def row_html(method: MethodInfo, cells: str) -> str:
    cited = ' <span class="tag">cited</span>' if method.cited else ""
    kind = ' class="cited"' if method.cited else ""
    return f'<tr{kind}><th scope="row">{escape(method.label)}{cited}</th>{cells}</tr>'


def table_html(title: str, heads: str, rows: Iterable[str]) -> str:
    # a wide table scrolls inside its own box, which the keyboard must reach
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(title)}">\n'
        f"<table>\n<caption>{escape(title)}</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n"
        "<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>\n</div>\n"
    )


def decibels(psnr: float | None) -> str:
    if psnr is None:
        return "-"
    return f"{psnr:.2f}" if math.isfinite(psnr) else "∞"


def signed(decibels: float | None) -> str | None:
    """+0.83, or with a minus as long as the plus; None for None and for no finite number."""
    if decibels is None or not math.isfinite(decibels):
        return None
    return f"{decibels:+.2f}".replace("-", "\N{MINUS SIGN}")


def _cell(cell: Cell) -> str:
    if cell == SCALED:
        return ""
    return f", cell {cell}" if isinstance(cell, str) else f", cell times {cell:.3g}"


def three_digits(value: float) -> str:
    """1234.5 -> "1,234"; 13 -> "13.0"; 0.1234 -> "0.123"."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"
