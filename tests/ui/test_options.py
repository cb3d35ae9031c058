"""What option texts mean, and what is said about wrong ones."""

from fractions import Fraction
from typing import Any

import click
import pytest

from liif_cli.errors import UsageError
from liif_cli.geometry.size import SizeRequest
from liif_cli.ui.requests import name_template, size_request
from liif_cli.ui.types import (
    AssignmentType,
    CleanupType,
    DeviceType,
    MemoryType,
    ScaleType,
    SizeType,
)


def convert(kind: click.ParamType, text: str) -> Any:
    return kind.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1073741824", 2**30),
        ("512B", 512),
        ("2GiB", 2**31),
        ("2gib", 2**31),
        ("1.5 GiB", 3 * 2**29),
        ("500MB", 500_000_000),
        ("3KB", 3000),
        ("3KiB", 3072),
        ("1TiB", 2**40),
    ],
)
def test_memory(text: str, count: int) -> None:
    assert convert(MemoryType(), text) == count


@pytest.mark.parametrize("text", ["", "GiB", "2lb", "-2GiB", "0", "0.1B", "2 G i B", "nan", "1e9"])
def test_memory_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected bytes above 0.*--max-memory 2GiB"):
        convert(MemoryType(), text)


@pytest.mark.parametrize(
    "text", ["auto", "cpu", "cuda", "cuda:0", "cuda:12", "CUDA:1", " cpu ", "mps"]
)
def test_device(text: str) -> None:
    assert convert(DeviceType(), text) == text.strip().lower()


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:x", "cuda:-1", "mps:x", ""])
def test_device_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="expected auto, cpu, cuda, cuda:N"):
        convert(DeviceType(), text)


@pytest.mark.parametrize(
    ("text", "level"),
    [("auto", None), ("none", 0.0), ("0", 0.0), ("15", 15.0), ("37.5", 37.5), (" 100 ", 100.0)],
)
def test_cleanup(text: str, level: float | None) -> None:
    assert convert(CleanupType(), text) == level


@pytest.mark.parametrize("text", ["", "some", "-1", "100.1", "1e1", "nan", "inf", "0x10", "10%"])
def test_cleanup_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"--cleanup: got .*expected auto, none or a number of 0"):
        convert(CleanupType(), text)


def test_size_and_scale_are_width_first() -> None:
    assert convert(SizeType(), "400x300").output_shape(10, 10) == (300, 400)
    assert convert(ScaleType(), "2x3").output_shape(10, 10) == (30, 20)
    assert convert(ScaleType(), "3.7").scale == (Fraction(37, 10), Fraction(37, 10))


@pytest.mark.parametrize("text", ["0x10", "10x0", "-3x4", "x", "1.5x2"])
def test_size_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"--size: got .*for instance --size"):
        convert(SizeType(), text)


@pytest.mark.parametrize("text", ["0", "-2", "2y", "0x2", "four", "inf"])
def test_scale_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"--scale: got .*for instance --scale"):
        convert(ScaleType(), text)


def test_assignment() -> None:
    assert convert(AssignmentType(), "lr=1e-3") == ("lr", "1e-3")
    for text in ("lr", "=3", "lr="):
        with pytest.raises(UsageError, match="name=value"):
            convert(AssignmentType(), text)


def test_one_of_size_and_scale() -> None:
    size, scale = SizeRequest.from_size("40x30"), SizeRequest.from_scale("2")
    assert size_request(size, None, None).fit == "exact"
    assert size_request(size, None, "cover").fit == "cover"
    assert size_request(None, scale, None) == scale
    with pytest.raises(UsageError, match="both --size and --scale"):
        size_request(size, scale, None)
    with pytest.raises(UsageError, match=r"neither --size nor --scale.*for instance"):
        size_request(None, None, None)
    with pytest.raises(UsageError, match="leave --fit out"):
        size_request(None, scale, "inside")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{stem}", "{stem}"),
        ("{stem}_{scale}x", "{stem}_3.7x"),
        ("{model}-{stem}-{size}", "quality-{stem}-3.7x"),
        ("a{{b}}{stem}", "a{b}{stem}"),
    ],
)
def test_names_are_filled_in(text: str, expected: str) -> None:
    wanted = SizeRequest(scale=(Fraction("3.7"), Fraction("3.7")))
    assert name_template(text, wanted, "quality") == expected


def test_a_model_s_path_is_its_name() -> None:
    wanted = SizeRequest(long_side=8000)
    assert name_template("{stem}.{model}.{size}", wanted, "w/my.safetensors") == "{stem}.my.8000"


@pytest.mark.parametrize(
    "text",
    ["{stem}{x}", "{stem}{0}", "{stem}{}", "{stem", "{stem!r}", "{stem:>9}", "{scale}{stem}"],
)
def test_wrong_templates_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        name_template(text, SizeRequest(width=4000), "m")
