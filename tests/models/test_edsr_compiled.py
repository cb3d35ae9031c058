"""EDSR's body by compiled code: the features of torch, on any processor."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("numba")

from liif_cli.models import machine_code, winograd
from liif_cli.models.encoders import edsr, edsr_compiled
from liif_cli.models.encoders.edsr import EDSR
from tests.models.processors import check_older_processors

SHAPES = [(1, 1), (1, 9), (2, 2), (3, 5), (5, 4), (7, 1), (13, 6), (16, 96), (17, 97), (40, 201)]


def encoder_of(blocks: int = 2, channels: int = 32, res_scale: float = 1.0) -> EDSR:
    torch.manual_seed(1)
    return EDSR(blocks, channels, res_scale).to(memory_format=torch.channels_last).eval()


def by_torch(encoder: EDSR, image: torch.Tensor) -> torch.Tensor:
    """The features in float64, which the kernel does not take."""
    with torch.no_grad():
        state = {key: value.double() for key, value in encoder.state_dict().items()}
        exact = EDSR(len(encoder.body) - 1, encoder.channels, encoder.res_scale).double()
        exact.load_state_dict(state)
        return exact(image.double())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "arguments", [(2, 32), (1, 64, 0.1), (0, 32), pytest.param((16, 32), marks=pytest.mark.slow)]
)
def test_features_are_those_of_torch(arguments: tuple[int, ...], shape: tuple[int, int]) -> None:
    encoder = encoder_of(*arguments)
    image = torch.rand(2, 3, *shape) * 2 - 1
    with torch.no_grad():
        assert encoder._compiled() is edsr_compiled
        feat = encoder(image)
    assert feat.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(feat.double(), by_torch(encoder, image), rtol=0, atol=2e-6)


def test_it_rounds_no_worse_than_torch() -> None:
    encoder, image = encoder_of(16), torch.rand(1, 3, 80, 90) * 2 - 1
    exact = by_torch(encoder, image)
    plain = (encoder(image).detach() - exact).abs().max()
    with torch.no_grad():
        assert (encoder(image) - exact).abs().max() < 1.5 * plain


def test_bits_do_not_depend_on_how_many_rows_go_in_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, image = encoder_of(3), torch.rand(1, 3, 45, 37) * 2 - 1
    with torch.no_grad():
        expected = encoder(image)
        for rows in (2, 4, 10, 64):
            monkeypatch.setattr(edsr_compiled, "BAND", rows)
            assert torch.equal(encoder(image), expected)


def test_a_change_of_weights_is_seen() -> None:
    encoder, image = encoder_of(), torch.rand(1, 3, 9, 9)
    with torch.no_grad():
        before = encoder(image)
        encoder.body[0].body[0].weight *= 2
        assert not torch.equal(encoder(image), before)
        exact = by_torch(encoder, image).float()
        torch.testing.assert_close(encoder(image), exact, rtol=0, atol=2e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_so(bad: float) -> None:
    encoder, image = encoder_of(), torch.zeros(1, 3, 20, 20)
    image[0, 0, 10, 10] = bad
    with torch.no_grad():
        assert not encoder(image)[0, :, 10, 10].isfinite().all()


def test_the_image_is_left_as_it_is() -> None:
    encoder, image = encoder_of(), torch.rand(1, 3, 8, 8)
    before = image.clone()
    with torch.no_grad():
        encoder(image)
    assert torch.equal(image, before)


def test_what_torch_runs() -> None:
    image = torch.zeros(1, 3, 6, 6)
    # gradients are wanted
    assert encoder_of()(image).requires_grad
    with torch.no_grad():
        for encoder in (
            EDSR(1, 12),
            EDSR(1, edsr_compiled.MOST_CHANNELS + 32),
            encoder_of().double(),
            encoder_of().to(torch.bfloat16),
            encoder_of().to("meta"),
        ):
            assert encoder._compiled() is None
            assert not encoder.bands_only
            weight = encoder.head[0].weight
            assert encoder(image.to(weight.dtype).to(weight.device)).shape[1] == encoder.channels


def test_without_numba_torch_runs_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encoder, image = encoder_of(), torch.rand(1, 3, 12, 14)
    with torch.no_grad():
        expected = encoder(image)
        edsr.compiled_body.cache_clear()
        monkeypatch.setitem(sys.modules, "liif_cli.models.encoders.edsr_compiled", None)
        with caplog.at_level("INFO", logger="liif_cli"):
            torch.testing.assert_close(encoder(image), expected, rtol=0, atol=2e-6)
        edsr.compiled_body.cache_clear()
    assert "numba is not there" in caplog.text


@pytest.mark.parametrize("width", [1, 6, 99, 750])
def test_the_stated_bytes_are_those_that_it_takes(width: int) -> None:
    for channels, layers in ((32, 33), (64, 5)):
        column, fixed = edsr_compiled.space_bytes(channels, layers)
        taken = 4 * edsr_compiled._space(width, channels, layers)
        assert taken < width * column + fixed < taken + 2 * fixed


def test_blocks_are_whole_products() -> None:
    assert winograd.BLOCK % winograd.DOWN == 0


@pytest.mark.slow
def test_the_machine_code_asks_for_nothing_of_numba() -> None:
    from liif_cli.models.encoders import edsr_kernel

    asks_for = edsr_kernel.compiled("float32").asks_for
    assert [name for name in asks_for if not name.startswith(machine_code._HARMLESS)] == []


ELSEWHERE = """
import hashlib, sys, torch
from liif_cli.models import machine_code, winograd
from tests.models.test_edsr_compiled import by_torch, encoder_of
assert machine_code.registers()[0] == int(sys.argv[1])
encoder, image = encoder_of(), torch.rand(1, 3, 37, 121) * 2 - 1
with torch.no_grad():
    feat = encoder(image)
torch.testing.assert_close(feat.double(), by_torch(encoder, image), rtol=0, atol=2e-6)
print(hashlib.sha256(feat.numpy().tobytes()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of x86_64")
def test_the_vectors_of_older_processors(tmp_path: Path) -> None:
    check_older_processors(tmp_path, ELSEWHERE)
