"""The crops of the report page: HR and every method side by side, enlarged by the browser."""

from __future__ import annotations

import base64
import math
from html import escape
from pathlib import Path

from liif_cli.bench.compare import BASE
from liif_cli.bench.crops import HR, INPUT
from liif_cli.bench.html_tables import decibels
from liif_cli.bench.results import CLEAN, BenchReport, Crop, SetInfo


def crops_html(report: BenchReport, entry: SetInfo, folder: Path) -> str:
    """A figure a crop of the set; "" without any. ``folder`` is where the files are."""
    figures = [
        _crop_html(report, crop, number, folder)
        for number, crop in enumerate(report.crops, 1)
        if crop.set == entry.name
    ]
    if not figures:
        return ""
    return (
        "<h3>Where the methods differ most</h3>\n"
        '<p class="hint">Point at a crop to magnify all of them at the same place. '
        "Click one to flip between the methods at full size.</p>\n" + "\n".join(figures)
    )


def _crop_html(report: BenchReport, crop: Crop, number: int, folder: Path) -> str:
    x, y, width, height = crop.box
    labels = {HR: HR, INPUT: "input, enlarged by bicubic"}
    labels |= {method.name: method.label for method in report.methods}
    if crop.input != CLEAN and BASE in crop.files:
        labels[BASE] += ": the input, enlarged"
    # HR first, then as in the tables
    names = [name for name in labels if name in crop.files]
    finite = [psnr for psnr in crop.psnr.values() if not math.isnan(psnr)]
    title = f"{crop.image}, x{crop.scale:g}"
    if report.inputs != [CLEAN]:
        title += f", {crop.input}"
    place = f"· {width}x{height} HR pixels at x {x}, y {y}"
    shots = "".join(
        _shot_html(
            crop,
            name,
            labels[name],
            f"crop-{number}-{index}",
            folder,
            best=bool(finite) and crop.psnr.get(name) == max(finite),
        )
        for index, name in enumerate(names)
    )
    return (
        f'<section class="crop" id="crop-{number}" aria-labelledby="crop-{number}-title">\n'
        f'<h4 id="crop-{number}-title">{escape(title)} <small>{escape(place)}</small></h4>\n'
        f'<div class="shots" style="--count: {len(names)}">{shots}</div>\n</section>'
    )


def _shot_html(crop: Crop, name: str, label: str, anchor: str, folder: Path, *, best: bool) -> str:
    psnr = crop.psnr.get(name)
    value = "truth" if name == HR else "-" if psnr is None else f"{decibels(psnr)} dB"
    if best:
        value = f'<strong>{value}</strong><span class="unseen"> best</span>'
    _, _, width, height = crop.box
    try:
        data = base64.b64encode((folder / crop.files[name]).read_bytes()).decode()
    except (OSError, ValueError):
        picture = '<span class="lost">the file of this crop is gone</span>'
    else:
        degraded = f" of {crop.input}" if crop.input != CLEAN else ""
        alt = f"{crop.image} at x{crop.scale:g}{degraded}: {label}"
        picture = (
            f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}"'
            f' alt="{escape(alt)}">'
        )
    return (
        f'<figure id="{anchor}" class="shot"><a href="#{anchor}" class="frame">{picture}</a>'
        f'<figcaption><span class="label">{escape(label)}</span> '
        f'<span class="value">{value}</span></figcaption></figure>'
    )
