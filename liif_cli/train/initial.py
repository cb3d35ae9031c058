"""A network that starts from another one's weights: the same, grown, or its encoder alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from liif_cli.errors import CheckpointError
from liif_cli.models.loader import LoadedModel
from liif_cli.models.model import Model, Part
from liif_cli.models.pair import LOSSY
from liif_cli.train.growth import deepened, edsr_size, widened, with_cleanup

GROWN = ("n_resblocks", "n_feats", "cleanup")
"""Arguments of an encoder whose change adds tensors, and is said."""


def take_over(model: Model, source: LoadedModel) -> str:
    """Give ``model`` the weights of ``source`` and say in one line what was taken.

    Where an EDSR has more residual blocks or channels than the source's, the source's are grown
    without a change of what they answer (see ``growth``). Of a network with another kind of
    decoder, the encoder is taken alone.

    Args:
        model: on any device, or on "meta" to find out whether it would do.
        source: a model that was loaded.

    Raises:
        CheckpointError: the networks differ in another way; names the first tensor that does.
    """
    spec, other = model.spec, source.model.spec
    if other.encoder is None or spec.encoder is None:
        raise CheckpointError(
            f"--init {source.name}", got="an interpolation kernel", expected="a trained network"
        )
    alone = spec.decoder.name != other.decoder.name
    wanted = model.state_dict()
    given = dict(source.model.state_dict())
    said = f"starting from the {'encoder' if alone else 'weights'} of {source.name}"
    before, after = edsr_size(other), edsr_size(spec)
    if before and after:
        if after.blocks > before.blocks:
            given = deepened(given, wanted, before.blocks, after.blocks)
            said += f", with {after.blocks - before.blocks} residual blocks more"
        if after.channels > before.channels:
            given = widened(given, wanted, before.channels, after.channels)
            said += f", with {after.channels - before.channels} channels more"
    before_told = set(given)
    given = with_cleanup(given, wanted)
    if any(key not in before_told for key in given):
        said += ", told how lossy an image is"
    if alone:
        given = _of_encoder(given)
    _check_fit(source.name, given, _of_encoder(wanted) if alone else wanted)
    if not any(value.is_meta for value in wanted.values()):
        model.load_state_dict(given, strict=False)
    changed = [] if alone else _changed_arguments(other.decoder, spec.decoder)
    if spec.encoder.name == other.encoder.name:
        changed += _changed_arguments(other.encoder, spec.encoder, apart=GROWN)
    if changed:
        said += f" ({'; '.join(changed)})"
    return said if not alone else f"{said}; its {other.decoder.name} decoder is left"


def _of_encoder(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        key: value for key, value in state.items() if key.removeprefix(LOSSY).startswith("encoder.")
    }


def _check_fit(
    name: str, given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> None:
    for key in [*wanted, *(key for key in given if key not in wanted)]:
        got, expected = (
            f"{key} {'x'.join(map(str, state[key].shape))}" if key in state else f"no {key}"
            for state in (given, wanted)
        )
        if got != expected:
            raise CheckpointError(
                f"--init {name} does not fit this network",
                got=got,
                expected=expected,
                cure="only more residual blocks or channels, or another decoder, may differ",
            )


def _changed_arguments(before: Part, after: Part, apart: tuple[str, ...] = ()) -> list[str]:
    """Arguments that differ without a tensor differing, such as the skip."""
    names = sorted({*before.args, *after.args} - {*apart})
    # an argument that is left out has its class's default, which may be the very value
    return [
        f"{name} was {before.args[name]}, is {after.args[name]}"
        for name in names
        if name in before.args and name in after.args and before.args[name] != after.args[name]
    ]
