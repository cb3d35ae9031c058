"""What each policy tells a network, and its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liif_cli.errors import UsageError
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.cell import CLAMPED, SCALED, CellPolicy

AXES = st.builds(AxisMap, st.integers(1, 500), st.integers(1, 20_000))


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("scaled", SCALED),
        (" Clamped ", CLAMPED),
        ("clamped:2.5", CellPolicy(clamped=True, largest_scale=2.5)),
        ("1", SCALED),
        ("0.5", CellPolicy(factor=0.5)),
        (".5", CellPolicy(factor=0.5)),
        ("3e-2", CellPolicy(factor=0.03)),
    ],
)
def test_parse_and_back(text: str, policy: CellPolicy) -> None:
    assert CellPolicy.parse(text) == policy
    assert CellPolicy.parse(str(policy)) == policy


@given(st.floats(1e-6, 1e6), st.booleans())
def test_text_both_ways(number: float, clamped: bool) -> None:
    number = float(f"{number:g}") if clamped else number
    policy = CellPolicy(clamped=True, largest_scale=number) if clamped else CellPolicy(number)
    assert CellPolicy.parse(str(policy)) == policy


@pytest.mark.parametrize(
    "text",
    ["", "foo", "0", "-1", "nan", "inf", "1e999", "clamped:", "clamped:0", "scaled:2", "2:3", "x2"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--cell.*scaled, clamped"):
        CellPolicy.parse(text)


def test_of_takes_what_callers_have() -> None:
    assert CellPolicy.of(SCALED) is SCALED
    assert CellPolicy.of("clamped") == CLAMPED
    assert CellPolicy.of(2) == CellPolicy(factor=2.0)


@given(AXES)
def test_scaled_is_the_true_size_and_a_factor_multiplies_it(axis: AxisMap) -> None:
    assert SCALED.told(axis) == 2 * axis.n_in / axis.n_out
    assert CellPolicy(factor=0.25).told(axis) == axis.cell / 4


@given(AXES, st.floats(1, 30))
def test_a_clamp_acts_beyond_the_largest_scale_only(axis: AxisMap, largest: float) -> None:
    told = CellPolicy(clamped=True, largest_scale=largest).told(axis)
    if axis.scale <= largest:
        assert told == pytest.approx(axis.cell, rel=1e-15)
    else:
        assert told == 2 / largest


def test_a_clamp_acts_on_each_axis_by_itself() -> None:
    rows, cols = AxisMap(10, 20), AxisMap(10, 120)
    assert (CLAMPED.told(rows), CLAMPED.told(cols)) == (1.0, 0.5)
    assert CLAMPED.at(rows, cols) == CLAMPED
    assert CLAMPED.at(rows, AxisMap(7, 28)) == SCALED


def test_a_model_sets_the_limit_unless_one_is_given() -> None:
    assert CLAMPED.of_model(8.0) == CellPolicy(clamped=True, largest_scale=8.0)
    assert CellPolicy.parse("clamped:3").of_model(8.0) == CellPolicy.parse("clamped:3")
    assert CellPolicy(factor=2).of_model(8.0) == CellPolicy(factor=2)


def test_a_refusal_names_what_was_typed_and_what_to_type() -> None:
    with pytest.raises(UsageError) as refused:
        CellPolicy.parse("tiny")
    assert str(refused.value) == (
        "--cell: got 'tiny', expected scaled, clamped, or a factor above 0; "
        "for instance --cell clamped"
    )
