"""What an output's format can hold, and which of its choices are taken."""

from __future__ import annotations

import dataclasses

import pytest

from liif_cli.errors import OutputError, UsageError
from liif_cli.geometry.size import SizeRequest
from liif_cli.plan.choices import (
    check_compression,
    check_format,
    choose,
    chosen_compression,
    chosen_quality,
)
from liif_cli.plan.spec import InputFacts, OutputFacts, RenderSpec

PNG = InputFacts("in/a.png", "png", (30, 40, 3), "uint8", digest="d")
PHOTO = dataclasses.replace(PNG, format="jpg", cleanup=8.4)
JPEG = OutputFacts("out/a.jpg", "jpg", 0, quality=90, streams=False)
WEBP = OutputFacts("out/a.webp", "webp", 0, quality=90, compressions=("lossy", "lossless"))
TIFF = OutputFacts("out/a.tif", "tiff", 0, compressions=("deflate", "jpeg"))
AVIF = OutputFacts("out/a.avif", "avif", 0, quality=85)


def spec_of(**options: object) -> RenderSpec:
    return RenderSpec(size=SizeRequest.from_scale("2"), model="m", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "source", "output", "compression", "quality"),
    [
        # the format's own is written as 0, as of outputs that were made before there was a choice
        (None, PNG, JPEG, "", 0),
        (90, PNG, JPEG, "", 0),
        (91, PNG, JPEG, "", 91),
        (5, PNG, JPEG, "", 5),
        # a photo of quality 91.6 keeps it, one of less gets the format's
        (None, PHOTO, JPEG, "", 92),
        (None, dataclasses.replace(PHOTO, cleanup=10.0), JPEG, "", 0),
        (None, dataclasses.replace(PHOTO, cleanup=30.0), JPEG, "", 0),
        (None, dataclasses.replace(PHOTO, cleanup=11.0), AVIF, "", 89),
        (80, PHOTO, JPEG, "", 80),
        # no quality where nothing is lost
        (None, PHOTO, WEBP, "lossless", 0),
        (70, PHOTO, WEBP, "lossless", 0),
        (None, PHOTO, WEBP, "", 92),
        (None, PHOTO, TIFF, "deflate", 0),
        (70, PHOTO, TIFF, "deflate", 0),
        (70, PHOTO, dataclasses.replace(JPEG, format="dzi"), "png", 0),
        (70, PHOTO, dataclasses.replace(JPEG, format="dzi"), "jpeg", 70),
        # of a format that has none of its own only what was asked for counts
        (70, PHOTO, TIFF, "jpeg", 70),
        (70, PHOTO, TIFF, "lossy", 70),
        (None, PHOTO, TIFF, "jpeg", 0),
    ],
)
def test_quality(
    asked: int | None,
    source: InputFacts,
    output: OutputFacts,
    compression: str,
    quality: int,
) -> None:
    assert chosen_quality(spec_of(quality=asked), source, output, compression) == quality


@pytest.mark.parametrize(
    ("asked", "source", "output", "chosen"),
    [
        ("auto", PNG, TIFF, "deflate"),
        ("jpeg", PNG, TIFF, "jpeg"),
        ("auto", PNG, JPEG, ""),
        ("auto", PNG, WEBP, ""),
        ("lossy", PNG, WEBP, ""),
        ("lossless", PNG, WEBP, "lossless"),
        # a WebP without loss stays one unless it is told otherwise
        ("auto", dataclasses.replace(PNG, format="webp"), WEBP, "lossless"),
        ("lossy", dataclasses.replace(PNG, format="webp"), WEBP, ""),
        ("auto", dataclasses.replace(PHOTO, format="webp"), WEBP, ""),
    ],
)
def test_compression(asked: str, source: InputFacts, output: OutputFacts, chosen: str) -> None:
    assert chosen_compression(spec_of(compression=asked), source, output) == chosen


def test_a_choice_that_is_not_offered_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError) as refused:
        choose("--compression", "lzw", "tiff", "out/a.tif", ("deflate", "jpeg"))
    assert str(refused.value) == (
        "--compression: got lzw for out/a.tif, expected for tiff deflate, jpeg; "
        "leave it out, or choose another --format"
    )
    with pytest.raises(UsageError, match="expected for jpg no choice at all;"):
        choose("--compression", "lzw", "jpg", "out/a.jpg", ())
    assert choose("--pyramid", "auto", "jpg", "out/a.jpg", ()) == ""


@pytest.mark.parametrize(
    ("source", "output", "words"),
    [
        (
            dataclasses.replace(PNG, dtype="float32"),
            dataclasses.replace(JPEG, dtypes=("uint8", "uint16")),
            "jpg cannot hold float32 samples (out/a.jpg): expected uint8, uint16; "
            "use --format tiff or --format zarr",
        ),
        (
            dataclasses.replace(PNG, shape=(3, 4, 4), alpha=True),
            dataclasses.replace(JPEG, channels=(1, 3)),
            "(out/a.jpg); use --format png, webp, tiff or zarr",
        ),
        (
            dataclasses.replace(PNG, shape=(3, 4, 2), alpha=True),
            dataclasses.replace(JPEG, channels=(1, 3)),
            "(out/a.jpg); use --format png, webp, tiff or zarr",
        ),
        (
            dataclasses.replace(PNG, shape=(3, 4, 5)),
            dataclasses.replace(JPEG, channels=(1, 3)),
            "(out/a.jpg); use --format tiff or --format zarr",
        ),
        (
            dataclasses.replace(PNG, nodata=-9999.0),
            dataclasses.replace(JPEG, nodata=False),
            "jpg cannot say where nothing was measured (out/a.jpg): got an input whose nodata is "
            "-9999; use --format tiff, cog or zarr",
        ),
        (
            PNG,
            dataclasses.replace(JPEG, max_side=69),
            "jpg cannot hold this size (out/a.jpg): got 60x70, expected at most 69 pixels per "
            "side; use --format tiff or --format zarr",
        ),
    ],
)
def test_what_a_format_cannot_hold(source: InputFacts, output: OutputFacts, words: str) -> None:
    with pytest.raises(OutputError) as refused:
        check_format(output, (70, 60), source)
    assert str(refused.value).endswith(words)


def test_what_a_format_just_holds() -> None:
    nodata = dataclasses.replace(PNG, nodata=0.0)
    check_format(dataclasses.replace(JPEG, max_side=70), (60, 70), nodata)
    check_format(dataclasses.replace(JPEG, channels=(3,), nodata=False), (60, 70), PNG)


def test_samples_that_a_compression_cannot_hold() -> None:
    check_compression("jpeg", TIFF, PNG)
    with pytest.raises(OutputError) as refused:
        check_compression("jpeg", TIFF, dataclasses.replace(PNG, dtype="uint16"))
    text = str(refused.value)
    assert text.startswith("tiff cannot be compressed so (out/a.tif): got 3 channels of uint16,")
    assert text.endswith("; leave out --compression")


def test_the_refusal_of_a_compression_names_the_option() -> None:
    with pytest.raises(UsageError) as refused:
        chosen_compression(spec_of(compression="zstd"), PNG, TIFF)
    assert str(refused.value) == (
        "--compression: got zstd for out/a.tif, expected for tiff deflate, jpeg; "
        "leave it out, or choose another --format"
    )
