"""A larger EDSR that begins with what a smaller one has learnt, and answers as it did.

Both ways of growing keep the function (Chen, Goodfellow, Shlens: Net2Net, ICLR 2016, arXiv
1511.05641): new residual blocks add zero, and nothing old reads new channels yet. What is new is
random where it is written and zero where it is read, so that it gets a gradient at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from liif_cli.models.model import ModelSpec
from liif_cli.models.pair import LOSSY

State = Mapping[str, torch.Tensor]

_BODY = re.compile(r"(?P<body>(?:lossy\.)?encoder\.body)\.(?P<number>\d+)\.(?P<rest>.+)")
_FIRST_LAYER = re.compile(r"(?:lossy\.)?decoder\.(imnet|latent)\.layers\.0\.weight")
_LAST_LAYER = re.compile(r"(?:lossy\.)?decoder\.imnet\.layers\.\d+\.(weight|bias)")


@dataclass(frozen=True)
class EDSRSize:
    """Residual blocks and channels of an EDSR."""

    blocks: int
    channels: int


def edsr_size(spec: ModelSpec) -> EDSRSize | None:
    """Of the network's encoder; None where that is no EDSR."""
    if spec.encoder is None or spec.encoder.name != "edsr":
        return None
    args = spec.encoder.args
    return EDSRSize(int(args.get("n_resblocks", 16)), int(args.get("n_feats", 64)))


def with_cleanup(given: State, wanted: State) -> dict[str, torch.Tensor]:
    """The state with what tells a network how lossy an image is, where it has none of that yet.

    The network for lossy images begins as the one for clean images; a block that is told something
    begins as if it were not. A network that is told nothing takes the part for clean images.

    Args:
        given: the state to start from.
        wanted: the new network's, freshly made.
    """
    state = {key: value for key, value in given.items() if key in wanted or not _told_key(key)}
    for key, value in wanted.items():
        if key not in state and _told_key(key):
            plain = given.get(key.removeprefix(LOSSY))
            state[key] = value if plain is None else plain
    return state


def _told_key(key: str) -> bool:
    return key.startswith(LOSSY) or ".told." in key


def deepened(given: State, wanted: State, before: int, after: int) -> dict[str, torch.Tensor]:
    """The state with more residual blocks: new ones of zero between the old ones and what follows.

    Args:
        given: the smaller network's state.
        wanted: the larger network's, freshly made.
        before: residual blocks of the smaller.
        after: of the larger.
    """
    grown: dict[str, torch.Tensor] = {}
    for key, value in given.items():
        match = _BODY.fullmatch(key)
        last = match is not None and int(match["number"]) == before
        grown[f"{match['body']}.{after}.{match['rest']}" if match and last else key] = value
    for key, value in wanted.items():
        match = _BODY.fullmatch(key)
        if match and before <= int(match["number"]) < after:
            # the first convolution stays random: with both at zero no gradient would come through
            zero = match["rest"].startswith("body.2.")
            grown[key] = torch.zeros_like(value) if zero else value
    return grown


def widened(given: State, wanted: State, before: int, after: int) -> dict[str, torch.Tensor]:
    """The state with more channels of feat: the new ones are random features that nothing reads.

    Tensors that do not depend on the number of channels, or differ in another way too, stay as they
    are.

    Args:
        given: the smaller network's state, of as many blocks as the larger one.
        wanted: the larger network's, freshly made.
        before: channels of the smaller.
        after: of the larger.
    """
    return {
        key: _widened_tensor(key, value, wanted[key], before, after) if key in wanted else value
        for key, value in given.items()
    }


def _widened_tensor(
    key: str, old: torch.Tensor, new: torch.Tensor, before: int, after: int
) -> torch.Tensor:
    if old.shape == new.shape:
        return old
    grown = new.detach().clone()
    if ".told." in key and new.shape[0] * before == old.shape[0] * after:
        # factors and shifts of two convolutions, one behind the other
        parts = old.shape[0] // before
        grown.zero_()
        of_parts = grown.view(parts, after, *new.shape[1:])
        of_parts[:, :before] = old.view(parts, before, *old.shape[1:])
        return grown
    if key.removeprefix(LOSSY).startswith("encoder."):
        if old.shape[0] != before or new.shape[0] != after:
            return old
        grown[:before] = 0
        grown[tuple(slice(size) for size in old.shape)] = old
        return grown
    ratio, rest = divmod(old.shape[-1], before)
    if _FIRST_LAYER.fullmatch(key) and new.shape == (old.shape[0], ratio * after + rest):
        # unfolded codes are the first columns, channel by channel; rel and cell follow
        codes = old.shape[1] - rest
        grown.zero_()
        grown[:, :codes] = old[:, :codes]
        grown[:, new.shape[1] - rest :] = old[:, codes:]
        return grown
    if _LAST_LAYER.fullmatch(key) and new.shape[0] * before == old.shape[0] * after:
        # MetaSR's weight net makes its matrix channel by channel
        grown.zero_()
        grown[: old.shape[0]] = old
        return grown
    return old
