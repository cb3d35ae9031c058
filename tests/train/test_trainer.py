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
from torch.utils._python_dispatch import TorchDispatchMode

from liif_cli.errors import OutputError, TrainError
from liif_cli.geometry.axis import AxisMap
from liif_cli.models.model import Model, ModelSpec, Part
from liif_cli.train.data import CropSampler
from liif_cli.train.overrides import override
from liif_cli.train.presets import REAL, Preset
from liif_cli.train.report import TrainReport
from liif_cli.train.schedule import Schedule
from liif_cli.train.trainer import Trainer
from liif_cli.train.validate import validation_psnr

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


NETWORKS = {"blind": {}, "told": {"cleanup": True}, "a pair": {"lossy": True}}
"""How a network may be trained for degraded inputs."""


def degraded(recipe: Preset, network: str) -> Preset:
    """The recipe with every degradation there is, pages among its photos."""
    options = NETWORKS[network]
    encoder = recipe.spec.encoder
    assert encoder is not None
    encoder = Part(encoder.name, {**encoder.args, "cleanup": "cleanup" in options})
    spec = dataclasses.replace(recipe.spec, encoder=encoder, lossy="lossy" in options)
    return dataclasses.replace(recipe, spec=spec, **{**REAL, "graphics": 0.3})


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        pytest.param(kind, inputs, marks=[] if kind == "lmliif" else pytest.mark.slow)
        for kind in sorted(DECODERS)
        for inputs in ("clean", *NETWORKS)
    ],
)
def test_a_resumed_training_is_the_undisturbed_one_bit_for_bit(
    kind: str, inputs: str, tmp_path: Path
) -> None:
    spec = ModelSpec(encoder=ENCODER, decoder=DECODERS[kind])
    recipe = dataclasses.replace(SMALL, spec=spec, schedule="step", step_every=0.3)
    if inputs != "clean":
        recipe = degraded(recipe, inputs)
    whole = train(tmp_path / "whole.state.pt", recipe)
    # stopped twice, between log points
    for stop in (5, 7):
        part = make(tmp_path / "a.state.pt", recipe)
        while part.iteration < stop:
            part.step()
        part.save()
    resumed = train(tmp_path / "a.state.pt", recipe)
    assert resumed.iteration == 12
    assert resumed.lr == whole.lr
    assert torch.equal(whole.generator.get_state(), resumed.generator.get_state())
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key
        assert torch.equal(whole.ema[key], resumed.ema[key]), key
    states = [each.optimizer.state_dict()["state"] for each in (whole, resumed)]
    for number, values in states[0].items():
        for name, value in values.items():
            assert torch.equal(value, states[1][number][name]), (number, name)


def make(path: Path, recipe: Preset, **options: object) -> Trainer:
    torch.set_num_threads(1)
    return Trainer(
        recipe,
        options.pop("photos", photos()),  # type: ignore[arg-type]
        [],
        path,
        device=torch.device("cpu"),
        bf16=False,
        pages=photos(2) if recipe.graphics else (),
        **options,  # type: ignore[arg-type]
    )


def train(path: Path, recipe: Preset) -> Trainer:
    trainer = make(path, recipe)
    trainer.run(lambda report: None, log_every=4)
    return trainer


def test_the_clean_network_of_a_pair_learns_from_clean_inputs_alone(tmp_path: Path) -> None:
    recipe = degraded(SMALL, "a pair")
    for share, learns in ((1.0, {"clean", "lossy"}), (0.0, {"lossy"})):
        # noise and JPEG in all that is not clean: level 0 then is the clean ones alone
        now = dataclasses.replace(recipe, clean=share, page_clean=share, noise=1.0, jpeg=1.0)
        trainer = make(tmp_path / f"{share:g}.state.pt", now)
        before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
        assert torch.isfinite(trainer.step())
        changed = {
            "lossy" if key.startswith("lossy.") else "clean"
            for key, value in trainer.model.state_dict().items()
            if not torch.equal(value, before[key])
        }
        assert changed == learns


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_the_loss_is_the_mean_over_all_answers_whatever_network_gives_them(
    network: str, tmp_path: Path
) -> None:
    trainer = make(tmp_path / "a.state.pt", degraded(SMALL, network))
    batch = trainer.sampler.draw(16)
    assert 0 < int((batch.cleanup > 0).sum()) < 16
    alone = []
    for number in range(16):
        one = batch.of_samples(torch.tensor([number]))
        networks = [trainer.model if trainer.model.lossy is None else trainer.model.lossy]
        if trainer.model.lossy is not None and not one.cleanup:
            networks.append(trainer.model)
        for told in networks:
            feat = told.encode(one.image, one.cleanup)
            colours = told.decoder.sample(one.image, feat, one.members, one.cell)  # type: ignore[union-attr]
            alone.append((colours - one.target).abs().mean())
    torch.testing.assert_close(trainer._loss(batch), torch.stack(alone).mean())


def test_validation_on_jpeg_is_told_and_reported(tmp_path: Path) -> None:
    entries: list[TrainReport] = []
    held_out = photos(1, 240, 240)
    for network in ("a pair", "blind"):
        path = tmp_path / f"{network}.state.pt"
        trainer = make(path, degraded(SMALL, network))
        trainer.validation = held_out
        trainer.run(entries.append, log_every=4)
        model = trainer.averaged_model()
        lossy = entries[-1].lossy_psnr
        assert lossy == validation_psnr(model, held_out, lossy=True)
        assert lossy != entries[-1].psnr
        if model.takes_cleanup:
            model.lossy = None
            assert lossy != validation_psnr(model, held_out, lossy=True)
    clean = make(tmp_path / "clean.state.pt", SMALL)
    clean.validation = held_out
    clean.run(entries.append, log_every=4)
    assert entries[-1].psnr is not None
    assert entries[-1].lossy_psnr is None


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


class FullDisk:
    """Writes half of what it is told to, then no more, while ``full``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full, self.asked, self.real = True, 0, Path.write_bytes
        monkeypatch.setattr(Path, "write_bytes", lambda path, data: self.write(path, data))

    def write(self, path: Path, data: bytes) -> int:
        self.asked += 1
        if not self.full:
            return self.real(path, data)
        self.real(path, bytes(data)[: len(data) // 2])
        raise OSError(28, "No space left on device")


def test_a_full_disk_while_saving_keeps_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(tmp_path / "a.state.pt", SMALL)
    trainer.save()
    saved = (tmp_path / "a.state.pt").read_bytes()
    disk = FullDisk(monkeypatch)
    with pytest.raises(OutputError, match="full disk"):
        trainer.save()
    assert disk.asked == 1
    assert (tmp_path / "a.state.pt").read_bytes() == saved
    assert [path.name for path in tmp_path.iterdir()] == ["a.state.pt"]


def test_training_goes_on_over_a_full_disk_and_saves_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, said = FullDisk(monkeypatch), []

    def make_room(report: TrainReport) -> None:
        disk.full = report.iteration < 12

    trainer = make(tmp_path / "a.state.pt", SMALL, say=said.append)
    trainer.run(make_room, log_every=4, save_seconds=0)
    assert len([line for line in said if "full disk" in line and "continues" in line]) == 2
    assert make(tmp_path / "a.state.pt", SMALL).iteration == 12


def test_a_last_save_that_fails_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FullDisk(monkeypatch)
    trainer = make(tmp_path / "a.state.pt", SMALL)
    with pytest.raises(OutputError, match="full disk"):
        trainer.run(lambda report: None, log_every=4)
    assert trainer.finished
    assert [path.name for path in tmp_path.iterdir()] == ["a.log.csv"]


def test_a_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "a.state.pt", SMALL).save()
    with pytest.raises(TrainError, match=r"lr was 0\.001, is 0\.0001"):
        make(tmp_path / "a.state.pt", dataclasses.replace(SMALL, lr=1e-4))
    other = override(SMALL, {"hidden": "16,24"})
    with pytest.raises(TrainError, match=r"decoder hidden was \[16, 16\], is \[16, 24\]"):
        make(tmp_path / "a.state.pt", other)
    assert make(tmp_path / "a.state.pt", other, resume=False).iteration == 0


def test_a_state_of_the_first_version_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "a.state.pt"
    first = make(path, SMALL)
    for _ in range(5):
        first.step()
    first.save()
    state = torch.load(path, weights_only=True)
    state["version"] = 1
    del state["init"]
    for name in ("time", "epochs", "schedule", "step_every", "step_factor", "clip"):
        del state["preset"][name]
    torch.save(state, path)
    resumed = train(path, SMALL)
    whole = train(tmp_path / "b.state.pt", SMALL)
    for key, value in whole.ema.items():
        assert torch.equal(value, resumed.ema[key]), key


@pytest.mark.parametrize("damage", [b"", b"no state", None])
def test_a_damaged_state_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "a.state.pt"
    make(path, SMALL).save()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(TrainError, match="cannot resume"):
        make(path, SMALL)


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path) -> None:
    trainer = make(tmp_path / "a.state.pt", SMALL)
    trainer.step()
    trainer.save()
    saved = (tmp_path / "a.state.pt").read_bytes()
    # what the step after the last finite loss may leave behind
    with torch.no_grad():
        trainer.model.encoder.head[0].weight[0, 0, 0, 0] = float("inf")
    with pytest.raises(TrainError, match=r"NaN or infinity in model encoder\.head\.0\.weight"):
        trainer.save()
    assert (tmp_path / "a.state.pt").read_bytes() == saved


def test_a_learning_rate_that_explodes_leaves_the_last_good_state(tmp_path: Path) -> None:
    recipe = dataclasses.replace(SMALL, lr=1e30, clip=0.0, iterations=40)
    trainer = make(tmp_path / "a.state.pt", recipe)
    trainer.save()
    with pytest.raises(TrainError, match=r"lower lr; a\.state\.pt"):
        trainer.run(lambda report: None, log_every=1, save_seconds=0)
    kept = make(tmp_path / "a.state.pt", recipe)
    assert kept.iteration < trainer.iteration
    assert all(value.isfinite().all() for value in kept.weights.values())


class Ticks:
    """A clock that goes on by ``step`` seconds whenever it is asked."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_time_budget_is_kept_and_used(tmp_path: Path) -> None:
    recipe = dataclasses.replace(SMALL, time=100.0, iterations=1)
    clock, reports = Ticks(0.25), []
    trainer = make(tmp_path / "a.state.pt", recipe, clock=clock)
    trainer.run(reports.append, log_every=4, save_seconds=1e9)
    assert trainer.finished
    # the end itself asks the clock a few times
    assert 95 < clock.now <= 103
    assert reports[-1].progress == 1
    assert reports[-1].iterations == reports[-1].iteration == trainer.iteration
    # the end of the cosine, whatever the number of iterations
    assert reports[-1].lr < 0.01 * recipe.lr
    middle = reports[len(reports) // 2]
    assert middle.iterations == pytest.approx(trainer.iteration, rel=0.25)


def test_a_time_budget_goes_on_with_what_is_left(tmp_path: Path) -> None:
    recipe = dataclasses.replace(SMALL, time=100.0)
    first = make(tmp_path / "a.state.pt", recipe, clock=Ticks(2.0))

    def interrupt(report: TrainReport) -> None:
        if 40 < report.seconds < 50:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        first.run(interrupt, log_every=4)
    clock = Ticks(0.5)
    second = make(tmp_path / "a.state.pt", recipe, clock=clock)
    assert 40 < second.seconds < 60
    second.run(lambda report: None, log_every=4)
    assert clock.now < 62
    assert second.iteration > first.iteration


@pytest.mark.parametrize("values", [{}, REAL], ids=["clean", "degraded"])
def test_no_step_waits_for_the_device(
    values: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(tmp_path / "a.state.pt", dataclasses.replace(SMALL, **values))
    # as on an accelerator
    monkeypatch.setattr(trainer.sampler, "_widest", lambda side: trainer.sampler.largest_side)
    trainer.step()
    with NoWaiting():
        trainer.step()
        with pytest.raises(AssertionError):
            trainer.step().item()


class NoWaiting(TorchDispatchMode):
    """Refuses operators whose result the host must wait for."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function.overloadpacket not in (
            torch.ops.aten._local_scalar_dense,
            torch.ops.aten.nonzero,
            torch.ops.aten.masked_select,
            torch.ops.aten.equal,
            # a tensor out of Python's numbers, which goes to the device in a copy of its own
            torch.ops.aten.lift_fresh,
        ), function
        return function(*args, **(kwargs or {}))


def test_the_log_has_a_line_a_report(tmp_path: Path) -> None:
    trainer = train(tmp_path / "a.state.pt", SMALL)
    lines = trainer.log_path.read_text().splitlines()
    assert trainer.log_path.name == "a.log.csv"
    assert lines[0] == (
        "iteration,iterations,loss,lr,seconds,psnr,rate,data_share,progress,lossy_psnr"
    )
    assert [line.split(",")[0] for line in lines[1:]] == ["4", "8", "12"]


def test_learning_rate_warms_up_and_falls_to_its_end() -> None:
    recipe = dataclasses.replace(SMALL, lr=1.0, warmup=10, iterations=110, lr_end=0.1)
    rates = [Schedule(recipe).learning_rate(iteration) for iteration in range(111)]
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


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind == "lmliif" else pytest.mark.slow)
        for kind in sorted(DECODERS)
    ],
)
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
