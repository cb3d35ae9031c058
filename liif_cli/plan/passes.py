"""The passes of a render: which channels go through the network together.

A network knows RGB images, so that each pass gives it three channels: the colours of an RGB image
at once; gray, one band, or alpha three times over. Bands are never put together as RGB, since the
network would carry edges of one into another. Three equal colours are gray, and stay equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from liif_cli.geometry.axis import AxisMap

Range = tuple[float, float]

BLEED = 16
"""LR pixels that colour is carried under transparent ones, and that alpha adds to the halo."""


@dataclass(frozen=True)
class RenderPass:
    """Channels ``start`` to ``stop``, 1 or 3 of them, whose ``low`` is black and ``high`` white.

    ``gray``: there are three equal ones, of which the network sees one.
    """

    start: int
    stop: int
    low: float
    high: float
    alpha: bool = False
    gray: bool = False

    @property
    def channels(self) -> int:
        """How many the network sees, and answers."""
        return 1 if self.gray else self.stop - self.start

    @property
    def seen(self) -> tuple[int, int]:
        """Those that the network sees."""
        return self.start, self.start + self.channels

    @property
    def span(self) -> tuple[int, int]:
        """Those that are written."""
        return self.start, self.stop

    @property
    def values(self) -> Range:
        return self.low, self.high


def pass_count(channels: int, alpha: bool) -> int:
    """Passes of an image of that many channels, alpha included."""
    colours = channels - alpha
    return (1 if colours in (1, 3) else colours) + alpha


def render_passes(
    channels: int, alpha: bool, ranges: tuple[Range, ...], full: float, gray: bool = False
) -> list[RenderPass]:
    """The passes in the order of the channels.

    Args:
        channels: of the image, alpha included.
        alpha: whether the last one is alpha.
        ranges: (black, white) of all colours together, or a pair a band; none for (0, full).
        full: the highest value of the sample type, and that of opaque alpha.
        gray: whether the three colours are equal everywhere.
    """
    colours = channels - alpha
    width = colours if colours in (1, 3) else 1
    ranges = ranges or ((0.0, full),) * (colours // width)
    passes = [
        RenderPass(start, start + width, *pair, gray=gray and width == 3)
        for start, pair in zip(range(0, colours, width), ranges, strict=True)
    ]
    if alpha:
        passes.append(RenderPass(colours, channels, 0.0, full, alpha=True))
    return passes


def flat_reach(axis: AxisMap) -> int:
    """LR pixels on either side of an output pixel's own that must be flat for it to be flat."""
    return min(BLEED, max(1, math.ceil(axis.n_in / axis.n_out)))
