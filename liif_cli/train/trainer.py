"""The training loop: resumable, with averaged weights and a log that a person or a script can read.

The published recipe is the base (LIIF, arXiv 2012.09161, section 4.1: L1 on normalised colours,
Adam); warm-up, cosine decay, clipping and averaged weights are what a short budget adds.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from liif_cli.errors import OutputError, TrainError
from liif_cli.models.base import TrainableDecoder
from liif_cli.models.loader import LoadedModel
from liif_cli.models.model import Model
from liif_cli.train.data import Batch
from liif_cli.train.initial import take_over
from liif_cli.train.pace import Pace
from liif_cli.train.presets import Preset
from liif_cli.train.report import TrainLog, TrainReport
from liif_cli.train.schedule import Schedule
from liif_cli.train.sizes import make_sampler
from liif_cli.train.state import read_state, write_state
from liif_cli.train.stepclock import StepClock
from liif_cli.train.validate import validation_psnr

log = logging.getLogger(__name__)

Photo = npt.NDArray[np.uint8]


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
        pages: images of text and graphics, a share ``graphics`` of the crops.
        init: a model whose weights to start from; not asked where a state is taken up.
        resume: take up the state file, if there is one, where it ended. Without it, the first save
            replaces that file.
        say: told single lines: what was taken over, a state that could not be saved.
        clock: seconds from anywhere.

    Raises:
        TrainError: the state is another preset's, or the data do not fit the recipe.
        CheckpointError: ``init`` does not fit the network.
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
        pages: Sequence[Photo] = (),
        init: LoadedModel | None = None,
        resume: bool = True,
        say: Callable[[str], None] = log.info,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.preset, self.validation, self.state_path = preset, validation, state_path
        self.device, self.bf16, self.say, self.clock = device, bf16, say, clock
        self.schedule, self.step_clock = Schedule(preset), StepClock(device)
        self.iteration, self.seconds = 0, 0.0
        self.init = {"name": init.name, "digest": init.digest} if init else None
        state = None
        if resume and state_path.exists():
            state = read_state(state_path, preset, device, self.init)
        torch.manual_seed(seed)
        self.model = _on(Model(preset.spec), device)
        if init is not None and state is None:
            say(take_over(self.model, init))
        self.decoder = cast(TrainableDecoder, self.model.decoder)
        self.generator = torch.Generator(device).manual_seed(seed)
        around = self.decoder.skip is not None and self.decoder.members == "corner"
        self.sampler = make_sampler(
            preset,
            photos,
            self.decoder.members,
            self.generator,
            device,
            around=around,
            pages=pages,
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=preset.lr, fused=True)
        # their values change in place, so the lists hold for the whole training
        self.weights = self.model.state_dict()
        self.ema = {key: value.clone() for key, value in self.weights.items()}
        self.log = TrainLog(self.log_path, say, fresh=state is None)
        if state is not None:
            self._take_up(state)

    def run(
        self,
        report: Callable[[TrainReport], None],
        *,
        log_every: int = 100,
        validate_every: int = 1000,
        save_seconds: float = 120,
    ) -> None:
        """Train to the end, reporting and saving on the way.

        A state that cannot be saved is said, and saved at the next turn.

        Raises:
            TrainError: the loss or a weight is not a number; the last good state stays on disk.
            OutputError: the last state cannot be saved.
            KeyboardInterrupt: asked to stop; the state is saved first.
        """
        pace = Pace(
            self.preset,
            self.clock,
            iteration=self.iteration,
            seconds=self.seconds,
            log_every=log_every,
            validate_every=validate_every,
            save_seconds=save_seconds,
        )
        loss_sum = torch.zeros((), device=self.device)
        with _deferred_interrupt() as interrupted:
            done = self.finished
            while not done:
                loss_sum += self.step()
                self.seconds = pace.step(self.iteration)
                done, stop = self.finished, interrupted.is_set()
                if done or stop or pace.reports(self.iteration):
                    self._turn(pace, float(loss_sum), report, done=done, stop=stop)
                    loss_sum.zero_()
                if stop and not done:
                    self.say(f"saved at iteration {self.iteration}; the same command resumes")
                    raise KeyboardInterrupt

    def _turn(
        self,
        pace: Pace,
        loss_sum: float,
        report: Callable[[TrainReport], None],
        *,
        done: bool,
        stop: bool,
    ) -> None:
        """Report and, where they are due, validate and save; the last turn does both."""
        steps, rate = pace.take_steps()
        loss = self._finite(loss_sum / steps)
        validates = bool(self.validation) and not stop
        validates = validates and (done or pace.validates(self.iteration))
        with pace.validating() if validates else nullcontext():
            psnr, lossy_psnr = self._validate() if validates else (None, None)
            self.seconds = pace.seconds
            iterations, progress = pace.progress(self.iteration, self.seconds, done=done)
            entry = TrainReport(
                self.iteration,
                iterations,
                loss,
                self.lr,
                self.seconds,
                psnr,
                rate,
                self.step_clock.take(),
                progress,
                lossy_psnr,
            )
            self.log.add(entry)
            report(entry)
            if done or validates:
                self.log.draw()
        if done or stop or pace.saves:
            with pace.saving():
                self._try_to_save(must=done or stop)
            self.schedule.reserve = pace.reserve
        self.seconds = pace.end_turn()

    def _validate(self) -> tuple[float, float | None]:
        """PSNR of the averaged network and, where the recipe trains for them, that of JPEGs."""
        averaged = self.averaged_model()
        lossy = None
        if self.preset.jpeg:
            lossy = validation_psnr(averaged, self.validation, lossy=True)
        return validation_psnr(averaged, self.validation), lossy

    @property
    def finished(self) -> bool:
        """Whether no iteration is left."""
        return self.schedule.finished(self.iteration, self.seconds)

    def step(self) -> torch.Tensor:
        """One iteration; returns the loss (scalar, on the device)."""
        self.lr = self.schedule.learning_rate(self.iteration, self.seconds)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        self.step_clock.mark()
        batch = self.sampler.draw(self.preset.batch)
        self.step_clock.mark()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            loss = self._loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.preset.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.preset.clip)
        self.optimizer.step()
        self.iteration += 1
        # a young average would remember the random start for long
        decay = min(self.preset.ema, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.values()), list(self.weights.values()), 1 - decay)
        self.step_clock.mark()
        detached: torch.Tensor = loss.detach()
        return detached

    def _loss(self, batch: Batch) -> torch.Tensor:
        """Mean L1 over all answers. Of a pair, the clean network is asked for clean samples alone.

        The lossy one is asked for all: without clean ones it forgets what is sharp, and images
        of a high quality lose most.
        """
        if self.model.lossy is None:
            return _difference(self.model, batch) / batch.target.numel()
        total, count = _difference(self.model.lossy, batch), batch.target.numel()
        clean = torch.nonzero(batch.cleanup == 0)[:, 0]
        if len(clean):
            part = batch.of_samples(clean)
            total, count = total + _difference(self.model, part), count + part.target.numel()
        return total / count

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
        """Write the whole state; a crash or a full disk leaves the old one.

        Raises:
            TrainError: a weight is not a number.
            OutputError: the file cannot be written.
        """
        state = {
            "model": self.weights,
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "iteration": self.iteration,
            "seconds": self.seconds,
            "init": self.init,
        }
        write_state(self.state_path, self.preset, state)

    def _try_to_save(self, *, must: bool) -> None:
        try:
            self.save()
        except OutputError as error:
            if must:
                raise
            self.say(f"{error}. Training continues; the next save tries again")

    def _take_up(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.ema = dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.iteration, self.seconds = state["iteration"], state["seconds"]

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise TrainError(
                f"training at iteration {self.iteration}",
                got=f"loss {loss}",
                expected="a finite number",
                cure=f"lower lr; {self.state_path.name}, if it is there, holds the last good state",
            )
        return loss


def _difference(model: Model, batch: Batch) -> torch.Tensor:
    """Sum of the absolute differences of a batch (scalar)."""
    feat = model.encode(batch.image, batch.cleanup)
    decoder = cast(TrainableDecoder, model.decoder)
    colours = decoder.sample(batch.image, feat, batch.members, batch.cell)
    return (colours - batch.target).abs().sum()


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
