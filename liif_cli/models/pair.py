"""A network for clean images and one for lossy images as one model."""

from __future__ import annotations

import dataclasses

from liif_cli.errors import CheckpointError
from liif_cli.models.checkpoint import Checkpoint
from liif_cli.models.model import ModelSpec

LOSSY = "lossy."
"""Prefix of the tensors of the network for lossy images."""


def join(clean: Checkpoint, told: Checkpoint, clean_to: float = 0.0) -> Checkpoint:
    """The pair that renders clean images as ``clean`` does, and lossy ones as ``told`` does.

    Args:
        clean: one network that is told nothing; of a pair, its network for clean images is taken.
        told: a network of the same shape that is told how lossy an image is; of a pair, its network
            for lossy images is taken.
        clean_to: the greatest level of loss, in [0, 100], at which ``clean`` still renders.

    Raises:
        CheckpointError: the two have other shapes, or are told too much or nothing.
    """
    spec = dataclasses.replace(clean.spec, lossy=True, clean_to=clean_to)
    wanted, offered = spec.of_lossy, told.spec.of_lossy if told.spec.lossy else told.spec
    if wanted is None or wanted.encoder == clean.spec.encoder:
        raise CheckpointError(
            "the network for clean images",
            got=_said(clean.spec),
            expected="one that is not told how lossy an image is",
        )
    if offered != wanted:
        raise CheckpointError(
            "the network for lossy images",
            got=_said(offered),
            expected=f"{_said(wanted)}, as the one for clean images but told how lossy they are",
            cure="train it with the same preset and --set cleanup=true",
        )
    own = {key: value for key, value in clean.state.items() if not key.startswith(LOSSY)}
    if told.spec.lossy:
        lossy = {key: value for key, value in told.state.items() if key.startswith(LOSSY)}
    else:
        lossy = {LOSSY + key: value for key, value in told.state.items()}
    card = {**clean.card, "lossy": dict(told.card)}
    return Checkpoint(spec, {**own, **lossy}, card)


def _said(spec: ModelSpec | None) -> str:
    if spec is None or spec.encoder is None:
        return "a network without encoder"
    parts = (spec.encoder, spec.decoder)
    return " and ".join(
        f"{part.name} ({', '.join(f'{key}={value}' for key, value in sorted(part.args.items()))})"
        for part in parts
    )
