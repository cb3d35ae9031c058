"""A bench from its options to its report: every method on every image at every scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from liif_cli import __version__
from liif_cli.bench import published
from liif_cli.bench.crops import make_crops
from liif_cli.bench.data import BenchImage, DataSet, file_digest, find_sets, read_lr
from liif_cli.bench.header import make_header
from liif_cli.bench.inputs import VERSION as RECIPES
from liif_cli.bench.inputs import Recipe, degrade, parse_inputs
from liif_cli.bench.ledger import Ledger
from liif_cli.bench.methods import Method, load_methods, parse_choices, warm_up
from liif_cli.bench.metrics import chroma, is_gray
from liif_cli.bench.protocol import Pair, TooSmall, answer, make_pair, score
from liif_cli.bench.results import CLEAN, SCALED, BenchReport, Cell, Crop, ImageScore, SetInfo
from liif_cli.bench.timed import PeakMemory, Place
from liif_cli.engine.machine import cores, resolve_device
from liif_cli.errors import InputError, LiifError, UsageError

DEFAULT_SCALES = (2.0, 3.0, 4.0, 6.0, 12.0, 18.0, 24.0, 30.0)


@dataclass(frozen=True)
class BenchSpec:
    """What the user asked for.

    Attributes:
        scales: each above 1.
        inputs: names of recipes, which every LR image goes through.
        data: folders, or "graphics"; the built-in sets without any.
        methods: names; None is the shipped models and bicubic.
        models: names or files besides the methods.
        protocol: "auto", "div2k" or "benchmark".
        cells: sizes of the cell as fractions of an LR pixel, measured besides the true one.
        limit: images of each set; None is all of them.
        out: folder of results, which a later run resumes.
        device, precision: where networks run.
        threads: of the CPU; None is every core.
        paper: add the papers' figures.
    """

    scales: tuple[float, ...] = DEFAULT_SCALES
    inputs: tuple[str, ...] = (CLEAN,)
    data: tuple[Path, ...] = ()
    methods: tuple[str, ...] | None = None
    models: tuple[str, ...] = ()
    protocol: str = "auto"
    cells: tuple[float, ...] = ()
    limit: int | None = None
    out: Path | None = None
    device: str = "auto"
    precision: str = "fp32"
    threads: int | None = None
    paper: bool = False

    def options(self) -> dict[str, Any]:
        """What decides the figures, for the header."""
        return {
            "scales": list(self.scales),
            "inputs": list(self.inputs),
            "data": [str(path) for path in self.data],
            "methods": list(self.methods) if self.methods is not None else None,
            "models": list(self.models),
            "protocol": self.protocol,
            "cells": list(self.cells),
            "limit": self.limit,
            "precision": self.precision,
        }


@dataclass(frozen=True)
class BenchResult:
    """The report, what went wrong (a line each), and whether the user stopped it."""

    report: BenchReport
    problems: list[str] = field(default_factory=list)
    interrupted: bool = False


@dataclass(frozen=True)
class Progress:
    """Told before each measurement: ``done`` of ``total``, and what comes next."""

    done: int
    total: int
    what: str


Listen = Callable[[Progress], None]
Say = Callable[[str], None]


class Bench:
    """Everything loaded and checked; ``run`` measures.

    Args:
        spec: the options.
        say: told a line about each thing that is left out.

    Raises:
        UsageError: a scale of 1 or below, unknown names, nothing to measure.
        CheckpointError: a weights file that is not one.
        OutputError: the folder of results cannot be written.
    """

    def __init__(self, spec: BenchSpec, say: Say = lambda line: None) -> None:
        self.spec, self.say = spec, say
        self.problems: list[str] = []
        for scale in spec.scales:
            if not scale > 1:
                raise UsageError("--scales", got=f"{scale:g}", expected="numbers above 1")
        if not spec.scales:
            raise UsageError("--scales", got="none", expected="numbers above 1, as 2,3,4")
        self.recipes = parse_inputs(spec.inputs)
        place = Place(resolve_device(spec.device), spec.threads or cores(), spec.precision)
        self.place = place
        torch.set_num_threads(place.threads)
        choices, left_out = parse_choices(spec.methods, spec.models)
        for line in left_out:
            self._problem(line)
        if not choices:
            raise UsageError("--methods", got="no method with weights", expected="1 or more")
        self.sets = self._sets()
        self.methods = load_methods(choices, place)
        self.ledger = Ledger(spec.out)
        self.scores: list[ImageScore] = []
        self._warm: set[str] = set()
        self._digests: dict[Path, str] = {}

    def _sets(self) -> list[DataSet]:
        sets = find_sets(self.spec.data, self.spec.protocol, self.spec.limit)
        for entry in sets:
            if not entry.images:
                self._problem(f"{entry.path}: left out, no image in it")
        sets = [entry for entry in sets if entry.images]
        if not sets:
            raise UsageError("--data", got="no image", expected="folders of HR images")
        kept = [entry for entry in sets if any(map(entry.has, self.spec.scales))]
        if not kept:
            scales = ", ".join(f"x{scale:g}" for scale in sets[0].scales or ())
            raise UsageError(
                "--scales",
                got=", ".join(f"x{scale:g}" for scale in self.spec.scales),
                expected=f"one of {scales}: {sets[0].name} is drawn for these",
            )
        return kept

    def _problem(self, line: str) -> None:
        self.problems.append(line)
        self.say(line)

    def run(self, listen: Listen = lambda progress: None) -> BenchResult:
        """Measure what has not been measured, in the order set, scale, image, input, method.

        An interrupt ends it with what is done; the ledger resumes from there.
        """
        crops = []
        interrupted = False
        try:
            self._measure(listen)
            if self.spec.out is not None:
                for entry in self.sets:
                    listen(Progress(1, 1, f"{entry.name}: crops"))
                    crops += self._crops(entry, self.spec.out)
        except KeyboardInterrupt:
            interrupted = True
        methods = [method.info for method in self.methods]
        scores = self.scores
        if self.spec.paper:
            rows, figures = published.cited(
                [entry.name for entry in self.sets], list(self.spec.scales)
            )
            methods, scores = methods + rows, scores + figures
        report = BenchReport(
            header=make_header(self.place, self.spec.options()),
            sets=[
                SetInfo(
                    entry.name,
                    [image.name for image in entry.images],
                    entry.protocol,
                    str(entry.path) if entry.path else "",
                )
                for entry in self.sets
            ],
            methods=methods,
            scales=list(self.spec.scales),
            scores=scores,
            crops=crops,
        )
        return BenchResult(report, self.problems, interrupted)

    def _crops(self, entry: DataSet, out: Path) -> list[Crop]:
        return [
            crop
            for recipe in self.recipes
            for crop in make_crops(entry, self.methods, self.scores, out, self._pair, recipe)
        ]

    def _measure(self, listen: Listen) -> None:
        steps = [
            (entry, scale, image)
            for entry in self.sets
            for scale in self.spec.scales
            if entry.has(scale)
            for image in entry.images
        ]
        total = len(steps) * len(self.recipes) * len(self.methods)
        done = 0
        for entry, scale, image in steps:
            for what, scores in self._image(entry, scale, image):
                listen(Progress(done, total, f"{entry.name}, x{scale:g}, {image.name}, {what}"))
                self.scores += scores()
                done += 1

    def _image(
        self, entry: DataSet, scale: float, image: BenchImage
    ) -> Iterator[tuple[str, Callable[[], list[ImageScore]]]]:
        """For each input and method what measures an image, read when the first one asks for it."""
        pairs: list[Pair | LiifError] = []
        degraded: dict[str, Pair] = {}

        def pair(recipe: Recipe) -> Pair:
            if not pairs:
                try:
                    pairs.append(self._pair(entry, scale, image))
                except InputError as error:
                    if not isinstance(error, TooSmall):
                        self._problem(f"{entry.name}, {image.name}, x{scale:g}: {error}")
                    pairs.append(error)
            found = pairs[0]
            if isinstance(found, LiifError):
                raise found
            if recipe.name not in degraded:
                degraded.clear()  # one at a time is kept
                degraded[recipe.name] = degrade(found, recipe, image.name, scale)
            return degraded[recipe.name]

        for recipe in self.recipes:
            told = f"{recipe.name}, " if len(self.recipes) > 1 else ""
            for method in self.methods:

                def scores(method: Method = method, recipe: Recipe = recipe) -> list[ImageScore]:
                    return [
                        self._score(entry, scale, image, method, cell, recipe, pair)
                        for cell in self._cells(method)
                    ]

                yield told + method.info.name, scores

    def _cells(self, method: Method) -> list[Cell]:
        return [SCALED, *(self.spec.cells if method.uses_cell else ())]

    def _score(
        self,
        entry: DataSet,
        scale: float,
        image: BenchImage,
        method: Method,
        cell: Cell,
        recipe: Recipe,
        pair: Callable[[Recipe], Pair],
    ) -> ImageScore:
        blank = ImageScore(
            set=entry.name,
            image=image.name,
            method=method.info.name,
            scale=scale,
            cell=cell,
            psnr=None,
            ssim=None,
            encode_seconds=0.0,
            decode_seconds=0.0,
            mpx=0.0,
            peak_bytes=0,
            input=recipe.name,
        )
        try:
            key = self._key(entry, scale, image, method, cell, recipe)
            known = self.ledger.get(key)
            if known is not None:
                # the same content may have been measured under another name
                return replace(known, set=entry.name, image=image.name, method=method.info.name)
            both = pair(recipe)
        except InputError as error:
            # nothing was measured, and the file may be mended before the next run
            return replace(blank, note=str(error))
        if method.info.name not in self._warm:
            warm_up(method)
            self._warm.add(method.info.name)
        # the cell of a network is a factor of the true one, 1 / scale of an LR pixel
        factor = 1.0 if isinstance(cell, str) else cell * scale
        with PeakMemory(self.place.device) as peak:
            try:
                timed = method.run(both.lr, both.hr.shape[:2], entry.protocol, factor, both.cleanup)
            except LiifError as error:
                self._problem(
                    f"{entry.name}, {image.name}, x{scale:g}, {method.info.name}: {error}"
                )
                return replace(blank, note=str(error))
            peak_bytes = peak.bytes
        psnr, ssim = score(
            answer(timed.colours, both.lr, entry.protocol), both.hr, scale, entry.protocol
        )
        found = chroma(timed.colours) if is_gray(both.hr) else (None, None)
        measured = replace(
            blank,
            psnr=psnr,
            ssim=ssim,
            encode_seconds=timed.encode_seconds,
            decode_seconds=timed.decode_seconds,
            mpx=both.hr.shape[0] * both.hr.shape[1] / 1e6,
            peak_bytes=peak_bytes,
            cleanup=both.cleanup,
            chroma=found[0],
            coloured=found[1],
        )
        self.ledger.add(key, measured)
        return measured

    def _key(
        self,
        entry: DataSet,
        scale: float,
        image: BenchImage,
        method: Method,
        cell: Cell,
        recipe: Recipe,
    ) -> dict[str, Any]:
        """Everything that decides a score and its time."""
        lr = entry.lr_file(image, scale)
        # clean scores have the key that they had before there were recipes
        degraded = {"input": recipe.name, "recipes": RECIPES} if recipe.name != CLEAN else {}
        return {
            **degraded,
            "set": entry.name,
            "image": image.name,
            "hr": self._digest(image, scale),
            "lr": self._file_digest(lr) if lr else None,
            "method": method.info.digest,
            "scale": scale,
            "cell": cell,
            "protocol": entry.protocol,
            "device": str(self.place.device),
            "precision": self.place.precision,
            "threads": self.place.threads,
            "liif": __version__,
        }

    def _digest(self, image: BenchImage, scale: float) -> str:
        return image.digest(scale) if image.path is None else self._file_digest(image.path)

    def _file_digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = file_digest(path)
        return self._digests[path]

    def _pair(self, entry: DataSet, scale: float, image: BenchImage) -> Pair:
        hr, given = image.read(scale)
        lr, cleanup = entry.lr_file(image, scale), 0.0
        if lr is not None:
            given, cleanup = read_lr(lr)
        return replace(make_pair(hr, scale, entry.protocol, given), cleanup=cleanup)
