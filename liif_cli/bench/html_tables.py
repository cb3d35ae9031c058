"""The tables of the report page: PSNR, SSIM, speed and costs of a set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from html import escape

from liif_cli.bench.compare import speed_scale
from liif_cli.bench.results import SCALED, BenchReport, Cell, Mean, MethodInfo, SetInfo


def psnr_html(report: BenchReport, entry: SetInfo, cell: Cell) -> str:
    """The table of mean PSNR by scale."""
    return _by_scale_html(
        report,
        entry,
        cell,
        "Mean PSNR, dB",
        lambda scale: report.best(entry.name, scale, cell),
        lambda mean: None if mean.psnr is None else decibels(mean.psnr),
    )


def tables_html(report: BenchReport, entry: SetInfo, cell: Cell) -> str:
    """SSIM and speed by scale, and the costs at one scale."""

    def fastest(scale: float) -> str | None:
        found = {
            method.name: speed
            for method in report.methods
            if not method.cited
            and (speed := report.mean(entry.name, method.name, scale, cell).mpx_per_s)
        }
        return max(found, key=found.__getitem__) if found else None

    ssim = _by_scale_html(
        report,
        entry,
        cell,
        "Mean SSIM",
        lambda scale: report.best_ssim(entry.name, scale, cell),
        lambda mean: None if mean.ssim is None else f"{mean.ssim:.4f}",
    )
    speed = _by_scale_html(
        report,
        entry,
        cell,
        "Speed, output Mpx/s, encoder and decoder",
        fastest,
        lambda mean: three_digits(mean.mpx_per_s) if mean.mpx_per_s else None,
    )
    return ssim + speed + _cost_html(report, entry, cell)


def _by_scale_html(
    report: BenchReport,
    entry: SetInfo,
    cell: Cell,
    title: str,
    best: Callable[[float], str | None],
    show: Callable[[Mean], str | None],
) -> str:
    """A row a method, a column a scale; empty columns and rows are left out."""
    means = {
        (method.name, scale): report.mean(entry.name, method.name, scale, cell)
        for method in report.methods
        for scale in report.scales
    }
    texts = {key: show(mean) for key, mean in means.items()}
    tried = {key for key, mean in means.items() if mean.count or mean.left_out}
    scales = [scale for scale in report.scales if any(key[1] == scale for key in tried)]
    rows = []
    for method in report.methods:
        if not any(
            texts[method.name, scale] or means[method.name, scale].left_out for scale in scales
        ):
            continue
        cells = ""
        for scale in scales:
            text, mean = texts[method.name, scale], means[method.name, scale]
            is_best = text is not None and best(scale) == method.name
            inner = escape(text or "-")
            if is_best:
                inner = f'<strong>{inner}</strong><span class="unseen"> best</span>'
            if mean.left_out and (text or mean.count == 0):
                images = mean.count + mean.left_out
                inner += f'<small class="count">{mean.count} of {images}</small>'
            kind = ' class="best"' if is_best else ""
            cells += f"<td{kind}>{inner}</td>"
        rows.append(row_html(method, cells))
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">x{scale:g}</th>' for scale in scales)
    return table_html(title + _cell(cell), f'<th scope="col">method</th>{heads}', rows)


def _cost_html(report: BenchReport, entry: SetInfo, cell: Cell) -> str:
    """Time of an image, encoder and decoder apart, and peak memory, at the scale of comparison."""
    if not report.scales:
        return ""
    scale = speed_scale(report)
    rows = []
    for method in report.methods:
        scores = [
            score
            for score in report.scores
            if (score.set, score.method, score.scale, score.cell)
            == (entry.name, method.name, scale, cell)
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


def _cell(cell: Cell) -> str:
    if cell == SCALED:
        return ""
    return f", cell {cell}" if isinstance(cell, str) else f", cell times {cell:.3g}"


def three_digits(value: float) -> str:
    """1234.5 -> "1,234"; 13 -> "13.0"; 0.1234 -> "0.123"."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"
