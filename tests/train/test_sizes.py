"""Photos of varied target sizes: the pairs are what the paper's set-up says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from liif_cli.errors import TrainError
from liif_cli.train.overrides import override
from liif_cli.train.presets import preset
from liif_cli.train.sizes import VariedSampler, make_sampler, reduce_square, target_sides

VALUES = {"crop": "12", "samples": "60", "target_min": "12", "target_max": "24"}


def photo(height: int, width: int, seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def test_target_sides_are_the_papers() -> None:
    sides = target_sides(25, 64, 128)
    assert (sides[0], sides[12], sides[-1]) == (64, 96, 128)
    assert sides == sorted(sides)
    assert target_sides(1, 64, 128) == [64]


@pytest.mark.parametrize(("height", "width", "side"), [(40, 50, 24), (61, 30, 13), (24, 24, 24)])
def test_a_square_is_reduced_as_pillow_does(height: int, width: int, side: int) -> None:
    pixels = photo(height, width, 1)
    whole = min(height, width)
    top, left = (height - whole) // 2, (width - whole) // 2
    square = Image.fromarray(pixels).crop((left, top, left + whole, top + whole))
    expected = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC)).astype(int)
    got = reduce_square(pixels, side).astype(int)
    assert np.abs(got - expected).max() <= 1
    assert (got != expected).mean() < 0.01
    with pytest.raises(TrainError, match="expected 62"):
        reduce_square(pixels, 62)


def test_a_batch_pairs_each_input_with_its_own_target() -> None:
    photos = [photo(40, 50, seed) for seed in range(4)]
    recipe = override(preset("edsr-small-liif-sizes"), VALUES)
    generator = torch.Generator().manual_seed(3)
    sampler = make_sampler(recipe, photos, "ensemble", generator, torch.device("cpu"))
    assert isinstance(sampler, VariedSampler)
    hr, lr, side, cleanup = sampler._pairs(32)
    assert not cleanup.any()
    assert hr.shape[1] == side.max()
    mirrors = set()
    for index in range(32):
        number = [12, 16, 20, 24].index(int(side[index]))
        target = reduce_square(photos[number], int(side[index]))
        small = reduce_square(photos[number], 12)
        got = hr[index, : side[index], : side[index]].numpy()
        mirrored = not np.array_equal(got, target)
        mirrors.add(mirrored)
        step = -1 if mirrored else 1
        np.testing.assert_array_equal(got, target[:, ::step])
        expected = np.moveaxis(small[:, ::step], -1, 0)
        np.testing.assert_array_equal(lr[index].numpy(), expected.astype(np.float32))
    assert mirrors == {False, True}
    batch = sampler.draw(5)
    assert batch.image.shape == (5, 3, 12, 12)
    assert batch.target.shape == (5, 60, 3)
    assert set((24 / batch.cell[:, 0]).round().int().tolist()) <= {12, 16, 20, 24}
