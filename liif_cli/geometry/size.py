"""What the user asks for ("20000x15000", "4000x", "3.7", "2x3") as an exact output shape.

The command line speaks WxH; everything behind it speaks (height, width).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from liif_cli.errors import UsageError

Fit = Literal["exact", "inside", "cover"]

# nine digits are more than any image has, and keep int64 coordinates far from their end
_SIZE = re.compile(r"(\d{0,9})\s*[x*\u00d7]\s*(\d{0,9})", re.ASCII | re.IGNORECASE)
_WIDTH = re.compile(r"(\d{1,9})", re.ASCII)
_LONG = {"2k": 2048, "4k": 3840, "5k": 5120, "8k": 7680, "16k": 15360}
"""Names of screens and their long sides."""
_NUMBER = r"\d{1,9}(?:\.\d{0,30})?|\.\d{1,30}"
_SCALE = re.compile(rf"x?({_NUMBER})(?:[x*\u00d7]({_NUMBER}))?", re.ASCII | re.IGNORECASE)
_FACTOR = re.compile(rf"({_NUMBER})\s*(x|\u00d7|%)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class SizeRequest:
    """A wanted size: sides in pixels (None follows the aspect), or scales (width, height).

    Scales are kept as the text's exact decimal fractions. ``long_side``, ``short_side`` and
    ``pixels`` keep the aspect.
    """

    width: int | None = None
    height: int | None = None
    scale: tuple[Fraction, Fraction] | None = None
    fit: Fit = "exact"
    long_side: int | None = None
    short_side: int | None = None
    pixels: int | None = None

    @classmethod
    def from_size(cls, text: str, fit: Fit = "exact") -> SizeRequest:
        """Parse "WxH", "Wx", "xH", a width alone, "4k" (its long side), or a percentage.

        Raises:
            UsageError: the text is not a size, a side is 0, or it has more than nine digits.
        """
        if text.strip().lower() in _LONG:
            return cls(long_side=_LONG[text.strip().lower()])
        if text.strip().endswith("%"):
            return cls.from_scale(text)
        if match := _WIDTH.fullmatch(text.strip()):
            text = f"{match[1]}x"
        match = _SIZE.fullmatch(text.strip())
        width, height = match.groups() if match else ("", "")
        sides = [int(side) for side in (width, height) if side]
        if not sides or min(sides) < 1:
            raise UsageError(
                "--size",
                got=repr(text),
                expected="WxH, Wx or xH in whole pixels above 0, 4k, or a percentage",
                cure="for instance --size 4000x3000",
            )
        return cls(int(width) if width else None, int(height) if height else None, fit=fit)

    @classmethod
    def from_scale(cls, text: str) -> SizeRequest:
        """Parse "S" (both axes), "Sx", "xS", "S%", or "SxS" (width, height).

        Raises:
            UsageError: the text is not a scale, a scale is 0, or it has more than nine digits.
        """
        if match := _FACTOR.fullmatch(text.strip()):
            factor = Fraction(match[1]) / (100 if match[2] == "%" else 1)
            text = "0" if factor <= 0 else ""
            if factor > 0:
                return cls(scale=(factor, factor))
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
        if self.long_side or self.short_side or self.pixels:
            return self._by_aspect(height, width)
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

    def _by_aspect(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) by the long side, the short side, or the number of pixels."""
        if self.long_side:
            factor = Fraction(self.long_side, max(height, width))
        elif self.short_side:
            factor = Fraction(self.short_side, min(height, width))
        else:
            factor = _root(Fraction(self.pixels or 1, height * width))
        return scaled_side(height, factor), scaled_side(width, factor)

    @property
    def label(self) -> str:
        """A few letters for a file name: "4x", "4000x3000", "8000"."""
        if self.scale is not None:
            across, down = (f"{float(value):g}" for value in self.scale)
            return f"{across}x" if across == down else f"{across}x{down}"
        if self.pixels:
            return f"{self.pixels / 1e6:g}mp"
        if self.long_side or self.short_side:
            return str(self.long_side or self.short_side)
        return "x".join(str(side or "") for side in (self.width, self.height))


def _root(value: Fraction) -> Fraction:
    """The square root, to 18 digits."""
    return Fraction(math.isqrt(int(value * 10**36)), 10**18)


def scaled_side(side: int, scale: Fraction) -> int:
    """A side of that many pixels at an exact scale: rounded half up, 1 or more."""
    return max(1, int(side * scale + Fraction(1, 2)))


def aspect_change(in_shape: tuple[int, int], out_shape: tuple[int, int]) -> float:
    """Relative change of width / height from input to output: 0.01 is one percent wider."""
    return (out_shape[1] * in_shape[0]) / (out_shape[0] * in_shape[1]) - 1
