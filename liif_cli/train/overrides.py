"""Values of a set-up out of what was typed: ``--set lr=1e-3``, ``--set n_resblocks=16``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import torch

from liif_cli.errors import CheckpointError, UsageError
from liif_cli.models import DECODERS, ENCODERS
from liif_cli.models.model import Model, ModelSpec, Part
from liif_cli.train.presets import Preset

_TRUTH = {"true": True, "yes": True, "on": True, "1": True}
_TRUTH |= {"false": False, "no": False, "off": False, "0": False}


def override(preset: Preset, texts: Mapping[str, str]) -> Preset:
    """The set-up with some values of the recipe, the encoder or the decoder replaced.

    Args:
        preset: what to start from.
        texts: name -> text in the form of the value that it replaces: a number, true or false, a
            word, none, or whole numbers with commas between them.

    Raises:
        UsageError: a name that is nobody's, a text of the wrong form, or values that do not fit
            together.
    """
    recipe = {f.name: getattr(preset, f.name) for f in dataclasses.fields(preset)}
    del recipe["spec"]
    encoder, decoder = _arguments(preset.spec)
    whole = {"lossy": preset.spec.lossy, "clean_to": preset.spec.clean_to}
    changed: tuple[dict[str, Any], ...] = ({}, {}, {}, {})
    for name, text in texts.items():
        for known, values in zip((recipe, encoder, decoder, whole), changed, strict=True):
            if name in known:
                values[name] = _parse(name, text, known[name])
                if known is not recipe:
                    _check_width(name, values[name])
                break
        else:
            raise UsageError(
                "--set",
                got=repr(name),
                expected=f"a value of the recipe ({', '.join(sorted(recipe))}), of the encoder "
                f"({', '.join(encoder)}), of the decoder ({', '.join(decoder) or 'none'}) or of "
                f"the network ({', '.join(whole)})",
            )
    of_recipe, of_encoder, of_decoder, of_network = changed
    spec = dataclasses.replace(
        preset.spec,
        encoder=_with(preset.spec.encoder, of_encoder) if preset.spec.encoder else None,
        decoder=_with(preset.spec.decoder, of_decoder),
        **of_network,
    )
    result = dataclasses.replace(preset, spec=spec, **of_recipe)
    result.check()
    try:
        with torch.device("meta"):
            Model(spec)
    except (CheckpointError, ZeroDivisionError) as error:
        raise UsageError(f"--set: {error}") from error
    return result


def _arguments(spec: ModelSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of the encoder's and the decoder's classes with their values here."""
    encoder = _values(ENCODERS.load(spec.encoder.name), spec.encoder) if spec.encoder else {}
    decoder = _values(DECODERS.load(spec.decoder.name), spec.decoder)
    # the encoder says how many
    decoder.pop("channels", None)
    return encoder, decoder


def _values(kind: Any, part: Part) -> dict[str, Any]:
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(kind).parameters.items()
    }
    return {**defaults, **part.args}


def _with(part: Part, values: Mapping[str, Any]) -> Part:
    return Part(part.name, {**part.args, **values}) if values else part


def _parse(name: str, text: str, before: Any) -> Any:
    """``text`` in the type of the value that it replaces."""
    try:
        if isinstance(before, bool):
            return _TRUTH[text.lower()]
        if isinstance(before, int | float):
            return type(before)(text)
        if isinstance(before, list | tuple):
            return [int(part) for part in text.split(",")]
    except (ValueError, KeyError) as error:
        raise UsageError(f"--set {name}", got=repr(text), expected=_form(before)) from error
    return None if text.lower() == "none" else text


def _check_width(name: str, value: Any) -> None:
    """Counts and widths of a network are 1 or more; torch builds some of 0 and less."""
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, int) and not isinstance(part, bool) and part < 1:
            raise UsageError(f"--set {name}", got=str(part), expected="1 or more")


def _form(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number"
    return "whole numbers with commas between them, for instance 256,256"
