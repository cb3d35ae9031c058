"""Each family of presets learns one small image by heart, through its own preset made small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from liif_cli.geometry.axis import AxisMap
from liif_cli.models.encoders import rdn
from liif_cli.models.model import Model
from liif_cli.train.overrides import override
from liif_cli.train.presets import BASES, preset
from liif_cli.train.sizes import reduce_square
from liif_cli.train.trainer import Trainer

SIDE = 24
RECIPE = {"crop": "12", "scale_min": "2", "scale_max": "2", "samples": "144", "batch": "4"}
RECIPE |= {"iterations": "300", "lr": "8e-3", "warmup": "10", "schedule": "cosine", "ema": "0.95"}
RECIPE |= {"clip": "1", "epochs": "0"}
EDSR = {"n_resblocks": "1", "n_feats": "16"}
WIDTHS = {
    "liif": {"hidden": "48,48"},
    "lmliif": {"latent_hidden": "48", "depth": "3"},
    "metasr": {},
}
NAMES = ["edsr-small-lmliif"]
MORE = [
    *("rdn-liif", "edsr-small-metasr"),
    *("edsr-baseline-liif", "edsr-small-liif", "rdn-metasr", "edsr-baseline-liif-no-cell"),
    *("edsr-baseline-liif-no-unfold", "edsr-baseline-liif-no-ensemble"),
    "edsr-baseline-liif-shallow",
]


def drawing() -> np.ndarray:
    """Smooth colours and a disc with an edge two pixels wide."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    smooth = np.stack([0.5 + 0.3 * np.sin(3 * x + 2 * y), 0.3 + 0.4 * y, 0.7 - 0.4 * x], -1)
    disc = np.clip(0.5 - SIDE * (np.hypot(y - 0.45, x - 0.5) - 0.28) / 2, 0, 1)[..., None]
    pixels = smooth * (1 - disc) + disc * np.array([0.9, 0.55, 0.2])
    return (pixels * 255).round().astype(np.uint8)


@torch.inference_mode()
def psnr(model: Model, photo: np.ndarray) -> float:
    """Of the image reduced by 2 and rendered again, over RGB in dB."""
    small = torch.from_numpy(reduce_square(photo, SIDE // 2)).permute(2, 0, 1)[None].float()
    image, axis = small / 127.5 - 1, AxisMap(SIDE // 2, SIDE)
    latent = model.render_decoder.prepare(image, model.encode(image), (axis.cell, axis.cell))
    whole = axis.slice(0, SIDE)
    colours = (model.render_decoder.query(latent, whole, whole).numpy() + 1) * 127.5
    return float(-10 * np.log10(np.mean((colours - photo.astype(float)) ** 2) / 255**2))


@pytest.mark.parametrize(
    "name", [*NAMES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_one_image_is_learned_by_heart(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rdn.CONFIGS, "B", (2, 3, 12))
    torch.set_num_threads(1)
    base = preset(name)
    values = {**RECIPE, **WIDTHS[base.spec.decoder.name]}
    values |= EDSR if name.startswith("edsr") else {"channels": "12"}
    values |= {"hidden": "64"} if "shallow" in name else {}
    # without the blend, four pixels a code are told apart by their coordinates alone
    values |= {"n_resblocks": "2", "iterations": "400"} if "no-ensemble" in name else {}
    photo = drawing()
    trainer = Trainer(
        override(base, values),
        [photo],
        [],
        tmp_path / "a.state.pt",
        device=torch.device("cpu"),
        bf16=False,
    )
    before = psnr(trainer.averaged_model(), photo)
    trainer.run(lambda report: None)
    after = psnr(trainer.averaged_model(), photo)
    # the skip alone gives up to 34 dB
    assert after > max(35, before + 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BASES))
def test_a_whole_preset_lowers_its_loss(name: str, tmp_path: Path) -> None:
    few = {"crop": "16", "samples": "256", "batch": "2", "iterations": "12", "scale_max": "2"}
    losses: list[float] = []
    trainer = Trainer(
        override(preset(name), {**few, "lr": "2e-4", "warmup": "0"}),
        [np.tile(drawing(), (2, 2, 1))],
        [],
        tmp_path / "a.state.pt",
        device=torch.device("cpu"),
        bf16=False,
    )
    trainer.run(lambda report: losses.append(report.loss), log_every=4)
    assert losses[-1] < losses[0]
