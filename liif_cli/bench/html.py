"""The report page of a bench: one HTML file that needs no other file and no network.

Tables, plots and crops are inside it. A content security policy keeps the browser from loading
anything, and from running any script but the page's own. Without scripts everything is still there
to read; they add magnification and the viewer that flips between methods.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from liif_cli.bench.compare import BASE, gain, main_cell, main_input, speed_scale
from liif_cli.bench.html_crops import crops_html
from liif_cli.bench.html_plot import inline_svg
from liif_cli.bench.html_tables import (
    decibels,
    psnr_html,
    row_html,
    signed,
    table_html,
    tables_html,
    three_digits,
)
from liif_cli.bench.inputs import describe
from liif_cli.bench.plots import MISSING, available, make_plots
from liif_cli.bench.results import (
    CITED,
    CLEAN,
    BenchReport,
    ImageScore,
    MethodInfo,
    SetInfo,
)
from liif_cli.io.atomic import write_atomically

NAME = "report.html"
# control characters, which no HTML may hold; a file name may
_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)], "\ufffd")


def write_html(report: BenchReport, folder: Path) -> Path:
    """Write ``report.html`` into ``folder``, where the files of the crops are.

    A crop whose file is gone is said on the page.

    Returns:
        path of the page.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / NAME
    text = page(report, folder).translate(_CONTROLS)
    # errors: a file name may hold bytes that are not UTF-8, which the page shows as question marks
    write_atomically(path, text.encode("utf-8", errors="replace"))
    return path


def page(report: BenchReport, folder: Path) -> str:
    """The HTML document; ``folder`` is where crops are read from."""
    style, script = (
        (files("liif_cli.bench") / name).read_text(encoding="utf-8")
        for name in ("report.css", "report.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    names = ", ".join(entry.name for entry in report.sets) or "no set"
    links = [(f"set-{number}", entry.name) for number, entry in enumerate(report.sets, 1)]
    links += [("inputs", "Inputs")] if report.inputs != [CLEAN] else []
    links += [("methods", "Methods"), ("machine", "Machine")]
    nav = "".join(f'<li><a href="#{anchor}">{escape(name)}</a></li>' for anchor, name in links)
    sections = "".join(
        _set_html(report, entry, number, folder) for number, entry in enumerate(report.sets, 1)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>liif bench: {escape(names)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the tables</a>
<header class="top">
<h1>liif bench</h1>
<p>{escape(_summary(report))}</p>
</header>
<nav aria-label="Sections"><ul>{nav}</ul></nav>
<main id="content">
{sections}
{_inputs_html(report)}
{_methods_html(report.methods)}
{_machine_html(report)}
</main>
<script>{script}</script>
</body>
</html>
"""


def _summary(report: BenchReport) -> str:
    header = report.header
    parts = [
        _count(len(report.methods), "method"),
        _count(len(report.sets), "set"),
        _count(len(report.scales), "scale"),
        *([_count(len(report.inputs), "input")] if report.inputs != [CLEAN] else []),
        f"{header.cpu if header.device == 'cpu' else header.device}, "
        + _count(header.threads, "thread"),
    ]
    if version := header.versions.get("liif"):
        parts.append(f"liif {version}")
    if header.commit:
        parts.append(f"commit {header.commit}")
    return " · ".join(parts)


def _set_html(report: BenchReport, entry: SetInfo, number: int, folder: Path) -> str:
    kind = {"div2k": "RGB PSNR", "benchmark": "luma PSNR"}.get(entry.protocol, "PSNR")
    facts = [_count(len(entry.images), "image"), f"protocol {entry.protocol} ({kind})"]
    facts.append(entry.path or "generated images, built in")
    cell = main_cell(report)
    others = "".join(
        psnr_html(report, entry, other) + tables_html(report, entry, other)
        for other in report.cells
        if other != cell
    )
    anchor = f"set-{number}"
    return f"""<section id="{anchor}" aria-labelledby="{anchor}-title">
<h2 id="{anchor}-title">{escape(entry.name)}</h2>
<p class="facts">{escape(" · ".join(facts))}</p>
{_headline(report, entry)}
{psnr_html(report, entry, cell)}
{_plots_html(report, entry)}
{tables_html(report, entry, cell)}
{others}
{_left_out_html(report, entry)}
{crops_html(report, entry, folder)}
</section>
"""


def _headline(report: BenchReport, entry: SetInfo) -> str:
    """One sentence: which method is best at the scale of comparison, and by how much."""
    if not report.scales:
        return ""
    scale, cell, input = speed_scale(report, entry), main_cell(report), main_input(report)
    best = report.best(entry.name, scale, cell, input)
    if best is None:
        return ""
    mean = report.mean(entry.name, best, scale, cell, input)
    label = next(method.label for method in report.methods if method.name == best)
    at = f"x{scale:g}" + (f", {escape(input)} input" if report.inputs != [CLEAN] else "")
    text = f"Best at {at}: <strong>{escape(label)}</strong>, {decibels(mean.psnr)} dB"
    above = signed(gain(report, entry, best, scale, input))
    if best != BASE and above is not None:
        text += f" ({above} dB against bicubic)"
    if mean.mpx_per_s:
        text += f", at {three_digits(mean.mpx_per_s)} Mpx/s"
    return f'<p class="headline">{text}</p>'


def _left_out_html(report: BenchReport, entry: SetInfo) -> str:
    """The notes of the set's scores, those of several methods on one image put together."""
    labels = {method.name: method.label for method in report.methods}
    notes: dict[tuple[str, float, str], list[ImageScore]] = {}
    for score in report.scores:
        if score.set == entry.name and score.image != CITED and (score.note or score.psnr is None):
            note = score.note or "could not be measured"
            notes.setdefault((score.image, score.scale, note), []).append(score)
    if not notes:
        return ""
    left_out = sum(score.psnr is None for scores in notes.values() for score in scores)
    items = []
    for (image, scale, note), scores in notes.items():
        inputs = list(dict.fromkeys(score.input for score in scores))
        some = f", {', '.join(inputs)}" if len(inputs) < len(report.inputs) else ""
        who = list(dict.fromkeys(labels.get(score.method, score.method) for score in scores))
        measured = [method for method in report.methods if not method.cited]
        every = "all methods" if len(who) > 1 and len(who) == len(measured) else ", ".join(who)
        items.append(f"<li>{escape(f'{image}, x{scale:g}{some}, {every}: {note}')}</li>")
    title = (
        f"{_count(left_out, 'result')} left out of the means"
        if left_out
        else _count(len(notes), "note")
    )
    return f"<details><summary>{title}</summary><ul>{''.join(items)}</ul></details>"


def _plots_html(report: BenchReport, entry: SetInfo) -> str:
    if not available():
        return f'<p class="notice">{escape(MISSING)}</p>'
    # the position, too: two sets of one name would have ids of one name
    plots = make_plots(report, [entry])
    prefix = f"p{report.sets.index(entry)}"
    figures = "".join(
        f'<figure class="plot">{inline_svg(plot, f"{prefix}-{index}-")}</figure>'
        for index, plot in enumerate(plots)
    )
    return f'<div class="plots">{figures}</div>' if figures else ""


def _inputs_html(report: BenchReport) -> str:
    """What the LR images went through; "" where they are as the protocol makes them."""
    if report.inputs == [CLEAN]:
        return ""
    rows = [
        f'<tr><th scope="row">{escape(name)}</th>'
        f'<td class="text">{escape(describe(name))}</td></tr>'
        for name in report.inputs
    ]
    heads = '<th scope="col">input</th><th scope="col" class="text">the LR image</th>'
    return (
        '<section id="inputs" aria-labelledby="inputs-title">\n'
        '<h2 id="inputs-title">Inputs</h2>\n'
        + table_html("What LR images went through", heads, rows)
        + "</section>"
    )


def _methods_html(methods: list[MethodInfo]) -> str:
    rows = [
        row_html(
            method,
            f"<td>{escape(method.model) or '-'}</td>"
            f"<td>{f'{method.parameters:,}' if method.parameters else '-'}</td>"
            f'<td class="digest"><code>{escape(method.digest) or "-"}</code></td>',
        )
        for method in methods
    ]
    heads = "".join(
        f'<th scope="col">{head}</th>' for head in ("method", "model", "parameters", "SHA-256")
    )
    return (
        '<section id="methods" aria-labelledby="methods-title">\n'
        '<h2 id="methods-title">Methods</h2>\n'
        + table_html("What was run", heads, rows)
        + "</section>"
    )


def _machine_html(report: BenchReport) -> str:
    header = report.header
    facts: list[tuple[str, Any]] = [
        ("processor", header.cpu),
        ("device", header.device),
        ("cores", header.cores),
        ("threads", header.threads),
        ("versions", ", ".join(f"{name} {text}" for name, text in header.versions.items())),
        ("commit", header.commit or "unknown"),
    ]
    facts += [
        (f"option {name}", ", ".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in header.options.items()
        if value not in (None, "", [], ())
    ]
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>" for name, value in facts
    )
    return (
        '<section id="machine" aria-labelledby="machine-title">\n'
        f'<h2 id="machine-title">Machine and options</h2>\n<dl>{items}</dl>\n</section>'
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)
