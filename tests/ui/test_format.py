"""Numbers as text."""

from pathlib import Path

import pytest

from liif_cli.ui.format import Errors, duration, megapixels, named, rate, sides, size_of


def test_sides_are_width_first() -> None:
    assert sides((3000, 4000)) == "4000x3000"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**31, "2 GiB"), (3 * 2**40, "3 TiB")],
)
def test_bytes(count: int, text: str) -> None:
    assert size_of(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.123, "0.12 s"),
        (9.96, "10 s"),
        (12.4, "12 s"),
        (59.7, "1:00 min"),
        (187, "3:07 min"),
        (3599.8, "1:00:00 h"),
        (7509, "2:05:09 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("pixels", "text"), [(10_000, "0.01 Mpx"), (1_234_000, "1.23 Mpx"), (300_000_000, "300 Mpx")]
)
def test_megapixels(pixels: int, text: str) -> None:
    assert megapixels(pixels) == text


def test_rate_without_time_is_no_division_by_zero() -> None:
    assert rate(10, 0) == "- Mpx/s"
    assert rate(3_000_000, 2) == "1.5 Mpx/s"


def test_an_error_names_its_file_once() -> None:
    assert named(Path("a.png"), "a.png: got nothing") == "a.png: got nothing"
    assert named(Path("a.png"), "out of memory") == "a.png: out of memory"


def test_equal_errors_are_said_shortly() -> None:
    errors = Errors()
    first = errors.said(Path("in/a.png"), "out/a.png exists: size was 3x4")
    assert first == "in/a.png: out/a.png exists: size was 3x4"
    second = errors.said(Path("in/b.png"), "out/b.png exists: size was 30x41")
    assert second == "in/b.png: like a.png"
    assert "truncated" in errors.said(Path("in/c.png"), "in/c.png: truncated")
    # tried again, it is the first one still
    assert errors.said(Path("in/a.png"), "out/a.png exists: size was 3x4") == first
