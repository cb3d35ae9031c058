"""A quick quality figure during training, on crops of images that are not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import imagecodecs
import numpy as np
import numpy.typing as npt
import torch

from liif_cli.geometry.axis import AxisMap
from liif_cli.geometry.resample import resample_weights
from liif_cli.models.model import Model

VALIDATION_SCALES = (2, 4)
CROP = 240
"""Side of the central HR crop in pixels."""


JPEG_QUALITY = 75
"""Of the lossy inputs, in 4:2:0: libjpeg's default."""


@torch.inference_mode()
def validation_psnr(
    model: Model, photos: Sequence[npt.NDArray[np.uint8]], *, lossy: bool = False
) -> float:
    """Mean RGB PSNR in dB over ``photos`` and the validation scales, 8 px of border left out.

    Args:
        model: the network; it is told the loss where it takes that.
        photos: (h, w, 3), sides of ``CROP`` px at least.
        lossy: ask for inputs that were a JPEG of ``JPEG_QUALITY``.
    """
    device = next(model.parameters()).device
    told = model.told(100.0 - JPEG_QUALITY) if lossy else model.told(0)
    values = []
    for photo in photos:
        top, left = ((side - CROP) // 2 for side in photo.shape[:2])
        hr = photo[top : top + CROP, left : left + CROP].astype(np.float64)
        for scale in VALIDATION_SCALES:
            side = CROP // scale
            reduce = resample_weights(CROP, side)
            lr = np.clip(
                np.rint(np.einsum("ij,jkc,lk->ilc", reduce, hr, reduce, optimize=True)), 0, 255
            )
            if lossy:
                data = imagecodecs.jpeg8_encode(
                    np.ascontiguousarray(lr, np.uint8), level=JPEG_QUALITY, subsampling="420"
                )
                lr = imagecodecs.jpeg8_decode(data)
            image = torch.from_numpy(lr).float().permute(2, 0, 1)[None].to(device) / 127.5 - 1
            axis = AxisMap(side, CROP).slice(0, CROP)
            latent = told.render_decoder.prepare(
                image, told.encode(image), (axis.axis.cell, axis.axis.cell)
            )
            sr = told.render_decoder.query(latent, axis, axis).clamp(-1, 1).cpu().numpy()
            error = ((sr + 1) * 127.5 - hr)[8:-8, 8:-8]
            values.append(-10 * np.log10(np.mean(error**2) / 255**2))
    return float(np.mean(values))
