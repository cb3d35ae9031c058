"""Loss and validation PSNR of a training as a picture. Needs matplotlib (extra "plot")."""

from __future__ import annotations

import csv
from io import BytesIO
from pathlib import Path

from liif_cli.io.atomic import write_atomically


def read_curves(table: Path) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """(iteration, loss) and (iteration, PSNR in dB) of a training's table; broken lines left out.

    A training that went on from an earlier state wrote some iterations twice: the later ones count.
    """
    losses: dict[int, float] = {}
    psnrs: dict[int, float] = {}
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                iteration, loss = int(row["iteration"]), float(row["loss"])
                psnr = float(row["psnr"]) if row["psnr"] else None
            except (KeyError, TypeError, ValueError):
                continue
            for curve in (losses, psnrs):
                for later in [key for key in reversed(curve) if key >= iteration]:
                    del curve[later]
            losses[iteration] = loss
            if psnr is not None:
                psnrs[iteration] = psnr
    return list(losses.items()), list(psnrs.items())


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

    losses, psnrs = read_curves(table)
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
        plots[1].plot(*zip(*psnrs, strict=True), color="tab:orange", marker=marker, markersize=4)
        plots[1].set_ylabel("validation PSNR, RGB (dB)")
        iteration, best = psnrs[-1]
        plots[1].annotate(
            f"{best:.2f}",
            (iteration, best),
            xytext=(0, -12),
            textcoords="offset points",
            ha="right",
        )
    plots[-1].set_xlabel("iteration")
    for plot in plots:
        plot.grid(alpha=0.3)
    plots[0].set_title(table.name.removesuffix(".log.csv").removesuffix(".safetensors"))
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomically(target, buffer.getvalue())
