"""What can be compared: networks, policies around them, and interpolation."""

from __future__ import annotations

import difflib
import hashlib
import re
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
from liif_cli.errors import UsageError
from liif_cli.geometry.cell import CLAMPED, SCALED, CellPolicy
from liif_cli.models import DECODERS, checkpoint
from liif_cli.models.loader import KERNELS, load_model, model_digest, shipped
from liif_cli.models.model import Model

Image8 = npt.NDArray[np.uint8]

SIREN = "siren"


@dataclass(frozen=True)
class Variant:
    """A policy around a network.

    Attributes:
        label: what a reader sees.
        self_ensemble: average over the 8 flips and turns.
        clamped: told no smaller pixel than at its largest trained scale.
        via: render at that scale, and go on by Lanczos.
        cleanup: the level of loss that it is told; None is what the file says.
    """

    label: str
    self_ensemble: bool = False
    clamped: bool = False
    via: Fraction | None = None
    cleanup: float | None = None


PLAIN = Variant("")
VARIANTS = {
    "ensemble": Variant("mean over 8 flips and turns", self_ensemble=True),
    "clamped": Variant("pixel size clamped to the trained", clamped=True),
    "via4": Variant("network at x4, then Lanczos", via=Fraction(4)),
    "blind": Variant("told that nothing was lost", cleanup=0.0),
}
_CLEANUP = re.compile(r"cleanup(\d+(?:\.\d+)?)")
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
        self,
        lr: Image8,
        out_shape: tuple[int, int],
        protocol: str,
        cell: float = 1.0,
        cleanup: float = 0.0,
    ) -> Timed:
        """Upscale ``lr`` (h, w, 3) to ``out_shape``; colours (height, width, 3) on [0, 1].

        Args:
            protocol: of the set: classic tables round their bicubic row to 8 bit.
            cell: factor of the cell told to a network.
            cleanup: level of loss in the file of ``lr``, 0 to 100, told to a network.
        """
        ...


@dataclass
class Network:
    """A model by the tiled renderer.

    ``policy`` is the cell that it is told; None tells the true one, or what ``run`` is asked for.
    ``cleanup`` is the level of loss that it is told; None tells what ``run`` is asked for.
    """

    info: MethodInfo
    model: Model
    place: Place
    policy: CellPolicy | None = None
    self_ensemble: bool = False
    cleanup: float | None = None

    @property
    def uses_cell(self) -> bool:
        return self.info.parameters > 0 and self.policy is None

    def run(
        self,
        lr: Image8,
        out_shape: tuple[int, int],
        protocol: str,
        cell: float = 1.0,
        cleanup: float = 0.0,
    ) -> Timed:
        """See ``Method``."""
        level = cleanup if self.cleanup is None else self.cleanup
        return render_timed(
            self.model.told(level),
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
        self,
        lr: Image8,
        out_shape: tuple[int, int],
        protocol: str,
        cell: float = 1.0,
        cleanup: float = 0.0,
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
        self,
        lr: Image8,
        out_shape: tuple[int, int],
        protocol: str,
        cell: float = 1.0,
        cleanup: float = 0.0,
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
        self,
        lr: Image8,
        out_shape: tuple[int, int],
        protocol: str,
        cell: float = 1.0,
        cleanup: float = 0.0,
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
        UsageError: a name that nothing has, or a policy around something that is not a network.
    """
    wanted = [*shipped(), "bicubic"] if methods is None else list(methods)
    choices: list[Choice] = []
    left_out: list[str] = []
    for text in [*wanted, *models]:
        base, _, variant = text.rpartition("@")
        if not base or variant_of(variant) is None:
            base, variant = text, ""
        bases = _bases(base)
        if not bases:
            left_out.append(f"{text}: left out, no shipped model has that decoder; give --model")
        for name in bases:
            if variant and name in (*KERNELS, *INTERPOLATIONS, SIREN):
                raise UsageError(
                    "--methods", got=text, expected=f"@{variant} behind the name of a network"
                )
            choices.append(Choice(name, variant))
    return list(dict.fromkeys(choices)), left_out


def variant_of(text: str) -> Variant | None:
    """The policy of a name behind an @, or None: one of ``VARIANTS``, or cleanup with a level.

    Raises:
        UsageError: a level above 100.
    """
    match = _CLEANUP.fullmatch(text)
    if match is None:
        return VARIANTS.get(text)
    level = float(match[1])
    if level > 100:
        raise UsageError("--methods", got=f"@{text}", expected="@cleanup0 to @cleanup100")
    return Variant(f"told a loss of {level:g}", cleanup=level)


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
        CheckpointError: a weights file that is not one.
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
    variant = variant_of(choice.variant) or PLAIN
    loaded = load_model(base, place.device, via=variant.via)
    # the figures of a policy stand for it alone: the pixel size is part of it
    policy = CLAMPED.of_model(loaded.largest_scale) if variant.clamped else None
    if variant.cleanup is not None and not loaded.model.takes_cleanup:
        raise UsageError(
            "--methods",
            got=f"{choice.base}@{choice.variant}",
            expected="a model that is told how lossy an image is",
            cure=f"leave @{choice.variant} out",
        )
    digest = model_digest(base)
    if choice.variant:
        digest = hashlib.sha256(f"{digest} {choice.variant}".encode()).hexdigest()
    label = f"{loaded.name}, {variant.label}" if choice.variant else loaded.name
    network = Network(
        MethodInfo(
            name,
            label,
            "" if base in KERNELS else base,
            digest,
            parameters=loaded.model.parameter_count,
        ),
        loaded.in_precision(place.precision),
        place,
        SCALED if variant.via is not None else policy,
        variant.self_ensemble,
        variant.cleanup,
    )
    return Bicubic(network.info, network) if base == "bicubic" else network


def warm_up(method: Method) -> None:
    """Run once on a small image, so that compiling and loading kernels is in nobody's time."""
    height, width = WARM_UP
    if not isinstance(method, FittedSiren):
        gray = np.full((height, width, 3), 128, np.uint8)
        method.run(gray, (2 * height, 2 * width), "div2k")
