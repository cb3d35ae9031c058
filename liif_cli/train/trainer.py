"""The training loop: resumable, with averaged weights and a log that a person or a script can read.

The published recipe is the base (LIIF, arXiv 2012.09161, section 4.1: L1 on normalised colours,
Adam); warm-up, cosine decay, clipping and averaged weights are what a short budget adds.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch

from liif_cli.errors import TrainError
from liif_cli.io.atomic import atomic_path
from liif_cli.models.members import MembersKind, TrainMembers
from liif_cli.models.model import Model
from liif_cli.train.data import CropSampler
from liif_cli.train.presets import Preset
from liif_cli.train.validate import validation_psnr

STATE_VERSION = 1
CLIP_NORM = 1.0
"""Largest gradient norm; a few bad batches would else undo a high learning rate's gains."""

Photo = npt.NDArray[np.uint8]


class TrainableDecoder(Protocol):
    """A decoder that answers scattered pixels with gradients."""

    members: MembersKind
    skip: str | None

    def sample(
        self,
        image: torch.Tensor,
        feat: torch.Tensor,
        members: TrainMembers,
        cell: torch.Tensor,
    ) -> torch.Tensor:
        """Normalised colours (N, Q, 3)."""
        ...


@dataclass(frozen=True)
class TrainReport:
    """Where a training stands; ``psnr`` is the mean validation PSNR in dB where it was measured."""

    iteration: int
    iterations: int
    loss: float
    lr: float
    seconds: float
    psnr: float | None = None


def learning_rate(preset: Preset, iteration: int) -> float:
    """Linear warm-up, then a cosine from ``lr`` to ``lr * lr_end`` over the iterations."""
    if iteration < preset.warmup:
        return preset.lr * (iteration + 1) / preset.warmup
    progress = (iteration - preset.warmup) / max(1, preset.iterations - preset.warmup)
    cosine = (1 + math.cos(math.pi * min(1.0, progress))) / 2
    return preset.lr * (preset.lr_end + (1 - preset.lr_end) * cosine)


class Trainer:
    """Trains ``preset`` on ``photos``, saving its whole state to ``state_path`` as it goes.

    Args:
        preset: network and recipe.
        photos: training images (h, w, 3) uint8.
        validation: images of the same kind for the PSNR in the log; may be empty.
        state_path: file of the resumable state; a table of losses is written beside it.
        device: where to train.
        bf16: run the network under bfloat16 autocast; weights and optimizer stay float32.
        seed: of the weights and of the data order.

    A state file that is there is taken up where it ended.

    Raises:
        TrainError: the state is another preset's, or the data do not fit the recipe.
    """

    def __init__(
        self,
        preset: Preset,
        photos: Sequence[Photo],
        validation: Sequence[Photo],
        state_path: Path,
        *,
        device: torch.device,
        bf16: bool,
        seed: int = 0,
    ) -> None:
        self.preset, self.validation, self.state_path = preset, validation, state_path
        self.device, self.bf16 = device, bf16
        torch.manual_seed(seed)
        self.model = _on(Model(preset.spec), device)
        self.decoder = cast(TrainableDecoder, self.model.decoder)
        self.ema = {key: value.clone() for key, value in self.model.state_dict().items()}
        self.generator = torch.Generator(device).manual_seed(seed)
        self.sampler = CropSampler(
            photos,
            crop=preset.crop,
            samples=preset.samples,
            scale_min=preset.scale_min,
            scale_max=preset.scale_max,
            members=self.decoder.members,
            around=self.decoder.skip is not None and self.decoder.members == "corner",
            generator=self.generator,
            device=device,
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=preset.lr, fused=True)
        self.iteration, self.seconds = 0, 0.0
        if state_path.exists():
            self._resume()

    def run(
        self,
        report: Callable[[TrainReport], None],
        *,
        log_every: int = 100,
        validate_every: int = 1000,
        save_seconds: float = 120,
    ) -> None:
        """Train to the end, reporting and saving on the way.

        Raises:
            TrainError: the loss is no number; the last good state stays on disk.
            KeyboardInterrupt: asked to stop; the state is saved first.
        """
        last = saved = time.monotonic()
        loss_sum, steps = torch.zeros((), device=self.device), 0
        with _deferred_interrupt() as interrupted:
            while self.iteration < self.preset.iterations:
                loss_sum += self.step()
                steps += 1
                done = self.iteration >= self.preset.iterations
                stop = interrupted.is_set()
                if not (done or stop or self.iteration % log_every == 0):
                    continue
                now = time.monotonic()
                self.seconds, last = self.seconds + now - last, now
                loss = float(loss_sum) / steps
                loss_sum, steps = torch.zeros((), device=self.device), 0
                if not math.isfinite(loss):
                    raise TrainError(
                        f"training at iteration {self.iteration}",
                        got=f"loss {loss}",
                        expected="a finite number",
                        cure=f"lower lr; {self.state_path.name} holds the last good state",
                    )
                psnr = None
                if self.validation and (self.iteration % validate_every == 0 or done):
                    psnr = validation_psnr(self.averaged_model(), self.validation)
                self._log(report, loss, psnr)
                if done or stop or now - saved > save_seconds:
                    self.save()
                    saved = now
                if stop and not done:
                    raise KeyboardInterrupt

    def step(self) -> torch.Tensor:
        """One iteration; returns the loss (scalar, on the device)."""
        lr = learning_rate(self.preset, self.iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        batch = self.sampler.draw(self.preset.batch)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            feat = self.model.encode(batch.image)
            colours = self.decoder.sample(batch.image, feat, batch.members, batch.cell)
        loss = (colours - batch.target).abs().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.iteration += 1
        # a young average would remember the random start for long
        decay = min(self.preset.ema, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.ema.values()), list(self.model.state_dict().values()), 1 - decay
            )
        detached: torch.Tensor = loss.detach()
        return detached

    @property
    def log_path(self) -> Path:
        """The table of losses beside the state."""
        return self.state_path.with_name(
            self.state_path.name.removesuffix(".state.pt") + ".log.csv"
        )

    def averaged_model(self) -> Model:
        """A copy of the network with the averaged weights."""
        model = _on(Model(self.preset.spec), self.device)
        model.load_state_dict(self.ema)
        model.eval()
        return model

    def save(self) -> None:
        """Write the whole state; a crash or a full disk leaves the old one."""
        state = {
            "version": STATE_VERSION,
            "preset": _preset_json(self.preset),
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "iteration": self.iteration,
            "seconds": self.seconds,
        }
        with atomic_path(self.state_path) as partial:
            torch.save(state, partial)

    def _resume(self) -> None:
        state = torch.load(self.state_path, map_location=self.device, weights_only=True)
        if state.get("version") != STATE_VERSION or state["preset"] != _preset_json(self.preset):
            raise TrainError(
                f"cannot resume from {self.state_path}",
                got="the state of another preset or recipe",
                expected="the same preset and overrides",
                cure="give another --out, or move that file away",
            )
        self.model.load_state_dict(state["model"])
        self.ema = state["ema"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.iteration, self.seconds = state["iteration"], state["seconds"]

    def _log(self, report: Callable[[TrainReport], None], loss: float, psnr: float | None) -> None:
        entry = TrainReport(
            self.iteration,
            self.preset.iterations,
            loss,
            learning_rate(self.preset, self.iteration - 1),
            self.seconds,
            psnr,
        )
        path = self.log_path
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow([field.name for field in dataclasses.fields(TrainReport)])
            writer.writerow(dataclasses.astuple(entry))
        report(entry)


def _on(model: Model, device: torch.device) -> Model:
    """The model on a device, its convolutions laid out as their inputs are."""
    placed: Model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event, so that an iteration ends whole; a second one stops now.

    Signals reach the main thread only; in another one the event is never set.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        asked.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _preset_json(preset: Preset) -> dict[str, Any]:
    values = {f.name: getattr(preset, f.name) for f in dataclasses.fields(preset)}
    return {**values, "spec": preset.spec.to_json()}
