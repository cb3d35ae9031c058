"""The rows of a table of means by scale, and the tables as Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from liif_cli.bench.results import SCALED, BenchReport, Cell, Mean, MethodInfo, SetInfo

PROTOCOLS = {"div2k": "RGB", "benchmark": "luma"}
"""What a protocol measures."""


@dataclass(frozen=True)
class Figure:
    """A cell of a table: its text, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One method with one cell: a figure a scale."""

    method: MethodInfo
    label: str
    figures: list[Figure]


def table_rows(report: BenchReport, entry: SetInfo, what: str) -> list[Row]:
    """The rows of a set: what was measured in it, and for PSNR what is cited.

    Args:
        report: of the bench.
        entry: the set.
        what: "psnr" (dB), "ssim" or "time" (Mpx/s); the last has no best.
    """
    rows = [
        _row(report, entry.name, method, cell, what)
        for method in report.methods
        if what == "psnr" or not method.cited
        for cell in report.cells
    ]
    return [row for row in rows if row is not None]


def _row(report: BenchReport, name: str, method: MethodInfo, cell: Cell, what: str) -> Row | None:
    """None where the method was not measured with that cell in this set."""
    means = [report.mean(name, method.name, scale, cell) for scale in report.scales]
    if not any(mean.count or mean.left_out for mean in means):
        return None
    best = {"psnr": report.best, "ssim": report.best_ssim}.get(what)
    figures = []
    for scale, mean in zip(report.scales, means, strict=True):
        text = _text(mean, what)
        if mean.left_out and mean.count:
            text += f" ({mean.count})"
        leads = best is not None and cell == SCALED and best(name, scale) == method.name
        figures.append(Figure(text, leads))
    label = method.label if method.cited else method.name
    if cell != SCALED:
        label += f", cell 1/{1 / float(cell):g}"
    return Row(method, label, figures)


def _text(mean: Mean, what: str) -> str:
    value = {"psnr": mean.psnr, "ssim": mean.ssim, "time": mean.mpx_per_s}[what]
    digits = {"psnr": ".2f", "ssim": ".4f", "time": ".3g"}[what]
    return "-" if value is None else format(value, digits)


def left_out_lines(report: BenchReport, entry: SetInfo) -> list[str]:
    """A line a scale at which images of a set could not be measured, with their count."""
    lines = []
    for scale in report.scales:
        missing = {
            score.image: score.note.partition(":")[0]
            for score in report.scores
            if score.set == entry.name and score.scale == scale and score.psnr is None
        }
        if missing:
            names = ", ".join(f"{image} ({why})" for image, why in missing.items())
            lines.append(
                f"{entry.name} x{scale:g}: mean over {len(entry.images) - len(missing)} of "
                f"{len(entry.images)} images, without {names}"
            )
    return lines


def markdown(report: BenchReport) -> str:
    """A table of PSNR for each set, the best value of a column bold."""
    return "\n".join(_markdown_table(report, entry) for entry in report.sets)


def _markdown_table(report: BenchReport, entry: SetInfo) -> str:
    title = f"{entry.name}, PSNR in dB over {PROTOCOLS[entry.protocol]}"
    lines = [
        _line([_escaped(title), *(f"x{scale:g}" for scale in report.scales)]),
        _line(["---", *["---:"] * len(report.scales)]),
    ]
    for row in table_rows(report, entry, "psnr"):
        label = _escaped(row.label)
        if row.method.parameters and "`" not in row.label:
            label = f"`{label}`"
        label += ", cited" if row.method.cited else ""
        figures = [f"**{figure.text}**" if figure.best else figure.text for figure in row.figures]
        lines.append(_line([label, *figures]))
    notes = left_out_lines(report, entry)
    return "\n".join([*lines, *[""] * bool(notes), *map(_escaped, notes), ""])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    """Text of one line that does not end a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")
