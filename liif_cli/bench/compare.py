"""What headlines, tables and plots of a bench compare: which cell and scale, and gains."""

from __future__ import annotations

from liif_cli.bench.results import CLEAN, SCALED, BenchReport, Cell, SetInfo

BASE = "bicubic"
"""The method that gains are counted from."""


def main_cell(report: BenchReport) -> Cell:
    """The cell that plots and headlines are about: the true one where it was measured."""
    return SCALED if SCALED in report.cells or not report.cells else report.cells[0]


def main_input(report: BenchReport) -> str:
    """The input that plots and headlines are about: the clean one where it was measured."""
    return CLEAN if CLEAN in report.inputs else report.inputs[0]


def speed_scale(report: BenchReport, entry: SetInfo | None = None) -> float:
    """The scale at which costs are compared: x4 where it was measured, or a middle one."""
    scales = report.measured_scales(entry.name) if entry is not None else report.scales
    return 4.0 if 4.0 in scales else sorted(scales)[(len(scales) - 1) // 2]


def gain(
    report: BenchReport, entry: SetInfo, method: str, scale: float, input: str = CLEAN
) -> float | None:
    """dB above bicubic of the same input: the mean over the images that both have; None without.

    A cited figure is a mean over the whole set, so it is only compared with bicubic's over all.
    """
    cell = main_cell(report)
    cited = any(info.cited for info in report.methods if info.name == method)
    if cited:
        if input != CLEAN:
            return None
        base, mean = (report.mean(entry.name, name, scale, cell) for name in (BASE, method))
        if base.psnr is None or mean.psnr is None or base.count < len(entry.images):
            return None
        return mean.psnr - base.psnr
    by_image = {
        name: {
            score.image: score.psnr
            for score in report.scores
            if (score.set, score.method, score.scale, score.cell, score.input)
            == (entry.name, name, scale, cell, input)
            and score.psnr is not None
        }
        for name in (BASE, method)
    }
    both = by_image[BASE].keys() & by_image[method].keys()
    # sorted: sums of floats depend on their order, and sets have none
    differences = [by_image[method][image] - by_image[BASE][image] for image in sorted(both)]
    return sum(differences) / len(differences) if differences else None
