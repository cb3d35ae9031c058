"""Inputs that the memory cannot hold: unpacked to the disk where they can be, or refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from liif_cli.engine import batch as batch_module
from liif_cli.engine.batch import upscale_batch
from liif_cli.engine.events import PlanMade
from liif_cli.engine.unfinished import unpacked_path
from liif_cli.errors import PlanError
from liif_cli.geometry.size import SizeRequest
from liif_cli.io import unpack
from liif_cli.plan import cutting
from liif_cli.plan.disk import DISK_SLACK
from liif_cli.plan.memory import GIB, MIB
from liif_cli.plan.plan import RenderPlan
from liif_cli.plan.planner import make_plan
from liif_cli.plan.spec import InputFacts, Machine, ModelCost, OutputFacts, RenderSpec
from tests.engine.conftest import Events

SPEC = RenderSpec(SizeRequest.from_scale("3.3"), "bicubic")


@pytest.fixture
def strips(tmp_path: Path, photo: Path) -> Path:
    """A TIFF of deflated strips."""
    path = tmp_path / "strips.tif"
    pixels = np.asarray(Image.open(photo))
    tifffile.imwrite(path, pixels, photometric="rgb", rowsperstrip=3, compression="zlib")
    return path


def test_an_unpacked_input_gives_the_same_output(
    tmp_path: Path, photo: Path, strips: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscale_batch(photo, tmp_path / "plain.png", SPEC, listen=events)
    assert not events.of(PlanMade)[-1].plan.unpack
    monkeypatch.setattr(cutting, "INPUT_SHARE", 1 << 40)
    monkeypatch.setattr(unpack, "BAND_BYTES", 1500)
    for source in (photo, strips):
        out = tmp_path / f"{source.stem}-out.png"
        assert upscale_batch(source, out, SPEC, listen=events).exit_code == 0, events
        plan = events.of(PlanMade)[-1].plan
        assert plan.unpack
        assert plan.projected_disk >= 47 * 61 * 3 + plan.pixels * 3
        np.testing.assert_array_equal(
            np.asarray(Image.open(out)), np.asarray(Image.open(tmp_path / "plain.png"))
        )
    assert [path.name for path in tmp_path.glob(".*") if path.name != ".liif"] == []


def test_a_full_disk_while_unpacking(
    tmp_path: Path, photo: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "INPUT_SHARE", 1 << 40)
    monkeypatch.setattr(unpack, "BAND_BYTES", 1500)
    out = tmp_path / "a.png"
    real, calls = unpack._write, []

    def fill(*args: Any) -> None:
        calls.append(1)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        real(*args)

    with monkeypatch.context() as full:
        full.setattr(unpack, "_write", fill)
        report = upscale_batch(photo, out, SPEC, listen=events)
    assert "full disk" in str(report.results[0].error)
    assert unpacked_path(out).exists()
    assert upscale_batch(photo, out, SPEC, listen=events).exit_code == 0
    assert not unpacked_path(out).exists()


def test_an_input_too_large_for_memory_names_the_cure(
    tmp_path: Path, photo: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.open(photo).save(tmp_path / "a.jpg")
    real = batch_module.InputFacts

    def huge(**facts: object) -> InputFacts:
        return real(**{**facts, "decoded_bytes": 40 * GIB})  # type: ignore[arg-type]

    monkeypatch.setattr(batch_module, "InputFacts", huge)
    report = upscale_batch(tmp_path / "a.jpg", tmp_path / "b.png", SPEC, listen=events)
    error = str(report.results[0].error)
    assert "decoded input 40.0 GiB" in error
    assert "tiled TIFF" in error
    assert "--max-memory" in error


def test_the_plan_counts_what_unpacking_takes() -> None:
    cost = ModelCost((20, 20), 512, 1024, 200_000, 133_000, 12 * MIB)
    machine = Machine(workers=2, base_bytes=300 * MIB, allowed_bytes=GIB)
    source = InputFacts(
        "a.png", "png", (20_000, 30_000, 3), "uint8", "d", 1_800_000_000, unpack_bytes=90 * MIB
    )
    output = OutputFacts("o.tif", "tiff", disk_free=1 << 50)
    spec = RenderSpec(SizeRequest.from_scale("1.5"), "m")

    def plan_of(disk: int) -> RenderPlan:
        place = dataclasses.replace(output, disk_free=disk)
        return make_plan(spec, source, [place], cost, machine, model_digest="w", precision="fp32")

    plan = plan_of(1 << 50)
    assert plan.unpack
    assert plan.projected_mem <= GIB
    assert plan.projected_disk == 2 * 45_000 * 30_000 * 3 + 1_800_000_000 + DISK_SLACK
    with pytest.raises(PlanError, match=r"unpacked input 1\.7 GiB"):
        plan_of(9 * GIB)
