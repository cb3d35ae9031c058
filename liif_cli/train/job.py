"""A training from start to finish: photos, the loop, the weights file with its card."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from liif_cli import __version__
from liif_cli.engine.machine import resolve_device
from liif_cli.errors import OutputError, UsageError
from liif_cli.graphics import TRAIN_FONTS, installed, training_pages
from liif_cli.io.atomic import output_errors
from liif_cli.models.checkpoint import save
from liif_cli.models.device import has_bf16
from liif_cli.models.loader import LoadedModel, load_model
from liif_cli.models.model import Model
from liif_cli.train.initial import take_over
from liif_cli.train.overrides import override
from liif_cli.train.photos import Photo, PhotoSet, load_photos, read_names
from liif_cli.train.presets import Preset, preset
from liif_cli.train.report import TrainReport
from liif_cli.train.state import read_state
from liif_cli.train.trainer import Trainer

SAVE_SECONDS = 60.0
"""An interrupted training loses this much and a log step at most."""
INIT_WARMUP = 200
"""Iterations: the optimizer knows nothing yet of the gradients' sizes, and the weights are good."""


@dataclass(frozen=True)
class TrainJob:
    """Everything that a training needs, checked before any work.

    Attributes:
        preset_name: where the recipe came from.
        preset: network and recipe.
        data: folder of photos.
        out: weights file to write; the state lies beside it.
        held_out: names of photos that only validate.
        device: where to train.
        bf16: run the network in bfloat16.
        seed: of the weights and of the data's order.
        init: model to start from, if any.
        resume: from the state that is there.
        save_seconds: between saves of the state.
    """

    preset_name: str
    preset: Preset
    data: Path
    out: Path
    held_out: list[str]
    device: torch.device
    bf16: bool
    seed: int
    init: LoadedModel | None = None
    resume: bool = True
    save_seconds: float = SAVE_SECONDS

    @classmethod
    def from_texts(
        cls,
        preset_name: str,
        overrides: Mapping[str, str],
        *,
        data: Path,
        out: Path,
        val: Path | None,
        device: str,
        bf16: bool | None,
        seed: int,
        init: str | None = None,
        resume: bool = True,
        overwrite: bool = False,
        save_seconds: float | None = None,
    ) -> TrainJob:
        """A job out of what was typed.

        Raises:
            UsageError: an unknown preset or value, a value of the wrong form, a device that is not
                there, files that would be lost.
            CheckpointError: ``init`` is damaged or does not fit the network.
            TrainError: the state to resume from is another preset's.
        """
        if out.suffix != ".safetensors":
            raise UsageError(
                "--out", got=repr(str(out)), expected="a name that ends in .safetensors"
            )
        recipe = override(preset(preset_name), overrides)
        where = resolve_device(device)
        if where.type == "mps":
            # crops are drawn by float64, which it has not
            raise UsageError("--device", got=device, expected="auto, cpu, cuda or cuda:N to train")
        start = load_model(init, torch.device("cpu")) if init else None
        if start is not None:
            with torch.device("meta"):
                take_over(Model(recipe.spec), start)
            if "warmup" not in overrides:
                recipe = dataclasses.replace(recipe, warmup=max(recipe.warmup, INIT_WARMUP))
        job = cls(
            preset_name,
            recipe,
            data,
            out,
            read_names(val) if val else [],
            where,
            has_bf16(where) if bf16 is None else bf16,
            seed,
            start,
            resume,
            SAVE_SECONDS if save_seconds is None else save_seconds,
        )
        job.check_files(overwrite=overwrite)
        return job

    def check_files(self, *, overwrite: bool) -> None:
        """Whether the training would lose what another one wrote.

        Raises:
            UsageError: a file is there that would be replaced.
            TrainError: the state to resume from is another preset's.
        """
        goes_on = self.resume and self.state_path.exists()
        if goes_on:
            init = {"digest": self.init.digest} if self.init else None
            read_state(self.state_path, self.preset, torch.device("cpu"), init)
        there = [path for path in (self.state_path, self.out) if path.exists()]
        if there and not goes_on and not overwrite:
            raise UsageError(
                "a training would replace" if self.resume else "--no-resume would replace",
                got=", ".join(map(str, there)),
                expected="a new name",
                cure="give another --out, or --overwrite",
            )

    @property
    def state_path(self) -> Path:
        """File of the resumable state."""
        return self.out.with_name(f"{self.out.name}.state.pt")

    def run(self, report: Callable[[TrainReport], None], say: Callable[[str], None]) -> None:
        """Train to the end and write the weights.

        Args:
            report: told how far it is.
            say: told single lines: photos left out, what there is to train on, the end.

        Raises:
            UsageError: names to hold out that are not there.
            TrainError: no photo to train on, or a loss that is not a number.
            OutputError: a file cannot be written.
        """
        photos = load_photos(self.data, self.held_out, self.preset, say)
        with output_errors(self.out):
            self.out.parent.mkdir(parents=True, exist_ok=True)
        pages = self._pages()
        trainer = Trainer(
            self.preset.for_photos(len(photos.train)),
            photos.train,
            photos.validation,
            self.state_path,
            device=self.device,
            bf16=self.bf16,
            seed=self.seed,
            pages=pages,
            init=self.init,
            resume=self.resume,
            say=say,
        )
        say(
            f"{self.preset_name}: {trainer.model.parameter_count:,} parameters on {self.device}"
            f"{' in bf16' if self.bf16 else ''}, {len(photos.train)} photos of "
            f"{photos.pixels / 1e6:.1f} Mpx, {len(photos.validation)} held out"
            + (f", {len(pages)} pages of graphics" if pages else "")
        )
        if trainer.iteration and self.preset.time:
            say(
                f"resuming at iteration {trainer.iteration}, after {trainer.seconds:.0f} s "
                f"of {self.preset.time:.0f} s"
            )
        elif trainer.iteration:
            say(f"resuming at iteration {trainer.iteration} of {trainer.preset.iterations}")
        last: list[TrainReport] = []

        def keep(entry: TrainReport) -> None:
            last[:] = [entry]
            report(entry)

        unsaved: OutputError | None = None
        try:
            trainer.run(keep, save_seconds=self.save_seconds)
        except OutputError as error:
            # the weights are a quarter of the state, and may still fit
            unsaved = error
            if not trainer.finished:
                raise
        with output_errors(self.out):
            save(trainer.averaged_model(), self._card(photos, trainer, last), self.out)
        say(f"wrote {self.out}")
        if unsaved is not None:
            raise unsaved

    def _pages(self) -> list[Photo]:
        """The pages of text and graphics that the recipe asks for, the same for the same seed."""
        if not self.preset.graphics:
            return []
        return training_pages(self.preset.pages, self.seed, installed(TRAIN_FONTS))

    def _card(self, photos: PhotoSet, trainer: Trainer, last: list[TrainReport]) -> dict[str, Any]:
        recipe = {name: value for name, value in trainer.preset.to_json().items() if name != "spec"}
        return {
            "preset": self.preset_name,
            "recipe": recipe,
            "iterations": trainer.iteration,
            "seconds": round(trainer.seconds),
            "device": self.device.type,
            "bf16": self.bf16,
            "seed": self.seed,
            "init": trainer.init,
            "photos": len(photos.train),
            "held_out": photos.held_out,
            "validation_psnr": last[0].psnr if last else None,
            "validation_lossy_psnr": last[0].lossy_psnr if last else None,
            "software": f"liif {__version__}, torch {torch.__version__}",
        }
