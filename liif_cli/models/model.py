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
from liif_cli.models.device import PRECISION_DTYPES, PRODUCTS

TOLD_KEPT = 8
"""Networks for as many levels of loss are kept: half a megabyte each for the small ones."""


@dataclass(frozen=True)
class Part:
    """One half of a network: a registry name and the keyword arguments of its class."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """What rebuilds a network.

    Attributes:
        decoder: the decoder.
        encoder: None for interpolation kernels without weights.
        lossy: beside the network for clean images there is one of the same shape, told how lossy
            an image is, for all others.
        clean_to: the greatest level of loss, in [0, 100], that still goes to the network for clean
            images, where there are two.
    """

    decoder: Part
    encoder: Part | None = None
    lossy: bool = False
    clean_to: float = 0.0

    @property
    def of_lossy(self) -> ModelSpec | None:
        """The network for lossy images, where there is one."""
        if not self.lossy or self.encoder is None:
            return None
        told = Part(self.encoder.name, {**self.encoder.args, "cleanup": True})
        return ModelSpec(decoder=self.decoder, encoder=told)

    def to_json(self) -> dict[str, Any]:
        """A plain dict for JSON."""
        parts = {"encoder": self.encoder, "decoder": self.decoder}
        values: dict[str, Any] = {
            key: {"name": part.name, "args": dict(part.args)} if part else None
            for key, part in parts.items()
        }
        if self.lossy:
            values["lossy"] = True
        if self.clean_to:
            values["clean_to"] = self.clean_to
        return values

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelSpec:
        """The inverse of ``to_json``.

        Raises:
            CheckpointError: the dict is not a spec.
        """
        try:
            encoder, decoder = data["encoder"], data["decoder"]
            return cls(
                decoder=Part(str(decoder["name"]), dict(decoder.get("args", {}))),
                encoder=Part(str(encoder["name"]), dict(encoder.get("args", {})))
                if encoder
                else None,
                lossy=bool(data.get("lossy", False)),
                clean_to=float(data.get("clean_to", 0)),
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
        of_lossy = spec.of_lossy
        self.lossy: Model | None = Model(of_lossy) if of_lossy else None
        self._told: dict[float, Model] = {}

    @property
    def takes_cleanup(self) -> bool:
        """Whether it is another network for a lossy image than for a clean one."""
        return self.lossy is not None or bool(getattr(self.encoder, "takes_cleanup", False))

    def told(self, cleanup: float) -> Model:
        """The network for images of one level of loss, as fast as one that is told nothing.

        It shares weights, and is kept: asking again for one of the last few levels costs nothing.

        Args:
            cleanup: how lossy the image is, in [0, 100]; 0 for clean. Models that cannot be told
                are returned as they are.
        """
        if not self.takes_cleanup or (self.lossy is not None and cleanup <= self.spec.clean_to):
            return self
        if (told := self._told.get(cleanup)) is None:
            told = self._make_told(cleanup)
            while len(self._told) >= TOLD_KEPT:
                self._told.pop(next(iter(self._told)), None)
            self._told[cleanup] = told
        return told

    def _make_told(self, cleanup: float) -> Model:
        if self.lossy is not None:
            return self.lossy.told(cleanup)
        return ToldModel(self, cleanup)

    def in_precision(self, precision: str) -> Model:
        """The model in a run's precision, one of ``PRECISION_DTYPES``, in place.

        On a CPU the parts that encoder and decoder name in ``in_float32`` stay as they are: what is
        compiled for float32, and takes the results of a lower precision, and what loses by it.
        """
        dtype = PRECISION_DTYPES[precision]
        kept = [] if dtype == torch.float32 else self._in_float32()
        self.to(dtype)
        for value, exact in kept:
            value.data = exact
        for part in self._parts():
            if hasattr(part, "products"):
                part.products = PRODUCTS.get(precision, 0)  # type: ignore[assignment]
        return self

    def _parts(self) -> list[nn.Module]:
        """Encoders and decoders, those for lossy images included."""
        decoder = cast(nn.Module, getattr(self.decoder, "inner", self.decoder))
        own = [decoder] if self.encoder is None else [self.encoder, decoder]
        return own if self.lossy is None else [*own, *self.lossy._parts()]

    @property
    def has_matrix_code(self) -> bool:
        """Whether this processor's matrix instructions make it quicker in "bf16x3"."""
        return any(getattr(part, "has_matrix_code", False) for part in self._parts())

    def _in_float32(self) -> list[tuple[nn.Parameter, torch.Tensor]]:
        """What stays in float32 on a CPU, and its values."""
        values = [
            value
            for owner in self._parts()
            for part in getattr(owner, "in_float32", ())
            for value in part.parameters()
            if value.device.type == "cpu"
        ]
        return [(value, value.data) for value in values]

    def _apply(self, *args: Any, **kwargs: Any) -> Model:
        # told networks hold weights of the device and type that the model had
        self._told.clear()
        moved: Model = super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        return moved

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

    def encode(self, image: torch.Tensor, cleanup: torch.Tensor | None = None) -> torch.Tensor:
        """Normalised image (N, 3, h, w) -> feat (N, C, h, w); the image itself without encoder.

        ``cleanup`` (N,) in [0, 100] is how lossy each image is, for an encoder that takes it:
        training asks so; rendering asks the network that ``told`` gives.
        """
        if self.encoder is None:
            return image
        takes = cleanup is not None and getattr(self.encoder, "takes_cleanup", False)
        told = (cleanup,) if takes else ()
        # a first layer in float32 takes the image as it is
        dtype = next(self.encoder.parameters()).dtype
        image = image.to(dtype).contiguous(memory_format=torch.channels_last)
        feat: torch.Tensor = self.encoder(image, *told)
        return feat


class ToldModel(Model):
    """``model`` for images of one level of loss, which its encoder's weights have in them."""

    def __init__(self, model: Model, cleanup: float) -> None:
        nn.Module.__init__(self)
        assert model.encoder is not None
        self.spec = model.spec
        self.encoder = cast(Any, model.encoder).told_encoder(cleanup)
        self.decoder = model.decoder
        self.lossy = None
        self._told = {}
        self.eval()


class ViaModel(Model):
    """``model``, whose modules it shares, asked at one scale and resampled from there."""

    decoder: Via

    def __init__(self, model: Model, scale: Fraction) -> None:
        nn.Module.__init__(self)
        self.spec = model.spec
        self.encoder = model.encoder
        self.decoder = Via(model.decoder, scale)
        self.direct, self.lossy = model, model.lossy
        self._told = {}

    def _make_told(self, cleanup: float) -> Model:
        return ViaModel(self.direct.told(cleanup), self.decoder.scale)

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
