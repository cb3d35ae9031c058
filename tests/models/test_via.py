"""A model by way of a scale: Pillow's Lanczos of its own image there, tile by tile."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from liif_cli.engine.cost import model_cost
from liif_cli.engine.sampling import Sampling, WindowRenderer, render_array
from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.models.decoders.via import MIDDLE_SIDE, Via
from liif_cli.models.model import Model, via_model
from liif_cli.testing.networks import FEAT_DECODERS, make_positive, small_network
from liif_cli.testing.rendering import render

TOLERANCE = 1e-5
SCALES = (Fraction(4), Fraction(37, 10), Fraction(1), Fraction(3, 2))


def pixels_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 99 + width).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )


def loud(model: Model) -> Model:
    """Weights large enough that colours leave the range, so that the clamp shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model


@pytest.mark.parametrize("decoder", FEAT_DECODERS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("out_shape", [(130, 77), (29, 300), (17, 23), (11, 9)])
def test_is_pillows_lanczos_of_the_models_own_image(
    decoder: str, scale: Fraction, out_shape: tuple[int, int]
) -> None:
    """Enlarged, reduced with antialiasing, and both at once."""
    model, pixels = loud(small_network("edsr", decoder)), pixels_of(17, 13)
    between_shape = SizeRequest(scale=(scale, scale)).output_shape(17, 13)
    between = render_array(model, pixels, between_shape).clip(0, 1)
    planes = [Image.fromarray(np.ascontiguousarray(between[..., c])) for c in range(3)]
    resized = [p.resize(out_shape[::-1], Image.Resampling.LANCZOS) for p in planes]
    ours = render_array(via_model(model, scale), pixels, out_shape)
    np.testing.assert_allclose(ours, np.stack(resized, 2), rtol=0, atol=2e-6)


def test_at_its_own_scale_is_the_model_itself() -> None:
    model, pixels = small_network("edsr", "liif"), pixels_of(9, 8)
    direct = render_array(model, pixels, (36, 32))
    ours = render_array(via_model(model, 4), pixels, (36, 32))
    np.testing.assert_allclose(ours, direct.clip(0, 1), rtol=0, atol=1e-6)
    # and elsewhere it is not
    other = render_array(model, pixels, (90, 80))
    assert np.abs(render_array(via_model(model, 4), pixels, (90, 80)) - other).max() > 1e-4


@pytest.mark.parametrize("decoder", FEAT_DECODERS)
@settings(max_examples=15)
@given(
    in_shape=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    out_shape=st.tuples(st.integers(1, 57), st.integers(1, 57)),
    tile_shape=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    scale=st.sampled_from(SCALES),
)
def test_tiles_make_the_whole(
    decoder: str,
    in_shape: tuple[int, int],
    out_shape: tuple[int, int],
    tile_shape: tuple[int, int],
    scale: Fraction,
) -> None:
    """Odd sizes; scales that are fractional, anisotropic, below S and below 1."""
    model = via_model(small_network("edsr", decoder), scale)
    image = torch.from_numpy(pixels_of(*in_shape)).permute(2, 0, 1)[None] / 127.5 - 1
    whole, tiled = render(model, image, out_shape), render(model, image, out_shape, tile_shape)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("decoder", FEAT_DECODERS)
@pytest.mark.parametrize("out_length", [83, 391, 1213])
def test_windows_with_their_halo_make_the_whole(decoder: str, out_length: int) -> None:
    """An image longer than the halo, whose tasks read parts of it."""
    model = via_model(small_network("edsr", decoder), Fraction(37, 10))
    for in_shape in ((3, 90), (90, 3)):
        image = torch.from_numpy(pixels_of(*in_shape)).permute(2, 0, 1)[None] / 127.5 - 1
        out_shape = tuple(out_length if side == 90 else 11 for side in in_shape)
        tile_shape = tuple(max(3, side // 5) for side in out_shape)
        whole = render(model, image, (out_shape[0], out_shape[1]))
        tiled = render(model, image, (out_shape[0], out_shape[1]), (tile_shape[0], tile_shape[1]))
        torch.testing.assert_close(tiled, whole, rtol=0, atol=TOLERANCE)


def reach(decoder: Via, n_in: int, n_out: int) -> int:
    """Largest distance of a code that changes an output pixel from the one that holds it."""
    cols, row = AxisMap(n_in, n_out), AxisMap(1, 1)
    channels = decoder.inner.channels
    feat = torch.zeros(1, channels, 1, n_in, dtype=torch.float64)
    part = row.slice(0, 1), cols.slice(0, n_out)

    def colours(changed: torch.Tensor) -> torch.Tensor:
        return decoder.query(decoder.prepare(changed[:, :3], changed, (2.0, 0.5)), *part)[0]

    before, furthest = colours(feat), 0
    nearest = torch.from_numpy(part[1].nearest)
    for code in range(n_in):
        changed = feat.clone()
        changed[..., code] += 0.1
        touched = ((colours(changed) - before).abs().amax(1) > 1e-13).nonzero().flatten()
        if len(touched):
            furthest = max(furthest, int((nearest[touched] - code).abs().max()))
    return furthest


@pytest.mark.parametrize(
    ("decoder", "scale"),
    [
        pytest.param(decoder, scale, marks=[] if number in (0, at + 1) else pytest.mark.slow)
        for at, decoder in enumerate(FEAT_DECODERS)
        for number, scale in enumerate(SCALES)
    ],
)
def test_radius_holds_and_is_tight(decoder: str, scale: Fraction) -> None:
    """Never less than what is measured; at most one more for the taps, and one for the decoder."""
    model = small_network("edsr", decoder).double()
    make_positive(model)
    via = Via(model.decoder, scale)
    middle = AxisMap(8, 8).slice(0, 8)
    ones = torch.ones(1, model.decoder.channels, 8, 8, dtype=torch.float64)
    latent = via.prepare(ones[:, :3], ones, (2.0, 2.0))
    peak = float(via.decoder.query(latent, middle, middle).abs().max())
    with torch.no_grad():  # colours inside the range, where the clamp passes changes on
        for parameter in list(model.decoder.parameters())[-2:]:
            parameter.mul_(0.1 / peak)
    for n_in, n_out in ((31, 340), (31, 84), (37, 26), (50, 11), (9, 27), (12, 6)):
        measured, declared = reach(via, n_in, n_out), via.radius(AxisMap(n_in, n_out))
        assert measured <= declared <= measured + 2, (n_in, n_out)


def test_a_large_reduction_keeps_little_in_memory_and_changes_nothing() -> None:
    model = via_model(small_network("edsr", "lmliif"), 64)
    pixels = pixels_of(70, 3)
    whole = render_array(model, pixels, (140, 6))  # 4480 rows in between: several blocks
    small = render_array(model, pixels, (140, 6), tile=7)
    np.testing.assert_allclose(small, whole, rtol=0, atol=TOLERANCE)
    axes = AxisMap(70, 140), AxisMap(3, 6)
    cost = model_cost(model, *axes, tile=512, sample_bytes=4)
    full = model_cost(model, *(AxisMap(1000, 2000),) * 2, tile=512, sample_bytes=4)
    side = MIDDLE_SIDE + 6 * 32 + 10
    inner = model.decoder.inner.query_bytes(side, side, (64.0, 64.0))
    assert cost.query_bytes < full.query_bytes < inner + 3 * 12 * side**2 + 4 * 12 * 512**2


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_no_colour_stays_visible_behind_the_clamp(bad: float) -> None:
    model = small_network("edsr", "liif")
    with torch.no_grad():
        model.decoder.imnet.linears[-1].bias[1] = bad
    assert not np.isfinite(render_array(via_model(model, 4), pixels_of(5, 5), (50, 50))).all()


def test_shares_weights_and_leaves_the_model_alone() -> None:
    model = small_network("edsr", "liif")
    names = set(model.state_dict())
    wrapped = via_model(model, "4")
    assert set(model.state_dict()) == names
    assert wrapped.decoder.inner is model.decoder
    assert wrapped.radius(AxisMap(100, 1200)) == model.radius(AxisMap(100, 400)) + 1
    assert wrapped.render_decoder.exact_tiling is model.render_decoder.exact_tiling


@torch.inference_mode()
def test_the_cell_is_that_of_the_image_in_between() -> None:
    """Policies act on the scale that the network is asked at."""
    model, pixels = via_model(small_network("edsr", "liif"), 4), pixels_of(7, 6)
    plain = render_array(model, pixels, (70, 60))
    np.testing.assert_array_equal(plain, render_array(model, pixels, (70, 60), cell="clamped"))
    assert np.abs(plain - render_array(model, pixels, (70, 60), cell="clamped:2")).max() > 1e-5
    axes, read = (AxisMap(7, 70), AxisMap(6, 60)), Window.whole(7, 6)
    told = []
    model.decoder.inner.prepare = lambda image, feat, cell: told.append(cell)  # type: ignore[method-assign]
    WindowRenderer(model, Sampling(*axes), pixels, read)
    assert told == [(0.5, 0.5)]
