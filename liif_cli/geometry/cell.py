"""Which pixel size a network is told: the true one, a multiple of it, or a trained one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liif_cli.errors import UsageError

if TYPE_CHECKING:
    from liif_cli.geometry.axis import AxisMap

TRAINED_SCALE = 4.0
"""Largest scale that the published models were trained at (paper, section 4)."""
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class CellPolicy:
    """The cell of a query (paper, section 3.3): 2 / scale, times ``factor``, or clamped.

    Attributes:
        factor: of the true pixel size; 1 is the paper's.
        clamped: never tell an axis a pixel smaller than that of ``largest_scale``.
        largest_scale: the largest that the model was trained at; None is ``TRAINED_SCALE``.
    """

    factor: float = 1.0
    clamped: bool = False
    largest_scale: float | None = None

    @classmethod
    def parse(cls, text: str) -> CellPolicy:
        """The policy of "scaled", "clamped", "clamped:4" or a factor, "0.5".

        Raises:
            UsageError: anything else, or a number that is not above 0.
        """
        word, colon, number = text.strip().lower().partition(":")
        if not colon and word in ("scaled", "clamped"):
            return cls(clamped=word == "clamped")
        value = float(number or word) if _NUMBER.fullmatch(number or word) else 0.0
        if value > 0 and math.isfinite(value):
            if word == "clamped":
                return cls(clamped=True, largest_scale=value)
            if not colon:
                return cls(factor=value)
        raise UsageError(
            "--cell",
            got=repr(text),
            expected="scaled, clamped, or a factor above 0",
            cure="for instance --cell clamped",
        )

    @classmethod
    def of(cls, value: CellPolicy | str | float) -> CellPolicy:
        """A policy, its text, or a factor as a policy."""
        return value if isinstance(value, CellPolicy) else cls.parse(str(value))

    def __str__(self) -> str:
        """What ``parse`` takes."""
        if self.clamped:
            return "clamped" + (f":{self.largest_scale:g}" if self.largest_scale else "")
        return "scaled" if self.factor == 1 else repr(self.factor)

    def of_model(self, largest_scale: float) -> CellPolicy:
        """The policy for a model trained up to ``largest_scale``, where none was given."""
        if not self.clamped or self.largest_scale is not None:
            return self
        return replace(self, largest_scale=largest_scale)

    def told(self, axis: AxisMap) -> float:
        """The cell told along an axis, in half LR pixels."""
        if self.clamped:
            return max(axis.cell, 2 / (self.largest_scale or TRAINED_SCALE))
        return axis.cell * self.factor

    def at(self, rows: AxisMap, cols: AxisMap) -> CellPolicy:
        """``SCALED`` where the policy changes nothing, so that equal pixels have equal plans."""
        same = all(self.told(axis) == axis.cell for axis in (rows, cols))
        return SCALED if same else self


SCALED = CellPolicy()
CLAMPED = CellPolicy(clamped=True)
DEFAULT_CELL = CLAMPED
"""What networks are told unless asked otherwise (docs/decisions/0006)."""
