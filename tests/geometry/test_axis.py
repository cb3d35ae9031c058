"""The axis map against exact fractions."""

import itertools
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from liif_cli.geometry.axis import AxisMap, AxisSlice, left_code, nearest_code, relative

HALF = Fraction(1, 2)
# one rounding to float32 of a number below 4, and a little for the float64 on the way
CLOSE = 2.0**-23

small = st.integers(1, 60)
large = st.integers(1, 10_000_000)
lengths = st.one_of(small, large)


@st.composite
def slices(draw: st.DrawFn, most: int = 24) -> AxisSlice:
    """A few output pixels anywhere on an axis, the borders as likely as the middle."""
    axis = AxisMap(draw(lengths), draw(lengths))
    count = draw(st.integers(1, min(most, axis.n_out)))
    last = axis.n_out - count
    start = draw(st.one_of(st.just(0), st.just(last), st.integers(0, last)))
    return axis.slice(start, start + count)


def position(axis: AxisMap, index: int) -> Fraction:
    """Centre of output ``index``, in LR pixels from the left edge of the image."""
    return (index + HALF) * axis.n_in / axis.n_out


def clamp(code: int, axis: AxisMap) -> int:
    return min(max(code, 0), axis.n_in - 1)


@given(slices())
def test_codes_are_those_of_exact_arithmetic(part: AxisSlice) -> None:
    axis = part.axis
    for k, index in enumerate(range(part.start, part.stop)):
        p = position(axis, index)
        assert part.index[k] == index
        assert part.left[k] == clamp(floor(p - HALF), axis)
        assert part.right[k] == clamp(floor(p - HALF) + 1, axis)
        assert part.nearest[k] == floor(p)
        assert part.corner[k] == floor(Fraction(index * axis.n_in, axis.n_out))


@given(slices())
def test_relative_coordinates_are_exact_to_one_rounding(part: AxisSlice) -> None:
    axis = part.axis
    for k, index in enumerate(range(part.start, part.stop)):
        p = position(axis, index)
        for code, rel in (
            (part.left[k], part.rel_left[k]),
            (part.right[k], part.rel_right[k]),
            (part.nearest[k], part.rel_nearest[k]),
        ):
            exact = 2 * (p - int(code) - HALF)
            assert abs(Fraction(float(rel)) - exact) <= Fraction(CLOSE) * max(1, abs(exact))
        edge = Fraction(index * axis.n_in, axis.n_out)
        exact = edge - floor(edge)
        assert abs(Fraction(float(part.rel_corner[k])) - exact) <= Fraction(CLOSE)


@given(slices())
def test_ranges_of_relative_coordinates(part: AxisSlice) -> None:
    inside = part.left != part.right
    assert (part.rel_left[inside] >= 0).all()
    assert (part.rel_right[inside] <= 0).all()
    assert (abs(part.rel_nearest) <= 1).all()
    assert (part.rel_corner >= 0).all()
    assert (part.rel_corner <= 1).all()


@given(slices())
def test_weights_are_the_opposite_lengths_and_add_up_to_one(part: AxisSlice) -> None:
    assert (part.weight_left >= 0).all()
    assert (part.weight_right >= 0).all()
    np.testing.assert_allclose(
        part.weight_left.astype(float) + part.weight_right, 1, rtol=0, atol=2.0**-24
    )
    for k, index in enumerate(range(part.start, part.stop)):
        p = position(part.axis, index)
        left, right = int(part.left[k]), int(part.right[k])
        to_left, to_right = abs(p - left - HALF), abs(p - right - HALF)
        exact = to_left / (to_left + to_right) if left != right else Fraction(0)
        assert abs(Fraction(float(part.weight_right[k])) - exact) <= Fraction(CLOSE)


@given(slices(), st.data())
def test_a_part_of_a_slice_equals_the_part_of_the_whole(
    part: AxisSlice, data: st.DataObject
) -> None:
    start = data.draw(st.integers(part.start, part.stop - 1))
    stop = data.draw(st.integers(start + 1, part.stop))
    offset = data.draw(st.integers(0, part.axis.n_in))
    sub, cut = part.axis.slice(start, stop, offset), slice(start - part.start, stop - part.start)
    for name in ("left", "right", "nearest", "corner"):
        np.testing.assert_array_equal(getattr(sub, name) + offset, getattr(part, name)[cut])
    names = ["rel_left", "rel_right", "rel_nearest", "rel_corner", "weight_left", "weight_right"]
    for name in names:
        # the same bits, not only close
        assert getattr(sub, name).tobytes() == getattr(part, name)[cut].tobytes(), name


@given(slices())
def test_types_and_lengths(part: AxisSlice) -> None:
    for name in ("index", "left", "right", "nearest", "corner"):
        assert getattr(part, name).dtype == np.int64
        assert getattr(part, name).shape == (len(part),)
    for name in ("rel_left", "rel_right", "rel_nearest", "rel_corner", "weight_left"):
        assert getattr(part, name).dtype == np.float32
        assert getattr(part, name).shape == (len(part),)
    assert part.weight_right.dtype == np.float32


@given(lengths, lengths)
def test_the_axis_is_symmetric_away_from_ties(n_in: int, n_out: int) -> None:
    axis = AxisMap(n_in, n_out)
    count = min(n_out, 12)
    head, tail = axis.slice(0, count), axis.slice(n_out - count, n_out)
    # a tie goes to the higher index on both sides, which a mirror turns round
    numerator = (2 * head.index + 1) * n_in - n_out
    assume((numerator % (2 * n_out) != 0).all())
    np.testing.assert_array_equal(head.left, n_in - 1 - tail.right[::-1])
    np.testing.assert_array_equal(head.rel_left, -tail.rel_right[::-1])


def test_ties_go_to_the_higher_index() -> None:
    # x2 down: centres of outputs lie on the edges between two LR pixels
    down = AxisMap(4, 2).slice(0, 2)
    assert down.nearest.tolist() == [1, 3]
    # x3: every middle output lies on a centre; there that code has all the weight
    odd = AxisMap(3, 9).slice(0, 9)
    assert odd.left.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2]
    assert odd.right.tolist() == [0, 1, 1, 1, 2, 2, 2, 2, 2]
    assert odd.weight_right[[1, 4, 7]].tolist() == [0, 0, 0]


def test_x2_by_hand() -> None:
    part = AxisMap(2, 4).slice(0, 4)
    assert part.left.tolist() == [0, 0, 0, 1]
    assert part.right.tolist() == [0, 1, 1, 1]
    assert part.rel_left.tolist() == [-0.5, 0.5, 1.5, 0.5]
    assert part.rel_right.tolist() == [-0.5, -1.5, -0.5, 0.5]
    assert part.weight_right.tolist() == [0, 0.25, 0.75, 0]
    assert part.rel_corner.tolist() == [0, 0.5, 0, 0.5]
    assert AxisMap(2, 4).scale == 2
    assert AxisMap(2, 4).cell == 1


def test_float32_coordinates_would_pick_other_codes_here() -> None:
    n_in, n_out = 2_500_000, 10_000_000
    part = AxisMap(n_in, n_out).slice(n_out - 4000, n_out)
    centre = (np.float32(2) * part.index.astype(np.float32) + np.float32(1)) * np.float32(
        n_in / (2 * n_out)
    )
    assert (np.floor(centre - np.float32(0.5)).astype(np.int64) != part.left).any()
    exact = [floor(position(part.axis, int(i)) - HALF) for i in part.index]
    assert part.left.tolist() == [min(code, n_in - 1) for code in exact]


@given(slices(), st.integers(0, 40))
def test_codes_are_all_within_the_radius_and_no_more(part: AxisSlice, radius: int) -> None:
    first, last = part.axis.codes(part.start, part.stop, radius)
    wanted = {
        code
        for near in (int(part.nearest[0]), int(part.nearest[-1]))
        for code in (near - radius, near + radius)
    }
    assert first == max(0, min(wanted))
    assert last == min(part.axis.n_in, max(wanted) + 1)


@given(slices(), st.integers(1, 5))
def test_ensemble_codes_lie_within_radius_one(part: AxisSlice, radius: int) -> None:
    first, last = part.axis.codes(part.start, part.stop, radius)
    moved = part.axis.slice(part.start, part.stop, first)
    for codes in (moved.left, moved.right, moved.nearest):
        assert codes.min() >= 0
        assert codes.max() < last - first


@given(small, small, st.integers(0, 59))
def test_functions_take_single_numbers_and_torch(n_in: int, n_out: int, index: int) -> None:
    import torch

    part = AxisMap(n_in, n_out).slice(index % n_out, index % n_out + 1)
    tensor = torch.tensor([index % n_out])
    left, nearest = left_code(tensor, n_in, n_out), nearest_code(tensor, n_in, n_out)
    assert int(left) == left_code(index % n_out, n_in, n_out)
    assert int(nearest) == part.nearest[0]
    rel = relative(tensor, nearest, n_in, n_out)
    assert float(rel) == pytest.approx(float(part.rel_nearest[0]), abs=1e-6)


@pytest.mark.parametrize("lengths", [(0, 4), (4, 0), (-1, 4)])
def test_axes_without_pixels_are_refused(lengths: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="1 pixel or more"):
        AxisMap(*lengths)


def test_axes_that_int64_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match=r"below 2\*\*62"):
        AxisMap(2**31, 2**31)
    # at the limit the last pixel is still right
    axis = AxisMap(2**31, 2**31 - 1)
    part = axis.slice(axis.n_out - 1, axis.n_out)
    assert part.nearest[0] == floor(position(axis, axis.n_out - 1))


@pytest.mark.parametrize("ends", [(-1, 2), (2, 2), (3, 2), (0, 6)])
def test_slices_outside_the_axis_are_refused(ends: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="of an axis of 5"):
        AxisMap(3, 5).slice(*ends)


@given(n_in=st.integers(1, 200), n_out=st.integers(1, 700), cuts=st.lists(st.integers(0, 200)))
def test_parts_of_an_axis_share_its_outputs_out(n_in: int, n_out: int, cuts: list[int]) -> None:
    axis = AxisMap(n_in, n_out)
    bounds = [0, *sorted(min(cut, n_in) for cut in cuts), n_in]
    seen: list[int] = []
    for start, stop in itertools.pairwise(bounds):
        first, last = axis.outputs(start, stop)
        for index in range(first, last):
            assert start * 2 * n_out <= (2 * index + 1) * n_in < stop * 2 * n_out
        seen += range(first, last)
    assert seen == list(range(n_out))
