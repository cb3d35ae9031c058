"""Training: batches that are what the paper says, and a loop that can be stopped at any time."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from liif_cli.errors import TrainError, UsageError
from liif_cli.geometry.axis import AxisMap
from liif_cli.models.model import Model, ModelSpec, Part
from liif_cli.train.data import CropSampler
from liif_cli.train.presets import PRESETS, Preset, preset
from liif_cli.train.trainer import Trainer, TrainReport, learning_rate

ENCODER = Part("edsr", {"n_resblocks": 1, "n_feats": 8})
DECODERS = {
    "liif": Part("liif", {"hidden": [16, 16]}),
    "lmliif": Part("lmliif", {"latent_hidden": [24], "skip": "bilinear"}),
    "metasr": Part("metasr"),
    "metasr with the skip": Part("metasr", {"skip": "bilinear"}),
}
SMALL = Preset(
    ModelSpec(encoder=ENCODER, decoder=DECODERS["liif"]),
    crop=12,
    samples=64,
    batch=3,
    iterations=12,
    lr=1e-3,
    warmup=2,
)


def photos(count: int = 3, height: int = 64, width: int = 80) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    small = rng.integers(0, 256, (count, 9, 9, 3), dtype=np.uint8)
    return [
        np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BICUBIC))
        for each in small
    ]


def sampler_of(images: list[np.ndarray], **options: object) -> CropSampler:
    values = {
        "crop": 12,
        "samples": 64,
        "scale_min": 1.0,
        "scale_max": 4.0,
        "members": "ensemble",
        "generator": torch.Generator().manual_seed(1),
        "device": torch.device("cpu"),
        **options,
    }
    return CropSampler(images, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [1.0, 1.7, 2.5, 4.0])
def test_the_lr_crop_is_pillows_reduction_of_the_hr_crop(scale: float) -> None:
    sampler = sampler_of(photos(), scale_min=scale, scale_max=scale)
    side = int(12 * scale + 0.5)
    crop = sampler._crops(torch.tensor([1, 2]), torch.tensor([side, side]))
    sampler._crops = lambda photo, sides: crop  # type: ignore[method-assign]
    batch = sampler.draw(2)
    for index in range(2):
        whole = Image.fromarray(crop[index].numpy())
        expected = np.asarray(whole.resize((12, 12), Image.Resampling.BICUBIC)).astype(int)
        got = ((batch.image[index].permute(1, 2, 0) + 1) * 127.5).round().numpy().astype(int)
        # Pillow's coefficients have 22 bits, so a value on the edge of rounding may differ
        assert np.abs(got - expected).max() <= 1
        assert (got != expected).mean() < 0.01


def test_crops_are_flipped_and_turned_windows_of_the_photo() -> None:
    images = [(np.indices((40, 50)).sum(0)[..., None] + np.array([0, 40, 90])).astype(np.uint8)]
    images[0][..., 0] = np.arange(50)
    images[0][..., 1] = np.arange(40)[:, None]
    sampler = sampler_of(images, scale_max=3.0)
    sides = torch.full((64,), 30)
    crops = sampler._crops(torch.zeros(64, dtype=torch.long), sides).numpy().astype(int)
    kinds = set()
    for crop in crops:
        cols, rows = crop[..., 0], crop[..., 1]
        transposed = cols[0, 0] != cols[1, 0]
        if transposed:
            cols, rows = cols.T, rows.T
        step_x, step_y = cols[0, 1] - cols[0, 0], rows[1, 0] - rows[0, 0]
        assert abs(step_x) == abs(step_y) == 1
        np.testing.assert_array_equal(cols, cols[:1] + np.zeros((30, 1), int))
        np.testing.assert_array_equal(np.diff(cols[0]), step_x)
        np.testing.assert_array_equal(np.diff(rows[:, 0]), step_y)
        kinds.add((transposed, step_x, step_y))
    assert len(kinds) == 8


def test_samples_are_distinct_pixels_inside_the_crop() -> None:
    sampler = sampler_of(photos(), samples=144)
    side = torch.tensor([12, 20, 48])
    row, col = sampler._pixels(side, 48)
    assert (row < side[:, None]).all()
    assert (col < side[:, None]).all()
    for rows, cols in zip(row, col, strict=True):
        assert len(set(zip(rows.tolist(), cols.tolist(), strict=True))) == 144


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_training_samples_are_what_rendering_gives(kind: str) -> None:
    torch.manual_seed(2)
    model = Model(ModelSpec(encoder=ENCODER, decoder=DECODERS[kind])).eval().requires_grad_(False)
    decoder = model.decoder
    sampler = sampler_of(
        photos(),
        members=decoder.members,
        around=decoder.skip is not None,
        scale_min=2.25,
        scale_max=2.25,
    )
    drawn: list[tuple[torch.Tensor, torch.Tensor]] = []
    real = sampler._pixels

    def keep(side: torch.Tensor, widest: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn.append(real(side, widest))
        return drawn[-1]

    sampler._pixels = keep  # type: ignore[method-assign]
    batch = sampler.draw(2)
    feat = model.encode(batch.image)
    sampled = decoder.sample(batch.image, feat, batch.members, batch.cell)
    axis = AxisMap(12, 27)
    for index in range(2):
        image = batch.image[index : index + 1]
        latent = decoder.prepare(image, feat[index : index + 1], (axis.cell, axis.cell))
        whole = decoder.query(latent, axis.slice(0, 27), axis.slice(0, 27))
        row, col = drawn[0]
        torch.testing.assert_close(sampled[index], whole[row[index], col[index]], atol=2e-6, rtol=0)


def test_a_resumed_training_is_the_undisturbed_one_bit_for_bit(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole.state.pt", SMALL)
    first = make(tmp_path / "a.state.pt", SMALL)
    for _ in range(5):
        first.step()
    first.save()
    resumed = train(tmp_path / "a.state.pt", SMALL)
    assert resumed.iteration == 12
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key
        assert torch.equal(whole.ema[key], resumed.ema[key]), key


def make(path: Path, recipe: Preset, **options: object) -> Trainer:
    torch.set_num_threads(1)
    return Trainer(
        recipe,
        options.pop("photos", photos()),  # type: ignore[arg-type]
        [],
        path,
        device=torch.device("cpu"),
        bf16=False,
        **options,  # type: ignore[arg-type]
    )


def train(path: Path, recipe: Preset) -> Trainer:
    trainer = make(path, recipe)
    trainer.run(lambda report: None, log_every=4)
    return trainer


def test_ctrl_c_ends_the_iteration_and_saves(tmp_path: Path) -> None:
    trainer = make(tmp_path / "a.state.pt", SMALL)
    before = signal.getsignal(signal.SIGINT)

    def interrupt(report: TrainReport) -> None:
        if report.iteration == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trainer.run(interrupt, log_every=4)
    assert signal.getsignal(signal.SIGINT) is before
    assert make(tmp_path / "a.state.pt", SMALL).iteration == trainer.iteration == 5
    resumed = train(tmp_path / "a.state.pt", SMALL)
    whole = train(tmp_path / "b.state.pt", SMALL)
    for key, value in whole.ema.items():
        assert torch.equal(value, resumed.ema[key]), key


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    trainer = make(tmp_path / "a.state.pt", SMALL)
    trainer.step()
    trainer.save()
    saved = (tmp_path / "a.state.pt").read_bytes()
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainError, match="loss nan"):
        trainer.run(lambda report: None, log_every=4)
    assert (tmp_path / "a.state.pt").read_bytes() == saved


def test_a_full_disk_while_saving_keeps_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(tmp_path / "a.state.pt", SMALL)
    trainer.save()
    saved = (tmp_path / "a.state.pt").read_bytes()

    def fail(state: object, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(Exception, match="full disk"):
        trainer.save()
    assert (tmp_path / "a.state.pt").read_bytes() == saved
    assert [path.name for path in tmp_path.iterdir()] == ["a.state.pt"]


def test_a_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "a.state.pt", SMALL).save()
    with pytest.raises(TrainError, match="another preset or recipe"):
        make(tmp_path / "a.state.pt", dataclasses.replace(SMALL, lr=1e-4))


def test_the_log_has_a_line_a_report(tmp_path: Path) -> None:
    trainer = train(tmp_path / "a.state.pt", SMALL)
    lines = trainer.log_path.read_text().splitlines()
    assert trainer.log_path.name == "a.log.csv"
    assert lines[0] == "iteration,iterations,loss,lr,seconds,psnr"
    assert [line.split(",")[0] for line in lines[1:]] == ["4", "8", "12"]


def test_learning_rate_warms_up_and_falls_to_its_end() -> None:
    recipe = dataclasses.replace(SMALL, lr=1.0, warmup=10, iterations=110, lr_end=0.1)
    rates = [learning_rate(recipe, iteration) for iteration in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)


def test_photos_that_do_not_fit_the_recipe_are_refused() -> None:
    with pytest.raises(TrainError, match="no photo"):
        sampler_of([])
    with pytest.raises(TrainError, match="a side of 40 px"):
        sampler_of(photos(height=40))
    with pytest.raises(TrainError, match="samples of at most"):
        sampler_of(photos(), samples=145)


def test_presets_can_be_overridden_by_known_names_only() -> None:
    assert preset("edsr-small-liif").override({"batch": 4}).batch == 4
    with pytest.raises(UsageError, match="'bacth'"):
        preset("edsr-small-liif").override({"bacth": 4})
    with pytest.raises(UsageError, match="edsr-small-lmliif"):
        preset("none")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_builds_its_network(name: str) -> None:
    with torch.device("meta"):
        assert Model(PRESETS[name].spec).parameter_count > 100_000


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_a_few_steps_learn_something(kind: str, tmp_path: Path) -> None:
    recipe = dataclasses.replace(
        SMALL,
        spec=ModelSpec(encoder=ENCODER, decoder=DECODERS[kind]),
        iterations=80,
        lr=4e-3,
        batch=4,
        crop=16,
        samples=200,
        scale_max=2.0,
    )
    losses: list[float] = []
    trainer = make(tmp_path / "a.state.pt", recipe, photos=photos(count=1))
    trainer.run(lambda report: losses.append(report.loss), log_every=20)
    assert losses[-1] < 0.6 * losses[0]
