"""An encoder and a decoder as one network, and the spec that rebuilds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

import torch
from torch import nn

from liif_cli.errors import CheckpointError
from liif_cli.geometry.axis import AxisMap
from liif_cli.models import DECODERS, ENCODERS
from liif_cli.models.base import Decoder, Encoder
from liif_cli.models.decoders.via import Via


@dataclass(frozen=True)
class Part:
    """One half of a network: a registry name and the keyword arguments of its class."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """What rebuilds a network. ``encoder`` is None for interpolation kernels without weights."""

    decoder: Part
    encoder: Part | None = None

    def to_json(self) -> dict[str, Any]:
        """A plain dict for JSON."""
        parts = {"encoder": self.encoder, "decoder": self.decoder}
        return {
            key: {"name": part.name, "args": dict(part.args)} if part else None
            for key, part in parts.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelSpec:
        """The inverse of ``to_json``.

        Raises:
            CheckpointError: the dict is no spec.
        """
        try:
            encoder, decoder = data["encoder"], data["decoder"]
            return cls(
                decoder=Part(str(decoder["name"]), dict(decoder.get("args", {}))),
                encoder=Part(str(encoder["name"]), dict(encoder.get("args", {})))
                if encoder
                else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                "model spec",
                got=f"{str(data)[:80]!r}",
                expected="an encoder and a decoder, each with a name and args",
            ) from error


class Model(nn.Module):
    """Encoder and decoder of ``spec``; random weights until a state dict is loaded.

    Args:
        spec: names and arguments of both halves.

    Raises:
        CheckpointError: an argument that the named class does not take.
        UsageError: a name that no registry has.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder: nn.Module | None = None
        decoder_args = dict(spec.decoder.args)
        if spec.encoder is not None:
            self.encoder = _construct(ENCODERS.load(spec.encoder.name), spec.encoder)
            decoder_args["channels"] = self.encoder.channels
        part = Part(spec.decoder.name, decoder_args)
        self.decoder: nn.Module = _construct(DECODERS.load(spec.decoder.name), part)

    @property
    def encode_radius(self) -> int:
        """Receptive-field radius of the encoder in LR pixels; 0 without one."""
        return int(cast(Encoder, self.encoder).radius) if self.encoder is not None else 0

    @property
    def render_decoder(self) -> Decoder:
        """The decoder under its contract."""
        return cast(Decoder, self.decoder)

    @property
    def parameter_count(self) -> int:
        """Numbers that training sets."""
        return sum(parameter.numel() for parameter in self.parameters())

    def radius(self, axis: AxisMap) -> int:
        """LR pixels on either side of the one that holds an output pixel which it depends on."""
        return self.encode_radius + self.render_decoder.radius(axis)

    def asked(self, axis: AxisMap) -> AxisMap:
        """The axis whose cell the decoder is told for an output of ``axis``: itself."""
        return axis

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """Normalised image (N, 3, h, w) -> feat (N, C, h, w); the image itself without encoder."""
        if self.encoder is None:
            return image
        feat: torch.Tensor = self.encoder(image.contiguous(memory_format=torch.channels_last))
        return feat


class ViaModel(Model):
    """``model``, whose modules it shares, asked at one scale and resampled from there."""

    decoder: Via

    def __init__(self, model: Model, scale: Fraction) -> None:
        nn.Module.__init__(self)
        self.spec = model.spec
        self.encoder = model.encoder
        self.decoder = Via(model.decoder, scale)

    def asked(self, axis: AxisMap) -> AxisMap:
        """The axis of the image in between."""
        return self.decoder.middle(axis)


def via_model(model: Model, scale: Fraction | int | str) -> Model:
    """``model`` rendered at ``scale`` and brought to the wanted size by Lanczos-3.

    The result shares the weights of ``model`` and renders as it does (``--via``); it is not for
    saving or training.
    """
    return ViaModel(model, Fraction(scale)).eval()


def _construct(kind: Any, part: Part) -> nn.Module:
    try:
        module: nn.Module = kind(**part.args)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"cannot build {part.name!r}", got=str(error), expected="arguments that it takes"
        ) from error
    return module
