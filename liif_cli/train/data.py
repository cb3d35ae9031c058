"""Training batches as tensor work: no Python a sample, on any device.

Per sample a scale, a crop of round(crop * scale) HR pixels, its antialiased bicubic reduction to
crop x crop, flips and a transpose, and HR pixels drawn without replacement (LIIF, arXiv 2012.09161,
section 4.1). A recipe may have other kernels, blur, noise and JPEG, and pages of graphics among the
photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from liif_cli.errors import TrainError
from liif_cli.models.members import MembersKind, TrainMembers, train_members
from liif_cli.train.degrade import NONE, Degradation, Degrader
from liif_cli.train.reduce import BICUBIC, Reducer, blur_matrices


@dataclass(frozen=True)
class Batch:
    """One iteration's input and target.

    ``image`` (N, 3, crop, crop) normalised to [-1, 1]; ``members`` of the N x Q drawn pixels;
    ``cell`` (N, 2), 2 / scale; ``target`` (N, Q, 3) normalised; ``cleanup`` (N,) float32 in
    [0, 100], how lossy the network is told the input to be, 0 for clean.
    """

    image: torch.Tensor
    members: TrainMembers
    cell: torch.Tensor
    target: torch.Tensor
    cleanup: torch.Tensor

    def of_samples(self, chosen: torch.Tensor) -> Batch:
        """Some samples of the batch, by their numbers (n,) int64."""
        codes = self.image.shape[2] * self.image.shape[3]
        return Batch(
            image=self.image[chosen].contiguous(memory_format=torch.channels_last),
            members=self.members.of_samples(chosen, codes),
            cell=self.cell[chosen],
            target=self.target[chosen],
            cleanup=self.cleanup[chosen],
        )


class CropSampler:
    """Draws batches from photos that live on the device as uint8.

    Args:
        photos: arrays (h, w, 3) uint8, each side at least crop * scale_max pixels.
        crop: side of the LR crop in pixels.
        samples: HR pixels drawn a crop; at most crop * crop, the pixels there are at scale 1.
        scale_min: smallest scale, >= 1.
        scale_max: largest scale.
        members: which codes the decoder asks for a pixel.
        generator: source of every random number, on ``device``.
        device: where the photos live and batches are made.
        around: give the codes around each pixel beside the decoder's own.
        pages: arrays like the photos, of text and graphics.
        page_share: probability that a crop is one of a page.
        degradation: what may happen to LR crops.

    Raises:
        TrainError: no photo, a photo or page that is too small, too many samples, or a share of
            pages without a page.
    """

    def __init__(
        self,
        photos: Sequence[npt.NDArray[np.uint8]],
        *,
        crop: int,
        samples: int,
        scale_min: float,
        scale_max: float,
        members: MembersKind,
        generator: torch.Generator,
        device: torch.device,
        around: bool = False,
        pages: Sequence[npt.NDArray[np.uint8]] = (),
        page_share: float = 0.0,
        degradation: Degradation = NONE,
    ) -> None:
        self.crop, self.samples = crop, samples
        self.scale_min, self.scale_max = scale_min, scale_max
        self.members: MembersKind = members
        self.around = around
        self.generator, self.device = generator, device
        largest = _round(crop * scale_max)
        if not photos:
            raise TrainError("training data", got="no photo", expected="1 or more")
        if page_share and not pages:
            raise TrainError(
                "training data", got="no page", expected=f"pages for a share of {page_share:g}"
            )
        self.photos, self.pages = len(photos), len(pages) if page_share else 0
        self.page_share = page_share
        images = [*photos, *pages[: self.pages]]
        for kind, some in (("photo", images[: self.photos]), ("page", images[self.photos :])):
            smallest = min((min(image.shape[:2]) for image in some), default=largest)
            if smallest < largest:
                raise TrainError(
                    "training data",
                    got=f"a {kind} with a side of {smallest} px",
                    expected=f"{largest} px or more for crops of {crop} px at scale {scale_max:g}",
                    cure="leave it out, or lower crop or scale_max",
                )
        if not 1 <= samples <= crop * crop or not 1 <= scale_min <= scale_max:
            raise TrainError(
                "recipe",
                got=f"samples {samples}, crop {crop}, scales {scale_min:g} to {scale_max:g}",
                expected="samples of at most crop * crop, 1 <= scale_min <= scale_max",
            )
        sizes = np.array([image.shape[:2] for image in images], dtype=np.int64)
        self.pixels = torch.from_numpy(np.concatenate([i.reshape(-1, 3) for i in images])).to(
            device
        )
        self.heights, self.widths = torch.from_numpy(sizes).to(device).unbind(1)
        starts = np.concatenate([[0], np.cumsum(sizes.prod(1))[:-1]])
        self.starts = torch.from_numpy(starts).to(device)
        self.smallest_side, self.largest_side = _round(crop * scale_min), largest
        kernels = degradation.kernels(pages=self.pages > 0)
        self.reducer = Reducer(crop, self.smallest_side, largest, kernels, device)
        # without it no random number is drawn for it
        active = degradation.degrades(pages=self.pages > 0)
        self.degrader = Degrader(degradation, generator, device) if active else None

    def draw(self, count: int) -> Batch:
        """A batch of ``count`` crops."""
        hr, lr, side, cleanup = self._pairs(count)
        row, col = self._pixels(side, hr.shape[1])
        sample = torch.arange(count, device=self.device)[:, None]
        return Batch(
            image=_normalise(lr).contiguous(memory_format=torch.channels_last),
            members=train_members(
                self.members, (row, col), (self.crop, self.crop), (side, side), self.around
            ),
            cell=(2 * self.crop / side.float())[:, None].expand(-1, 2),
            target=_normalise(hr[sample, row, col].float()),
            cleanup=cleanup,
        )

    def _pairs(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """HR (N, P, P, 3) uint8, LR (N, 3, crop, crop) in [0, 255], the HR sides (N,) <= P, and
        levels of cleanup (N,)."""
        scale = self._uniform(count) * (self.scale_max - self.scale_min) + self.scale_min
        side = torch.floor(self.crop * scale + 0.5).long()
        photo = self._integers(torch.full((count,), self.photos, device=self.device))
        page = torch.zeros(count, dtype=torch.bool, device=self.device)
        if self.pages:
            page = self._uniform(count) < self.page_share
            other = self._integers(torch.full((count,), self.pages, device=self.device))
            photo = torch.where(page, self.photos + other, photo)
        hr = self._crops(photo, side)
        planes = hr.permute(0, 3, 1, 2).float()
        if self.degrader is None:
            kernel = torch.full((count,), BICUBIC, device=self.device)
            lr = _apply(self.reducer.matrices(kernel, side, hr.shape[1]), planes)
            return hr, lr, side, torch.zeros(count, device=self.device)
        losses = self.degrader.draw(page)
        weights = self.reducer.matrices(losses.kernel, side, hr.shape[1])
        if self.degrader.recipe.blur:
            weights = blur_matrices(losses.blur, self.crop) @ weights
        lr = self.degrader.inflict(_apply(weights, planes), losses)
        return hr, lr, side, losses.cleanup

    def _uniform(self, *shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def _integers(self, bound: torch.Tensor) -> torch.Tensor:
        """One whole number in [0, bound) each."""
        drawn = (self._uniform(*bound.shape).double() * bound).long()
        return torch.minimum(drawn, bound - 1)

    def _widest(self, side: torch.Tensor) -> int:
        """The largest side; of all that there may be where asking would wait for the device."""
        return int(side.max()) if self.device.type == "cpu" else self.largest_side

    def _crops(self, photo: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        """(N, P, P, 3) uint8, P the largest side; what lies beyond a sample's side is not used."""
        count, widest = len(photo), self._widest(side)
        top = self._integers(self.heights[photo] - side + 1)
        left = self._integers(self.widths[photo] - side + 1)
        flip_rows, flip_cols, transpose = (self._uniform(3, count) < 0.5).unbind(0)
        step = torch.arange(widest, device=self.device).minimum(side[:, None] - 1)
        row = torch.where(flip_rows[:, None], side[:, None] - 1 - step, step) + top[:, None]
        col = torch.where(flip_cols[:, None], side[:, None] - 1 - step, step) + left[:, None]
        along = row * self.widths[photo][:, None] + self.starts[photo][:, None]
        index = torch.where(
            transpose[:, None, None],
            along[:, None, :] + col[:, :, None],
            along[:, :, None] + col[:, None, :],
        )
        return self.pixels[index]

    def _pixels(self, side: torch.Tensor, widest: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows and columns (N, Q) of HR pixels, distinct within a crop."""
        inside = torch.arange(widest, device=self.device) < side[:, None]
        key = self._uniform(len(side), widest, widest)
        key = key.masked_fill_(~(inside[:, :, None] & inside[:, None, :]), 2)
        chosen = key.flatten(1).topk(self.samples, largest=False, sorted=False).indices
        return chosen // widest, chosen % widest


def _round(value: float) -> int:
    return int(value + 0.5)


def _apply(weights: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
    """Both ways through (N, crop, P) of (N, 3, P, P): columns first and 8 bit after each pass, as
    Pillow does."""
    narrow = _to_8bit(planes @ weights.transpose(1, 2)[:, None])
    return _to_8bit(weights[:, None] @ narrow)


def _to_8bit(values: torch.Tensor) -> torch.Tensor:
    return values.add(0.5).floor_().clamp_(0, 255)


def _normalise(values: torch.Tensor) -> torch.Tensor:
    """[0, 255] -> [-1, 1]."""
    return values.mul(2 / 255).sub_(1)
