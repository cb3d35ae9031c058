"""What every encoder and decoder must hold to, whichever they are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from liif_cli.geometry.axis import AxisMap
from liif_cli.models import ENCODERS
from liif_cli.models.members import train_members
from liif_cli.models.model import Model
from liif_cli.testing.networks import (
    FEAT_DECODERS,
    NETWORKS,
    make_positive,
    small,
    small_network,
    takes_feat,
)
from liif_cli.testing.rendering import render

TOLERANCE = 1e-5


def image_of(height: int, width: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """(1, 3, height, width) of noise in [-1, 1]."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.rand(1, 3, height, width, generator=generator).to(dtype) * 2 - 1


# -- tiles ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoder", "decoder"), NETWORKS)
@settings(max_examples=10)
@given(
    in_shape=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    out_shape=st.tuples(st.integers(1, 37), st.integers(1, 37)),
    tile_shape=st.tuples(st.integers(3, 40), st.integers(3, 40)),
)
def test_tiles_make_the_whole(
    encoder: str | None,
    decoder: str,
    in_shape: tuple[int, int],
    out_shape: tuple[int, int],
    tile_shape: tuple[int, int],
) -> None:
    """Odd sizes; scales that are fractional, anisotropic and below 1."""
    model, image = small_network(encoder, decoder), image_of(*in_shape)
    whole, tiled = render(model, image, out_shape), render(model, image, out_shape, tile_shape)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("encoder", "decoder"), NETWORKS)
def test_tiles_of_an_image_longer_than_the_halo(encoder: str | None, decoder: str) -> None:
    model = small_network(encoder, decoder)
    length = 2 * model.encode_radius + 60
    for in_shape in ((2, length), (length, 2)):
        image = image_of(*in_shape)
        out_shape = (in_shape[0] * 3, round(in_shape[1] * 1.3))
        whole = render(model, image, out_shape)
        tiled = render(model, image, out_shape, (out_shape[0] // 3, out_shape[1] // 3))
        torch.testing.assert_close(tiled, whole, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("encoder", "decoder"), NETWORKS)
def test_threads_share_a_network(encoder: str | None, decoder: str) -> None:
    model, image = small_network(encoder, decoder), image_of(9, 8)
    shapes = [(20, 17 + i) for i in range(8)]
    alone = [render(model, image, shape) for shape in shapes]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda shape: render(model, image, shape), shapes))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCE)


# -- radius ---------------------------------------------------------------------------------------


def encoder_reach(module: nn.Module, radius: int, axis: int) -> tuple[int, int]:
    """Pixels before and after the middle one of a strip on which its feat depends."""
    length = 2 * radius + 5
    shape = (1, 3, length, 3) if axis == 0 else (1, 3, 3, length)
    image = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    middle = length // 2
    module(image).select(axis + 2, middle).sum().backward()
    assert image.grad is not None
    used = image.grad.abs().sum(dim=(0, 1, 3 - axis)).nonzero().flatten()
    return middle - int(used.min()), int(used.max()) - middle


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ENCODERS)
def test_encoder_radius_is_that_of_its_gradient(name: str, axis: int) -> None:
    encoder = ENCODERS.load(name)(**small(name)).double()
    make_positive(encoder)
    assert encoder_reach(encoder, encoder.radius, axis) == (encoder.radius, encoder.radius)


def test_radii_of_the_published_encoders() -> None:
    """With unfolding and ensemble 36 and 133."""
    assert ENCODERS.load("edsr")().radius == 34
    assert ENCODERS.load("rdn")().radius == 131


@pytest.mark.slow
def test_radius_of_rdn_b_by_gradient() -> None:
    encoder = ENCODERS.load("rdn")(channels=4, config="B").double()
    make_positive(encoder)
    assert encoder_reach(encoder, 131, 1) == (131, 131)


def decoder_reach(model: Model, n_in: int, n_out: int, axis: int) -> int:
    """Largest distance of a code that changes an output pixel from the one that holds it."""
    channels = getattr(model.decoder, "channels", 3)
    shape = (n_in, 1) if axis == 0 else (1, n_in)
    axes = [AxisMap(n_in, n_out), AxisMap(1, 1)][:: 1 if axis == 0 else -1]
    slices = [a.slice(0, a.n_out) for a in axes]
    generator = torch.Generator().manual_seed(1)
    feat = torch.rand(1, channels, *shape, dtype=torch.float64, generator=generator)

    def colours(changed: torch.Tensor) -> torch.Tensor:
        cell = (axes[0].cell, axes[1].cell)
        latent = model.render_decoder.prepare(changed[:, :3], changed, cell)
        return model.render_decoder.query(latent, *slices).reshape(n_out, 3)

    before, reach = colours(feat), 0
    nearest = torch.from_numpy(slices[axis].nearest)
    for code in range(n_in):
        changed = feat.clone()
        changed.select(axis + 2, code).add_(1.0)
        touched = ((colours(changed) - before).abs().amax(1) > 1e-9).nonzero().flatten()
        if len(touched):
            reach = max(reach, int((nearest[touched] - code).abs().max()))
    return reach


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("decoder", sorted({decoder for _, decoder in NETWORKS}))
def test_decoder_radius_is_the_measured_one(decoder: str, axis: int) -> None:
    """Equal at generic scales; an upper bound at those where pixels and codes meet."""
    model = small_network("edsr" if takes_feat(decoder) else None, decoder).double()
    make_positive(model)
    for n_in, n_out in ((31, 84), (37, 26), (50, 11)):
        declared = model.render_decoder.radius(AxisMap(n_in, n_out))
        assert decoder_reach(model, n_in, n_out, axis) == declared, (n_in, n_out)
    for n_in, n_out in ((9, 9), (9, 18), (9, 27), (12, 6), (15, 5)):
        declared = model.render_decoder.radius(AxisMap(n_in, n_out))
        assert decoder_reach(model, n_in, n_out, axis) <= declared, (n_in, n_out)


@pytest.mark.parametrize("decoder", FEAT_DECODERS)
def test_network_radius_is_that_of_its_gradient(decoder: str) -> None:
    model = small_network("edsr", decoder).double()
    trained: Any = model.decoder
    make_positive(model)
    n_in, n_out = 40, 97
    axis = AxisMap(n_in, n_out)
    image = torch.ones(1, 3, 1, n_in, dtype=torch.float64, requires_grad=True)
    cols = torch.arange(n_out)[None]
    members = train_members(
        trained.members,
        (torch.zeros_like(cols), cols),
        (1, n_in),
        (torch.tensor([1]), torch.tensor([n_out])),
    )
    cell = torch.tensor([[2.0, axis.cell]])
    colours = trained.sample(image, model.encode(image), members, cell)[0]
    nearest = torch.from_numpy(axis.slice(0, n_out).nearest)
    reach = 0
    for col in range(n_out):
        (gradient,) = torch.autograd.grad(colours[col].sum(), image, retain_graph=True)
        used = gradient.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        reach = max(reach, int((used - nearest[col]).abs().max()))
    assert reach == model.radius(axis)


# -- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoder", FEAT_DECODERS)
@pytest.mark.parametrize("scale", [(1.0, 1.0), (2.0, 3.0), (3.7, 2.6)])
def test_samples_are_the_rendered_pixels(decoder: str, scale: tuple[float, float]) -> None:
    """Of two images in one batch, at every pixel."""
    model = small_network("edsr", decoder)
    trained: Any = model.decoder
    in_shape = (7, 6)
    out_shape = (round(7 * scale[0]), round(6 * scale[1]))
    image = torch.cat([image_of(7, 6), image_of(7, 6).flip(3)])
    grid = torch.meshgrid(*(torch.arange(side) for side in out_shape), indexing="ij")
    index = tuple(part.flatten().expand(2, -1) for part in grid)
    members = train_members(
        trained.members,
        (index[0], index[1]),
        in_shape,
        (torch.tensor([out_shape[0]] * 2), torch.tensor([out_shape[1]] * 2)),
    )
    cell = torch.tensor(
        [[AxisMap(a, b).cell for a, b in zip(in_shape, out_shape, strict=True)]] * 2
    )
    sampled = trained.sample(image, model.encode(image), members, cell)
    for number in range(2):
        rendered = render(model, image[number : number + 1], out_shape)
        torch.testing.assert_close(
            sampled[number].reshape(*out_shape, 3), rendered, rtol=0, atol=TOLERANCE
        )
    torch.testing.assert_close(members.weight.sum(-1), torch.ones_like(members.weight.sum(-1)))
    trained.requires_grad_(True)
    trained.sample(image, model.encode(image), members, cell).square().sum().backward()
    for name, parameter in trained.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
