"""Degraded crops: each loss is what a library makes of it, and the told level fits."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from liif_cli.errors import TrainError
from liif_cli.train.data import CropSampler
from liif_cli.train.degrade import Degradation, Degrader, Losses
from liif_cli.train.jpeg import recompress
from liif_cli.train.presets import preset
from liif_cli.train.reduce import AREA, BICUBIC, BILINEAR, LANCZOS, NEAREST, Reducer, blur_matrices
from liif_cli.train.sizes import make_sampler

CPU = torch.device("cpu")
PILLOW = {
    BICUBIC: Image.Resampling.BICUBIC,
    LANCZOS: Image.Resampling.LANCZOS,
    BILINEAR: Image.Resampling.BILINEAR,
    NEAREST: Image.Resampling.NEAREST,
}
KERNELS = (BICUBIC, AREA, LANCZOS, BILINEAR, NEAREST)
CROP = 12


def photos(count: int = 3, height: int = 64, width: int = 80, seed: int = 5) -> list[np.ndarray]:
    small = np.random.default_rng(seed).integers(0, 256, (count, 15, 15, 3), dtype=np.uint8)
    return [
        np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BICUBIC))
        for each in small
    ]


def sampler_of(images: list[np.ndarray], seed: int = 1, **options: object) -> CropSampler:
    values: dict[str, object] = {"scale_min": 1.0, "scale_max": 4.0, **options}
    return CropSampler(
        images,
        crop=CROP,
        samples=64,
        members="ensemble",
        generator=torch.Generator().manual_seed(seed),
        device=CPU,
        **values,  # type: ignore[arg-type]
    )


def degrader_of(recipe: Degradation, seed: int = 1) -> Degrader:
    return Degrader(recipe, torch.Generator().manual_seed(seed), CPU)


def draw(recipe: Degradation, count: int = 100_000, *, page: bool = False) -> Losses:
    return degrader_of(recipe).draw(torch.full((count,), page))


def reduced(image: np.ndarray, kernel: int) -> np.ndarray:
    """To CROP x CROP by another library."""
    if kernel == AREA:
        return cv2.resize(image, (CROP, CROP), interpolation=cv2.INTER_AREA).astype(int)
    return np.asarray(Image.fromarray(image).resize((CROP, CROP), PILLOW[kernel])).astype(int)


def share(chosen: torch.Tensor) -> float:
    return chosen.float().mean().item()


def test_the_draws_have_the_shares_of_the_recipe() -> None:
    real = preset("edsr-small-lmliif-real")
    losses = draw(real)
    near = {"abs": 0.007}
    kernels = [share(losses.kernel == number) for number in range(5)]
    expected = [0.25 + 0.75 * 0.7, *(0.75 * part for part in (0.1, 0.1, 0.05, 0.05))]
    assert kernels == pytest.approx(expected, **near)
    assert share(losses.blur > 0) == pytest.approx(0.75 * 0.25, **near)
    noisy, coded = losses.noise > 0, losses.quality[1] > 0
    assert share(noisy) == pytest.approx(0.75 * 0.35, **near)
    assert share(coded) == pytest.approx(0.75 * 0.85, **near)
    assert share(noisy & coded) == pytest.approx(0.75 * 0.35 * 0.85, **near)
    assert share(losses.quality[0][coded] > 0) == pytest.approx(0.15, **near)
    assert share(losses.halved[1][coded]) == pytest.approx(2 / 3, **near)
    assert share(losses.gray[noisy]) == pytest.approx(0.3, abs=0.01)
    assert share(losses.signal[noisy]) == pytest.approx(0.5, abs=0.01)
    # nothing at all
    lossless = ~noisy & ~coded
    still = lossless & (losses.blur == 0) & (losses.kernel == BICUBIC)
    assert share(still) == pytest.approx(0.25 + 0.75 * 0.15 * 0.65 * 0.75 * 0.7, **near)
    assert not (losses.quality[0][~coded] > 0).any()


def test_what_is_drawn_fills_its_range_evenly() -> None:
    recipe = Degradation(blur=1.0, noise=1.0, jpeg=1.0, jpeg_twice=1.0, jpeg_min=30, jpeg_max=97)
    losses = draw(recipe)
    for turn in range(2):
        values, counts = losses.quality[turn].unique(return_counts=True)
        assert values.tolist() == list(range(30, 98))
        assert counts.min() > 0.85 * counts.max()
        for axis in range(2):
            values, counts = losses.offset[turn, :, axis].unique(return_counts=True)
            assert values.tolist() == list(range(16))
            assert counts.min() > 0.9 * counts.max()
    for values, low, high in ((losses.blur, 0.2, 0.9), (losses.noise, 0.5, 8.0)):
        assert low <= values.min() < low + 0.01
        assert high - 0.01 < values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, rel=0.01)
    # the two compressions, and rows and columns, know nothing of each other
    pairs = torch.stack([*losses.quality, *losses.offset.permute(0, 2, 1).flatten(0, 1).float()])
    apart = torch.corrcoef(pairs) - torch.eye(len(pairs))
    assert apart.abs().max() < 0.02
    one = draw(dataclasses.replace(recipe, jpeg_min=80, jpeg_max=80), 50)
    assert one.quality.unique().tolist() == [80]


def test_the_level_is_that_of_the_last_compression_and_of_the_noise() -> None:
    real = preset("edsr-small-lmliif-real")
    losses = draw(real)
    assert losses.cleanup.dtype == torch.float32
    noisy, coded = losses.noise > 0, losses.quality[1] > 0
    told = losses.cleanup
    assert torch.equal(told == 0, ~noisy & ~coded)
    of_jpeg, of_noise = 100 - losses.quality[1], 6 * losses.noise
    assert torch.equal(told[coded & ~noisy], of_jpeg[coded & ~noisy])
    torch.testing.assert_close(told[noisy & ~coded], of_noise[noisy & ~coded])
    both = coded & noisy & (of_noise > of_jpeg)
    assert share(told[both] == of_jpeg[both]) == pytest.approx(0.5, abs=0.03)
    torch.testing.assert_close(
        torch.where(told[both] == of_jpeg[both], of_noise[both], told[both]), of_noise[both]
    )
    less = coded & noisy & (of_noise <= of_jpeg)
    assert torch.equal(told[less], of_jpeg[less])
    strong = draw(Degradation(noise=1.0, noise_min=30.0, noise_max=40.0), 20)
    assert strong.cleanup.tolist() == [100.0] * 20
    assert not draw(Degradation(blur=1.0, kernel_area=1.0), 20).cleanup.any()
    assert not draw(Degradation(jpeg=1.0, jpeg_min=100, jpeg_max=100), 20).cleanup.any()


def test_pages_have_their_own_kernels_and_share_of_clean() -> None:
    losses = draw(preset("edsr-small-lmliif-real"), page=True)
    near = {"abs": 0.007}
    assert share(losses.cleanup > 0) == pytest.approx(0.4 * (1 - 0.15 * 0.65), **near)
    # whether or not a crop is clean
    for chosen in (losses.cleanup == 0, losses.cleanup > 0):
        kernels = [share(losses.kernel[chosen] == number) for number in range(5)]
        assert kernels == pytest.approx([0.2, 0.25, 0.1, 0.1, 0.35], **near)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_reduction_is_that_of_a_library(kernel: int) -> None:
    """Each of a batch by its own kernel and from its own side."""
    image = photos(1, 48, 48)[0]
    sides = [12, 13, 18, 23, 24, 30, 36, 37, 47, 48]
    reducer = Reducer(CROP, 12, 48, KERNELS, CPU)
    kernels = torch.tensor([kernel] * len(sides) + [BICUBIC, NEAREST, LANCZOS])
    matrices = reducer.matrices(kernels, torch.tensor([*sides, 12, 30, 48]), 48)
    assert matrices.shape == (len(sides) + 3, CROP, 48)
    torch.testing.assert_close(matrices.sum(2), torch.ones(len(sides) + 3, CROP))
    for matrix, side in zip(matrices.double().numpy(), sides, strict=False):
        assert not matrix[:, side:].any()
        square = image[:side, :side]
        got = np.einsum("rk,lkc->lrc", matrix[:, :side], square).round().clip(0, 255)
        got = np.einsum("rk,klc->rlc", matrix[:, :side], got).round().clip(0, 255)
        assert np.abs(got - reduced(square, kernel)).max() <= 1
        if kernel == AREA and side % CROP == 0:
            box = Image.fromarray(square).resize((CROP, CROP), Image.Resampling.BOX)
            assert np.abs(got - np.asarray(box)).max() <= 1


def test_nearest_picks_pixels() -> None:
    sampler = sampler_of(photos(), degradation=Degradation(kernel_nearest=1.0), scale_min=2.5)
    hr, lr, side, cleanup = sampler._pairs(6)
    assert not cleanup.any()
    for index in range(6):
        at = [int((pixel + 0.5) * side[index] / CROP) for pixel in range(CROP)]
        assert torch.equal(lr[index].byte().permute(1, 2, 0), hr[index][at][:, at])


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_batch_is_reduced_by_the_kernel_that_was_drawn(kernel: int) -> None:
    names = {AREA: "area", LANCZOS: "lanczos", BILINEAR: "bilinear", NEAREST: "nearest"}
    # bicubic alone needs another degradation, which does nothing
    values = {f"kernel_{names[kernel]}": 1.0} if kernel else {"noise": 1.0, "noise_max": 0.0}
    recipe = dataclasses.replace(Degradation(noise_min=0.0), **values)
    hr, lr, side, _ = sampler_of(photos(), degradation=recipe)._pairs(6)
    for index in range(6):
        expected = reduced(hr[index, : side[index], : side[index]].numpy(), kernel)
        apart = np.abs(lr[index].permute(1, 2, 0).numpy() - expected)
        assert apart.max() <= 1
        # Pillow rounds after each pass as well, OpenCV's area once
        assert (apart > 0).mean() < (0.5 if kernel == AREA else 0.05)


def test_blur_is_a_gaussian() -> None:
    image = photos(1, 40, 40)[0].astype(np.float32)
    sigmas = [0.2, 0.45, 0.9, 1.7]
    matrices = blur_matrices(torch.tensor([*sigmas, 0.0]), 40)
    torch.testing.assert_close(matrices.sum(2), torch.ones(5, 40))
    assert torch.equal(matrices[4], torch.eye(40))
    for sigma, matrix in zip(sigmas, matrices.numpy(), strict=False):
        got = np.einsum("rk,klc,ml->rmc", matrix, image, matrix)
        expected = cv2.GaussianBlur(image, (21, 21), sigma)
        inner = (slice(10, 30), slice(10, 30))
        np.testing.assert_allclose(got[inner], expected[inner], atol=0.01)
        # the border stays within what there is
        assert got.min() >= image.min() - 1e-3
        assert got.max() <= image.max() + 1e-3


def test_a_blurred_crop_is_the_blur_of_the_reduced_one() -> None:
    options = {"scale_min": 3.0, "scale_max": 3.0}
    recipe = Degradation(blur=1.0, blur_min=0.7, blur_max=0.7)
    hr, lr, _, cleanup = sampler_of(photos(), degradation=recipe, **options)._pairs(4)
    assert not cleanup.any()
    for index in range(4):
        small = reduced(hr[index].numpy(), BICUBIC)
        expected = cv2.GaussianBlur(small.astype(np.float32), (9, 9), 0.7)
        apart = np.abs(lr[index].permute(1, 2, 0).numpy() - expected)[4:-4, 4:-4]
        # 8 bit after each pass here, and before the blur there
        assert apart.max() <= 2
        assert apart.mean() < 0.5


@pytest.mark.parametrize(("signal", "gray"), [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
def test_noise_has_the_sigma_that_was_drawn(signal: float, gray: float) -> None:
    recipe = Degradation(noise=0.8, noise_max=9.0, noise_signal=signal, noise_gray=gray)
    degrader = degrader_of(recipe)
    losses = degrader.draw(torch.zeros(12, dtype=torch.bool))
    levels = torch.tensor([60.0, 127.0, 180.0])
    lr = levels[None, :, None, None].expand(12, 3, 80, 80).contiguous()
    got = degrader.inflict(lr.clone(), losses)
    assert torch.equal(got, got.round())
    assert 0 < (losses.noise == 0).sum() < 12
    for index in range(12):
        apart = got[index] - lr[index]
        if losses.noise[index] == 0:
            assert not apart.any()
            continue
        factor = (levels / 127.5).sqrt() if signal else torch.ones(3)
        # rounding adds the variance of 1/12
        expected = ((losses.noise[index] * factor).square() + 1 / 12).sqrt()
        torch.testing.assert_close(apart.std((1, 2)), expected, rtol=0.05, atol=0)
        assert apart.mean().abs() < 0.3
        alike = torch.corrcoef(apart.flatten(1))[0, 1]
        assert alike > 0.9 if gray and losses.noise[index] > 1 else True
        assert gray or abs(alike) < 0.06
    if gray and not signal:
        assert torch.equal(got[:, 0] - 60, got[:, 1] - 127)


def test_noise_stays_in_range() -> None:
    degrader = degrader_of(Degradation(noise=1.0, noise_min=60.0, noise_max=60.0))
    lr = torch.tensor([0.0, 255.0, 250.0])[None, :, None, None].expand(2, 3, 20, 20)
    got = degrader.inflict(lr, degrader.draw(torch.zeros(2, dtype=torch.bool)))
    assert got.min() == 0
    assert got.max() == 255


def test_jpeg_comes_last_and_sometimes_twice() -> None:
    recipe = Degradation(noise=0.5, jpeg=0.7, jpeg_420=0.5, jpeg_twice=0.5)
    degrader = degrader_of(recipe, seed=4)
    losses = degrader.draw(torch.zeros(40, dtype=torch.bool))
    lr = torch.randint(0, 256, (40, 3, 20, 20), generator=torch.Generator().manual_seed(2)).float()
    before = degrader.generator.get_state()
    got = degrader.inflict(lr, losses)
    degrader.generator.set_state(before)
    noisy = degrader_of(dataclasses.replace(recipe, jpeg=0.0))
    noisy.generator.set_state(before)
    expected = noisy.inflict(lr, losses)
    kinds = set()
    for index in range(40):
        image = expected[index : index + 1]
        kinds.add(tuple((losses.quality[:, index] > 0).tolist()))
        for turn in range(2):
            if losses.quality[turn, index] > 0:
                image = recompress(
                    image,
                    losses.quality[turn, index : index + 1],
                    losses.halved[turn, index : index + 1],
                    losses.offset[turn, index : index + 1],
                )
        assert torch.equal(got[index : index + 1], image)
    assert kinds == {(False, False), (False, True), (True, True)}


def test_a_batch_tells_the_level_and_its_input_has_8_bits() -> None:
    recipe = dataclasses.replace(
        preset("edsr-small-lmliif-real"), crop=CROP, samples=64, scale_max=4.0
    )

    def sampler_of_recipe() -> CropSampler:
        generator = torch.Generator().manual_seed(8)
        return make_sampler(recipe, photos(), "corner", generator, CPU, pages=photos(2, seed=6))

    sampler = sampler_of_recipe()
    levels = []
    for _ in range(10):
        batch = sampler.draw(8)
        assert batch.cleanup.shape == (8,)
        assert batch.image.shape == (8, 3, CROP, CROP)
        assert batch.image.is_contiguous(memory_format=torch.channels_last)
        eight = (batch.image + 1) * 127.5
        torch.testing.assert_close(eight, eight.round(), atol=1e-3, rtol=0)
        assert batch.image.abs().max() <= 1
        levels += batch.cleanup.tolist()
    assert 0 < levels.count(0) < 60
    assert max(levels) <= 100
    again = sampler_of_recipe()
    assert [level for _ in range(10) for level in again.draw(8).cleanup.tolist()] == levels


def test_a_clean_crop_is_what_it_was_without_degradation() -> None:
    recipe = Degradation(clean=0.5, kernel_nearest=0.5, blur=0.5, noise=0.5, jpeg=1.0)
    hr, lr, side, cleanup = sampler_of(photos(), degradation=recipe)._pairs(32)
    clean = cleanup == 0
    assert 5 < clean.sum() < 27
    for index in range(32):
        expected = reduced(hr[index, : side[index], : side[index]].numpy(), BICUBIC)
        apart = np.abs(lr[index].permute(1, 2, 0).numpy() - expected)
        assert (apart.max() <= 1) == bool(clean[index])


def test_without_degradation_the_same_numbers_are_drawn_as_ever() -> None:
    # ranges and parts of nothing are nothing
    ranges = Degradation(clean=0.3, jpeg_min=10, blur_max=2.0, noise_gray=1.0, page_clean=0.5)
    pages = photos(2, seed=9)
    plain = sampler_of(photos())
    others = [
        sampler_of(photos(), degradation=ranges),
        sampler_of(photos(), degradation=Degradation(page_nearest=1.0), pages=pages),
    ]
    expected = torch.Generator().manual_seed(1)
    for _ in range(3):
        batch = plain.draw(5)
        assert not batch.cleanup.any()
        for other in others:
            same = other.draw(5)
            for field in ("image", "cell", "target", "cleanup"):
                assert torch.equal(getattr(batch, field), getattr(same, field))
        scale = torch.rand(5, generator=expected) * 3 + 1
        side = torch.floor(CROP * scale + 0.5)
        # photo, top, left, mirrors and transposition, pixels
        for shape in ((5,), (5,), (5,), (3, 5), (5, int(side.max()), int(side.max()))):
            torch.rand(shape, generator=expected)
        assert torch.equal(batch.cell[:, 0], 2 * CROP / side)
        for sampler in (plain, *others):
            assert torch.equal(sampler.generator.get_state(), expected.get_state())


def test_pages_are_drawn_as_often_as_said() -> None:
    pages = [np.full((70, 70, 3), level, np.uint8) for level in (250, 255)]
    dark = [photo // 2 for photo in photos()]
    hr, *_ = sampler_of(dark, pages=pages, page_share=0.25)._pairs(400)
    first = hr[:, 0, 0, 0]
    assert share(first >= 250) == pytest.approx(0.25, abs=0.06)
    assert set(first[first >= 250].tolist()) == {250, 255}
    whole, *_ = sampler_of(dark, pages=pages, page_share=1.0)._pairs(20)
    assert (whole >= 250).all()


def test_kernels_of_pages_are_those_of_pages_alone() -> None:
    pages = photos(2, seed=9)
    sampler = sampler_of(
        photos(), pages=pages, page_share=0.5, degradation=Degradation(page_nearest=1.0)
    )
    # pages' pixels come behind the photos'
    sampler.pixels[sampler.starts[sampler.photos] :] //= 2
    hr, lr, side, _ = sampler._pairs(24)
    nearest = 0
    for index in range(24):
        at = [int((pixel + 0.5) * side[index] / CROP) for pixel in range(CROP)]
        picked = hr[index][at][:, at].permute(2, 0, 1)
        nearest += torch.equal(lr[index].byte(), picked)
    assert 4 < nearest < 20


def test_pages_that_do_not_fit_are_refused() -> None:
    small = [np.zeros((40, 90, 3), np.uint8)]
    with pytest.raises(TrainError, match=r"a page with a side of 40 px, expected 48 px or more"):
        sampler_of(photos(), pages=small, page_share=0.1)
    with pytest.raises(TrainError, match=r"no page, expected pages for a share of 0\.1"):
        sampler_of(photos(), page_share=0.1)
    sampler_of(photos(), pages=small).draw(2)
