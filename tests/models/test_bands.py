"""Encoders in bands of rows: the features of the whole image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from liif_cli.models import bands
from liif_cli.models.bands import BandConv, Rows, in_bands
from liif_cli.models.encoders import edsr
from liif_cli.models.encoders.edsr import EDSR

ENCODERS = {
    "edsr": lambda: EDSR(3, 8),
    "edsr without blocks": lambda: EDSR(0, 8),
    "edsr with a factor": lambda: EDSR(2, 4, res_scale=0.1),
}


@pytest.fixture(autouse=True)
def no_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch runs the encoders, as without numba."""
    monkeypatch.setattr(edsr, "compiled_body", lambda: None)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Every image goes in bands, of 3 rows or more."""
    monkeypatch.setattr(bands, "WHOLE_BYTES", {8: 0, 4: 0, 2: 0})
    monkeypatch.setattr(bands, "BAND_BYTES", 0)
    monkeypatch.setattr(bands, "BAND_ROWS", (3, 64))
    return monkeypatch


@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (3, 5), (4, 4), (10, 6), (40, 9), (41, 1)])
@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_features_are_those_of_the_whole_image(
    name: str, shape: tuple[int, int], always: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    # in float64, so that only a wrong row could differ
    encoder = ENCODERS[name]().double().to(memory_format=torch.channels_last).eval()
    image = torch.rand(2, 3, *shape, dtype=torch.float64) * 2 - 1
    expected = encoder(image).detach()
    with torch.no_grad():
        for rows in (1, 3, 64):
            always.setattr(bands, "BAND_ROWS", (rows, 64))
            found = encoder(image)
            assert found.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_sizes_at_which_it_happens(dtype: torch.dtype) -> None:
    small = torch.zeros(1, 3, 100, 100, dtype=dtype)
    large = torch.zeros(1, 3, 500, 600, dtype=dtype)
    with torch.no_grad():
        assert not in_bands(small, 32)
        assert in_bands(large, 32)
        assert not in_bands(large.to("meta"), 32)
    # training keeps every activation anyway
    assert not in_bands(large, 32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_large_image_at_the_shipped_size(dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    encoder = EDSR(2, 32).to(dtype).to(memory_format=torch.channels_last).eval()
    image = (torch.rand(1, 3, 420, 500) * 2 - 1).to(dtype)
    image = image.contiguous(memory_format=torch.channels_last)
    expected = encoder(image).detach()
    with torch.no_grad():
        assert in_bands(image, 32)
        # rounding alone: sums may be added up in another order for another height
        tolerance = 1e-5 if dtype == torch.float32 else 2e-2
        torch.testing.assert_close(encoder(image), expected, rtol=0, atol=tolerance)


def test_a_told_encoder_goes_in_bands_too(always: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    encoder = EDSR(2, 4, cleanup=True).eval()
    for name, value in encoder.named_parameters():
        if ".told." in name:
            nn.init.normal_(value, std=0.3)
    image = torch.rand(1, 3, 20, 11) * 2 - 1
    expected = encoder(image, torch.tensor([40.0])).detach()
    with torch.no_grad():
        torch.testing.assert_close(encoder.told_encoder(40)(image), expected, rtol=0, atol=1e-5)


def test_a_layer_keeps_only_the_rows_that_it_needs_again() -> None:
    layer = BandConv(torch.zeros(1, 3, 40, 5), nn.Conv2d(2, 2, 3, padding=1))
    with torch.no_grad():
        for _ in range(5):
            layer.push(torch.zeros(1, 2, 7, 5), False)
            assert layer.rows.buffer.shape == (1, 2, 2, 5)
            assert layer.rows.held == 2


@pytest.mark.parametrize("lag", [0, 1, 3, 20])
def test_rows_that_wait_come_out_in_order(lag: int) -> None:
    waiting, given, taken = Rows(torch.zeros(1, 3, 9, 3), 2, lag), 0, 0
    for size in (4, 1, 0, 9, 4, 4, 30, 2):
        numbers = torch.arange(given, given + size, dtype=torch.float32)
        rows = numbers[None, None, :, None].expand(1, 2, size, 3)
        given += size
        count = max(0, given - lag - taken)
        residual = torch.full((1, 2, count, 3), 0.5)
        waiting.add_to(residual, rows, 2)
        expected = torch.arange(taken, taken + count) + 1.0
        assert torch.equal(residual, expected[None, None, :, None].expand_as(residual))
        taken += count
        assert waiting.held == given - taken


def test_sums_stay_in_float32_where_weights_are_of_a_lower_precision(
    always: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(4)
    encoder = EDSR(16, 32).eval().requires_grad_(False)
    image = torch.rand(1, 3, 40, 33) * 2 - 1
    exact = encoder(image)
    first = encoder.head[0].weight.clone(), encoder.head[0].bias.clone()
    encoder.to(torch.bfloat16)
    encoder.head[0].weight.data, encoder.head[0].bias.data = first
    with torch.no_grad():
        by_bands = encoder(image)
    whole = encoder(image)
    assert whole.dtype == by_bands.dtype == torch.bfloat16
    # the convolutions may add up in another order, by which few features round otherwise
    assert (whole.float() - by_bands.float()).abs().max() < 0.01
    assert (whole == by_bands).float().mean() > 0.95
    error = (whole.float() - exact).norm() / exact.norm()
    assert 0 < error < 2**-7
    rough = encoder.to(torch.bfloat16)(image.bfloat16())
    assert (rough.float() - exact).norm() / exact.norm() > 1.5 * error
