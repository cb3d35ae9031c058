"""Recipes of degraded inputs: what a name means, real files, and the same pixels every time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liif_cli.bench.imresize import imresize
from liif_cli.bench.inputs import Step, degrade, describe, encode, parse_input, parse_inputs
from liif_cli.bench.protocol import Pair, make_pair
from liif_cli.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def picture(height: int, width: int) -> np.ndarray:
    """Smooth random colours (height, width, 3) uint8 that stay clear of black and white."""
    small = np.random.default_rng(5).integers(40, 216, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


HR = picture(96, 120)
PAIR = make_pair(HR, 2.0, "div2k")
NAMES = ("clean", "jpeg85", "jpeg85-420", "webp80", "avif60", "noise5", "noise2.5", "blur")
NAMES += ("blur1.2", "area", "lanczos", "nearest", "bilinear", "noise5+jpeg85-420", "blur+area")


def lr_of(name: str, pair: Pair = PAIR, image: str = "a", scale: float = 2.0) -> np.ndarray:
    return degrade(pair, parse_input(name), image, scale).lr


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_an_image_of_the_size_and_the_same_again(name: str) -> None:
    recipe = parse_input(name)
    assert recipe.name == name
    first = degrade(PAIR, recipe, "a", 2.0)
    assert first.lr.shape == (48, 60, 3)
    assert first.lr.dtype == np.uint8
    assert first.hr is PAIR.hr
    np.testing.assert_array_equal(first.lr, lr_of(name))
    assert (first.lr == PAIR.lr).all() == (name == "clean")
    assert describe(name) not in (name, "")


def test_another_process_makes_the_same_pixels() -> None:
    names = [name for name in NAMES if name != "clean"]
    code = (
        "import hashlib; from tests.bench.test_inputs import *;"
        f"print([hashlib.sha256(lr_of(name).tobytes()).hexdigest() for name in {names!r}])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    here = [hashlib.sha256(lr_of(name).tobytes()).hexdigest() for name in names]
    assert run.stdout.strip() == str(here)
    assert len(set(here)) == len(here), "each of its own"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" JPEG85 ", "jpeg85"),
        ("blur2", "blur"),
        ("noise5.0", "noise5"),
        ("blur2.0+area", "blur+area"),
    ],
)
def test_names_have_one_form(text: str, name: str) -> None:
    assert parse_input(text).name == name
    assert [recipe.name for recipe in parse_inputs([text, name, "clean"])] == [name, "clean"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jpg85", "did you mean 'jpeg85'"),
        ("jepg70-420", "did you mean 'jpeg70-420'"),
        ("nose5", "did you mean 'noise5'"),
        ("claen", "did you mean 'clean'"),
        ("webp80-420", "did you mean 'webp80'"),
        ("nosuchthing", r"clean, jpegQ, .*nearest, or several"),
        ("area3", "unknown input"),
        ("jpeg", "quality of 1 to 100, as jpeg85"),
        ("jpeg0", "quality of 1 to 100"),
        ("jpeg101", "quality of 1 to 100"),
        ("jpeg85.5", "quality of 1 to 100"),
        ("noise", "deviation above 0"),
        ("noise0", "deviation above 0"),
        ("blur99", "up to 32 HR pixels"),
        ("clean+jpeg85", "clean alone"),
        ("noise5+blur", "first a blur"),
        ("area+lanczos", "one kernel"),
        ("area+blur", "first a blur"),
        ("jpeg85++noise5", "unknown input"),
        ("", "unknown input"),
    ],
)
def test_wrong_names_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_input(text)


@pytest.mark.parametrize("quality", [1, 30, 50, 85, 100])
@pytest.mark.parametrize("halved", [False, True])
def test_jpeg_is_libjpegs_with_the_standard_tables(quality: int, halved: bool) -> None:
    data = encode(PAIR.lr, Step("jpeg", quality, halved))
    # Pillow's files have the standard tables too, scaled by libjpeg's formula for the quality
    reference = BytesIO()
    sampling = "4:2:0" if halved else "4:4:4"
    Image.fromarray(PAIR.lr).save(reference, "JPEG", quality=quality, subsampling=sampling)
    with Image.open(BytesIO(data)) as ours, Image.open(reference) as theirs:
        assert ours.format == "JPEG"
        tables = [dict(one.quantization) for one in (ours, theirs)]  # type: ignore[attr-defined]
        assert tables[0] == tables[1]
        factors = [layer[1:3] for layer in ours.layer]  # type: ignore[attr-defined]
        assert factors == [(2, 2) if halved else (1, 1), (1, 1), (1, 1)]
        name = f"jpeg{quality}{'-420' if halved else ''}"
        difference = lr_of(name).astype(int) - np.asarray(ours)
    # what the program reads of that file; another libjpeg may round otherwise
    assert np.abs(difference).max() <= 2
    if quality == 50:
        # the luma table of ISO/IEC 10918-1, annex K, as it stands there
        assert sorted(tables[0][0])[:4] == [10, 11, 12, 12]
        assert max(tables[0][0]) == 121


@pytest.mark.parametrize(("name", "kind"), [("webp70", "WEBP"), ("avif50", "AVIF")])
def test_the_other_files_are_real_too(name: str, kind: str) -> None:
    step = parse_input(name).steps[0]
    with Image.open(BytesIO(encode(PAIR.lr, step))) as image:
        assert image.format == kind
        theirs = np.asarray(image.convert("RGB")).astype(int)
    ours = lr_of(name).astype(int)
    assert np.abs(ours - theirs).mean() < 1
    assert 0.3 < np.abs(ours - PAIR.lr).mean() < 20


def test_noise_has_the_deviation_and_a_seed_of_image_and_scale() -> None:
    flat = Pair(
        np.full((200, 300, 3), (120, 128, 136), np.uint8), np.zeros((400, 600, 3), np.uint8)
    )
    noise = lr_of("noise5", flat).astype(float) - flat.lr
    assert noise.std() == pytest.approx(5, rel=0.02)
    assert abs(noise.mean()) < 0.1
    channels = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.02
    half = lr_of("noise2.5", flat).astype(float) - flat.lr
    # the same draw, so that levels can be compared; rounded to 8 bit each
    assert np.abs(noise / 2 - half).max() <= 0.75 + 1e-9
    for other in (lr_of("noise5", flat, image="b"), lr_of("noise5", flat, scale=3.0)):
        found = (other.astype(float) - flat.lr).ravel()
        assert abs(np.corrcoef(noise.ravel(), found)[0, 1]) < 0.02
    twice = lr_of("noise5+noise5", flat).astype(float) - flat.lr
    assert twice.std() == pytest.approx(5 * 2**0.5, rel=0.03)


@pytest.mark.parametrize(
    "name", ["noise5", "jpeg50", "jpeg50-420", "blur", "area", "noise5+jpeg85-420"]
)
def test_images_without_colour_stay_so(name: str) -> None:
    gray = np.repeat(HR[:, :, :1], 3, axis=2)
    lr = lr_of(name, make_pair(gray, 2.0, "div2k"))
    assert (lr == lr[:, :, :1]).all()


def test_blur_is_gaussian_and_before_the_reduction() -> None:
    gaussian = pytest.importorskip("skimage.filters").gaussian
    for name, sigma in (("blur", 2.0), ("blur1.2", 1.2)):
        # OpenCV cuts the kernel at three deviations, and mirrors without the edge pixel
        soft = gaussian(HR, sigma, mode="mirror", truncate=3.0, preserve_range=True, channel_axis=2)
        expected = imresize(np.rint(soft).astype(np.uint8), (48, 60))
        assert np.abs(lr_of(name).astype(int) - expected).max() <= 2
    assert lr_of("blur").std() < lr_of("blur1.2").std() < PAIR.lr.std()


@pytest.mark.parametrize("scale", [2.0, 3.0])
def test_kernels_are_pillows(scale: float) -> None:
    pair = make_pair(HR, scale, "div2k")
    size = pair.lr.shape[1::-1]
    filters = {
        "area": Image.Resampling.BOX,
        "bilinear": Image.Resampling.BILINEAR,
        "lanczos": Image.Resampling.LANCZOS,
    }
    for name, kernel in filters.items():
        expected = np.asarray(Image.fromarray(pair.hr).resize(size, kernel)).astype(int)
        assert np.abs(lr_of(name, pair, scale=scale) - expected).max() <= 1
    # at x3 an HR pixel sits in the middle of an LR pixel; at x2 the one right below it is taken
    np.testing.assert_array_equal(
        lr_of("nearest", pair, scale=scale), pair.hr[1 :: int(scale), 1 :: int(scale)]
    )


def test_given_lr_files_are_what_noise_and_files_start_from() -> None:
    given = make_pair(HR, 2.0, "benchmark", np.full((48, 60, 3), 77, np.uint8))
    assert (lr_of("jpeg85", given) == 77).all()
    assert abs(lr_of("noise5", given).mean() - 77) < 1
    np.testing.assert_array_equal(lr_of("area", given), lr_of("area"))
    np.testing.assert_array_equal(lr_of("blur", given), lr_of("blur"))


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("clean", 0),
        ("jpeg85", 15),
        ("jpeg50-420", 50),
        ("noise5", 0),
        ("blur", 0),
        ("noise5+jpeg70", 30),
        ("jpeg70+noise5", 0),
    ],
)
def test_the_level_of_loss_is_that_of_the_last_file(name: str, level: float) -> None:
    assert degrade(PAIR, parse_input(name), "a", 2.0).cleanup == pytest.approx(level)


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_other_lossy_files_have_a_level_too(kind: str) -> None:
    high, low = (degrade(PAIR, parse_input(f"{kind}{q}"), "a", 2.0).cleanup for q in (90, 20))
    assert 0 < high < low < 100
