"""Errors: one line that says what, got, expected and the cure; an exit code a class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liif_cli import errors
from liif_cli.errors import Interrupted, LiifError, UsageError

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, LiifError)
]


def test_the_whole_message() -> None:
    error = UsageError("--size", got="'0x5'", expected="WxH above 0", cure="try --size 4x5")
    assert str(error) == "--size: got '0x5', expected WxH above 0; try --size 4x5"
    assert (error.what, error.got) == ("--size", "'0x5'")
    assert (error.expected, error.cure) == ("WxH above 0", "try --size 4x5")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "broken"),
        ({"got": "a"}, "broken: got a"),
        ({"expected": "b"}, "broken: expected b"),
        ({"cure": "mend it"}, "broken; mend it"),
        ({"got": "a", "cure": "mend it"}, "broken: got a; mend it"),
    ],
)
def test_parts_left_out_leave_no_trace(parts: dict[str, str], message: str) -> None:
    assert str(LiifError("broken", **parts)) == message


TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)


@given(TEXT, TEXT, TEXT, TEXT)
def test_every_part_is_said_on_one_line(what: str, got: str, expected: str, cure: str) -> None:
    message = str(LiifError(what, got=got, expected=expected, cure=cure))
    assert all(part in message for part in (what, got, expected, cure))
    assert len(message.splitlines()) == 1


def test_exit_codes() -> None:
    assert len(CLASSES) > 5
    special = {UsageError: 2, Interrupted: 3}
    for kind in CLASSES:
        assert kind("x").exit_code == special.get(kind, 1), kind


def test_no_two_codes_are_the_same() -> None:
    codes = [errors.EXIT_OK, errors.EXIT_FAILED, errors.EXIT_USAGE, errors.EXIT_INTERRUPTED]
    assert codes == [0, 1, 2, 3]
