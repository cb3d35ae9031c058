"""PSNR by hand and SSIM against scikit-image."""

import math

import numpy as np
import pytest

from liif_cli.bench.metrics import LUMA, psnr_luma, psnr_rgb, ssim, ssim_luma, ssim_rgb

RNG = np.random.default_rng(11)
TRUTH = RNG.random((60, 70, 3))
NOISY = np.clip(TRUTH + 0.1 * RNG.standard_normal(TRUTH.shape), 0, 1)


def test_psnr_of_a_known_error() -> None:
    off = np.full((40, 40, 3), 0.5)
    assert psnr_rgb(off + 0.1, off, 4) == pytest.approx(20, abs=1e-9)
    # a gray error's luma is 219/255 of it
    assert psnr_luma(off + 0.1, off, 4) == pytest.approx(20 - 20 * math.log10(LUMA.sum()), abs=1e-9)
    assert LUMA.sum() == pytest.approx(219 / 255, abs=1e-3)


def test_borders_are_left_out() -> None:
    for psnr, border in ((psnr_rgb, 10), (psnr_luma, 4)):
        spoilt = NOISY.copy()
        spoilt[:border] = spoilt[-border:] = spoilt[:, :border] = spoilt[:, -border:] = 1
        assert psnr(spoilt, TRUTH, 4) == psnr(NOISY, TRUTH, 4)
        spoilt[border, border] += 0.4
        assert psnr(spoilt, TRUTH, 4) != psnr(NOISY, TRUTH, 4)
    assert psnr_luma(NOISY, TRUTH, 3.2) == psnr_luma(NOISY, TRUTH, 4)


def test_predictions_are_clamped_and_not_rounded() -> None:
    black = np.zeros((40, 40, 3))
    assert psnr_rgb(black - 0.3, black, 2) == math.inf
    assert psnr_rgb(black + 1e-3, black, 2) == pytest.approx(60)


def test_nothing_inside_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing inside"):
        psnr_rgb(TRUTH, TRUTH, 30)
    with pytest.raises(ValueError, match="shapes differ"):
        psnr_rgb(TRUTH, TRUTH[1:], 2)


def test_ssim_is_that_of_scikit_image() -> None:
    measure = pytest.importorskip("skimage.metrics").structural_similarity
    options = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 1.0,
    }
    a, b = NOISY[..., 0], TRUTH[..., 0]
    expected = measure(a, b, **options)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-9)
    inside = [image[10:-10, 10:-10] for image in (NOISY, TRUTH)]
    expected = measure(*inside, channel_axis=2, **options)
    assert ssim_rgb(NOISY, TRUTH, 4) == pytest.approx(expected, abs=1e-9)
    luma = [image[4:-4, 4:-4] @ LUMA + 16 / 255 for image in (NOISY, TRUTH)]
    assert ssim_luma(NOISY, TRUTH, 4) == pytest.approx(measure(*luma, **options), abs=1e-9)


def test_ssim_of_equal_and_of_tiny_images() -> None:
    assert ssim(TRUTH[..., 0], TRUTH[..., 0]) == pytest.approx(1)
    assert ssim(TRUTH[:10, :, 0], TRUTH[:10, :, 0]) is None
    assert ssim_luma(TRUTH, TRUTH, 25) is None
