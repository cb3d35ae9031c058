"""Degradation of LR crops, so that a network learns the inputs that people have.

Which losses a crop suffers is drawn by the recipe's probabilities and ranges; all of it is tensor
work over the batch, and a batch takes as many random numbers whatever is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from liif_cli.errors import UsageError
from liif_cli.train.jpeg import MCU, recompress
from liif_cli.train.reduce import AREA, BICUBIC, BILINEAR, LANCZOS, NEAREST

NOISE_LEVEL = 6.0
"""Level of cleanup for each 8-bit level of noise."""
MID_GRAY = 127.5

_PHOTO = ("kernel_area", "kernel_lanczos", "kernel_bilinear", "kernel_nearest")
_PAGE = ("page_area", "page_lanczos", "page_bilinear", "page_nearest")
_ORDER = (AREA, LANCZOS, BILINEAR, NEAREST, BICUBIC)
_SHARES = ("blur", "noise", "jpeg")
_PARTS = ("clean", "page_clean", "noise_gray", "noise_signal", "jpeg_420", "jpeg_twice")
_RANGES = (("blur", 0, 100), ("noise", 0, 255), ("jpeg", 1, 100))
"""Name, least and greatest of what is drawn from name_min to name_max."""


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """What may happen to an LR crop, as values of a recipe. Without a change nothing happens.

    Probabilities are those of a crop that is not clean, and are drawn apart from each other.

    Attributes:
        clean: share of the photos' crops that are reduced by bicubic and nothing more.
        kernel_area, kernel_lanczos, kernel_bilinear, kernel_nearest: probabilities of being reduced
            by the mean of what a pixel covers, by one of these kernels, widened as the bicubic one
            is, or by picking pixels; by antialiased bicubic otherwise.
        blur: probability of a gaussian blur, its sigma uniform from ``blur_min`` to ``blur_max`` LR
            pixels.
        noise: probability of gaussian noise, its sigma uniform from ``noise_min`` to ``noise_max``
            8-bit levels.
        noise_gray: of the noisy, the part with the same noise in all three channels.
        noise_signal: of the noisy, the part whose variance is in proportion to the signal, as that
            of photon noise; sigma is then that at mid-gray.
        jpeg: probability of JPEG, its quality uniform from ``jpeg_min`` to ``jpeg_max``.
        jpeg_420: of the JPEG, the part with halved chroma.
        jpeg_twice: of the JPEG, the part that had been compressed once before, by another quality
            and at another offset of the blocks.
        page_clean: share of the crops of pages without blur, noise and JPEG.
        page_area, page_lanczos, page_bilinear, page_nearest: kernels of all crops of pages; bicubic
            otherwise.
    """

    clean: float = 0.0
    kernel_area: float = 0.0
    kernel_lanczos: float = 0.0
    kernel_bilinear: float = 0.0
    kernel_nearest: float = 0.0
    blur: float = 0.0
    blur_min: float = 0.2
    blur_max: float = 0.9
    noise: float = 0.0
    noise_min: float = 0.5
    noise_max: float = 8.0
    noise_gray: float = 0.0
    noise_signal: float = 0.0
    jpeg: float = 0.0
    jpeg_min: int = 30
    jpeg_max: int = 97
    jpeg_420: float = 0.0
    jpeg_twice: float = 0.0
    page_clean: float = 0.0
    page_area: float = 0.0
    page_lanczos: float = 0.0
    page_bilinear: float = 0.0
    page_nearest: float = 0.0

    def degrades(self, *, pages: bool) -> list[str]:
        """Names of the values above 0 by which a crop may become other than bicubic makes it."""
        names = (*_PHOTO, *_SHARES, *(_PAGE if pages else ()))
        return [name for name in names if getattr(self, name) > 0]

    def kernels(self, *, pages: bool) -> tuple[int, ...]:
        """Which kernels may be drawn, bicubic first."""
        mixes = [*zip(_PHOTO, _ORDER, strict=False), *zip(_PAGE, _ORDER, strict=False)]
        drawn = {
            kernel for name, kernel in mixes if getattr(self, name) and (pages or name in _PHOTO)
        }
        return (BICUBIC, *sorted(drawn))

    def check(self) -> None:
        """Whether the values fit together.

        Raises:
            UsageError: they do not; names the value.
        """
        for name in (*_PHOTO, *_PAGE, *_SHARES, *_PARTS):
            self._require(name, 0 <= getattr(self, name) <= 1, "a probability, 0 to 1")
        for names in (_PHOTO, _PAGE):
            total = sum(getattr(self, name) for name in names)
            if total > 1 + 1e-6:
                raise UsageError(
                    "recipe values " + " + ".join(names),
                    got=f"{total:g}",
                    expected="1 at most in all, the rest being bicubic",
                )
        for name, least, most in _RANGES:
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            self._require(f"{name}_min", least <= low <= most, f"{least} to {most}")
            limits = f"{name}_min = {low:g} to {most}"
            self._require(f"{name}_max", low <= high <= most, limits)

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise UsageError(
                f"recipe value {name}", got=repr(getattr(self, name)), expected=expected
            )


NONE = Degradation()


@dataclass(frozen=True)
class Losses:
    """What happens to each of N crops, in this order.

    ``kernel`` (N,) numbers of kernels; ``blur`` (N,) sigma in LR pixels, 0 for none; ``noise``
    (N,) sigma in 8-bit levels, 0 for none, with ``gray`` and ``signal`` (N,) bool; ``quality``
    (2, N) of a first and a last JPEG, 0 for none, with ``halved`` (2, N) bool and ``offset``
    (2, N, 2) whole numbers in [0, MCU); ``cleanup`` (N,) float32 in [0, 100], the level that the
    network is told.
    """

    kernel: torch.Tensor
    blur: torch.Tensor
    noise: torch.Tensor
    gray: torch.Tensor
    signal: torch.Tensor
    quality: torch.Tensor
    halved: torch.Tensor
    offset: torch.Tensor
    cleanup: torch.Tensor


class Degrader:
    """Draws losses and inflicts those that come after the reduction.

    Args:
        recipe: probabilities and ranges.
        generator: source of every random number, on ``device``.
        device: where crops are.
    """

    def __init__(
        self, recipe: Degradation, generator: torch.Generator, device: torch.device
    ) -> None:
        self.recipe, self.generator, self.device = recipe, generator, device
        mixes = [[getattr(recipe, name) for name in names] for names in (_PHOTO, _PAGE)]
        self.bounds = torch.tensor(mixes, device=device).cumsum(1)
        self.order = torch.tensor(_ORDER, device=device)

    def draw(self, page: torch.Tensor) -> Losses:
        """Losses of N crops; ``page`` (N,) bool says which are of pages."""
        recipe, count = self.recipe, len(page)
        drawn = torch.rand(15, count, generator=self.generator, device=self.device)
        clean, kernel, blur, blur_at, noise, noise_at, gray, signal, *rest = drawn
        jpeg, twice, told = rest[:3]
        quality_at, halved = drawn[-4:-2], drawn[-2:]
        lossy = clean >= torch.where(page, recipe.page_clean, recipe.clean)
        chosen = self.order[(kernel[:, None] >= self.bounds[page.long()]).sum(1)]
        blurs = _between(recipe.blur_min, recipe.blur_max, blur_at)
        sigma = _between(recipe.noise_min, recipe.noise_max, noise_at)
        sigma = torch.where(lossy & (noise < recipe.noise), sigma, 0)
        coded = lossy & (jpeg < recipe.jpeg)
        qualities = recipe.jpeg_max - recipe.jpeg_min + 1
        quality = torch.floor(quality_at * qualities).clamp_(max=qualities - 1) + recipe.jpeg_min
        quality = quality * torch.stack([coded & (twice < recipe.jpeg_twice), coded])
        # of the last compression alone: it is what the tables of a file tell
        level = torch.where(coded, 100 - quality[1], 0)
        noise_level = (NOISE_LEVEL * sigma).clamp(max=100)
        # a file does not tell of its noise, but a user may
        silent = coded & (told < 0.5)
        offset = torch.rand(2, count, 2, generator=self.generator, device=self.device)
        return Losses(
            kernel=torch.where(lossy | page, chosen, BICUBIC),
            blur=torch.where(lossy & (blur < recipe.blur), blurs, 0),
            noise=sigma,
            gray=gray < recipe.noise_gray,
            signal=signal < recipe.noise_signal,
            quality=quality,
            halved=halved < recipe.jpeg_420,
            offset=(offset * MCU).long().clamp_(max=MCU - 1),
            cleanup=torch.where(silent, level, torch.maximum(level, noise_level)),
        )

    def inflict(self, lr: torch.Tensor, losses: Losses) -> torch.Tensor:
        """Noise and JPEG on (N, 3, h, w) of whole numbers in [0, 255]; returns the same kind."""
        if self.recipe.noise:
            lr = self._noisy(lr, losses)
        if self.recipe.jpeg:
            for turn in range(2):
                if turn or self.recipe.jpeg_twice:
                    lr = recompress(
                        lr, losses.quality[turn], losses.halved[turn], losses.offset[turn]
                    )
        return lr

    def _noisy(self, lr: torch.Tensor, losses: Losses) -> torch.Tensor:
        noise = torch.randn(lr.shape, generator=self.generator, device=self.device)
        noise = torch.where(_each(losses.gray), noise[:, :1], noise)
        strength = torch.where(_each(losses.signal), lr.div(MID_GRAY).sqrt_(), 1)
        noise = noise.mul_(strength).mul_(_each(losses.noise))
        return (lr + noise).add_(0.5).floor_().clamp_(0, 255)


def _each(values: torch.Tensor) -> torch.Tensor:
    """(N,) to broadcast over (N, C, h, w)."""
    return values[:, None, None, None]


def _between(low: float, high: float, at: torch.Tensor) -> torch.Tensor:
    return low + (high - low) * at
