"""Small networks of every registered encoder and decoder; a new registry line is picked up."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from liif_cli.models import DECODERS, ENCODERS
from liif_cli.models.model import Model, ModelSpec, Part

_SMALL: dict[str, dict[str, Any]] = {
    "edsr": {"n_resblocks": 1, "n_feats": 6},
    "rdn": {"channels": 4, "config": "A"},
    "liif": {"hidden": [16, 12]},
}
"""Arguments that make a part small; parts of other packages say theirs by ``small``."""


def small(part: str) -> dict[str, Any]:
    """Arguments with which an encoder or a decoder is small enough for many tests."""
    kind = (ENCODERS if part in ENCODERS else DECODERS).load(part)
    return dict(_SMALL.get(part, getattr(kind, "small", {})))


def takes_feat(decoder: str) -> bool:
    """Whether a decoder decodes an encoder's features, or the image itself."""
    return "channels" in inspect.signature(DECODERS.load(decoder)).parameters


NETWORKS = [
    (encoder, decoder)
    for decoder in DECODERS
    for encoder in (ENCODERS if takes_feat(decoder) else (None,))
]
FEAT_DECODERS = [decoder for decoder in DECODERS if takes_feat(decoder)]


def small_network(encoder: str | None, decoder: str, **decoder_args: Any) -> Model:
    """Random weights, the same each time."""
    torch.manual_seed(3)
    spec = ModelSpec(
        encoder=Part(encoder, small(encoder)) if encoder else None,
        decoder=Part(decoder, {**small(decoder), **decoder_args}),
    )
    return Model(spec).eval().requires_grad_(False)


def make_positive(module: nn.Module) -> None:
    """Give every layer positive weights that average its input, and a bias that keeps ReLU open.

    Nothing cancels and nothing dies, so that a gradient is 0 only where there is no path.
    """
    with torch.no_grad():
        for name, value in module.named_parameters():
            if name.endswith("bias"):
                value.fill_(10.0)
            else:
                value.abs_().add_(0.1 * value.mean()).div_(value.flatten(1).sum(1).mean())
