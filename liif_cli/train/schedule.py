"""How far a training is, by iterations or by time, and the learning rate there."""

from __future__ import annotations

import math

from liif_cli.train.presets import Preset

WARMUP_PART = 0.05
"""Of a time budget: a warm-up counted in iterations must not use up a short one."""


class Schedule:
    """Where iteration and elapsed seconds lie in the schedule of ``preset``.

    By time, the schedule follows the clock and not a guess of the iterations to come, so that it
    ends in time also where the speed changes.

    Attributes:
        reserve: seconds of the budget kept for the last validation and for saving.
    """

    def __init__(self, preset: Preset) -> None:
        self.preset = preset
        self.reserve = 0.0

    def progress(self, iteration: int, seconds: float) -> float:
        """Part of the schedule behind, in [0, 1]; by iterations it starts after the warm-up."""
        recipe = self.preset
        if recipe.time:
            return min(1.0, seconds / max(1e-9, recipe.time - self.reserve))
        done = (iteration - recipe.warmup) / max(1, recipe.iterations - recipe.warmup)
        return min(1.0, max(0.0, done))

    def finished(self, iteration: int, seconds: float) -> bool:
        """Whether no iteration is left; a time budget has at least one."""
        if self.preset.time:
            return iteration > 0 and seconds + self.reserve >= self.preset.time
        return iteration >= self.preset.iterations

    def learning_rate(self, iteration: int, seconds: float = 0.0) -> float:
        """Linear warm-up, then a cosine from ``lr`` to ``lr * lr_end``, or steps."""
        recipe = self.preset
        progress = self.progress(iteration, seconds)
        ramp = min(1.0, (iteration + 1) / recipe.warmup) if recipe.warmup else 1.0
        if recipe.time:
            ramp = max(ramp, min(1.0, progress / WARMUP_PART))
        if recipe.schedule == "step":
            # 3 * 0.2 is a little above 0.6
            factor = recipe.step_factor ** math.floor(progress / recipe.step_every + 1e-9)
        else:
            cosine = (1 + math.cos(math.pi * progress)) / 2
            factor = recipe.lr_end + (1 - recipe.lr_end) * cosine
        return recipe.lr * ramp * factor
