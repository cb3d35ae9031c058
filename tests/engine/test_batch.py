"""Batches: every image ends in a known state, and a stopped run goes on where it stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image

from liif_cli.engine import run
from liif_cli.engine.batch import BatchReport, upscale_batch
from liif_cli.engine.dryrun import plan_batch
from liif_cli.engine.events import ImageFailed, ImageSkipped, PlanMade, TaskDone, Warned
from liif_cli.engine.sampling import render_array
from liif_cli.errors import CheckpointError, RenderError, UsageError
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.io.shards import ShardedArray
from liif_cli.models import checkpoint
from liif_cli.models.model import Model
from liif_cli.plan import cutting
from liif_cli.plan.spec import RenderSpec
from tests.engine.conftest import Events, write_photo


def spec_of(size: str = "x2", model: str | Path = "bicubic", **options: object) -> RenderSpec:
    request = SizeRequest.from_scale(size) if size.startswith("x") else SizeRequest.from_size(size)
    return RenderSpec(size=request, model=str(model), **options)  # type: ignore[arg-type]


def facts_of(path: Path) -> tuple[tuple[int, int], str]:
    """Size (width, height) and mode of a whole image file, by Pillow."""
    with Image.open(path) as image:
        image.load()
        return image.size, image.mode


def statuses(report: BatchReport) -> list[str]:
    return [result.status for result in report.results]


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes through the store, in shards that small images have many of."""
    monkeypatch.setattr(cutting, "SHARD", 64)
    monkeypatch.setattr(cutting, "CHUNK", 32)
    monkeypatch.setattr(cutting, "MEMORY_SHARE", 1 << 40)


def test_the_written_pixels_are_those_of_the_library(
    tmp_path: Path, photo: Path, tiny_weights: Path, tiny_model: Model, events: Events
) -> None:
    report = upscale_batch(
        photo, tmp_path / "out", spec_of("x3.7", tiny_weights), suffix="_big", listen=events
    )
    assert report.exit_code == 0
    got = np.asarray(Image.open(tmp_path / "out" / "photo_big.png"))
    colours = render_array(tiny_model, np.asarray(Image.open(photo)), got.shape[:2])
    expected = to_8bit(colours)
    assert got.shape == (174, 226, 3)
    # tiles and the whole agree to 1e-5, so only a value on the edge of rounding may differ
    assert (got != expected).mean() < 1e-3
    assert np.abs(got.astype(int) - expected).max() <= 1
    assert sum(event.pixels for event in events.of(TaskDone)) == 174 * 226


def to_8bit(colours: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".zarr"])
def test_through_the_store_or_in_memory_the_pixels_are_the_same(
    tmp_path: Path,
    photo: Path,
    tiny_weights: Path,
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
) -> None:
    spec = spec_of("400x300", tiny_weights)
    upscale_batch(photo, tmp_path / "whole.png", spec, listen=events)
    monkeypatch.setattr(cutting, "SHARD", 64)
    monkeypatch.setattr(cutting, "CHUNK", 32)
    monkeypatch.setattr(cutting, "MEMORY_SHARE", 1 << 40)
    report = upscale_batch(photo, tmp_path / f"a{suffix}", spec, listen=events)
    assert report.exit_code == 0, events
    plan = events.of(PlanMade)[-1].plan
    assert plan.via_store
    assert len(plan.task_grid) > 4
    whole = np.asarray(Image.open(tmp_path / "whole.png"))
    path = tmp_path / f"a{suffix}"
    if suffix == ".zarr":
        got = np.moveaxis(np.asarray(zarr.open_array(path / "0", mode="r")), 0, -1)
    else:
        got = tifffile.imread(path) if suffix == ".tif" else np.asarray(Image.open(path))
    assert np.abs(got.astype(int) - whole).max() <= 1
    assert (got != whole).mean() < 1e-3
    assert [p.name for p in tmp_path.glob(".*partial*")] == []


def test_an_interrupted_render_goes_on_where_it_stopped(
    tmp_path: Path,
    photo: Path,
    tiny_weights: Path,
    events: Events,
    small_shards: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = spec_of("500x400", tiny_weights)
    upscale_batch(photo, tmp_path / "undisturbed.tif", spec, listen=events)
    out = tmp_path / "a.tif"
    seen: list[TaskDone] = []

    def interrupt_after_three(event: object) -> None:
        if isinstance(event, TaskDone):
            seen.append(event)
            if len(seen) == 3:
                os.kill(os.getpid(), 2)  # SIGINT, as Ctrl-C sends it

    report = upscale_batch(photo, out, spec, listen=interrupt_after_three)
    assert report.interrupted
    assert report.exit_code == 3
    assert statuses(report) == ["interrupted"]
    assert not out.exists()

    rest = Events()
    report = upscale_batch(photo, out, spec, listen=rest)
    assert report.exit_code == 0
    done_before = rest.of(PlanMade)[0].done_pixels
    assert done_before > 0
    assert done_before + sum(e.pixels for e in rest.of(TaskDone)) == 500 * 400
    np.testing.assert_array_equal(
        tifffile.imread(out), tifffile.imread(tmp_path / "undisturbed.tif")
    )


def test_what_a_killed_process_left_in_a_store_does_not_end_up_in_the_output(
    tmp_path: Path, photo: Path, events: Events, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = ShardedArray.write_shard, []

    def die_in_the_third(self: ShardedArray, window: Window, pixels: np.ndarray) -> None:
        calls.append(window)
        if len(calls) == 3:
            path = self.shard_path(0, 0)
            (path.parent / f".{path.name}.0123456789ab.partial").write_bytes(b"half a shard")
            raise OSError(5, "Input/output error")
        real(self, window, pixels)

    with monkeypatch.context() as broken:
        broken.setattr(ShardedArray, "write_shard", die_in_the_third)
        upscale_batch(photo, tmp_path / "a.zarr", spec_of("400x300"), listen=events)
    assert list(tmp_path.rglob(".*.partial"))
    assert (
        upscale_batch(photo, tmp_path / "a.zarr", spec_of("400x300"), listen=events).exit_code == 0
    )
    assert list(tmp_path.rglob("*partial*")) == []
    assert zarr.open_array(tmp_path / "a.zarr/0", mode="r").shape == (3, 300, 400)


def test_a_half_written_file_is_never_taken_for_a_finished_one(
    tmp_path: Path, photo: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "photo.png"
    with monkeypatch.context() as broken:

        def fail(self: object, pixels: object, path: Path, info: object) -> None:
            path.write_bytes(b"\x89PNG half")
            raise OSError(28, "No space left on device")

        broken.setattr("liif_cli.io.exporters.png.PngExporter.export", fail)
        report = upscale_batch(photo, tmp_path / "out", spec_of(), listen=events)
    assert statuses(report) == ["failed"]
    assert "full disk" in str(report.results[0].error)
    assert not out.exists()
    assert list((tmp_path / "out").glob(".*partial*")) == []
    assert upscale_batch(photo, tmp_path / "out", spec_of(), listen=events).exit_code == 0
    assert facts_of(out)[0] == (122, 94)


def test_finished_outputs_are_skipped_and_others_only_replaced_on_request(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    out = tmp_path / "out"
    assert statuses(upscale_batch(photo, out, spec_of(), listen=events)) == ["done"]
    before = (out / "photo.png").stat().st_mtime_ns
    assert statuses(upscale_batch(photo, out, spec_of(), listen=events)) == ["skipped"]
    assert len(events.of(ImageSkipped)) == 1
    assert (out / "photo.png").stat().st_mtime_ns == before

    report = upscale_batch(photo, out, spec_of("x3"), listen=events)
    assert report.exit_code == 1
    assert "size: was 122x94, now 183x141" in str(report.results[0].error)
    assert "--overwrite" in str(report.results[0].error)
    report = upscale_batch(photo, out, spec_of("x3", overwrite=True), listen=events)
    assert statuses(report) == ["done"]
    assert facts_of(out / "photo.png")[0] == (183, 141)

    write_photo(photo, 47, 61, seed=1)
    report = upscale_batch(photo, out, spec_of("x3"), listen=events)
    assert "the input changed" in str(report.results[0].error)

    (out / "photo.png").write_bytes(b"edited by hand")
    report = upscale_batch(photo, out, spec_of("x3", overwrite=True), listen=events)
    assert statuses(report) == ["done"]

    (out / "photo.png").unlink()
    assert statuses(upscale_batch(photo, out, spec_of("x3"), listen=events)) == ["done"]


def test_a_file_of_someone_else_is_not_replaced(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    out = write_photo(tmp_path / "out" / "photo.png", 5, 5)
    before = out.read_bytes()
    report = upscale_batch(photo, tmp_path / "out", spec_of(), listen=events)
    assert "not made by this command" in str(report.results[0].error)
    assert out.read_bytes() == before


def test_one_bad_image_does_not_stop_the_others(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    folder = photo.parent
    write_photo(folder / "b" / "second.jpg", 20, 30)
    (folder / "bad.png").write_bytes(photo.read_bytes()[:200])
    (folder / "empty.png").touch()
    (folder / "._photo.png").write_bytes(b"sidecar")
    (folder / "Thumbs.db").write_bytes(b"sidecar")
    tifffile.imwrite(folder / "signed.tif", np.zeros((9, 9), np.int64))
    report = upscale_batch(folder, tmp_path / "out", spec_of(), listen=events)
    ended = {result.input.name: result for result in report.results}
    assert {name: result.status for name, result in ended.items()} == {
        "bad.png": "failed",
        "empty.png": "failed",
        "photo.png": "done",
        "second.jpg": "done",
        "signed.tif": "failed",
    }
    assert report.exit_code == 1
    assert "signed samples" in str(ended["signed.tif"].error)
    assert all("\n" not in str(result.error) for result in ended.values())
    assert len(events.of(ImageFailed)) == 3
    assert facts_of(tmp_path / "out" / "b" / "second.jpg")[0] == (60, 40)


def test_a_network_that_overflows_on_an_image_fails_that_image(
    tmp_path: Path, photo: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(self: Model, image: torch.Tensor) -> torch.Tensor:
        # only the real input holds more than one value
        return image * float("inf") if image.std() > 0 else image

    write_photo(photo.parent / "second.png", 9, 9)
    monkeypatch.setattr(Model, "encode", overflow)
    report = upscale_batch(photo.parent, tmp_path / "out", spec_of(), listen=events)
    assert statuses(report) == ["failed", "failed"]
    assert "NaN or infinity" in str(report.results[0].error)
    assert not (tmp_path / "out" / "photo.png").exists()


def test_a_network_that_overflows_on_anything_is_refused_before_work(
    tmp_path: Path, photo: Path, tiny_model: Model, events: Events
) -> None:
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.mul_(1e30)
    weights = tmp_path / "overflow.safetensors"
    checkpoint.save(tiny_model, {}, weights)
    with pytest.raises(RenderError, match="NaN or infinity"):
        upscale_batch(photo, tmp_path / "out", spec_of(model=weights), listen=events)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".png", ".zarr"])
def test_what_overflows_half_precision_is_rendered_again_in_fp32(
    tmp_path: Path, photo: Path, large_weights: Path, events: Events, suffix: str
) -> None:
    for precision in ("fp32", "fp16"):
        spec = spec_of("x3", large_weights, precision=precision)
        report = upscale_batch(photo, tmp_path / f"{precision}{suffix}", spec, listen=events)
        assert report.exit_code == 0, report
    exact, again = (
        np.asarray(zarr.open_array(path / "0", mode="r") if suffix == ".zarr" else Image.open(path))
        for path in (tmp_path / f"fp32{suffix}", tmp_path / f"fp16{suffix}")
    )
    np.testing.assert_array_equal(exact, again)


def test_weights_that_are_no_numbers_are_refused(
    tmp_path: Path, photo: Path, tiny_model: Model, events: Events
) -> None:
    with torch.no_grad():
        next(tiny_model.decoder.parameters()).view(-1)[3] = float("nan")
    weights = tmp_path / "nan.safetensors"
    checkpoint.save(tiny_model, {}, weights)
    with pytest.raises(CheckpointError, match=r"NaN or infinity in decoder\.imnet\.layers\.0"):
        upscale_batch(photo, tmp_path / "out", spec_of(model=weights), listen=events)


def test_an_error_inside_a_shard_fails_the_image_and_keeps_the_rest(
    tmp_path: Path,
    photo: Path,
    events: Events,
    small_shards: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, calls = ShardedArray.write_shard, []

    def full_disk(self: ShardedArray, window: object, pixels: object) -> None:
        calls.append(window)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        real(self, window, pixels)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(ShardedArray, "write_shard", full_disk)
        report = upscale_batch(photo, tmp_path / "a.tif", spec_of("400x300"), listen=events)
    assert statuses(report) == ["failed"]
    assert "full disk" in str(report.results[0].error)
    rest = Events()
    report = upscale_batch(photo, tmp_path / "a.tif", spec_of("400x300"), listen=rest)
    assert report.exit_code == 0
    assert rest.of(PlanMade)[0].done_pixels > 0


def test_gray_and_16_bit_stay_what_they_are(tmp_path: Path, events: Events) -> None:
    folder = tmp_path / "in"
    write_photo(folder / "gray.png", 20, 30, mode="L")
    deep = np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)
    tifffile.imwrite(folder / "deep.tif", deep)
    report = upscale_batch(folder, tmp_path / "out", spec_of(), listen=events)
    assert report.exit_code == 0, report
    assert facts_of(tmp_path / "out" / "gray.png")[1] == "L"
    out = tifffile.imread(tmp_path / "out" / "deep.tif")
    assert out.dtype == np.uint16
    assert out.shape == (40, 60)
    assert int(out.max()) > 60000


def test_sizes_that_change_the_aspect_are_listed_before_work(
    tmp_path: Path, events: Events
) -> None:
    folder = tmp_path / "in"
    write_photo(folder / "wide.png", 20, 40)
    write_photo(folder / "tall.png", 40, 20)
    upscale_batch(folder, tmp_path / "out", spec_of("80x40"), listen=events)
    warning = events.of(Warned)[0].message
    assert "tall.png" in warning
    assert "wide.png" not in warning
    assert events.index(events.of(Warned)[0]) < events.index(events.of(PlanMade)[0])


def test_a_scale_below_one_works_and_warns(tmp_path: Path, photo: Path, events: Events) -> None:
    report = upscale_batch(photo, tmp_path / "a.png", spec_of("x0.5"), listen=events)
    assert report.exit_code == 0
    assert "below 1" in events.of(Warned)[0].message
    assert facts_of(tmp_path / "a.png")[0] == (31, 24)


def test_what_cannot_start_is_said_before_any_work(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    with pytest.raises(UsageError, match="edsr"):
        upscale_batch(photo, tmp_path / "out", spec_of(model="edsr-smal-liif"), listen=events)
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError):
        upscale_batch(
            photo, tmp_path / "out", spec_of(model=tmp_path / "w.safetensors"), listen=events
        )
    with pytest.raises(UsageError, match="cuda:99"):
        upscale_batch(photo, tmp_path / "out", spec_of(device="cuda:99"), listen=events)
    assert not (tmp_path / "out").exists()


def test_no_permission_is_a_failure_of_that_image(
    tmp_path: Path, photo: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    report = upscale_batch(photo, tmp_path / "out", spec_of(), listen=events)
    assert statuses(report) == ["failed"]
    assert "no permission" in str(report.results[0].error)


def test_too_little_memory_is_refused_with_the_sums(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    report = upscale_batch(photo, tmp_path / "out", spec_of(max_memory=50 << 20), listen=events)
    assert "--max-memory" in str(report.results[0].error)


def test_a_dry_run_plans_and_leaves_nothing(tmp_path: Path, photo: Path, events: Events) -> None:
    (photo.parent / "bad.png").write_bytes(b"no image")
    planned = plan_batch(photo.parent, tmp_path / "out", spec_of("x4"), listen=events).images
    by_name = {image.input.name: image for image in planned}
    assert by_name["photo.png"].plan is not None
    assert by_name["photo.png"].plan.out_shape == (188, 244)
    assert by_name["bad.png"].error
    assert not (tmp_path / "out").exists()


def test_records_are_plain_json_in_a_hidden_folder(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    upscale_batch(photo, tmp_path / "out", spec_of(), listen=events)
    record = json.loads((tmp_path / "out" / ".liif" / "photo.png.json").read_text())
    plan = events.of(PlanMade)[0].plan
    assert record["fingerprint"] == plan.fingerprint
    assert record["size"] == (tmp_path / "out" / "photo.png").stat().st_size


def test_self_ensemble_changes_the_pixels_and_not_the_picture(
    tmp_path: Path, photo: Path, tiny_weights: Path, events: Events
) -> None:
    plain, turned = tmp_path / "plain.png", tmp_path / "turned.png"
    upscale_batch(photo, plain, spec_of("x2", tiny_weights), listen=events)
    report = upscale_batch(
        photo, turned, spec_of("x2", tiny_weights, self_ensemble=True), listen=events
    )
    assert report.exit_code == 0, report
    a, b = (np.asarray(Image.open(path)).astype(int) for path in (plain, turned))
    assert (a != b).any()
    assert np.abs(a - b).mean() < 20


def test_every_image_is_closed(
    tmp_path: Path, photo: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    original = run.ImageRun.close

    def close(self: run.ImageRun) -> None:
        closed.append(self.input)
        original(self)

    monkeypatch.setattr(run.ImageRun, "close", close)
    write_photo(photo.parent / "second.png", 9, 9)
    upscale_batch(photo.parent, tmp_path / "out", spec_of(), listen=events)
    assert len(set(closed)) == 2
