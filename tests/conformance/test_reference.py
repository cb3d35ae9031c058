"""The fast decoders against the plain ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liif_cli.geometry.axis import AxisMap
from liif_cli.models.decoders.liif import LIIF
from liif_cli.models.decoders.metasr import MetaSR
from liif_cli.testing.rendering import well_defined
from tests.reference.plain import plain_liif, plain_metasr

CHANNELS = 5
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
OUT_SHAPES = st.tuples(st.integers(1, 45), st.integers(1, 45))


def liif(**switches: Any) -> LIIF:
    torch.manual_seed(11)
    return LIIF(CHANNELS, **{"hidden": [24, 16, 20], **switches}).double().requires_grad_(False)


def metasr() -> MetaSR:
    torch.manual_seed(11)
    return MetaSR(CHANNELS).double().requires_grad_(False)


def feat_of(shape: tuple[int, int]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(shape[0] * 100 + shape[1])
    return torch.randn(1, CHANNELS, *shape, generator=generator, dtype=torch.float64)


def plain(decoder: LIIF | MetaSR, feat: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    layers = decoder.imnet.linears
    parts = ([layer.weight for layer in layers], [layer.bias for layer in layers])
    if isinstance(decoder, MetaSR):
        return plain_metasr(feat, shape, *parts)
    return plain_liif(
        feat,
        shape,
        *parts,
        local_ensemble=decoder.local_ensemble,
        feat_unfold=decoder.feat_unfold,
        cell_decode=decoder.cell_decode,
    )


def fast(
    decoder: LIIF | MetaSR, feat: torch.Tensor, shape: tuple[int, int], dense: bool = False
) -> torch.Tensor:
    rows, cols = (AxisMap(a, b) for a, b in zip(feat.shape[2:], shape, strict=True))
    latent = decoder.prepare(feat[:, :3], feat, (rows.cell, cols.cell))
    slices = rows.slice(0, shape[0]), cols.slice(0, shape[1])
    return decoder.query_dense(latent, *slices) if dense else decoder.query(latent, *slices)


def check(decoder: LIIF | MetaSR, in_shape: tuple[int, int], out_shape: tuple[int, int]) -> None:
    feat = feat_of(in_shape)
    expected = plain(decoder, feat, out_shape)
    if isinstance(decoder, LIIF) and decoder.local_ensemble:
        expected[~torch.from_numpy(well_defined(in_shape, out_shape))] = torch.nan
    mask = ~expected.isnan()
    for dense in (False, True):
        ours = fast(decoder, feat, out_shape, dense)
        assert ours.isfinite().all()
        torch.testing.assert_close(ours[mask], expected[mask], rtol=0, atol=1e-6)
    single = fast(decoder.float(), feat.float(), out_shape).double()
    torch.testing.assert_close(single[mask], expected[mask], rtol=0, atol=1e-5)


@settings(max_examples=50)
@given(SHAPES, OUT_SHAPES, st.booleans(), st.booleans(), st.booleans())
def test_liif_is_the_plain_one(
    in_shape: tuple[int, int], out_shape: tuple[int, int], ensemble: bool, unfold: bool, cell: bool
) -> None:
    decoder = liif(local_ensemble=ensemble, feat_unfold=unfold, cell_decode=cell)
    check(decoder, in_shape, out_shape)


@pytest.mark.parametrize("hidden", [[], [7], [40, 8], [8, 40, 8, 40]])
def test_liif_of_any_depth(hidden: list[int]) -> None:
    check(liif(hidden=hidden), (6, 7), (17, 40))


def test_liif_wider_than_a_block() -> None:
    """Several strips of columns and several parts of an LR row's pixels."""
    check(liif(hidden=[520, 4]), (2, 40), (30, 403))


@settings(max_examples=40)
@given(SHAPES, OUT_SHAPES)
def test_metasr_is_the_plain_one(in_shape: tuple[int, int], out_shape: tuple[int, int]) -> None:
    check(metasr(), in_shape, out_shape)


@pytest.mark.parametrize("out_shape", [(6, 1400), (4, 1203), (66, 900), (1, 150)])
def test_metasr_wider_than_a_block(out_shape: tuple[int, int]) -> None:
    """Several strips of columns, of whole and of broken scales."""
    check(metasr(), (2, 300), out_shape)


def test_skip_adds_the_blended_image() -> None:
    with_skip, without = liif(skip="bilinear"), liif()
    feat = feat_of((5, 6))
    added = fast(with_skip, feat, (14, 9)) - fast(without, feat, (14, 9))
    expected = torch.nn.functional.interpolate(feat[:, :3], size=(14, 9), mode="bilinear")
    torch.testing.assert_close(added, expected[0].permute(1, 2, 0), rtol=0, atol=1e-6)
    dense = fast(with_skip, feat, (14, 9), dense=True)
    torch.testing.assert_close(dense, fast(with_skip, feat, (14, 9)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("make", [liif, metasr])
def test_half_precision_is_close(make: Any) -> None:
    decoder, feat = make(), feat_of((6, 5))
    exact = fast(decoder, feat, (15, 16))
    half = fast(decoder.bfloat16(), feat.bfloat16(), (15, 16))
    assert half.dtype == torch.float32
    assert (half - exact).abs().max() < 0.03 * exact.abs().max()


def test_liif_without_the_fused_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """On machines and torch builds that have none."""
    monkeypatch.setattr("liif_cli.models.decoders.liif.fused_linear", lambda: None)
    for hidden in ([], [7], [24, 8, 40]):
        check(liif(hidden=hidden), (6, 7), (17, 40))
