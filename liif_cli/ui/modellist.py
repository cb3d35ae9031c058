"""The models in the package and the kernels, as facts and as a table."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from liif_cli.models import checkpoint
from liif_cli.models.loader import DEFAULT_MODEL, KERNELS, shipped
from liif_cli.ui.facts import Facts, network_facts, text_of
from liif_cli.ui.format import size_of

COLUMNS = ("name", "encoder", "decoder", "parameters", "cleanup", "file", "PSNR", "Mpx/s")
MEASURED_SCALES = (2, 4, 16)


def shipped_models(*, measure: bool = False) -> list[Facts]:
    """Facts of every name that ``--model`` takes.

    Args:
        measure: measure the speed of each, in output megapixels a second.

    Raises:
        CheckpointError: a weights file of the package is damaged.
    """
    found: list[Facts] = []
    for name, path in shipped().items():
        weights = checkpoint.load(path)
        found.append(
            {
                "name": name,
                "default": name == DEFAULT_MODEL,
                **network_facts(weights),
                "file": size_of(path.stat().st_size),
                "psnr": weights.card.get("psnr"),
            }
        )
    found += [
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

        for facts in found:
            facts["mpx_per_second"] = {
                f"x{scale}": round(measure_speed(facts["name"], scale), 3)
                for scale in MEASURED_SCALES
            }
    return found


def print_models(found: list[Facts]) -> None:
    """A table on a terminal, a line a model elsewhere; on stdout."""
    console = Console()
    if console.is_terminal:
        table = Table(*COLUMNS, caption="* default")
        for facts in found:
            table.add_row(*map(escape, _cells(facts)))
        console.print(table)
        return
    for facts in found:
        cells = zip(COLUMNS[1:], _cells(facts)[1:], strict=True)
        rest = ", ".join(f"{name} {text}" for name, text in cells if text != "-")
        line = f"{_cells(facts)[0]}: {rest}"
        console.print(escape(line), highlight=False, soft_wrap=True)


def _cells(facts: Facts) -> list[str]:
    star = " *" if facts["default"] else ""
    keys = ("encoder", "decoder", "parameters", "cleanup", "file", "psnr", "mpx_per_second")
    # networks that are told nothing have a dash there, as everything that is missing
    values = (None if facts.get(key) is False else facts.get(key) for key in keys)
    return [f"{facts['name']}{star}", *map(text_of, values)]
