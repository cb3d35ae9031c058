"""A network that starts from another one's weights: the same, grown, or its encoder alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from liif_cli.errors import CheckpointError
from liif_cli.models.loader import LoadedModel
from liif_cli.models.model import Model, ModelSpec, Part

_BODY = re.compile(r"encoder\.body\.(\d+)\.(.+)")


def take_over(model: Model, source: LoadedModel) -> str:
    """Give ``model`` the weights of ``source`` and say in one line what was taken.

    Where only the number of EDSR's residual blocks has grown, the old blocks come first and the
    new ones start as the identity: their second convolution is zero. Of a network with another kind
    of decoder, the encoder is taken alone.

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
    given = dict(source.model.state_dict())
    wanted = model.state_dict()
    if alone:
        given = _of_encoder(given)
    said = f"starting from the {'encoder' if alone else 'weights'} of {source.name}"
    before, after = _blocks(other), _blocks(spec)
    if before and after and after > before:
        given = _grown(given, wanted, before, after)
        said += f", with {after - before} residual blocks more"
    _check_fit(source.name, given, _of_encoder(wanted) if alone else wanted)
    if not any(value.is_meta for value in wanted.values()):
        model.load_state_dict(given, strict=False)
    changed = [] if alone else _changed_arguments(other.decoder, spec.decoder)
    if spec.encoder.name == other.encoder.name:
        changed += _changed_arguments(other.encoder, spec.encoder, apart="n_resblocks")
    if changed:
        said += f" ({'; '.join(changed)})"
    return said if not alone else f"{said}; its {other.decoder.name} decoder is left"


def _of_encoder(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key.startswith("encoder.")}


def _blocks(spec: ModelSpec) -> int:
    """Residual blocks of an EDSR, 0 of another encoder."""
    if spec.encoder is None or spec.encoder.name != "edsr":
        return 0
    return int(spec.encoder.args.get("n_resblocks", 16))


def _grown(
    given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], before: int, after: int
) -> dict[str, torch.Tensor]:
    """The state with identity blocks between the old blocks and the convolution after them."""
    grown: dict[str, torch.Tensor] = {}
    for key, value in given.items():
        match = _BODY.fullmatch(key)
        last = match is not None and int(match[1]) == before
        grown[f"encoder.body.{after}.{match[2]}" if match and last else key] = value
    for key, value in wanted.items():
        match = _BODY.fullmatch(key)
        if match and before <= int(match[1]) < after:
            # the first convolution stays random: with both at zero no gradient would come through
            zero = match[2].startswith("body.2.")
            grown[key] = torch.zeros_like(value) if zero else value
    return grown


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
                cure="only more residual blocks, or another kind of decoder, may differ",
            )


def _changed_arguments(before: Part, after: Part, apart: str = "") -> list[str]:
    """Arguments that differ without a tensor differing, such as the skip."""
    names = sorted({*before.args, *after.args} - {apart})
    # an argument that is left out has its class's default, which may be the very value
    return [
        f"{name} was {before.args[name]}, is {after.args[name]}"
        for name in names
        if name in before.args and name in after.args and before.args[name] != after.args[name]
    ]
