"""Size-varied ground truth: each photo its own target size (LIIF, arXiv 2012.09161, section 4.2).

Photos are taken whole: their central square is reduced once to the target and to the input, both by
antialiased bicubic with 8-bit results.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from liif_cli.errors import TrainError
from liif_cli.geometry.resample import resample_weights
from liif_cli.models.members import MembersKind
from liif_cli.train.data import CropSampler
from liif_cli.train.presets import Preset

Photo = npt.NDArray[np.uint8]


def make_sampler(
    preset: Preset,
    photos: Sequence[Photo],
    members: MembersKind,
    generator: torch.Generator,
    device: torch.device,
    *,
    around: bool = False,
    pages: Sequence[Photo] = (),
) -> CropSampler:
    """What draws the batches of ``preset``: crops at random scales, or photos of varied sizes.

    ``pages`` are drawn beside the photos where the preset has a share of ``graphics``.

    Raises:
        TrainError: the photos do not fit the recipe.
    """
    if not preset.target_max:
        return CropSampler(
            photos,
            crop=preset.crop,
            samples=preset.samples,
            scale_min=preset.scale_min,
            scale_max=preset.scale_max,
            members=members,
            generator=generator,
            device=device,
            around=around,
            pages=pages,
            page_share=preset.graphics,
            degradation=preset,
        )
    sides = target_sides(len(photos), preset.target_min, preset.target_max)
    return VariedSampler(
        [reduce_square(photo, side) for photo, side in zip(photos, sides, strict=True)],
        [reduce_square(photo, preset.crop) for photo in photos],
        samples=preset.samples,
        members=members,
        generator=generator,
        device=device,
        around=around,
    )


def target_sides(count: int, smallest: int, largest: int) -> list[int]:
    """Target side of each of ``count`` photos: even steps from ``smallest`` to ``largest``."""
    return [
        int(smallest + (largest - smallest) * index / max(1, count - 1) + 0.5)
        for index in range(count)
    ]


def reduce_square(photo: Photo, side: int) -> Photo:
    """The central square of (h, w, 3) as (side, side, 3), as Pillow's bicubic reduces it."""
    whole = min(photo.shape[:2])
    if whole < side:
        raise TrainError("training data", got=f"a photo of {whole} px", expected=f"{side} or more")
    top, left = ((length - whole) // 2 for length in photo.shape[:2])
    square = photo[top : top + whole, left : left + whole]
    weights = resample_weights(whole, side).astype(np.float32)
    # columns first and 8 bit after each pass, as Pillow does
    narrow = _to_8bit(np.einsum("rkc,lk->rlc", square, weights, optimize=True))
    return _to_8bit(np.einsum("rk,klc->rlc", weights, narrow, optimize=True))


class VariedSampler(CropSampler):
    """Draws batches of whole photos, mirrored at random, that live on the device as uint8.

    Args:
        targets: squares (side, side, 3) uint8, each of its own side.
        inputs: the same photos, all of one side, which is ``crop``.
        samples: pixels drawn a target.
        members: which codes the decoder asks for a pixel.
        generator: source of every random number, on ``device``.
        device: where the photos live and batches are made.
        around: give the codes around each pixel beside the decoder's own.
    """

    def __init__(
        self,
        targets: Sequence[Photo],
        inputs: Sequence[Photo],
        *,
        samples: int,
        members: MembersKind,
        generator: torch.Generator,
        device: torch.device,
        around: bool = False,
    ) -> None:
        crop, sides = len(inputs[0]), [len(target) for target in targets]
        super().__init__(
            targets,
            crop=crop,
            samples=samples,
            scale_min=1.0,
            # the smallest target is the largest crop that all of them hold
            scale_max=min(sides) / crop,
            members=members,
            generator=generator,
            device=device,
            around=around,
        )
        self.largest_side = max(sides)
        self.inputs = torch.from_numpy(np.stack(inputs)).to(device)

    def _pairs(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        photo = self._integers(torch.full((count,), len(self.starts), device=self.device))
        side = self.heights[photo]
        mirrored = (self._uniform(count) < 0.5)[:, None]
        step = torch.arange(self._widest(side), device=self.device).minimum(side[:, None] - 1)
        col = torch.where(mirrored, side[:, None] - 1 - step, step)
        index = (
            self.starts[photo][:, None, None] + (step * side[:, None])[:, :, None] + col[:, None]
        )
        lr = self.inputs[photo].permute(0, 3, 1, 2).float()
        lr = torch.where(mirrored[:, None, None], lr.flip(3), lr)
        return self.pixels[index], lr, side, torch.zeros(count, device=self.device)


def _to_8bit(values: npt.NDArray[np.float32]) -> Photo:
    rounded: Photo = np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
    return rounded
