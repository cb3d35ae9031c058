"""Loss and validation PSNR of a training as a picture. Needs matplotlib (extra "plot")."""

from __future__ import annotations

import csv
import math
from io import BytesIO
from pathlib import Path

from liif_cli.io.atomic import write_atomically

Curve = list[tuple[int, float]]
"""(iteration, value) in the order of the iterations."""

_COLUMNS = ("loss", "psnr", "lossy_psnr")


def read_curves(table: Path) -> tuple[Curve, Curve, Curve]:
    """Loss, PSNR in dB, and PSNR of lossy inputs of a training's table; broken lines left out.

    A training that resumed from an earlier state wrote some iterations twice: the later ones count.
    """
    curves: tuple[dict[int, float], ...] = ({}, {}, {})
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                iteration, loss = int(row["iteration"]), row["loss"]
                values = [float(loss), *(float(row.get(key) or "nan") for key in _COLUMNS[1:])]
            except (KeyError, TypeError, ValueError):
                continue
            for curve, value in zip(curves, values, strict=True):
                for later in [key for key in reversed(curve) if key >= iteration]:
                    del curve[later]
                if not math.isnan(value):
                    curve[iteration] = value
    losses, psnrs, lossy = (list(curve.items()) for curve in curves)
    return losses, psnrs, lossy


def draw(table: Path, target: Path) -> None:
    """Draw the curves of ``table`` into the PNG ``target``.

    Raises:
        ImportError: no matplotlib.
        OSError: the table cannot be read.
        OutputError: the picture cannot be written.
    """
    # objects, not pyplot: no window, no state that outlives the call
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    losses, *validations = read_curves(table)
    psnrs = validations[0]
    figure = Figure(figsize=(8, 6 if psnrs else 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    plots = figure.subplots(2 if psnrs else 1, 1, sharex=True, squeeze=False)[:, 0]
    plots[0].plot(*zip(*losses, strict=True), color="tab:blue", linewidth=1)
    plots[0].set_ylabel("loss (L1, colours in [-1, 1])")
    if losses and min(loss for _, loss in losses) > 0:
        plots[0].set_yscale("log")
        # 0.06 and not 6 x 10^-2
        plots[0].yaxis.set_major_formatter("{x:g}")
        plots[0].yaxis.set_minor_formatter("{x:.3g}")
    if psnrs:
        marker = "o" if len(psnrs) <= 60 else ""
        plots[1].set_ylabel("validation PSNR, RGB (dB)")
        kinds = (("clean", "tab:orange"), ("of JPEG", "tab:green"))
        for curve, (label, colour) in zip(validations, kinds, strict=True):
            if not curve:
                continue
            plots[1].plot(
                *zip(*curve, strict=True), color=colour, marker=marker, markersize=4, label=label
            )
            plots[1].annotate(
                f"{curve[-1][1]:.2f}",
                curve[-1],
                xytext=(0, -12),
                textcoords="offset points",
                ha="right",
            )
        if validations[1]:
            plots[1].legend()
    plots[-1].set_xlabel("iteration")
    for plot in plots:
        plot.grid(alpha=0.3)
    plots[0].set_title(table.name.removesuffix(".log.csv").removesuffix(".safetensors"))
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomically(target, buffer.getvalue())
