"""The table of a training, its curves, and the clocks behind their figures."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from liif_cli.train.curves import draw, read_curves
from liif_cli.train.presets import Preset, preset
from liif_cli.train.report import TrainLog, TrainReport
from liif_cli.train.schedule import Schedule
from liif_cli.train.stepclock import Speed, StepClock


def report(iteration: int, psnr: float | None = None, lossy: float | None = None) -> TrainReport:
    return TrainReport(iteration, 1000, 1 / iteration, 1e-3, 1.0, psnr, 20.0, 0.04, 0.5, lossy)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    log = TrainLog(tmp_path / "a.safetensors.log.csv", pytest.fail, fresh=True)
    for iteration in range(100, 1001, 100):
        log.add(report(iteration, 20 + iteration / 100 if iteration % 300 == 0 else None))
    return log.path


def test_curves_are_read_back_and_later_runs_count(table: Path) -> None:
    losses, psnrs, lossy = read_curves(table)
    assert losses == [(k, 1 / k) for k in range(100, 1001, 100)]
    assert lossy == []
    assert psnrs == [(300, 23.0), (600, 26.0), (900, 29.0)]
    # killed after 1000, taken up at 550
    log = TrainLog(table, pytest.fail, fresh=False)
    log.add(report(600, 30.0, 28.0))
    table.write_text(table.read_text() + "700,1000,broken\n")
    losses, psnrs, lossy = read_curves(table)
    assert lossy == [(600, 28.0)]
    assert [k for k, _ in losses] == [100, 200, 300, 400, 500, 600]
    assert psnrs == [(300, 23.0), (600, 30.0)]


def test_curves_are_a_picture_without_global_state(table: Path) -> None:
    before = set(sys.modules)
    target = table.with_name("a.curves.png")
    draw(table, target)
    with Image.open(target) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB")).astype(int)
    # blue and orange lines are there
    assert ((pixels[..., 2] - pixels[..., 0]) > 100).sum() > 100
    assert ((pixels[..., 0] - pixels[..., 2]) > 150).sum() > 100
    assert "matplotlib.pyplot" not in set(sys.modules) - before


def test_missing_matplotlib_is_said_once(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said: list[str] = []
    log = TrainLog(table, said.append, fresh=False)
    log.draw()
    log.draw()
    assert len(said) == 1
    assert "liif-cli[plot]" in said[0]
    assert not log.curves_path.exists()


def test_a_log_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    log = TrainLog(tmp_path / "missing/a.log.csv", said.append, fresh=True)
    log.add(report(1))
    log.add(report(2))
    log.draw()
    log.draw()
    assert len(said) == 2
    assert "cannot write" in said[0]


def test_a_table_of_fewer_columns_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "a.log.csv"
    path.write_text("iteration,iterations,loss,lr,seconds,psnr\n1,9,0.5,1e-3,2,\n")
    TrainLog(path, pytest.fail, fresh=False).add(report(2, 30.0))
    assert path.read_text().splitlines()[2] == "2,1000,0.5,0.001,1.0,30.0"


def test_share_of_the_data() -> None:
    clock = StepClock(torch.device("cpu"))
    assert clock.take() == 0
    for _ in range(3):
        clock.mark()
        time.sleep(0.02)
        clock.mark()
        time.sleep(0.06)
        clock.mark()
    assert 0.1 < clock.take() < 0.45
    assert clock.take() == 0


def test_expected_iterations_leave_the_slow_start_out() -> None:
    speed, now = Speed(10, 0.0), 0.0
    for iteration in range(11, 41):
        now += 9.0 if iteration <= 15 else 0.5
        speed.step(iteration, now)
    assert speed.expected(40, now, 100.0) == 240
    # before there is anything better
    assert Speed(0, 1.0).expected(3, 2.5, 100.0) == 203
    assert Speed(0, 1.0).expected(0, 1.0, 100.0) == 0


def timed(**values: float) -> Schedule:
    recipe: Preset = preset("edsr-small-liif")
    return Schedule(Preset(recipe.spec, time=100.0, lr=1.0, **values))  # type: ignore[arg-type]


def test_a_timed_schedule_follows_the_clock() -> None:
    schedule = timed()
    assert schedule.learning_rate(7, 0) == 1
    assert schedule.learning_rate(7, 50) == pytest.approx(0.5)
    assert schedule.learning_rate(10**9, 50) == pytest.approx(0.5)
    schedule.reserve = 20
    assert schedule.learning_rate(7, 40) == pytest.approx(0.5)
    assert schedule.learning_rate(7, 80) == pytest.approx(0, abs=1e-9)
    assert (schedule.finished(7, 79), schedule.finished(7, 80)) == (False, True)
    assert not schedule.finished(0, 1000)
    # counted in iterations, but never more than a twentieth of the time
    slow = timed(warmup=1000)
    assert slow.learning_rate(0, 2.5) == pytest.approx(0.5, rel=0.01)
    assert slow.learning_rate(9, 6) == pytest.approx(0.99, rel=0.01)


def test_steps_by_time() -> None:
    schedule = timed()
    steps = Schedule(Preset(schedule.preset.spec, time=100.0, lr=1.0, schedule="step"))
    rates = [steps.learning_rate(10, seconds) for seconds in (19.9, 20.1, 60.1, 99.0)]
    assert rates == pytest.approx([1, 0.5, 0.125, 0.0625])
