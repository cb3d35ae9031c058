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
from liif_cli.errors import UsageError
from liif_cli.io.atomic import output_errors
from liif_cli.models.checkpoint import save
from liif_cli.train.photos import PhotoSet, load_photos, read_names
from liif_cli.train.presets import Preset, preset
from liif_cli.train.trainer import Trainer, TrainReport

SAVE_SECONDS = 60.0
"""An interrupted training loses this much and a log step at most."""

_CPUINFO = Path("/proc/cpuinfo")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


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
    """

    preset_name: str
    preset: Preset
    data: Path
    out: Path
    held_out: list[str]
    device: torch.device
    bf16: bool
    seed: int

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
    ) -> TrainJob:
        """A job out of what was typed.

        Raises:
            UsageError: an unknown preset, a value that is no number, a device that is not there.
        """
        if out.suffix != ".safetensors":
            raise UsageError(
                "--out", got=repr(str(out)), expected="a name that ends in .safetensors"
            )
        recipe = preset(preset_name)
        where = resolve_device(device)
        return cls(
            preset_name,
            recipe.override(parse_overrides(recipe, overrides)),
            data,
            out,
            read_names(val) if val else [],
            where,
            has_bf16(where) if bf16 is None else bf16,
            seed,
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
            TrainError: no photo to train on, or a loss that is no number.
            OutputError: a file cannot be written.
        """
        photos = load_photos(self.data, self.held_out, self.preset, say)
        with output_errors(self.out):
            self.out.parent.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(
            self.preset,
            photos.train,
            photos.validation,
            self.state_path,
            device=self.device,
            bf16=self.bf16,
            seed=self.seed,
        )
        say(
            f"{self.preset_name}: {trainer.model.parameter_count:,} parameters on {self.device}"
            f"{' in bf16' if self.bf16 else ''}, {len(photos.train)} photos of "
            f"{photos.pixels / 1e6:.1f} Mpx, {len(photos.validation)} held out"
        )
        if trainer.iteration:
            say(f"going on at iteration {trainer.iteration} of {self.preset.iterations}")
        last: list[TrainReport] = []

        def keep(entry: TrainReport) -> None:
            last[:] = [entry]
            report(entry)

        trainer.run(keep, save_seconds=SAVE_SECONDS)
        with output_errors(self.out):
            save(trainer.averaged_model(), self._card(photos, trainer, last), self.out)
        say(f"wrote {self.out}")

    def _card(self, photos: PhotoSet, trainer: Trainer, last: list[TrainReport]) -> dict[str, Any]:
        recipe = {
            field.name: getattr(self.preset, field.name)
            for field in dataclasses.fields(self.preset)
            if field.name != "spec"
        }
        return {
            "preset": self.preset_name,
            "recipe": recipe,
            "iterations": trainer.iteration,
            "seconds": round(trainer.seconds),
            "device": self.device.type,
            "bf16": self.bf16,
            "seed": self.seed,
            "photos": len(photos.train),
            "held_out": photos.held_out,
            "validation_psnr": last[0].psnr if last else None,
            "software": f"liif {__version__}, torch {torch.__version__}",
        }


def parse_overrides(recipe: Preset, texts: Mapping[str, str]) -> dict[str, Any]:
    """Recipe values out of texts, in the type that each has in ``recipe``.

    Names that it does not have are left for ``Preset.override`` to refuse.

    Raises:
        UsageError: a text that is no number of that type.
    """
    values: dict[str, Any] = {}
    for name, text in texts.items():
        kind = type(getattr(recipe, name, text))
        try:
            values[name] = kind(text) if kind in (int, float) else text
        except ValueError as error:
            expected = "a whole number" if kind is int else "a number"
            raise UsageError(f"--set {name}", got=repr(text), expected=expected) from error
    return values


def has_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16, without which it only costs time."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not _CPUINFO.exists():
        return False
    lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    # "flags" on x86, "Features" on ARM; the same for every core
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return bool(_BF16_FLAGS & set(flags.split()))
