"""What a bench measured: plain data, JSON both ways, and the means that tables show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from liif_cli.errors import InputError

VERSION = 1
SCALED = "scaled"
"""The true cell: 2 / scale, as wide as an output pixel."""

CLEAN = "clean"
"""The input as the protocol makes it; other names are recipes of ``liif_cli.bench.inputs``."""

Cell = str | float


@dataclass(frozen=True)
class ImageScore:
    """One method on one image at one scale.

    Attributes:
        set: name of the set.
        image: name of the image, without suffix.
        method: name of the method, as in ``MethodInfo``.
        scale: of the magnification, above 1.
        cell: "scaled", or a factor of the cell told to the network.
        psnr: dB by the set's protocol; None where it could not be measured, infinite when equal.
        ssim: in [-1, 1]; None where it could not be measured.
        encode_seconds, decode_seconds: of this image, warm-up excluded.
        mpx: output megapixels.
        peak_bytes: high-water mark of memory: the process's on a CPU, torch's on an accelerator.
        note: why psnr is None, or what a reader should know.
        input: "clean", or what the LR image went through.
        cleanup: level of loss, 0 to 100, that the program finds in the file of the input.
        chroma: largest max(R, G, B) - min(R, G, B) of the network's answer in 8 bit, where the HR
            image has no colour; None where it has, or where that was not measured.
        coloured: pixels whose chroma is above 48; as ``chroma``.
    """

    set: str
    image: str
    method: str
    scale: float
    cell: Cell
    psnr: float | None
    ssim: float | None
    encode_seconds: float
    decode_seconds: float
    mpx: float
    peak_bytes: int
    note: str = ""
    input: str = CLEAN
    cleanup: float = 0.0
    chroma: int | None = None
    coloured: int | None = None

    @property
    def seconds(self) -> float:
        """Encoder and decoder together."""
        return self.encode_seconds + self.decode_seconds

    def to_json(self) -> dict[str, Any]:
        """A dict that JSON holds: an infinite PSNR becomes the text "inf"."""
        data = asdict(self)
        if self.psnr is not None and math.isinf(self.psnr):
            data["psnr"] = "inf"
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ImageScore:
        """The inverse of ``to_json``; raises TypeError or ValueError for another dict."""
        score = cls(**{**data, "psnr": None if data["psnr"] is None else float(data["psnr"])})
        return score


@dataclass(frozen=True)
class MethodInfo:
    """A row of the tables.

    Attributes:
        name: unique: "edsr-small-liif", "bicubic", "edsr-small-liif@ensemble".
        label: what a reader sees.
        model: name or path of the model; "" without one.
        digest: hexadecimal SHA-256 of what decides its result; "" for cited rows.
        cited: figures from a paper, not measured here.
        parameters: numbers that training set; 0 without a network.
    """

    name: str
    label: str
    model: str
    digest: str
    cited: bool = False
    parameters: int = 0


@dataclass(frozen=True)
class SetInfo:
    """A set of images, the protocol ("div2k" or "benchmark") and the folder ("" when built in)."""

    name: str
    images: list[str]
    protocol: str
    path: str


@dataclass(frozen=True)
class Header:
    """The machine and the options: what a time has to be read with.

    Attributes:
        cpu: the processor's name.
        cores: cores that the process may use.
        threads: threads of torch.
        device: "cpu", or "cuda:N" or "mps" with the accelerator's name.
        versions: of liif, torch, numpy and Python.
        commit: of the source tree, None outside one.
        options: of the command line.
    """

    cpu: str
    cores: int
    threads: int
    device: str
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Crop:
    """A place where methods differ, cut out of the results of one image at one scale.

    Attributes:
        set, image, scale: which one.
        box: (x, y, width, height) in HR pixels.
        files: method name, "HR" or "input" -> path of a PNG, relative to the output folder.
        psnr: method name -> dB over the box.
        input: what the LR image went through. "input" is among the files where that is not
            "clean" and no method shows it, enlarged by bicubic.
    """

    set: str
    image: str
    scale: float
    box: tuple[int, int, int, int]
    files: dict[str, str]
    psnr: dict[str, float]
    input: str = CLEAN


class Mean(NamedTuple):
    """A cell of a table.

    ``psnr`` and ``ssim`` are means over ``count`` images, None over none of them; ``left_out``
    images could not be measured. ``seconds`` is the sum, ``mpx_per_s`` the output a second.
    ``chroma`` is the largest of the ``grays`` images without colour, ``coloured`` the sum of their
    pixels.
    """

    psnr: float | None
    ssim: float | None
    count: int  # type: ignore[assignment]  # a field, not the method of tuples
    left_out: int
    seconds: float
    mpx_per_s: float | None
    chroma: int | None = None
    coloured: int = 0
    grays: int = 0


@dataclass(frozen=True)
class BenchReport:
    """Everything that a bench found.

    A cited row has one score a set and scale, whose image is ``CITED``, without seconds.
    ``crops`` is empty where no folder was given to put them in.
    """

    header: Header
    sets: list[SetInfo]
    methods: list[MethodInfo]
    scales: list[float]
    scores: list[ImageScore]
    crops: list[Crop] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """A dict that JSON holds."""
        return {
            "version": VERSION,
            "header": asdict(self.header),
            "sets": [asdict(entry) for entry in self.sets],
            "methods": [asdict(entry) for entry in self.methods],
            "scales": self.scales,
            "scores": [score.to_json() for score in self.scores],
            "crops": [asdict(crop) for crop in self.crops],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BenchReport:
        """The inverse of ``to_json``.

        Raises:
            InputError: the dict is not a report, or is one of another version.
        """
        if data.get("version") != VERSION:
            raise InputError(
                "bench report", got=f"version {data.get('version')}", expected=str(VERSION)
            )
        try:
            return cls(
                header=Header(**data["header"]),
                sets=[SetInfo(**entry) for entry in data["sets"]],
                methods=[MethodInfo(**entry) for entry in data["methods"]],
                scales=[float(scale) for scale in data["scales"]],
                scores=[ImageScore.from_json(entry) for entry in data["scores"]],
                crops=[Crop(**{**entry, "box": tuple(entry["box"])}) for entry in data["crops"]],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("bench report", got=str(error), expected="one of 'liif bench'") from (
                error
            )

    @property
    def cells(self) -> list[Cell]:
        """Cells in the order in which they were measured."""
        return list(dict.fromkeys(score.cell for score in self.scores))

    @property
    def inputs(self) -> list[str]:
        """Inputs in the order in which they were measured; "clean" alone where nothing was."""
        names = dict.fromkeys(score.input for score in self.scores if score.image != CITED)
        return list(names) or [CLEAN]

    def measured_scales(self, set: str) -> list[float]:
        """The scales that a set has: fewer than those of the report where it is drawn for some."""
        known = {score.scale for score in self.scores if score.set == set}
        return [scale for scale in self.scales if scale in known or not known]

    def mean(
        self, set: str, method: str, scale: float, cell: Cell = SCALED, input: str = CLEAN
    ) -> Mean:
        """The mean of a method over a set at one scale; of nothing where it was not measured."""
        return mean_of(self._grouped.get((set, method, scale, cell, input), []))

    def best(self, set: str, scale: float, cell: Cell = SCALED, input: str = CLEAN) -> str | None:
        """The measured method of the highest mean PSNR in a column; None in an empty one."""
        means = {
            method.name: self.mean(set, method.name, scale, cell, input).psnr
            for method in self.methods
            if not method.cited
        }
        known = {name: value for name, value in means.items() if value is not None}
        return max(known, key=known.__getitem__) if known else None

    @cached_property
    def _grouped(self) -> dict[tuple[str, str, float, Cell, str], list[ImageScore]]:
        groups: dict[tuple[str, str, float, Cell, str], list[ImageScore]] = {}
        for score in self.scores:
            key = score.set, score.method, score.scale, score.cell, score.input
            groups.setdefault(key, []).append(score)
        return groups


CITED = "cited"
"""Image of the one score that a cited row has in a set."""


def mean_of(scores: Iterable[ImageScore]) -> Mean:
    """Mean of the per-image figures, the protocol's; images without a PSNR are left out."""
    scores = list(scores)
    kept = [score for score in scores if score.psnr is not None]
    ssims = [score.ssim for score in kept if score.ssim is not None]
    chromas = [score.chroma for score in kept if score.chroma is not None]
    seconds = sum(score.seconds for score in kept)
    return Mean(
        psnr=sum(score.psnr for score in kept if score.psnr is not None) / len(kept)
        if kept
        else None,
        ssim=sum(ssims) / len(ssims) if ssims else None,
        count=len(kept),
        left_out=len(scores) - len(kept),
        seconds=seconds,
        mpx_per_s=sum(score.mpx for score in kept) / seconds if seconds > 0 else None,
        chroma=max(chromas, default=None),
        coloured=sum(score.coloured or 0 for score in kept),
        grays=len(chromas),
    )
