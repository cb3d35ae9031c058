"""Which channels go through the network together."""

from __future__ import annotations

import pytest

from liif_cli.geometry.axis import AxisMap
from liif_cli.plan.passes import BLEED, RenderPass, flat_reach, pass_count, render_passes

ALPHA = {"low": 0.0, "high": 255.0, "alpha": True}


@pytest.mark.parametrize(
    ("channels", "alpha", "ranges", "gray", "expected"),
    [
        (1, False, (), False, [RenderPass(0, 1, 0.0, 255.0)]),
        (3, False, (), False, [RenderPass(0, 3, 0.0, 255.0)]),
        (3, False, (), True, [RenderPass(0, 3, 0.0, 255.0, gray=True)]),
        (3, False, ((-1.0, 2.0),), False, [RenderPass(0, 3, -1.0, 2.0)]),
        (1, False, (), True, [RenderPass(0, 1, 0.0, 255.0)]),
        (2, True, (), False, [RenderPass(0, 1, 0.0, 255.0), RenderPass(1, 2, **ALPHA)]),
        (4, True, (), False, [RenderPass(0, 3, 0.0, 255.0), RenderPass(3, 4, **ALPHA)]),
        # two bands, and three with alpha, are no RGB
        (2, False, (), False, [RenderPass(0, 1, 0.0, 255.0), RenderPass(1, 2, 0.0, 255.0)]),
        (
            3,
            True,
            ((0.0, 1.0), (2.0, 3.0)),
            False,
            [RenderPass(0, 1, 0.0, 1.0), RenderPass(1, 2, 2.0, 3.0), RenderPass(2, 3, **ALPHA)],
        ),
    ],
)
def test_passes_in_the_order_of_the_channels(
    channels: int,
    alpha: bool,
    ranges: tuple[tuple[float, float], ...],
    gray: bool,
    expected: list[RenderPass],
) -> None:
    assert render_passes(channels, alpha, ranges, 255.0, gray) == expected
    assert pass_count(channels, alpha) == len(expected)


def test_no_gray_unless_it_is_said() -> None:
    assert not render_passes(3, False, (), 1.0)[0].gray


@pytest.mark.parametrize("ranges", [((0.0, 1.0),), ((0.0, 1.0),) * 3])
def test_as_many_ranges_as_bands(ranges: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="argument 2 is"):
        render_passes(2, False, ranges, 255.0)


def test_gray_is_seen_once_and_written_three_times() -> None:
    gray, colour = RenderPass(2, 5, 1.0, 9.0, gray=True), RenderPass(2, 5, 1.0, 9.0)
    assert (gray.channels, gray.seen, gray.span) == (1, (2, 3), (2, 5))
    assert (colour.channels, colour.seen, colour.span) == (3, (2, 5), (2, 5))
    assert colour.values == (1.0, 9.0)


@pytest.mark.parametrize(
    ("n_in", "n_out", "reach"),
    [(10, 40, 1), (10, 10, 1), (30, 10, 3), (31, 10, 4), (900, 9, BLEED)],
)
def test_what_must_be_flat(n_in: int, n_out: int, reach: int) -> None:
    assert flat_reach(AxisMap(n_in, n_out)) == reach
