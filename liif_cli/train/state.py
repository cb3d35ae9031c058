"""The resumable state of a training: one file, whole or not at all."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from liif_cli.errors import TrainError
from liif_cli.io.atomic import write_atomically
from liif_cli.models.model import ModelSpec, Part
from liif_cli.train.presets import Preset

VERSION = 2
"""Version 1 had fewer recipe values, which meant what is now their default."""


def write_state(path: Path, preset: Preset, values: Mapping[str, Any]) -> None:
    """Write ``values`` under ``preset``; a crash or a full disk leaves the old file.

    Raises:
        TrainError: a tensor of it is not a number, so that the old file is the better one.
        OutputError: a full disk, no permission.
    """
    for name, tensor in _tensors(values):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise TrainError(
                f"state of iteration {values['iteration']}",
                got=f"NaN or infinity in {name}",
                expected="finite numbers",
                cure=f"lower lr; {path.name}, if it is there, holds the last good state",
            )
    # in memory first: torch turns an error of the disk into one that does not say which
    buffer = io.BytesIO()
    torch.save({"version": VERSION, "preset": preset.to_json(), **values}, buffer)
    write_atomically(path, buffer.getbuffer())


def read_state(
    path: Path, preset: Preset, device: torch.device, init: Mapping[str, str] | None
) -> dict[str, Any]:
    """The state in ``path``, checked to be one of ``preset`` that started from ``init``.

    Raises:
        TrainError: it cannot be read, or another training made it; names the values that differ.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        version, recipe = state["version"], state["preset"]
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError) as e:
        raise TrainError(
            f"cannot resume from {path}",
            got=" ".join(str(e).split())[:120] or type(e).__name__,
            expected="the state of a training",
            cure="move that file away, or give another --out",
        ) from e
    if version not in (1, VERSION):
        raise TrainError(
            f"cannot resume from {path}",
            got=f"a state of version {version}",
            expected=f"version {VERSION} or less",
            cure="update liif, or give another --out",
        )
    was = {**_flat(_defaults()), **_flat(recipe)}
    now = _flat(preset.to_json())
    was["init"] = (state.setdefault("init", None) or {}).get("digest", "none")[:12]
    now["init"] = (init or {}).get("digest", "none")[:12]
    if preset.epochs:
        # they follow from the number of photos
        was.pop("iterations")
        now.pop("iterations")
    differing = [name for name in {**now, **was} if was.get(name) != now.get(name)]
    if differing:
        raise TrainError(
            f"cannot resume from {path}: another preset or recipe made it",
            got="; ".join(f"{name} was {was.get(name)}, is {now.get(name)}" for name in differing),
            expected="the same values",
            cure="give those values, or another --out (--init starts from the weights), "
            "or --no-resume --overwrite",
        )
    return dict(state)


def _defaults() -> dict[str, Any]:
    return Preset(ModelSpec(decoder=Part(""))).to_json()


def _flat(values: Mapping[str, Any]) -> dict[str, str]:
    """Every value as a text under its name; those of the network under "encoder hidden" etc."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if name == "spec":
            for half in ("encoder", "decoder"):
                part = value.get(half) or {"name": "none", "args": {}}
                flat[half] = part["name"]
                flat |= {f"{half} {key}": str(arg) for key, arg in part["args"].items()}
        else:
            flat[name] = str(value)
    return flat


def _tensors(values: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in nested mappings and lists, with its path."""
    if isinstance(values, torch.Tensor):
        yield name, values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from _tensors(value, f"{name} {key}".strip())
    elif isinstance(values, list | tuple):
        for key, value in enumerate(values):
            yield from _tensors(value, f"{name} {key}".strip())
