"""The models in the package and the kernels, as facts and as a table."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from liif_cli.models import checkpoint
from liif_cli.models.loader import DEFAULT_MODEL, KERNELS, shipped
from liif_cli.ui.facts import Facts, network_facts, text_of
from liif_cli.ui.format import size_of

COLUMNS = ("name", "encoder", "decoder", "parameters", "cleanup", "file", "PSNR", "Mpx/s")
MEASURED_SCALES = (2, 4, 16)


def shipped_models(*, measure: bool = False) -> list[Facts]:
    """Facts of every name that ``--model`` takes.

    Args:
        measure: measure the speed of each, in output megapixels per second.

    Raises:
        CheckpointError: a weights file of the package is damaged.
    """
    rows: list[Facts] = []
    for name, path in shipped().items():
        weights = checkpoint.load(path)
        rows.append(
            {
                "name": name,
                "default": name == DEFAULT_MODEL,
                **network_facts(weights),
                "file": size_of(path.stat().st_size),
                "psnr": weights.card.get("psnr"),
            }
        )
    rows += [
        {
            "name": name,
            "default": name == DEFAULT_MODEL,
            "encoder": None,
            "decoder": name,
            "parameters": 0,
            "cleanup": False,
            "file": None,
            "psnr": None,
        }
        for name in KERNELS
    ]
    if measure:
        from liif_cli.engine.probe import measure_speed

        for facts in rows:
            facts["mpx_per_second"] = {
                f"x{scale}": round(measure_speed(facts["name"], scale), 3)
                for scale in MEASURED_SCALES
            }
    return rows


def print_models(
    found: list[Facts], *, verbose: bool = False, console: Console | None = None
) -> None:
    """A table on a terminal, a line per model elsewhere.

    Args:
        found: what ``shipped_models`` gave.
        verbose: with the arguments that encoders and decoders are built with.
        console: where it goes; stdout where none is given.
    """
    console = console or Console()
    if not verbose:
        found = [{**facts, **_without_arguments(facts)} for facts in found]
    if console.is_terminal:
        # names are typed: they stay whole on a terminal of 80 columns, and the longest text wraps
        measured = any(facts.get("mpx_per_second") for facts in found)
        left_out: set[str] = set() if verbose else {"encoder"}
        left_out |= set() if measured else {"Mpx/s"}
        shown = [name for name in COLUMNS if name not in left_out]
        wide = ("PSNR", "Mpx/s")
        columns = [
            Column(name, min_width=9) if name in wide else Column(name, no_wrap=True)
            for name in shown
        ]
        table = Table(*columns, caption="* default", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for facts in found:
            texts = dict(zip(COLUMNS, _cells(facts), strict=True))
            table.add_row(*(escape(texts[name]) for name in shown))
        console.print(table)
        return
    for facts in found:
        cells = zip(COLUMNS[1:], _cells(facts)[1:], strict=True)
        rest = ", ".join(f"{name} {text}" for name, text in cells if text != "-")
        line = f"{_cells(facts)[0]}: {rest}"
        console.print(escape(line), highlight=False, soft_wrap=True)


def _without_arguments(facts: Facts) -> Facts:
    """Names of encoder and decoder alone: "edsr" of "edsr(n_feats=32)"."""
    parts = {key: facts.get(key) for key in ("encoder", "decoder")}
    return {key: text.partition("(")[0] for key, text in parts.items() if isinstance(text, str)}


def _cells(facts: Facts) -> list[str]:
    star = " *" if facts["default"] else ""
    keys = ("encoder", "decoder", "parameters", "cleanup", "file", "psnr", "mpx_per_second")
    # networks that are told nothing have a dash there, as everything that is missing
    values = (None if facts.get(key) is False else facts.get(key) for key in keys)
    return [f"{facts['name']}{star}", *map(text_of, values)]
