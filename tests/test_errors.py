"""Errors: one line that says what, got, expected and the cure; an exit code a class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liif_cli import errors
from liif_cli.errors import Interrupted, LiifError, UsageError, printable

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("写真　№ 1 é.png", "写真　№ 1 é.png"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31mred\x7f\x9b", "\\x1b[31mred\\x7f\\x9b"),
        (b"caf\xe9".decode(errors="surrogateescape"), "caf\\xe9"),
        ("txt.\u202egnp", "txt.\\u202egnp"),
        ("\ud800\u2028", "\\ud800\\u2028"),
    ],
)
def test_names_cannot_steer_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert str(LiifError(text, got="x")) == f"{shown}: got x"


@given(st.text(st.characters()))
def test_anything_can_be_shown_on_one_line(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert len(shown.splitlines()) <= 1
    assert not any(ord(char) < 32 for char in shown)


def test_exit_codes() -> None:
    assert len(CLASSES) > 5
    special = {UsageError: 2, Interrupted: 3}
    for kind in CLASSES:
        assert kind("x").exit_code == special.get(kind, 1), kind


def test_no_two_codes_are_the_same() -> None:
    codes = [errors.EXIT_OK, errors.EXIT_FAILED, errors.EXIT_USAGE, errors.EXIT_INTERRUPTED]
    assert codes == [0, 1, 2, 3]
