"""Weights files: our own format, and the PyTorch files that the methods' authors publish.

Our own is one safetensors file. Its metadata hold "format", "version", "spec" (JSON of a
``ModelSpec``) and "card" (JSON of the model card); its tensors are keyed as ``Model.state_dict()``.
Files are told apart by content; nothing in a file is ever executed.
"""

from __future__ import annotations

import copy
import json
import os
import pickle
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from liif_cli.errors import CheckpointError
from liif_cli.models.base import Published
from liif_cli.models.model import Model, ModelSpec, Part
from liif_cli.registries import DECODERS, ENCODERS
from liif_cli.registry import Registry

FORMAT = "liif"
VERSION = 2
"""Highest version that can be read: 1, or 2 for a network that is told how lossy an image is."""
NAMED_KEYS = 3
"""Keys that an error message names before it only counts."""
UNUSED = ("encoder.sub_mean.", "encoder.add_mean.")
"""Frozen mean-shift layers, in published state dicts and not used by their networks."""


@dataclass(frozen=True)
class Checkpoint:
    """A network's spec, its weights (float32, keyed as ``Model.state_dict()``) and its card."""

    spec: ModelSpec
    state: Mapping[str, torch.Tensor]
    card: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _skeleton(self) -> Model:
        """The network without weights, which takes longer to build than to copy."""
        with torch.device("meta"):
            return Model(self.spec)

    def build(self) -> Model:
        """The network with these weights, in eval mode and without gradients."""
        model = copy.deepcopy(self._skeleton)
        model.load_state_dict(dict(self.state), assign=True)
        return model.eval().requires_grad_(False)


def save(model: Model, card: Mapping[str, Any], path: Path) -> None:
    """Write ``model`` and its card to ``path``, whole or not at all.

    Args:
        card: anything JSON can hold: data and licences, recipe, figures.
    """
    metadata = {
        "format": FORMAT,
        "version": "2" if model.takes_cleanup else "1",
        "spec": json.dumps(model.spec.to_json()),
        "card": json.dumps(dict(card)),
    }
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(to_bytes(state, metadata))
            file.flush()
            os.fsync(file.fileno())
        # mkstemp's 0600 would keep other users from reading the weights
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: Path) -> Checkpoint:
    """Read a weights file of either kind and check that it is whole.

    Raises:
        CheckpointError: no such file, a file of another kind, a damaged one, one that holds more
            than plain data, one of a newer version, or weights that do not fit their spec.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}",
            got=error.strerror or str(error),
            expected="a checkpoint (.safetensors, or a published .pth)",
        ) from error
    if len(head) == 9 and head[8:] == b"{":
        checkpoint = _load_own(path)
    elif head[:2] == b"PK" or head[:1] == b"\x80":
        checkpoint = _load_published(path)
    else:
        raise CheckpointError(
            f"{path} is not a checkpoint",
            got="an empty file" if not head else f"a file that begins with {head[:8]!r}",
            expected="a safetensors file of liif, or a published PyTorch file",
        )
    _check(path, checkpoint)
    return checkpoint


def _load_own(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_metadata(path, metadata)
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        spec, card = json.loads(metadata["spec"]), json.loads(metadata["card"])
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged",
            got=_one_line(error),
            expected="a whole safetensors file",
            cure="copy or download it again",
        ) from error
    except ValueError as error:
        raise CheckpointError(
            f"{path} is damaged", got=_one_line(error), expected="JSON in its metadata"
        ) from error
    return Checkpoint(ModelSpec.from_json(spec), state, card)


def _check_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != FORMAT or not {"version", "spec", "card"} <= set(metadata):
        raise CheckpointError(
            f"{path} is not a checkpoint of liif",
            got=f"a safetensors file with metadata {sorted(metadata)}",
            expected=f'format "{FORMAT}", version, spec and card',
            cure="make one with liif convert or liif train",
        )
    version = metadata["version"]
    if not version.isdecimal() or int(version) > VERSION:
        raise CheckpointError(
            f"{path} is of a newer format",
            got=f"version {version[:20]}",
            expected=f"{VERSION} or less",
            cure="update liif",
        )


def _load_published(path: Path) -> Checkpoint:
    try:
        # a file object: of a path, torch would go by the suffix
        # what torch warns of here, the errors below say in one line
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is refused",
            got="a pickle that holds more than tensors and plain values, or a damaged one",
            expected="a checkpoint that loads without running code",
            cure="do not open it with other tools unless you trust where it is from",
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged, or no PyTorch file",
            got=_one_line(error),
            expected="a whole published checkpoint",
            cure="copy or download it again",
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} is not a published checkpoint",
            got=f"a {type(content).__name__}",
            expected="{'model': {'name', 'args', 'sd'}} of a LIIF or MetaSR network",
        )
    try:
        name, args, tensors = (content["model"][key] for key in ("name", "args", "sd"))
        spec = _published_spec(path, str(name), dict(args))
        state = {
            _own_key(key): tensor.float()
            for key, tensor in tensors.items()
            if not key.startswith(UNUSED)
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a published checkpoint",
            got=f"{type(error).__name__} {_one_line(error)} where its model should be",
            expected="{'model': {'name', 'args', 'sd'}} of a LIIF or MetaSR network",
        ) from error
    return Checkpoint(spec, state, {"name": path.stem, "origin": "a published PyTorch checkpoint"})


def _own_key(key: str) -> str:
    return key if key.startswith("encoder.") else f"decoder.{key}"


def _published_spec(path: Path, name: str, args: Mapping[str, Any]) -> ModelSpec:
    encoder = str(args["encoder_spec"]["name"])
    of_encoder = args["encoder_spec"].get("args") or {}
    if not of_encoder.get("no_upsampling", False):
        raise CheckpointError(
            f"{path}: its encoder {encoder!r}",
            got="one that upsamples",
            expected="no_upsampling: True",
        )
    return ModelSpec(
        encoder=_part(path, ENCODERS, encoder, of_encoder),
        decoder=_part(path, DECODERS, name, args),
    )


def _part(path: Path, registry: Registry, name: str, args: Mapping[str, Any]) -> Part:
    """The architecture that has that name in published files; see ``models.base.Published``."""
    known: list[str] = []
    for own in registry:
        published: Published = getattr(registry.load(own), "published", {})
        if name in published:
            try:
                return Part(own, published[name](args))
            except ValueError as error:
                raise CheckpointError(
                    f"{path}: its {registry.kind} {name!r}",
                    got=_one_line(error),
                    expected=f"arguments that {own!r} takes",
                ) from error
        known += published
    raise CheckpointError(
        f"{path}: its {registry.kind}", got=repr(name), expected="one of " + ", ".join(known)
    )


def _check(path: Path, checkpoint: Checkpoint) -> None:
    """Keys and shapes of the state against the spec; the network is built without memory."""
    expected = checkpoint._skeleton.state_dict()
    state = checkpoint.state
    missing = [key for key in expected if key not in state]
    extra = [key for key in state if key not in expected]
    if missing or extra:
        parts = [
            f"{len(keys)} {kind} ({_first(keys)})"
            for kind, keys in (("missing", missing), ("extra", extra))
            if keys
        ]
        raise CheckpointError(
            f"{path}: its weights do not fit its config",
            got=" and ".join(parts),
            expected=f"the {len(expected)} keys of its network",
        )
    for key, value in expected.items():
        if state[key].shape != value.shape:
            raise CheckpointError(
                f"{path}: its weights do not fit its config",
                got=f"{key} of shape {tuple(state[key].shape)}",
                expected=str(tuple(value.shape)),
            )
        if not torch.isfinite(state[key]).all():
            raise CheckpointError(
                f"{path}: its weights are not numbers",
                got=f"NaN or infinity in {key}",
                expected="finite weights",
                cure="take an earlier checkpoint of that training",
            )


def _first(keys: list[str]) -> str:
    named = ", ".join(keys[:NAMED_KEYS])
    return f"{named}, ..." if len(keys) > NAMED_KEYS else named


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
