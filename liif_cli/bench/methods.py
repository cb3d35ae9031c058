"""What can be compared: networks, policies around them, and interpolation."""

from __future__ import annotations

import difflib
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

import liif_cli
from liif_cli.bench import siren
from liif_cli.bench.imresize import imresize
from liif_cli.bench.interpolation import KERNELS as INTERPOLATIONS
from liif_cli.bench.interpolation import interpolate
from liif_cli.bench.protocol import BENCHMARK
from liif_cli.bench.results import MethodInfo
from liif_cli.bench.timed import Place, Timed, render_timed
from liif_cli.engine.render import PRECISION_DTYPES
from liif_cli.errors import UsageError
from liif_cli.geometry.cell import CLAMPED, SCALED, CellPolicy
from liif_cli.models import DECODERS, checkpoint
from liif_cli.models.loader import KERNELS, load_model, model_digest, shipped
from liif_cli.models.model import Model

Image8 = npt.NDArray[np.uint8]

SIREN = "siren"
VARIANTS = {
    "ensemble": "mean over 8 flips and turns",
    "clamped": "pixel size clamped to the trained",
    "via4": "network at x4, then Lanczos",
}
VIA = Fraction(4)
WARM_UP = (48, 48)
"""Shape of the LR image that starts kernels up before the clock counts."""


class Method(Protocol):
    """Makes the colours of an output from its LR image alone."""

    info: MethodInfo

    @property
    def uses_cell(self) -> bool:
        """Whether the result depends on the cell that it is told."""
        ...

    def run(
        self, lr: Image8, out_shape: tuple[int, int], protocol: str, cell: float = 1.0
    ) -> Timed:
        """Upscale ``lr`` (h, w, 3) to ``out_shape``; colours (height, width, 3) on [0, 1].

        Args:
            protocol: of the set: classic tables round their bicubic row to 8 bit.
            cell: factor of the cell told to a network.
        """
        ...


@dataclass
class Network:
    """A model by the tiled renderer.

    ``policy`` is the cell that it is told; None tells the true one, or what ``run`` is asked for.
    """

    info: MethodInfo
    model: Model
    place: Place
    policy: CellPolicy | None = None
    self_ensemble: bool = False

    @property
    def uses_cell(self) -> bool:
        return self.info.parameters > 0 and self.policy is None

    def run(
        self, lr: Image8, out_shape: tuple[int, int], protocol: str, cell: float = 1.0
    ) -> Timed:
        """See ``Method``."""
        return render_timed(
            self.model,
            lr,
            out_shape,
            self.place,
            cell=self.policy or cell,
            self_ensemble=self.self_ensemble,
        )


@dataclass
class Interpolation:
    """Bilinear or Lanczos, unrounded."""

    info: MethodInfo
    uses_cell = False

    def run(
        self, lr: Image8, out_shape: tuple[int, int], protocol: str, cell: float = 1.0
    ) -> Timed:
        """See ``Method``."""
        start = time.perf_counter()
        colours = interpolate(lr.astype(np.float32) / np.float32(255), out_shape, self.info.name)
        return Timed(colours, 0.0, time.perf_counter() - start)


@dataclass
class Bicubic:
    """MATLAB's bicubic, rounded to 8 bit, where luma is measured; else the renderer's kernel."""

    info: MethodInfo
    kernel: Network
    uses_cell = False

    def run(
        self, lr: Image8, out_shape: tuple[int, int], protocol: str, cell: float = 1.0
    ) -> Timed:
        """See ``Method``."""
        if protocol != BENCHMARK:
            return self.kernel.run(lr, out_shape, protocol)
        start = time.perf_counter()
        colours = imresize(lr, out_shape).astype(np.float32) / np.float32(255)
        return Timed(colours, 0.0, time.perf_counter() - start)


@dataclass
class FittedSiren:
    """A SIREN fitted to each LR image; fitting counts as encoding."""

    info: MethodInfo
    place: Place
    uses_cell = False

    def run(
        self, lr: Image8, out_shape: tuple[int, int], protocol: str, cell: float = 1.0
    ) -> Timed:
        """See ``Method``."""
        start = time.perf_counter()
        network = siren.fit(lr, self.place.device)
        self.place.synchronise()
        middle = time.perf_counter()
        colours = siren.read(network, out_shape)
        return Timed(colours, middle - start, time.perf_counter() - middle)


@dataclass(frozen=True)
class Choice:
    """A method that was asked for: its base (a name or a path) and the policy around it."""

    base: str
    variant: str = ""


def parse_choices(
    methods: Sequence[str] | None, models: Sequence[str] = ()
) -> tuple[list[Choice], list[str]]:
    """The methods behind ``--methods`` and ``--model``, each once, and what had to be left out.

    A decoder's name stands for the shipped models that have it. Without ``methods``: all shipped
    models and bicubic.

    Returns:
        choices in the order asked for, and a line for each name without weights.

    Raises:
        UsageError: a name that nothing has, or a policy around something that is no network.
    """
    wanted = [*shipped(), "bicubic"] if methods is None else list(methods)
    found: list[Choice] = []
    left_out: list[str] = []
    for text in [*wanted, *models]:
        base, _, variant = text.rpartition("@")
        if variant not in VARIANTS or not base:
            base, variant = text, ""
        bases = _bases(base)
        if not bases:
            left_out.append(f"{text}: left out, no shipped model has that decoder; give --model")
        for name in bases:
            if variant and name in (*KERNELS, *INTERPOLATIONS, SIREN):
                raise UsageError(
                    "--methods", got=text, expected=f"@{variant} behind the name of a network"
                )
            found.append(Choice(name, variant))
    return list(dict.fromkeys(found)), left_out


def _bases(name: str) -> list[str]:
    """What a name stands for; nothing when it is a decoder that no shipped model has."""
    plain = (*KERNELS, *INTERPOLATIONS, SIREN)
    if name in plain or name in shipped() or Path(name).is_file():
        return [name]
    if name in DECODERS:
        return [
            model
            for model, path in shipped().items()
            if checkpoint.load(path).spec.decoder.name == name
        ]
    known = [*shipped(), *DECODERS, *INTERPOLATIONS, SIREN]
    near = difflib.get_close_matches(name, known, n=1)
    raise UsageError(
        "unknown method",
        got=repr(name),
        expected="one of " + ", ".join(known) + ", or a weights file",
        cure=f"did you mean {near[0]!r}?" if near else "",
    )


def load_methods(choices: Sequence[Choice], place: Place) -> list[Method]:
    """Every choice, ready to run, under a name of its own.

    Raises:
        CheckpointError: a weights file that is none.
    """
    made: list[Method] = []
    for choice in choices:
        name = Path(choice.base).stem if Path(choice.base).is_file() else choice.base
        if choice.variant:
            name += f"@{choice.variant}"
        number = sum(method.info.name.split(" #")[0] == name for method in made)
        made.append(_load(choice, f"{name} #{number + 1}" if number else name, place))
    return made


def _load(choice: Choice, name: str, place: Place) -> Method:
    base = choice.base
    if base in INTERPOLATIONS or base == SIREN:
        digest = hashlib.sha256(f"{base} {liif_cli.__version__}".encode()).hexdigest()
        if base == SIREN:
            label = "SIREN, fitted to the LR image"
            info = MethodInfo(name, label, "", digest, parameters=siren.parameter_count())
            return FittedSiren(info, place)
        return Interpolation(MethodInfo(name, base, "", digest))
    loaded = load_model(base, place.device, via=VIA if choice.variant == "via4" else None)
    # the figures of a policy stand for it alone: the pixel size is part of it
    policies = {"clamped": CLAMPED.of_model(loaded.largest_scale), "via4": SCALED}
    digest = model_digest(base)
    if choice.variant:
        digest = hashlib.sha256(f"{digest} {choice.variant}".encode()).hexdigest()
    label = f"{loaded.name}, {VARIANTS[choice.variant]}" if choice.variant else loaded.name
    network = Network(
        MethodInfo(
            name,
            label,
            "" if base in KERNELS else base,
            digest,
            parameters=loaded.model.parameter_count,
        ),
        loaded.model.to(PRECISION_DTYPES[place.precision]),
        place,
        policies.get(choice.variant),
        choice.variant == "ensemble",
    )
    return Bicubic(network.info, network) if base == "bicubic" else network


def warm_up(method: Method) -> None:
    """Run once on a small image, so that compiling and loading kernels is in nobody's time."""
    height, width = WARM_UP
    if not isinstance(method, FittedSiren):
        gray = np.full((height, width, 3), 128, np.uint8)
        method.run(gray, (2 * height, 2 * width), "div2k")
