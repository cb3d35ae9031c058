"""Which LR belongs to an image, and the conformance outputs scored by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from liif_cli.bench.imresize import imresize, pillow_bicubic
from liif_cli.bench.methods import Choice, load_methods
from liif_cli.bench.protocol import TooSmall, make_pair, score
from liif_cli.bench.timed import Place
from liif_cli.engine.machine import resolve_device
from liif_cli.errors import InputError
from tests.conformance.published import CASES, GOLDEN, formula_image, golden_rgb

HR = np.random.default_rng(3).integers(0, 256, (131, 150, 3), dtype=np.uint8)


def test_small_whole_scales_are_matlabs_and_others_pillows() -> None:
    pair = make_pair(HR, 3.0, "benchmark")
    np.testing.assert_array_equal(pair.hr, HR[:129, :150])
    np.testing.assert_array_equal(pair.lr, imresize(HR[:129, :150], (43, 50)))
    pair = make_pair(HR, 6.0, "benchmark")
    np.testing.assert_array_equal(pair.lr, pillow_bicubic(HR[:126, :150], (21, 25)))


def test_fractions_are_the_decimal_that_was_written() -> None:
    # 131 / 3.7 = 35.4 and 148 / 3.7 = 40 exactly, which floats may miss
    pair = make_pair(HR[:, :148], 3.7, "benchmark")
    assert pair.lr.shape[:2] == (35, 40)
    assert pair.hr.shape[:2] == (round(35 * 37 / 10), 148)
    np.testing.assert_array_equal(pair.lr, pillow_bicubic(pair.hr, (35, 40)))


def test_a_given_file_is_used_and_must_fit() -> None:
    given = np.zeros((65, 75, 3), np.uint8)
    pair = make_pair(HR, 2.0, "benchmark", given)
    assert pair.lr is given
    assert pair.hr.shape == (130, 150, 3)
    for shape in ((66, 75, 3), (64, 75, 3), (43, 50, 3)):
        with pytest.raises(InputError, match="LR file for x2") as caught:
            make_pair(HR, 2.0, "benchmark", np.zeros(shape, np.uint8))
        assert not isinstance(caught.value, TooSmall)


def test_too_small_images_are_told_apart() -> None:
    make_pair(HR, 30.0, "benchmark")
    with pytest.raises(TooSmall, match="x30"):
        make_pair(HR[:60], 30.0, "div2k")
    with pytest.raises(TooSmall):
        make_pair(HR[:20], 30.0, "benchmark")


@pytest.mark.parametrize("protocol", ["div2k", "benchmark"])
@pytest.mark.parametrize("name", [path.stem for path in sorted(GOLDEN.glob("*.pth"))])
def test_conformance_models_score_as_their_published_outputs(name: str, protocol: str) -> None:
    """The whole way: loader, tiled renderer, clamp, metric."""
    case = CASES[name]
    lr = formula_image(*case["lr_shape"])
    shape = tuple(case["hr_shape"])
    place = Place(resolve_device("cpu"), 2)
    method = load_methods([Choice(str(GOLDEN / f"{name}.pth"))], place)[0]
    truth = imresize(lr, shape)
    expected = score(golden_rgb(name) * 0.5 + 0.5, truth, 2.0, protocol)
    ours = score(method.run(lr, shape, protocol).colours, truth, 2.0, protocol)
    assert ours[0] == pytest.approx(expected[0], abs=0.01)
    if expected[1] is not None:
        assert ours[1] == pytest.approx(expected[1], abs=1e-4)


def test_golden_checkpoints_are_there() -> None:
    assert len(list(Path(GOLDEN).glob("*.pth"))) == 2
