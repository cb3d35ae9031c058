"""Plots of a bench: gain over bicubic and PSNR against scale, gain by input, PSNR against speed.

matplotlib draws them and is optional (extra ``plot``). Its figures are made as objects, without
pyplot's state. Each plot is one PNG file; the report page takes the same figures as SVG.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liif_cli.bench.compare import BASE, gain, main_cell, main_input, speed_scale
from liif_cli.bench.results import CLEAN, BenchReport, MethodInfo, SetInfo
from liif_cli.io.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

MISSING = "no plots: matplotlib is not installed; pip install 'liif-cli[plot]'"
"""What is said where plots are left out."""

INK, GRID, PAPER = "#1a1c21", "#d8dbe1", "#fffffe"
"""Text and axes, grid lines, background: no other part has these colours, so SVG can be themed."""

# Okabe and Ito's colours, which the colour-blind tell apart, in those that stand out on both white
# and black; markers and dashes tell methods apart on a gray print
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
GRAY = "#868c95"
LEGEND_COLUMNS = 2
DASHES = ("-", "--", "-.", ":")

_STYLE: Any = {
    "font.size": 9.5,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.fonttype": "none",
    "svg.hashsalt": "liif",
}


@dataclass(frozen=True)
class Plot:
    """A figure, the file name it gets (without suffix), and what it shows in a sentence."""

    name: str
    text: str
    figure: Figure


@dataclass(frozen=True)
class _Look:
    """How a method is drawn, the same in every plot."""

    colour: str
    marker: str
    dash: str
    hollow: bool


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def write_plots(report: BenchReport, folder: Path) -> list[Path]:
    """Write every plot as PNG into ``folder``, which is made where it is missing.

    Without matplotlib one line is logged, and nothing is written.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    if not available():
        log.warning(MISSING)
        return []
    paths = []
    for plot in make_plots(report):
        path = folder / f"{plot.name}.png"
        write_atomically(path, png(plot))
        paths.append(path)
    return paths


def make_plots(report: BenchReport, sets: list[SetInfo] | None = None) -> list[Plot]:
    """The plots of the sets, up to four each; those without a point to draw are left out.

    Scale and speed are of the main input, where there are several.
    """
    names = file_names(report)
    looks = _looks(report.methods)
    plots = []
    for entry in report.sets if sets is None else sets:
        for kind, draw in _KINDS.items():
            with _style():
                plot = draw(report, entry, looks, f"{names[entry.name]}-{kind}")
            if plot is not None:
                plots.append(plot)
    return plots


def file_names(report: BenchReport) -> dict[str, str]:
    """Name of each set -> the same as a part of a file name, none of them twice."""
    names: dict[str, str] = {}
    for entry in report.sets:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", entry.name).strip("._") or "set"
        name, number = plain, 2
        while name in names.values():
            name, number = f"{plain}-{number}", number + 1
        names[entry.name] = name
    return names


def printable(text: str) -> str:
    """Without what fonts and XML cannot hold: control characters and undecodable bytes."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def png(plot: Plot) -> bytes:
    """The plot as PNG on white, 200 dots an inch; the same bytes for the same report."""
    target = BytesIO()
    with _style():
        plot.figure.savefig(
            target, format="png", dpi=200, facecolor="white", metadata={"Software": None}
        )
    return target.getvalue()


def svg(plot: Plot) -> str:
    """The plot as an SVG document without background, its text kept as text."""
    target = StringIO()
    with _style():
        plot.figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    return target.getvalue()


def _looks(methods: list[MethodInfo]) -> dict[str, _Look]:
    """Networks in colour, interpolation in gray, cited rows hollow and dotted."""
    looks = {}
    networks = baselines = 0
    for method in methods:
        if method.cited or method.parameters:
            marker = MARKERS[networks % len(MARKERS)]
            dash = ":" if method.cited else DASHES[networks // len(COLOURS) % 2]
            looks[method.name] = _Look(COLOURS[networks % len(COLOURS)], marker, dash, method.cited)
            networks += 1
        else:
            marker = MARKERS[-1 - baselines % len(MARKERS)]
            looks[method.name] = _Look(GRAY, marker, DASHES[baselines % len(DASHES)], False)
            baselines += 1
    return looks


def _gain_plot(
    report: BenchReport, entry: SetInfo, looks: dict[str, _Look], name: str
) -> Plot | None:
    if not any(method.name == BASE for method in report.methods):
        return None
    input = main_input(report)
    return _scale_plot(
        report,
        entry,
        looks,
        name,
        value=lambda method, scale: gain(report, entry, method, scale, input),
        title="gain over bicubic",
        label="PSNR above bicubic, dB",
    )


def _psnr_plot(
    report: BenchReport, entry: SetInfo, looks: dict[str, _Look], name: str
) -> Plot | None:
    cell, input = main_cell(report), main_input(report)
    return _scale_plot(
        report,
        entry,
        looks,
        name,
        value=lambda method, scale: report.mean(entry.name, method, scale, cell, input).psnr,
        title="PSNR",
        label="mean PSNR, dB",
    )


def _scale_plot(
    report: BenchReport,
    entry: SetInfo,
    looks: dict[str, _Look],
    name: str,
    value: Callable[[str, float], float | None],
    title: str,
    label: str,
) -> Plot | None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    lines = {
        method: [_finite(value(method.name, scale)) for scale in report.scales]
        for method in report.methods
    }
    shown = [
        index
        for index in range(len(report.scales))
        if any(not math.isnan(line[index]) for line in lines.values())
    ]
    if not shown:
        return None
    scales = [report.scales[index] for index in shown]
    figure, axes = _axes(f"{entry.name}: {title}{_at(report)}", len(lines))
    kept = {method: [line[index] for index in shown] for method, line in lines.items()}
    _draw_lines(axes, scales, kept, looks)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(scales))
    axes.xaxis.set_major_formatter(FixedFormatter([f"x{scale:g}" for scale in scales]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("scale")
    axes.set_ylabel(label)
    _legend(figure)
    text = f"{label} against scale on {entry.name}, a line a method"
    return Plot(name, printable(text), figure)


def _draw_lines(
    axes: Axes,
    places: Sequence[float],
    lines: dict[MethodInfo, list[float]],
    looks: dict[str, _Look],
) -> None:
    """A line a method over ``places``, those without a point left out."""
    for method, values in lines.items():
        if all(math.isnan(point) for point in values):
            continue
        look = looks[method.name]
        axes.plot(
            places,
            values,
            color=look.colour,
            linestyle=look.dash,
            linewidth=1.6,
            marker=look.marker,
            markersize=5,
            markerfacecolor=PAPER if look.hollow else look.colour,
            label=_plain(_label(method)),
        )


def _inputs_plot(
    report: BenchReport, entry: SetInfo, looks: dict[str, _Look], name: str
) -> Plot | None:
    inputs = report.inputs
    bicubic = any(method.name == BASE for method in report.methods)
    if len(inputs) == 1 or not bicubic or not report.scales:
        return None
    scale = speed_scale(report, entry)
    lines = {
        method: [_finite(gain(report, entry, method.name, scale, input)) for input in inputs]
        for method in report.methods
        if not method.cited
    }
    if all(math.isnan(point) for line in lines.values() for point in line):
        return None
    figure, axes = _axes(f"{entry.name}: gain by input at x{scale:g}", len(lines))
    _draw_lines(axes, range(len(inputs)), lines, looks)
    axes.set_xticks(range(len(inputs)), inputs, rotation=30, ha="right", rotation_mode="anchor")
    label = "PSNR above bicubic of the same input, dB"
    axes.set_ylabel(label)
    _legend(figure)
    text = f"{label}, by input on {entry.name} at x{scale:g}, a line a method"
    return Plot(name, printable(text), figure)


def _speed_plot(
    report: BenchReport, entry: SetInfo, looks: dict[str, _Look], name: str
) -> Plot | None:
    if not report.scales:
        return None
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    scale, cell, input = speed_scale(report, entry), main_cell(report), main_input(report)
    points = {}
    for method in report.methods:
        mean = report.mean(entry.name, method.name, scale, cell, input)
        if mean.mpx_per_s and mean.psnr is not None and math.isfinite(mean.psnr):
            points[method] = mean.mpx_per_s, mean.psnr
    if not points:
        return None
    figure, axes = _axes(f"{entry.name}: PSNR and speed at x{scale:g}{_at(report)}", len(points))
    for method, (speed, psnr) in points.items():
        look = looks[method.name]
        axes.plot(
            [speed],
            [psnr],
            color=look.colour,
            linestyle="none",
            marker=look.marker,
            markersize=8,
            label=_plain(_label(method)),
        )
    axes.set_xscale("log")
    speeds = [speed for speed, _ in points.values()]
    axes.set_xlim(min(speeds) / 2, max(speeds) * 2)
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=40))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    header = report.header
    threads = f"{header.threads} thread" + "s" * (header.threads != 1)
    axes.set_xlabel(_plain(f"output Mpx/s ({header.device}, {threads})"))
    axes.set_ylabel("mean PSNR, dB")
    _legend(figure)
    text = f"mean PSNR against speed on {entry.name} at x{scale:g}, a point a method"
    return Plot(name, printable(text), figure)


_KINDS: dict[str, Callable[[BenchReport, SetInfo, dict[str, _Look], str], Plot | None]] = {
    "gain": _gain_plot,
    "inputs": _inputs_plot,
    "psnr": _psnr_plot,
    "speed": _speed_plot,
}


def _at(report: BenchReport) -> str:
    """Which input a plot of one is about, where that is to be said."""
    return f", {main_input(report)} input" if report.inputs != [CLEAN] else ""


def _axes(title: str, methods: int) -> tuple[Figure, Axes]:
    """An empty figure, high enough for the legend of so many methods below."""
    from matplotlib.figure import Figure

    height = 3.5 + 0.2 * math.ceil(methods / LEGEND_COLUMNS)
    figure = Figure(figsize=(4.9, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(_plain(title), loc="left")
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    return figure, axes


def _legend(figure: Figure) -> None:
    figure.legend(loc="outside lower left", ncols=LEGEND_COLUMNS, frameon=False, handlelength=2.6)


def _label(method: MethodInfo) -> str:
    return f"{method.label} (cited)" if method.cited else method.label


def _plain(text: str) -> str:
    """A text to draw; the space keeps a first "_" from meaning "not in the legend"."""
    shown = printable(text)
    return f" {shown}" if shown.startswith("_") else shown


def _finite(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.nan


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context

    with rc_context(_STYLE), warnings.catch_warnings():
        # a name in a script that the font lacks; the page shows it with the reader's fonts
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
