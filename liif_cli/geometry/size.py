"""What the user asks for ("20000x15000", "4000x", "3.7", "2x3") as an exact output shape.

The command line speaks WxH; everything behind it speaks (height, width).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from liif_cli.errors import UsageError

Fit = Literal["exact", "inside", "cover"]

# nine digits are more than any image has, and keep int64 coordinates far from their end
_SIZE = re.compile(r"(\d{0,9})x(\d{0,9})", re.ASCII | re.IGNORECASE)
_NUMBER = r"\d{1,9}(?:\.\d{0,30})?|\.\d{1,30}"
_SCALE = re.compile(rf"x?({_NUMBER})(?:x({_NUMBER}))?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class SizeRequest:
    """A wanted size: sides in pixels (None follows the aspect), or scales (width, height).

    Scales are kept as the text's exact decimal fractions.
    """

    width: int | None = None
    height: int | None = None
    scale: tuple[Fraction, Fraction] | None = None
    fit: Fit = "exact"

    @classmethod
    def from_size(cls, text: str, fit: Fit = "exact") -> SizeRequest:
        """Parse "WxH", "Wx" or "xH".

        Raises:
            UsageError: the text is no size, a side is 0, or it has more than nine digits.
        """
        match = _SIZE.fullmatch(text.strip())
        width, height = match.groups() if match else ("", "")
        sides = [int(side) for side in (width, height) if side]
        if not sides or min(sides) < 1:
            raise UsageError(
                "--size",
                got=repr(text),
                expected="WxH, Wx or xH in whole pixels above 0",
                cure="for instance --size 4000x3000",
            )
        return cls(int(width) if width else None, int(height) if height else None, fit=fit)

    @classmethod
    def from_scale(cls, text: str) -> SizeRequest:
        """Parse "S" (both axes) or "SxS" (width, height).

        Raises:
            UsageError: the text is no scale, a scale is 0, or it has more than nine digits.
        """
        match = _SCALE.fullmatch(text.strip())
        scales = [Fraction(value) for value in match.groups() if value] if match else []
        if not scales or min(scales) <= 0:
            raise UsageError(
                "--scale",
                got=repr(text),
                expected="a number above 0, or two as WxH factors",
                cure="for instance --scale 4 or --scale 2x3",
            )
        return cls(scale=(scales[0], scales[-1]))

    def output_shape(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the output for an input of that shape; each side is 1 or more.

        "inside" keeps the aspect and fits within the size, "cover" keeps it and fills the size,
        "exact" gives the size itself.
        """
        if self.scale is not None:
            return scaled_side(height, self.scale[1]), scaled_side(width, self.scale[0])
        if self.width is None or self.height is None:
            factor = (
                Fraction(self.width, width) if self.width else Fraction(self.height or 1, height)
            )
        elif self.fit == "exact":
            return self.height, self.width
        else:
            choose = min if self.fit == "inside" else max
            factor = choose(Fraction(self.width, width), Fraction(self.height, height))
        return scaled_side(height, factor), scaled_side(width, factor)


def scaled_side(side: int, scale: Fraction) -> int:
    """A side of that many pixels at an exact scale: rounded half up, 1 or more."""
    return max(1, int(side * scale + Fraction(1, 2)))


def aspect_change(in_shape: tuple[int, int], out_shape: tuple[int, int]) -> float:
    """Relative change of width / height from input to output: 0.01 is one percent wider."""
    return (out_shape[1] * in_shape[0]) / (out_shape[0] * in_shape[1]) - 1
