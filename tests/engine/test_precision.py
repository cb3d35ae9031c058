"""What "auto" is, and that outputs of one machine are those of another one's "auto" as well."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import liif_cli as liif
from liif_cli.engine import machine
from liif_cli.engine.batch import upscale_batch
from liif_cli.engine.events import PlanMade, TaskDone
from liif_cli.engine.machine import numerics_of, resolve_precision
from liif_cli.engine.record import Record
from liif_cli.engine.work import make_plan_file
from liif_cli.models import amx
from liif_cli.models.loader import LoadedModel, load_model
from liif_cli.models.model import Model
from liif_cli.plan import cutting
from liif_cli.plan.plan import RenderPlan
from tests.engine.conftest import Events
from tests.engine.test_batch import spec_of, statuses

CPU = torch.device("cpu")
FASTEST = "edsr-small-lmliif"


@pytest.fixture(params=[True, False], ids=["matrices", "none"])
def matrices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the machine seems to have matrix instructions; without them float32 is computed."""
    monkeypatch.setattr(Model, "has_matrix_code", request.param)
    return bool(request.param)


def plan_of(events: Events) -> RenderPlan:
    return events.of(PlanMade)[-1].plan  # type: ignore[attr-defined, no-any-return]


def test_auto_is_the_quickest_that_is_as_good(matrices: bool, tiny_model: Model) -> None:
    automatic = "bf16x3" if matrices else "fp32"
    assert resolve_precision("auto", CPU, tiny_model) == automatic
    for dtype in ("uint16", "float32", "int16"):
        assert resolve_precision("auto", CPU, tiny_model, dtype) == "fp32"
    # a plan for several machines
    assert resolve_precision("auto", CPU) == "fp32"
    assert resolve_precision("auto", torch.device("cuda:0"), tiny_model) == "fp16"
    for precision in ("fp32", "bf16x3", "bf16", "fp16"):
        assert resolve_precision(precision, CPU, tiny_model, "uint16") == precision


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_of_more_than_8_bits_stay_in_float32(
    tmp_path: Path, matrices: bool, tiny_weights: Path, events: Events, dtype: type
) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (30, 40, 3), dtype=dtype)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", pixels, photometric="rgb")
    spec = spec_of(model=tiny_weights)
    assert upscale_batch(tmp_path / "in", tmp_path / "out", spec, listen=events).exit_code == 0
    expected = "bf16x3" if matrices and dtype is np.uint8 else "fp32"
    assert plan_of(events).precision == expected
    record = Record.read(tmp_path / "out" / "a.tif")
    assert record is not None
    assert record.identity["precision"] == expected
    # as from Python
    model = liif.load(str(tiny_weights))
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out" / "a.tif"), model.upscale(pixels, scale=2)
    )


def test_a_finished_output_of_another_machine_is_kept(
    tmp_path: Path, photo: Path, tiny_weights: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, spec = tmp_path / "a.png", spec_of(model=tiny_weights)
    for number, here in enumerate((False, True, False)):
        monkeypatch.setattr(Model, "has_matrix_code", here)
        report = upscale_batch(photo, out, spec, listen=events)
        assert statuses(report) == ["done" if number == 0 else "skipped"]
    # and what is asked for by name is not
    for precision in ("bf16x3", "bf16"):
        named = dataclasses.replace(spec, precision=precision)
        report = upscale_batch(photo, out, named, listen=events)
        assert f"precision: was fp32, now {precision}" in str(report.results[0].error)
    # made anew for another reason, it is what this machine would make
    monkeypatch.setattr(Model, "has_matrix_code", True)
    report = upscale_batch(photo, out, spec_of("x3", tiny_weights, overwrite=True), listen=events)
    assert statuses(report) == ["done"]
    assert plan_of(events).precision == "bf16x3"


@pytest.mark.parametrize("began", [True, False], ids=["matrices", "none"])
def test_what_another_machine_began_is_ended_as_it_began(
    tmp_path: Path,
    photo: Path,
    tiny_weights: Path,
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
    began: bool,
) -> None:
    monkeypatch.setattr(cutting, "SHARD", 64)
    monkeypatch.setattr(cutting, "CHUNK", 32)
    monkeypatch.setattr(cutting, "MEMORY_SHARE", 1 << 40)
    out, spec = tmp_path / "a.tif", spec_of("400x300", tiny_weights)

    def stop(event: object) -> None:
        events(event)  # type: ignore[arg-type]
        if isinstance(event, TaskDone):
            os.kill(os.getpid(), 2)

    monkeypatch.setattr(Model, "has_matrix_code", began)
    assert upscale_batch(photo, out, spec, listen=stop).interrupted
    precision = plan_of(events).precision
    monkeypatch.setattr(Model, "has_matrix_code", not began)
    assert upscale_batch(photo, out, spec, listen=events).exit_code == 0
    ended = events.of(PlanMade)[-1]
    assert ended.done_pixels > 0
    assert ended.plan.precision == precision == ("bf16x3" if began else "fp32")


def test_a_plan_for_many_machines_is_in_what_all_of_them_have(
    tmp_path: Path, photo: Path, tiny_weights: Path, matrices: bool
) -> None:
    for asked, planned in (("auto", "fp32"), ("bf16x3", "bf16x3")):
        spec = spec_of(model=tiny_weights, precision=asked)
        plan, _ = make_plan_file(
            photo, tmp_path / "out", spec, suffix="", at=tmp_path / "plan.liif"
        )
        assert plan.spec.precision == plan.numerics["precision"] == planned


@pytest.mark.parametrize(
    ("capability", "kind"),
    [("DEFAULT", "plain"), ("NO AVX", "plain"), ("AVX2", "fma"), ("AVX512", "fma")],
)
def test_numerics_tell_processors_without_fused_multiply_adds(
    capability: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert numerics_of(CPU, "fp32")["cpu"] == kind


def test_numerics_tell_processors_with_matrix_instructions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for here in (True, False):
        monkeypatch.setattr(machine, "matrix_code_here", lambda here=here: here)
        assert (numerics_of(CPU, "bf16x3")["cpu"] == "amx") is here
        assert (numerics_of(CPU, "bf16")["cpu"] == "amx") is here
        assert numerics_of(CPU, "fp32")["cpu"] != "amx"


def test_each_precision_has_a_network_of_its_own(tiny_weights: Path) -> None:
    loaded = load_model(str(tiny_weights), CPU)
    rough = loaded.in_precision("bf16")
    assert rough is loaded.model
    exact = loaded.in_precision("fp32")
    assert exact is not rough
    assert loaded.in_precision("fp32") is exact
    kept = load_model(str(tiny_weights), CPU).model.state_dict()
    for key, value in exact.state_dict().items():
        assert torch.equal(value, kept[key])
    # without a file to load it from, there is the one
    alone = LoadedModel(exact, "tiny", "")
    assert alone.in_precision("fp32") is alone.in_precision("bf16x3")


@pytest.mark.skipif(not amx.available(), reason="this processor has no AMX")
@pytest.mark.parametrize("precision", ["bf16x3", "bf16"])
def test_tiles_equal_the_whole(
    tmp_path: Path,
    photo: Path,
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    spec = spec_of("400x300", FASTEST, precision=precision)
    upscale_batch(photo, tmp_path / "whole.png", spec, listen=events)
    monkeypatch.setattr(cutting, "SHARD", 64)
    monkeypatch.setattr(cutting, "CHUNK", 32)
    monkeypatch.setattr(cutting, "MEMORY_SHARE", 1 << 40)
    upscale_batch(photo, tmp_path / "tiles.png", spec, listen=events)
    assert len(plan_of(events).task_grid) > 4
    whole, tiles = (
        np.asarray(Image.open(tmp_path / name)).astype(int) for name in ("whole.png", "tiles.png")
    )
    most, share = (1, 1e-3) if precision == "bf16x3" else (2, 0.05)
    assert np.abs(whole - tiles).max() <= most
    assert (whole != tiles).mean() < share
    exact = upscale_batch(
        photo, tmp_path / "exact.png", dataclasses.replace(spec, precision="fp32"), listen=events
    )
    assert exact.exit_code == 0
    expected = np.asarray(Image.open(tmp_path / "exact.png")).astype(int)
    assert np.abs(tiles - expected).max() <= most
