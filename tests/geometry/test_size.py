"""Sizes and scales as the user writes them, to exact output shapes."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liif_cli.errors import UsageError
from liif_cli.geometry.size import SizeRequest, aspect_change

sides = st.integers(1, 30_000)


@given(sides, sides, sides, sides)
def test_exact_is_what_was_asked(width: int, height: int, in_height: int, in_width: int) -> None:
    request = SizeRequest.from_size(f"{width}x{height}")
    assert (request.width, request.height, request.scale) == (width, height, None)
    assert request.output_shape(in_height, in_width) == (height, width)


@given(sides, sides, sides)
def test_one_side_follows_the_aspect(side: int, in_height: int, in_width: int) -> None:
    height, width = SizeRequest.from_size(f"{side}x").output_shape(in_height, in_width)
    assert width == side
    assert height == max(1, int(Fraction(side * in_height, in_width) + Fraction(1, 2)))
    height, width = SizeRequest.from_size(f"x{side}").output_shape(in_height, in_width)
    assert height == side
    assert width == max(1, int(Fraction(side * in_width, in_height) + Fraction(1, 2)))


@given(sides, sides, sides, sides)
def test_inside_and_cover_touch_one_side(
    width: int, height: int, in_height: int, in_width: int
) -> None:
    text = f"{width}x{height}"
    inside = SizeRequest.from_size(text, fit="inside").output_shape(in_height, in_width)
    cover = SizeRequest.from_size(text, fit="cover").output_shape(in_height, in_width)
    assert inside[0] <= height
    assert inside[1] <= width
    assert cover[0] >= height
    assert cover[1] >= width
    for shape in (inside, cover):
        assert shape[0] == height or shape[1] == width
        # the other side is that of the same factor, to within half a pixel, and at least 1
        exact = [Fraction(shape[1] * in_height, in_width), Fraction(shape[0] * in_width, in_height)]
        off = [abs(shape[0] - max(1, exact[0])), abs(shape[1] - max(1, exact[1]))]
        assert min(off) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("4", (4, 4)),
        ("x4", (4, 4)),
        ("X4", (4, 4)),
        ("3.7", (Fraction(37, 10), Fraction(37, 10))),
        ("2x3", (2, 3)),
        ("2X3.5", (2, Fraction(7, 2))),
        (".5", (Fraction(1, 2), Fraction(1, 2))),
        ("5.", (5, 5)),
        (" 2 ", (2, 2)),
        ("0.1", (Fraction(1, 10), Fraction(1, 10))),
    ],
)
def test_scales_are_exact_fractions_width_first(text: str, scale: tuple[Fraction, ...]) -> None:
    assert SizeRequest.from_scale(text).scale == scale


@given(st.decimals("0.01", "40", places=2), sides, sides)
def test_scale_rounds_half_up(scale: object, height: int, width: int) -> None:
    shape = SizeRequest.from_scale(str(scale)).output_shape(height, width)
    for side, length in zip(shape, (height, width), strict=True):
        exact = length * Fraction(str(scale))
        assert side >= 1
        assert (
            side == 1
            or -Fraction(1, 2) < exact - side < Fraction(1, 2)
            or (exact - side == -Fraction(1, 2))
        )


def test_scale_of_two_numbers_is_width_then_height() -> None:
    assert SizeRequest.from_scale("2x3").output_shape(10, 100) == (30, 200)


def test_a_float_would_have_rounded_wrongly() -> None:
    # 1.15 * 10 is 11.5 exactly, and 11.499999999999998 where 1.15 is a float
    assert SizeRequest.from_scale("1.15").output_shape(10, 10) == (12, 12)


def test_no_side_becomes_zero() -> None:
    assert SizeRequest.from_scale("0.001").output_shape(10, 10) == (1, 1)
    assert SizeRequest.from_size("1x").output_shape(1, 1000) == (1, 1)


BAD_SIZES = ["", "x", "0x10", "10x0", "0x", "-5x5", "5x-5", "1.5x2", "axb", "10x10x10"]
BAD_SIZES += ["1e3x1e3", "٣x٤", "9999999999x1", "1" * 5000 + "x1"]


@pytest.mark.parametrize("text", BAD_SIZES)
def test_what_is_no_size_is_refused_with_the_cure(text: str) -> None:
    with pytest.raises(UsageError, match=r"--size: got .* expected WxH.*; for instance") as caught:
        SizeRequest.from_size(text)
    assert repr(text) in str(caught.value)


BAD_SCALES = ["", "x", "0", "0.0", "0x2", "2x0", "-2", "2x-1", "two", "2x3x4", "1e2", "2,5", "inf"]
BAD_SCALES += ["nan", "٣", "1/3", "9999999999", "0." + "3" * 5000]


@pytest.mark.parametrize("text", BAD_SCALES)
def test_what_is_no_scale_is_refused_with_the_cure(text: str) -> None:
    with pytest.raises(UsageError, match=r"--scale: got .* expected a number above 0"):
        SizeRequest.from_scale(text)


@given(st.text(alphabet="0123456789xX.- ", max_size=12))
def test_any_text_is_a_request_or_a_usage_error(text: str) -> None:
    for parse in (SizeRequest.from_size, SizeRequest.from_scale):
        try:
            shape = parse(text).output_shape(7, 9)
        except UsageError:
            continue
        assert min(shape) >= 1


@given(sides, sides, st.integers(1, 20))
def test_a_whole_scale_keeps_the_aspect(height: int, width: int, scale: int) -> None:
    assert aspect_change((height, width), (height * scale, width * scale)) == 0


def test_aspect_change_has_a_sign() -> None:
    assert aspect_change((100, 100), (100, 101)) == pytest.approx(0.01)
    assert aspect_change((100, 100), (200, 100)) == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("request_", "label", "shape"),
    [
        (SizeRequest(long_side=8000), "8000", (4000, 8000)),
        (SizeRequest(short_side=300), "300", (300, 600)),
        (SizeRequest(pixels=2_000_000), "2mp", (1000, 2000)),
        (SizeRequest(pixels=500_000), "0.5mp", (500, 1000)),
        (SizeRequest(width=640), "640x", (320, 640)),
        (SizeRequest(height=90), "x90", (90, 180)),
        (SizeRequest(width=7, height=9), "7x9", (9, 7)),
        (SizeRequest.from_scale("3.7"), "3.7x", (370, 740)),
        (SizeRequest.from_scale("2x3"), "2x3", (300, 400)),
    ],
)
def test_every_kind_of_request_on_a_wide_image(
    request_: SizeRequest, label: str, shape: tuple[int, int]
) -> None:
    assert request_.output_shape(100, 200) == shape
    assert request_.label == label


def test_sides_are_those_of_the_image_however_it_lies() -> None:
    assert SizeRequest(long_side=80).output_shape(20, 10) == (80, 40)
    assert SizeRequest(short_side=80).output_shape(20, 10) == (160, 80)


@given(height=st.integers(1, 5000), width=st.integers(1, 5000), pixels=st.integers(1, 10**9))
def test_pixels_are_met_but_for_rounding_and_the_aspect_is_kept(
    height: int, width: int, pixels: int
) -> None:
    rows, cols = SizeRequest(pixels=pixels).output_shape(height, width)
    exact = math.sqrt(pixels * height / width), math.sqrt(pixels * width / height)
    assert abs(rows - max(1, exact[0])) <= 0.5 + 1e-6 * exact[0]
    assert abs(cols - max(1, exact[1])) <= 0.5 + 1e-6 * exact[1]


@pytest.mark.parametrize(
    ("text", "scale"),
    [("4x", 4), ("400%", 4), ("12.5 %", Fraction(1, 8)), ("50%", 0.5), ("1.5\u00d7", 1.5)],
)
def test_factors_and_percentages(text: str, scale: object) -> None:
    expected = Fraction(scale), Fraction(scale)  # type: ignore[arg-type]
    assert SizeRequest.from_scale(text).scale == expected
    if text.endswith("%"):
        assert SizeRequest.from_size(text).scale == expected


@pytest.mark.parametrize("text", ["0x", "0%", "0.000 x", "%", "-1%"])
def test_a_factor_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        SizeRequest.from_scale(text)
    assert str(refused.value).endswith(
        "expected a number above 0, or two as WxH factors; for instance --scale 4 or --scale 2x3"
    )


def test_refusals_name_what_was_typed() -> None:
    with pytest.raises(UsageError) as refused:
        SizeRequest.from_scale("big")
    assert str(refused.value).startswith("--scale: got 'big', ")
    with pytest.raises(UsageError) as refused:
        SizeRequest.from_size("0x7")
    assert str(refused.value) == (
        "--size: got '0x7', expected WxH, Wx or xH in whole pixels above 0, 4k, or a percentage; "
        "for instance --size 4000x3000"
    )
