"""The rows of tables of means by scale or by input, and the tables as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from liif_cli.bench.compare import BASE, gain, main_cell, main_input
from liif_cli.bench.results import CLEAN, SCALED, BenchReport, Cell, Mean, MethodInfo, SetInfo

PROTOCOLS = {"div2k": "RGB", "benchmark": "luma"}
"""What a protocol measures."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, and where its figures come from."""

    head: str
    scale: float
    input: str


@dataclass(frozen=True)
class Grid:
    """The columns of a table: every scale at one input, or every input at one scale.

    ``about`` is what they have in common, for the title; "" where that is the clean input.
    """

    about: str
    columns: list[Column]


@dataclass(frozen=True)
class Figure:
    """A cell of a table: its text, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One method with one cell: a figure a column."""

    method: MethodInfo
    label: str
    figures: list[Figure]


def by_scale(report: BenchReport, entry: SetInfo, input: str) -> Grid:
    """The scales of a set at one input."""
    scales = report.measured_scales(entry.name)
    about = "" if input == CLEAN else f"input {input}"
    return Grid(about, [Column(f"x{scale:g}", scale, input) for scale in scales])


def grids(report: BenchReport, entry: SetInfo) -> list[Grid]:
    """One of all scales where there is one input, else one a scale with a column an input."""
    inputs = report.inputs
    if len(inputs) == 1:
        return [by_scale(report, entry, inputs[0])]
    return [
        Grid(f"x{scale:g}", [Column(name, scale, name) for name in inputs])
        for scale in report.measured_scales(entry.name)
    ]


def measures(report: BenchReport, entry: SetInfo) -> list[str]:
    """The kinds of tables that a set always has: "psnr", and "gain" and "chroma" where there are.

    Gains are for inputs other than the clean one, where bicubic was measured; chroma for sets that
    have images without colour.
    """
    kinds = ["psnr"]
    if report.inputs != [CLEAN] and any(method.name == BASE for method in report.methods):
        kinds.append("gain")
    if any(score.chroma is not None for score in report.scores if score.set == entry.name):
        kinds.append("chroma")
    return kinds


def title(report: BenchReport, entry: SetInfo, what: str, grid: Grid) -> str:
    """What a table shows of which set."""
    kind = {
        "psnr": f"PSNR in dB over {PROTOCOLS[entry.protocol]}",
        "gain": f"dB over {PROTOCOLS[entry.protocol]} above bicubic of the same input",
        "ssim": f"SSIM over {PROTOCOLS[entry.protocol]}",
        "chroma": "largest chroma of the network's answer (pixels above 48)",
        "time": "Mpx/s of output, encoder included",
    }[what]
    return ", ".join(part for part in (entry.name, grid.about, kind) if part)


def count(report: BenchReport, entry: SetInfo, what: str) -> str:
    """Of how many images a table is."""
    names = set(entry.images)
    if what == "chroma":
        scores = (score for score in report.scores if score.set == entry.name)
        names = {score.image for score in scores if score.chroma is not None}
    kind = "gray image" if what == "chroma" else "image"
    return f"{len(names)} {kind}" + "s" * (len(names) != 1)


def table_rows(
    report: BenchReport, entry: SetInfo, what: str, grid: Grid | None = None
) -> list[Row]:
    """The rows of a set: what was measured in it, and for PSNR and gain what is cited.

    Args:
        report: of the bench.
        entry: the set.
        what: "psnr" (dB), "gain" (dB), "ssim", "chroma" (8-bit levels, and a count of pixels) or
            "time" (Mpx/s); the last two have no best.
        grid: the columns; None is the scales at the main input.
    """
    grid = grid or by_scale(report, entry, main_input(report))
    cells = [main_cell(report)] if what == "gain" else report.cells
    rows = [
        _row(report, entry, method, cell, what, grid.columns)
        for method in report.methods
        if what in ("psnr", "gain") or not method.cited
        if what != "gain" or method.name != BASE
        for cell in cells
    ]
    return [row for row in rows if row is not None]


def _row(
    report: BenchReport,
    entry: SetInfo,
    method: MethodInfo,
    cell: Cell,
    what: str,
    columns: list[Column],
) -> Row | None:
    """None where the method was not measured with that cell in any of the columns."""
    means = [
        report.mean(entry.name, method.name, column.scale, cell, column.input) for column in columns
    ]
    if not any(mean.count or mean.left_out for mean in means):
        return None
    figures = []
    for column, mean in zip(columns, means, strict=True):
        text = (
            _signed(gain(report, entry, method.name, column.scale, column.input))
            if what == "gain"
            else _text(mean, what)
        )
        if mean.left_out and mean.count and what != "chroma":
            text += f" ({mean.count})"
        leads = (
            what != "time"
            and cell == main_cell(report)
            and leader(report, entry, what, column, cell) == method.name
        )
        figures.append(Figure(text, leads))
    label = method.label if method.cited else method.name
    if cell != SCALED:
        label += f", cell 1/{1 / float(cell):g}"
    return Row(method, label, figures)


def leader(
    report: BenchReport, entry: SetInfo, what: str, column: Column, cell: Cell
) -> str | None:
    """The measured method that leads a column: in speed the fastest, in chroma none."""
    values: dict[str, float | None] = {}
    for method in report.methods:
        if method.cited or (what == "gain" and method.name == BASE):
            continue
        mean = report.mean(entry.name, method.name, column.scale, cell, column.input)
        if what == "gain":
            value = gain(report, entry, method.name, column.scale, column.input)
        else:
            value = {"psnr": mean.psnr, "ssim": mean.ssim, "time": mean.mpx_per_s}.get(what)
        values[method.name] = value
    known = {name: value for name, value in values.items() if value is not None}
    return max(known, key=known.__getitem__) if known else None


def _signed(decibels: float | None) -> str:
    return "-" if decibels is None else f"{decibels:+.2f}"


def _text(mean: Mean, what: str) -> str:
    if what == "chroma":
        return "-" if mean.chroma is None else chroma_text(mean)
    value = {"psnr": mean.psnr, "ssim": mean.ssim, "time": mean.mpx_per_s}[what]
    digits = {"psnr": ".2f", "ssim": ".4f", "time": ".3g"}[what]
    return "-" if value is None else format(value, digits)


def chroma_text(mean: Mean) -> str:
    """The largest chroma, and how many pixels are coloured where any are: "131 (8900 px)"."""
    return f"{mean.chroma} ({mean.coloured} px)" if mean.coloured else f"{mean.chroma}"


def left_out_lines(report: BenchReport, entry: SetInfo) -> list[str]:
    """A line a scale at which images of a set could not be measured, with their count."""
    lines = []
    for scale in report.scales:
        for inputs, missing in _missing(report, entry, scale):
            names = ", ".join(f"{image} ({why})" for image, why in missing)
            lines.append(
                f"{entry.name} x{scale:g}{inputs}: mean over {len(entry.images) - len(missing)} "
                f"of {len(entry.images)} images, without {names}"
            )
    return lines


def _missing(
    report: BenchReport, entry: SetInfo, scale: float
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(of which inputs, "" for all of them; images with the reason), as few as say all."""
    by_input: dict[str, dict[str, str]] = {name: {} for name in report.inputs}
    for score in report.scores:
        if (score.set, score.scale) == (entry.name, scale) and score.psnr is None:
            by_input[score.input][score.image] = score.note.partition(":")[0]
    inputs: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, missing in by_input.items():
        inputs.setdefault(tuple(missing.items()), []).append(name)
    for images, names in inputs.items():
        if images:
            some = len(names) < len(by_input)
            yield f" {', '.join(names)}" if some else "", list(images)


def markdown(report: BenchReport) -> str:
    """The tables of PSNR, gain and chroma of each set, the best value of a column bold."""
    return "\n".join(_markdown_set(report, entry) for entry in report.sets)


def _markdown_set(report: BenchReport, entry: SetInfo) -> str:
    blocks = [
        _markdown_table(report, entry, what, grid)
        for grid in grids(report, entry)
        for what in measures(report, entry)
    ]
    notes = "".join(f"{_escaped(line)}\n" for line in left_out_lines(report, entry))
    return "\n".join([*blocks, notes] if notes else blocks)


def _markdown_table(report: BenchReport, entry: SetInfo, what: str, grid: Grid) -> str:
    heads = [title(report, entry, what, grid), *(column.head for column in grid.columns)]
    lines = [_line(map(_escaped, heads)), _line(["---", *["---:"] * len(grid.columns)])]
    for row in table_rows(report, entry, what, grid):
        label = _escaped(row.label)
        if row.method.parameters and "`" not in row.label:
            label = f"`{label}`"
        label += ", cited" if row.method.cited else ""
        figures = [f"**{figure.text}**" if figure.best else figure.text for figure in row.figures]
        lines.append(_line([label, *figures]))
    return "\n".join([*lines, ""])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    """Text of one line that does not end a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")
