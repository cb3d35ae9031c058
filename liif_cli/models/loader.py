"""A model's name or path -> the network on a device, and the digest that fingerprints it.

Only ``load_model`` imports torch: a batch whose outputs are all finished needs the digest alone.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import liif_cli
from liif_cli.errors import CheckpointError, UsageError
from liif_cli.geometry.cell import TRAINED_SCALE

if TYPE_CHECKING:
    import torch

    from liif_cli.models.model import Model

DEFAULT_MODEL = "edsr-small-lmliif-real"
ALIASES = {"quality": "edsr-small-lmliif-real"}
"""Names for what a user wants rather than for a network: quality is the best of those that come
with liif, whichever that is in a version."""
KERNELS = ("bicubic", "nearest")
"""Interpolation kernels: decoders that need no weights."""
WEIGHTS = Path(liif_cli.__file__).parent / "weights"


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to render: eval mode, channels last, no gradients.

    ``digest`` is the hexadecimal SHA-256 of its weights file; ``card`` its model card; ``again``
    loads the network once more.
    """

    model: Model
    name: str
    digest: str
    card: Mapping[str, Any] = field(default_factory=dict)
    again: Callable[[], Model] | None = field(default=None, compare=False)
    _made: dict[str, Model] = field(default_factory=dict, compare=False, repr=False)
    _making: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def in_precision(self, precision: str) -> Model:
        """The network in a run's precision: the one that was loaded, and others loaded when asked.

        Raises:
            CheckpointError: the weights file was there, and cannot be read any more.
        """
        with self._making:
            if precision not in self._made:
                again = self.again if self._made else None
                model = self.model if again is None else again()
                self._made[precision] = model.in_precision(precision)
            return self._made[precision]

    @property
    def largest_scale(self) -> float:
        """The largest scale it was trained at by its card, else that of the published models."""
        recipe = self.card.get("recipe")
        scale = recipe.get("scale_max") if isinstance(recipe, Mapping) else None
        return float(scale) if isinstance(scale, int | float) and scale > 0 else TRAINED_SCALE


def shipped() -> dict[str, Path]:
    """Name -> weights file of the models in the package, in alphabetical order."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}


def model_names() -> list[str]:
    """Every name that ``load_model`` takes, the kernels last."""
    return [*shipped(), *KERNELS]


def model_digest(name_or_path: str) -> str:
    """Digest of a model without loading it: what a render's fingerprint needs.

    Raises:
        UsageError: neither a name nor a file.
        CheckpointError: the file cannot be read.
    """
    if name_or_path in KERNELS:
        return hashlib.sha256(f"{name_or_path} {liif_cli.__version__}".encode()).hexdigest()
    path = _weights_path(name_or_path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}", got=error.strerror or str(error), expected="a checkpoint"
        ) from error


def load_model(
    name_or_path: str, device: torch.device, *, via: Fraction | None = None
) -> LoadedModel:
    """The network of a shipped model, a kernel or a checkpoint file.

    Args:
        name_or_path: one of ``model_names()`` or ``ALIASES``, or the path of a checkpoint.
        device: where its weights go.
        via: scale at which it is asked, with Lanczos from there (``models.model.via_model``).

    Raises:
        UsageError: neither a name nor a file, or an interpolation kernel by way of a scale.
        CheckpointError: a file that is not a checkpoint.
    """
    import torch

    from liif_cli.models import checkpoint
    from liif_cli.models.device import use_full_precision
    from liif_cli.models.model import Model, ModelSpec, Part, via_model

    if device.type == "cuda":
        use_full_precision()
    if name_or_path in KERNELS:
        if via is not None:
            raise UsageError(
                "--via", got=f"--model {name_or_path}", expected="a network", cure="leave --via out"
            )
        model = Model(ModelSpec(decoder=Part(name_or_path))).eval().to(device)
        return LoadedModel(model, name_or_path, model_digest(name_or_path), {})
    path = _weights_path(name_or_path)
    loaded = checkpoint.load(path)
    model = loaded.build().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if via is not None:
        model = via_model(model, via)
    return LoadedModel(
        model,
        path.stem,
        model_digest(name_or_path),
        loaded.card,
        again=lambda: load_model(name_or_path, device, via=via).model,
    )


def _weights_path(name_or_path: str) -> Path:
    known = shipped()
    name = ALIASES.get(name_or_path, name_or_path)
    if name in known:
        return known[name]
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise UsageError(
        "unknown model",
        got=repr(name_or_path),
        expected=f"one of {', '.join([*model_names(), *ALIASES])}, or the path of a checkpoint",
        cure="liif models lists them",
    )
