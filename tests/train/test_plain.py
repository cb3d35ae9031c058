"""Training samples, gradients included, against the plain form of the paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from liif_cli.models.members import train_members
from liif_cli.models.model import Model, ModelSpec, Part
from tests.reference.plain_training import (
    liif_answer,
    lmliif_answer,
    plain_batch,
    plain_colours,
)

SIDE, OUT = 8, 18
PARTS = {
    "liif": Part("liif", {"hidden": [16, 16], "skip": "bilinear"}),
    "lmliif": Part("lmliif", {"latent_hidden": [24], "depth": 3}),
}


@pytest.mark.parametrize("kind", sorted(PARTS))
def test_samples_and_gradients_are_those_of_the_plain_form(kind: str) -> None:
    torch.manual_seed(4)
    model = Model(
        ModelSpec(encoder=Part("edsr", {"n_resblocks": 1, "n_feats": 8}), decoder=PARTS[kind])
    )
    decoder = model.decoder
    image = torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    # the last row and column of the published form are close to 0/0 at odd scales
    row, col = torch.randint(1, OUT - 1, (2, 2, 40))
    side = torch.tensor([OUT, OUT])
    members = train_members(decoder.members, (row, col), (SIDE, SIDE), (side, side))
    coord = (2 * torch.stack([row, col], -1) + 1) / OUT - 1
    cell = torch.full((2, 40, 2), 2 / OUT)
    feat = model.encode(image)
    answer = (
        liif_answer(decoder.imnet.linears)
        if kind == "liif"
        else lmliif_answer(decoder.latent.linears, decoder.render.linears, decoder.code)
    )
    fast = decoder.sample(image, feat, members, cell[:, 0] * SIDE)
    plain = plain_colours(image, feat, coord, cell, answer, skip=decoder.skip is not None)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=0)
    gradients = []
    for colours in (fast, plain):
        model.zero_grad()
        colours.square().mean().backward(retain_graph=True)
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_a_plain_batch_pairs_pixels_with_their_place() -> None:
    ramp = np.zeros((40, 40, 3), np.uint8)
    ramp[..., 0] = 100
    batch = plain_batch(
        [ramp],
        np.random.default_rng(0),
        count=3,
        crop=8,
        samples=20,
        scales=(1.0, 4.0),
        device=torch.device("cpu"),
    )
    assert batch.image.shape == (3, 3, 8, 8)
    assert batch.target.shape == (*batch.coord.shape[:2], 3)
    expected = torch.tensor([100 / 127.5 - 1, -1, -1])
    torch.testing.assert_close(batch.target, expected.expand(3, 20, 3))
    torch.testing.assert_close(batch.image[0, :, 4, 4], expected)
    assert all(len(set(map(tuple, coord.tolist()))) == 20 for coord in batch.coord)
