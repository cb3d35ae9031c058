"""LM-LIIF's latent MLP by compiled code: the modulations of torch, on any processor."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("numba")

from liif_cli.models import machine_code
from liif_cli.models.decoders import latent_compiled, lmliif
from liif_cli.models.decoders.lmliif import LMLIIF
from tests.models.processors import check_older_processors

CELL = torch.tensor([0.5, 0.4])
RECTANGLES = [
    ((1, 1), (0, 1), (0, 1)),
    ((3, 5), (0, 3), (0, 5)),
    ((4, 4), (1, 3), (1, 4)),
    ((7, 200), (2, 5), (3, 150)),
    ((9, 211), (1, 9), (98, 211)),
    ((6, 192), (0, 6), (0, 192)),
    ((12, 97), (11, 12), (96, 97)),
]


def decoder_of(channels: int = 32, hidden: tuple[int, ...] = (208,), **arguments: object) -> LMLIIF:
    torch.manual_seed(3)
    made = LMLIIF(channels, latent_hidden=hidden, **arguments)  # type: ignore[arg-type]
    return made.eval().requires_grad_(False)


def feat_of(decoder: LMLIIF, height: int, width: int) -> torch.Tensor:
    torch.manual_seed(4)
    return torch.randn(1, decoder.channels, height, width)


def modulation(
    decoder: LMLIIF, feat: torch.Tensor, rows: tuple[int, int], cols: tuple[int, int]
) -> torch.Tensor:
    """By the compiled kernel."""
    latent = decoder.prepare(feat[:, :3], feat, (0.5, 0.4))
    assert latent.packed is not None
    return decoder._window_modulation(latent, rows, cols)


def by_torch(decoder: LMLIIF, feat: torch.Tensor) -> torch.Tensor:
    """Those of all codes in float64, which the kernel does not take."""
    exact = decoder_of(decoder.channels).double()
    exact.latent = decoder.latent.double()
    answer = exact._modulate(feat.double(), CELL[None].double())[0]
    decoder.latent.float()
    return answer


@pytest.mark.parametrize(("shape", "rows", "cols"), RECTANGLES)
@pytest.mark.parametrize(
    "arguments",
    [(32,), (64,), (32, (48,)), (32, (64, 128, 32)), (32, (208, 96, 112, 64))],
    ids=str,
)
def test_modulations_are_those_of_torch(
    arguments: tuple[int, tuple[int, ...]],
    shape: tuple[int, int],
    rows: tuple[int, int],
    cols: tuple[int, int],
) -> None:
    decoder = decoder_of(*arguments)
    feat = feat_of(decoder, *shape)
    made = modulation(decoder, feat, rows, cols)
    expected = by_torch(decoder, feat)[slice(*rows), slice(*cols)]
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=2e-6)


def test_it_rounds_no_worse_than_torch() -> None:
    decoder = decoder_of()
    feat = feat_of(decoder, 80, 90)
    exact = by_torch(decoder, feat)
    plain = (decoder._modulate(feat, CELL[None])[0] - exact).abs().max()
    made = modulation(decoder, feat, (0, 80), (0, 90))
    assert (made - exact).abs().max() < 1.5 * plain


@pytest.mark.parametrize("hidden", [(208,), (64, 96)])
def test_bits_do_not_depend_on_which_codes_are_asked_for(hidden: tuple[int, ...]) -> None:
    decoder = decoder_of(hidden=hidden)
    feat = feat_of(decoder, 23, 230)
    whole = modulation(decoder, feat, (0, 23), (0, 230))
    for rows, cols in (((0, 1), (0, 230)), ((3, 10), (5, 6)), ((6, 23), (100, 229))):
        part = modulation(decoder, feat, rows, cols)
        assert torch.equal(part, whole[slice(*rows), slice(*cols)])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_so_and_where_it_is(bad: float) -> None:
    decoder = decoder_of()
    feat = feat_of(decoder, 20, 20)
    feat[0, 0, 10, 10] = bad
    finite = modulation(decoder, feat, (0, 20), (0, 20)).isfinite().all(-1)
    assert not finite[10, 10]
    # a tile of 2 x 2 codes takes one more code on each side than its codes need
    assert finite[:8].all()
    assert finite[13:].all()


def test_a_change_of_weights_is_seen_by_the_next_window() -> None:
    decoder = decoder_of()
    feat = feat_of(decoder, 9, 9)
    before = modulation(decoder, feat, (0, 9), (0, 9))
    decoder.latent.linears[0].weight *= 2
    made = modulation(decoder, feat, (0, 9), (0, 9))
    assert not torch.equal(made, before)
    torch.testing.assert_close(made.double(), by_torch(decoder, feat), rtol=0, atol=2e-6)


def test_what_torch_runs() -> None:
    for decoder in (
        decoder_of(12),
        decoder_of(latent_compiled.MOST_CHANNELS + 32),
        decoder_of(hidden=()),
        decoder_of(hidden=(77,)),
        decoder_of(width=7),
        decoder_of(feat_unfold=False),
        decoder_of().double(),
        decoder_of().to(torch.bfloat16),
    ):
        feat = feat_of(decoder, 5, 6).to(decoder.latent.linears[0].weight.dtype)
        latent = decoder.prepare(feat[:, :3], feat, (0.5, 0.4))
        assert latent.packed is None
        part = decoder._window_modulation(latent, (1, 4), (2, 6))
        assert part.shape == (3, 4, decoder.modulations)


def test_without_numba_torch_runs_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = decoder_of()
    feat = feat_of(decoder, 12, 14)
    expected = modulation(decoder, feat, (0, 12), (0, 14))
    lmliif.compiled_latent.cache_clear()
    monkeypatch.setitem(sys.modules, "liif_cli.models.decoders.latent_compiled", None)
    with caplog.at_level("INFO", logger="liif_cli"):
        latent = decoder.prepare(feat[:, :3], feat, (0.5, 0.4))
        assert latent.packed is None
        made = decoder._window_modulation(latent, (0, 12), (0, 14))
    lmliif.compiled_latent.cache_clear()
    torch.testing.assert_close(made, expected, rtol=0, atol=2e-6)
    assert "numba is not there" in caplog.text


@pytest.mark.slow
def test_the_machine_code_asks_for_nothing_of_numba() -> None:
    from liif_cli.models.decoders import latent_kernel

    asks_for = latent_kernel.compiled("float32").asks_for
    assert [name for name in asks_for if not name.startswith(machine_code._HARMLESS)] == []


ELSEWHERE = """
import hashlib, sys, torch
from liif_cli.models import machine_code
from tests.models.test_latent_compiled import by_torch, decoder_of, feat_of, modulation
assert machine_code.registers()[0] == int(sys.argv[1])
decoder = decoder_of()
feat = feat_of(decoder, 9, 211)
made = modulation(decoder, feat, (1, 9), (98, 211))
expected = by_torch(decoder, feat)[1:9, 98:211]
torch.testing.assert_close(made.double(), expected, rtol=0, atol=2e-6)
print(hashlib.sha256(made.numpy().tobytes()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of x86_64")
def test_the_vectors_of_older_processors(tmp_path: Path) -> None:
    check_older_processors(tmp_path, ELSEWHERE)
