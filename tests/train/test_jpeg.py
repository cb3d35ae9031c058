"""JPEG as matrix products: the pixels that libjpeg decodes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from liif_cli.train.jpeg import MCU, quantisation_tables, recompress


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Soft colours, hard edges and grain, out to pure colours."""
    rng = np.random.default_rng(seed)
    small = rng.integers(-40, 296, (7, 9, 3)).clip(0, 255).astype(np.uint8)
    image = np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    image[height // 3 : height // 2, width // 4 : width // 2] = (255, 0, 0)
    image[height // 2 :: 5, width // 2 :] = 0
    grain = rng.normal(0, 6, image.shape)
    return (image + grain * (np.arange(width) > width / 2)[:, None]).clip(0, 255).astype(np.uint8)


def libjpeg(image: np.ndarray, quality: int, halved: bool, offset: tuple[int, int]) -> np.ndarray:
    """``image`` from a JPEG that begins ``offset`` pixels before it and ends beyond it."""
    height, width = image.shape[:2]
    after = [
        (length + MCU - 1) // MCU * MCU + MCU - length - at
        for length, at in zip((height, width), offset, strict=True)
    ]
    padding = [(at, end) for at, end in zip(offset, after, strict=True)]
    buffer = io.BytesIO()
    Image.fromarray(np.pad(image, [*padding, (0, 0)], mode="edge")).save(
        buffer, "JPEG", quality=quality, subsampling=2 if halved else 0
    )
    decoded = np.asarray(Image.open(buffer))
    return decoded[offset[0] : offset[0] + height, offset[1] : offset[1] + width]


def ours(
    images: list[np.ndarray], quality: list[int], halved: list[bool], offset: list[tuple[int, int]]
) -> np.ndarray:
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    result = recompress(batch, torch.tensor(quality), torch.tensor(halved), torch.tensor(offset))
    assert result.dtype == torch.float32
    assert torch.equal(result, result.round())
    return result.permute(0, 2, 3, 1).numpy().astype(int)


@pytest.mark.parametrize("halved", [False, True], ids=["444", "420"])
@pytest.mark.parametrize(("height", "width"), [(48, 48), (40, 53), (128, 96), (5, 1)])
def test_decoded_pixels_are_libjpegs(height: int, width: int, halved: bool) -> None:
    qualities = [30, 35, 49, 50, 60, 75, 85, 90, 95, 98, 100, 10, 1]
    rng = np.random.default_rng(height)
    offsets = [(0, 0), (15, 15), (7, 8), *map(tuple, rng.integers(0, MCU, (10, 2)).tolist())]
    images = [picture(height, width, seed) for seed in range(len(qualities))]
    got = ours(images, qualities, [halved] * len(qualities), offsets)
    expected = [
        libjpeg(image, quality, halved, offset)
        for image, quality, offset in zip(images, qualities, offsets, strict=True)
    ]
    apart = np.abs(got - np.stack(expected))
    assert (apart <= 1).mean() >= 0.999
    # in fact they are the same, but for a coefficient at a border of its quantisation
    assert (apart == 0).mean() >= 0.999
    assert not np.array_equal(got[4], images[4])


@pytest.mark.parametrize("quality", [1, 24, 25, 49, 50, 51, 75, 92, 100])
def test_tables_are_those_in_libjpegs_files(quality: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(16, 16, 0)).save(buffer, "JPEG", quality=quality)
    written = Image.open(buffer).quantization
    tables = quantisation_tables(torch.tensor([quality]))[0].flatten(1)
    for index in (0, 1):
        assert tables[index].int().tolist() == list(written[index])


def test_images_of_a_batch_do_not_see_each_other() -> None:
    images = [picture(24, 24, seed) for seed in range(4)]
    quality, halved = [40, 0, 90, 75], [True, True, False, True]
    offset = [(3, 0), (1, 1), (9, 12), (0, 15)]
    together = ours(images, quality, halved, offset)
    np.testing.assert_array_equal(together[1], images[1])
    for index in range(4):
        alone = ours(*[each[index : index + 1] for each in (images, quality, halved, offset)])
        np.testing.assert_array_equal(alone[0], together[index])


def test_a_gray_image_stays_gray() -> None:
    image = picture(32, 32, 3)[..., :1].repeat(3, 2)
    got = ours([image] * 2, [40, 80], [True, False], [(5, 2), (0, 0)])
    assert (got == got[..., :1]).all()
