"""What a dry run foretells: parts that are measured, and their sum for a whole command."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from liif_cli.engine.batch import upscale_batch
from liif_cli.engine.dryrun import plan_batch
from liif_cli.engine.estimate import BatchEstimate, ImageEstimate, estimate_batch
from liif_cli.geometry.size import SizeRequest
from liif_cli.io import EXPORTERS, exporter_for
from liif_cli.plan.disk import batch_disk
from liif_cli.plan.memory import MIB
from liif_cli.plan.spec import RenderSpec
from tests.engine.conftest import Events, write_photo


def bicubic(scale: str, **options: object) -> RenderSpec:
    return RenderSpec(SizeRequest.from_scale(scale), "bicubic", **options)  # type: ignore[arg-type]


def test_images_of_a_batch_overlap_but_for_the_longest() -> None:
    small = ImageEstimate(read=1, render=8, write=1, write_cpu=1, threads=2)
    assert small.alone == 6
    assert BatchEstimate(3, 2, (small, small)).total == 3 + 2 + 10  # 20 s of a core on 2 cores
    slow = ImageEstimate(read=1, render=8, write=30, write_cpu=1, threads=2)
    assert BatchEstimate(3, 2, (small, slow)).total == 3 + 2 + slow.alone
    assert BatchEstimate(3, 2, (ImageEstimate(), ImageEstimate())).total == 5


@pytest.mark.parametrize("name", sorted(EXPORTERS))
@pytest.mark.parametrize("limit", [None, 1])
def test_every_kind_of_output_is_measured(
    tmp_path: Path, name: str, limit: int | None, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = write_photo(tmp_path / "a.png", 90, 70)
    if "uint8" not in exporter_for(name).dtypes:
        light = np.random.default_rng(0).random((90, 70, 3), np.float32)
        photo = tmp_path / "a.tif"
        tifffile.imwrite(photo, light, photometric="rgb")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    if limit is not None:
        monkeypatch.setattr("liif_cli.plan.cutting.MEMORY_MOST", limit)
    output = tmp_path / f"o{exporter_for(name).suffixes[0]}"
    batch = plan_batch(photo, output, bicubic("2", format=name), listen=events)
    (image,) = batch.images
    assert image.plan is not None, image.error
    estimate = estimate_batch(batch)
    (found,) = estimate.images
    assert min(found.render, found.write, estimate.start, estimate.planning) > 0
    # the tests' own process began long ago
    assert found.alone < estimate.total - estimate.start < 60
    assert not output.exists()
    assert not list((tmp_path / "tmp").iterdir())


def test_what_is_finished_or_fails_takes_no_time(tmp_path: Path, events: Events) -> None:
    write_photo(tmp_path / "in/a.png", 30, 40)
    upscale_batch(tmp_path / "in", tmp_path / "out", bicubic("2"), listen=events)
    (tmp_path / "in/b.png").write_bytes(b"no image")
    batch = plan_batch(tmp_path / "in", tmp_path / "out", bicubic("2"), listen=events)
    assert [image.skipped for image in batch.images] == [True, False]
    assert estimate_batch(batch).images == (ImageEstimate(), ImageEstimate())


def test_writing_counts_pixels(tmp_path: Path, events: Events) -> None:
    write_photo(tmp_path / "in/a.png", 60, 80)
    write_photo(tmp_path / "in/b.png", 120, 160)
    batch = plan_batch(tmp_path / "in", tmp_path / "out", bicubic("40"), listen=events)
    # both are measured by one piece
    small, large = estimate_batch(batch).images
    assert large.write == pytest.approx(4 * small.write)


def test_a_batch_of_small_images_needs_little_disk(tmp_path: Path, events: Events) -> None:
    for number in range(30):
        write_photo(tmp_path / f"in/{number}.png", 40, 60, seed=number)
    batch = plan_batch(tmp_path / "in", tmp_path / "out", bicubic("2"), listen=events)
    plans = [image.plan for image in batch.images if image.plan is not None]
    assert len(plans) == 30
    raw = 80 * 120 * 3
    assert 30 * raw <= batch_disk(plans) < MIB
