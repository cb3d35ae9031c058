"""Numbers as people read them. Shapes come in as (height, width) and go out as WxH."""

from __future__ import annotations

import re
from pathlib import Path

from rich.markup import escape

from liif_cli.errors import printable
from liif_cli.geometry.cell import SCALED
from liif_cli.geometry.size import SizeRequest
from liif_cli.plan.plan import RenderPlan


def sides(shape: tuple[int, int]) -> str:
    """(3000, 4000) -> "4000x3000"."""
    return f"{shape[1]}x{shape[0]}"


def deviations(plan: RenderPlan) -> list[str]:
    """What of a plan is not the paper's plain rendering: what the network is told, a scale on the
    way, three colours as one.
    """
    told = [f"cell {plan.cell}"] if plan.cell != SCALED else []
    told += [f"cleanup {plan.cleanup:g}"] if plan.cleanup else []
    told += ["as gray"] if plan.gray else []
    if plan.via is None:
        return told
    between = SizeRequest(scale=(plan.via, plan.via)).output_shape(*plan.in_shape)
    return [*told, f"via x{float(plan.via):g} ({sides(between)}) and Lanczos"]


def counted(number: int, what: str) -> str:
    """Count as "1 task" or "2 tasks"."""
    return f"{number} {what}{'s' * (number != 1)}"


def size_of(count: int) -> str:
    """Bytes with a binary unit: 1536 -> "1.5 KiB"."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:.4g} TiB"


def duration(seconds: float) -> str:
    """Time as "0.42 s", "12 s", "3:07 min" or "2:05:09 h"."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def rate(pixels: int, seconds: float) -> str:
    """Speed as "1.23 Mpx/s"; "- Mpx/s" before any time has passed."""
    return f"{pixels / seconds / 1e6:.3g} Mpx/s" if seconds > 0 else "- Mpx/s"


def megapixels(pixels: int) -> str:
    """1_234_000 -> "1.23 Mpx"; the digits before the point are never rounded away."""
    value = pixels / 1e6
    return f"{value:,.0f} Mpx" if value >= 100 else f"{value:.3g} Mpx"


def named(path: Path, error: str) -> str:
    """An error of ``path`` that says which file it is about."""
    name = printable(path)
    return error if name in error else f"{name}: {error}"


class Errors:
    """The errors of a batch, each said once: where only the names differ it is said shortly."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def said(self, path: Path, error: str) -> str:
        """An error as it is to be shown: in full where it is the first of its kind."""
        bare = error.replace(printable(path), "")
        bare = re.sub(rf"(?<!\w){re.escape(printable(path.stem))}(?!\w)", "", bare)
        # sizes of theirs are not another kind of error
        kind = re.sub(r"\d+", "0", bare)
        first = self._first.setdefault(kind, path.name)
        if first == path.name:
            return named(path, error)
        return f"{printable(path)}: like {printable(first)}"


def shown(text: object) -> str:
    """Text as it is, for a rich console: without markup, and ``printable``."""
    return escape(printable(text))
