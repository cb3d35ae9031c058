"""A render that was stopped, by whatever, goes on; one of something else is never taken for it."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from liif_cli.engine import canvas
from liif_cli.engine.batch import BatchReport, upscale_batch
from liif_cli.engine.events import ExportStarted, PassedOver, PlanMade, TaskDone
from liif_cli.engine.unfinished import store_path
from liif_cli.errors import OutputError
from liif_cli.geometry.size import SizeRequest
from liif_cli.io.pyramid import GrowingLevels, Weighing
from liif_cli.io.shards import KEPT, SCRATCH, ShardedArray
from liif_cli.io.tilestore import TileStore
from liif_cli.plan import cutting
from liif_cli.plan.spec import RenderSpec
from tests.engine.conftest import Events, write_photo

SIZE = "400x300"
PIXELS = 400 * 300


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes through the store, in shards that small images have many of."""
    monkeypatch.setattr(cutting, "SHARD", 64)
    monkeypatch.setattr(cutting, "CHUNK", 32)
    monkeypatch.setattr(cutting, "MEMORY_SHARE", 1 << 40)


def spec_of(size: str = SIZE, model: str | Path = "bicubic", **options: object) -> RenderSpec:
    request = SizeRequest.from_size(size)
    return RenderSpec(size=request, model=str(model), **options)  # type: ignore[arg-type]


def pixels_of(path: Path) -> np.ndarray:
    """Pixels of an output, by the libraries of its format."""
    if path.suffix != ".zarr":
        return tifffile.imread(path)
    found = zarr.open(path, mode="r")
    return np.asarray(found if isinstance(found, zarr.Array) else found["0"])


def shard_files(store: Path) -> list[Path]:
    """Shards of full resolution."""
    found = TileStore.open(store)
    grid = found.grid
    paths = [
        found.base.shard_path(row, col) for row in range(grid.rows) for col in range(grid.cols)
    ]
    return [path for path in paths if path.is_file()]


def stop_after(count: int) -> Callable[[object], None]:
    """A listener that sends Ctrl-C after that many shards."""
    seen: list[object] = []

    def listen(event: object) -> None:
        if isinstance(event, TaskDone):
            seen.append(event)
            if len(seen) == count:
                os.kill(os.getpid(), 2)

    return listen


def interrupted(photo: Path, out: Path, spec: RenderSpec) -> None:
    """Leave a half-rendered store behind."""
    report = upscale_batch(photo, out, spec, listen=stop_after(3))
    assert report.interrupted
    assert not out.exists()
    assert 0 < len(shard_files(store_path(out))) < 30


def error_of(report: BatchReport) -> str:
    assert report.exit_code == 1
    return str(report.results[0].error)


@pytest.fixture
def undisturbed(tmp_path: Path, photo: Path, events: Events) -> np.ndarray:
    assert upscale_batch(photo, tmp_path / "u.tif", spec_of(), listen=events).exit_code == 0
    return pixels_of(tmp_path / "u.tif")


def test_other_options_are_named_and_start_afresh_on_request_only(
    tmp_path: Path, photo: Path, tiny_weights: Path, events: Events
) -> None:
    out = tmp_path / "a.tif"
    interrupted(photo, out, spec_of())
    kept = shard_files(store_path(out))
    for spec, difference in (
        (spec_of("500x300"), "size: was 400x300, now 500x300"),
        (spec_of("50x30"), "size: was 400x300, now 50x30"),
        (spec_of(model=tiny_weights), f"model: was bicubic, now {tiny_weights}"),
        (spec_of(self_ensemble=True), "self ensemble: was False, now True"),
        (spec_of(tile=128), "tile: was 32, now 128"),
    ):
        error = error_of(upscale_batch(photo, out, spec, listen=events))
        assert difference in error
        assert "--overwrite" in error
        assert shard_files(store_path(out)) == kept
    write_photo(photo, 47, 61, seed=9)
    assert "the input changed" in error_of(upscale_batch(photo, out, spec_of(), listen=events))
    report = upscale_batch(photo, out, spec_of("500x300", overwrite=True), listen=events)
    assert report.exit_code == 0
    assert events.of(PlanMade)[-1].done_pixels == 0
    assert pixels_of(out).shape == (300, 500, 3)
    assert not store_path(out).exists()


def test_a_store_that_cannot_be_read_is_not_dropped_unasked(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    out = tmp_path / "a.tif"
    interrupted(photo, out, spec_of())
    (store_path(out) / "zarr.json").write_text("{")
    error = error_of(upscale_batch(photo, out, spec_of(), listen=events))
    assert "cannot be resumed" in error
    assert list(store_path(out).rglob("*"))
    assert upscale_batch(photo, out, spec_of(overwrite=True), listen=events).exit_code == 0


def test_other_memory_keeps_the_cut_it_began_with(
    tmp_path: Path,
    photo: Path,
    events: Events,
    undisturbed: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "a.tif"
    interrupted(photo, out, spec_of())
    # what more or less memory would do to the plan
    monkeypatch.setattr(cutting, "SHARD", 256)
    monkeypatch.setattr(cutting, "MEMORY_SHARE", 1)
    assert upscale_batch(photo, out, spec_of(), listen=events).exit_code == 0
    made = events.of(PlanMade)[-1]
    assert made.plan.shard == 64
    assert made.done_pixels > 0
    np.testing.assert_array_equal(pixels_of(out), undisturbed)


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_a_damaged_shard_of_an_unfinished_store_is_rendered_again(
    tmp_path: Path, photo: Path, undisturbed: np.ndarray, suffix: str, events: Events
) -> None:
    out = tmp_path / f"a{suffix}"
    interrupted(photo, out, spec_of())
    shard = shard_files(store_path(out))[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 0x10
    shard.write_bytes(data)
    report = upscale_batch(photo, out, spec_of(), listen=events)
    if suffix == ".zarr" and report.exit_code == 0:
        # nothing reads the shards of a store that is only renamed
        report = upscale_batch(photo, out, spec_of(verify=True), listen=events)
    assert report.exit_code == 0, report
    found = pixels_of(out)
    np.testing.assert_array_equal(
        np.moveaxis(found, 0, -1) if suffix == ".zarr" else found, undisturbed
    )


def levels_of(path: Path) -> list[np.ndarray]:
    with tifffile.TiffFile(path) as file:
        return [level.asarray() for level in file.series[0].levels]


def test_levels_grow_with_the_store_of_a_tiff_and_damaged_ones_are_made_again(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    out, plain, spec = tmp_path / "a.tif", tmp_path / "plain.tif", spec_of("800x600")
    upscale_batch(photo, tmp_path / "u.tif", spec, listen=events)
    report = upscale_batch(photo, out, spec, listen=stop_after(3))
    assert report.interrupted
    shards = sorted(path for path in (store_path(out) / "1" / "c").rglob("*") if path.is_file())
    assert len(shards) == len(shard_files(store_path(out))) > 0
    data = bytearray(shards[0].read_bytes())
    data[len(data) // 3] ^= 0x10
    shards[0].write_bytes(data)
    # what a process left undone that was killed between the two
    shards[1].unlink()
    assert upscale_batch(photo, out, spec, listen=events).exit_code == 0
    for found, expected in zip(levels_of(out), levels_of(tmp_path / "u.tif"), strict=True):
        np.testing.assert_array_equal(found, expected)
    # an output without levels makes none
    report = upscale_batch(photo, plain, spec_of("800x600", pyramid="none"), listen=stop_after(3))
    assert report.interrupted
    assert shard_files(store_path(plain))
    assert not (store_path(plain) / "1").exists()


@pytest.mark.parametrize(("suffix", "level"), [(".tif", SCRATCH), (".zarr", KEPT)])
def test_what_is_removed_at_the_end_is_packed_in_less_time(
    tmp_path: Path, photo: Path, suffix: str, level: int
) -> None:
    out = tmp_path / f"a{suffix}"
    interrupted(photo, out, spec_of())
    assert TileStore.open(store_path(out)).base.zstd_level == level


def test_a_missing_shard_of_a_finished_store_is_rendered_again(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    out = tmp_path / "a.zarr"
    assert upscale_batch(photo, out, spec_of(), listen=events).exit_code == 0
    whole = pixels_of(out)
    shards = shard_files(out)
    for shard in (shards[0], shards[7]):
        shard.unlink()
    again = Events()
    assert upscale_batch(photo, out, spec_of(), listen=again).exit_code == 0
    assert len(again.of(TaskDone)) == 2
    np.testing.assert_array_equal(pixels_of(out), whole)
    assert len(shard_files(out)) == len(shards)
    report = upscale_batch(photo, out, spec_of(), listen=again)
    assert [result.status for result in report.results] == ["skipped"]
    assert list(tmp_path.glob(".*partial*")) == []


def test_a_damaged_shard_of_a_finished_store_is_found_when_asked_for(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    out = tmp_path / "a.zarr"
    upscale_batch(photo, out, spec_of(), listen=events)
    whole = pixels_of(out)
    shard = shard_files(out)[5]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    again = Events()
    report = upscale_batch(photo, out, spec_of(verify=True), listen=again)
    assert report.results[0].status == "done", report
    assert len(again.of(TaskDone)) == 1
    np.testing.assert_array_equal(pixels_of(out), whole)
    report = upscale_batch(photo, out, spec_of(verify=True), listen=again)
    assert report.results[0].status == "skipped"


@pytest.mark.parametrize("suffix", [".tif", ".zarr", ".png"])
def test_an_export_is_interrupted_and_its_pixels_kept(
    tmp_path: Path, photo: Path, events: Events, suffix: str
) -> None:
    out = tmp_path / f"a{suffix}"

    def stop_export(event: object) -> None:
        if isinstance(event, ExportStarted):
            os.kill(os.getpid(), 2)
            # the signal reaches the main thread; this one is the exporter's
            assert stopped.wait(20)

    stopped = threading.Event()

    class Watch(threading.Event):
        def set(self) -> None:
            super().set()
            stopped.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("liif_cli.engine.batch.threading.Event", Watch)
        report = upscale_batch(photo, out, spec_of(), listen=stop_export)
    assert report.interrupted
    assert [result.status for result in report.results] == ["interrupted"]
    assert not out.exists()
    assert len(shard_files(store_path(out))) == 35
    assert upscale_batch(photo, out, spec_of(), listen=events).exit_code == 0
    assert events.of(TaskDone) == []
    assert [path.name for path in tmp_path.glob(".*") if path.name != ".liif"] == []


def test_killed_while_the_finished_store_was_about_to_get_its_name(
    tmp_path: Path, photo: Path, events: Events
) -> None:
    out = tmp_path / "a.zarr"
    interrupted(photo, out, spec_of())
    store_path(out).rename(tmp_path / ".a.zarr.0123456789ab.partial")
    assert upscale_batch(photo, out, spec_of(), listen=events).exit_code == 0
    assert 0 < sum(event.pixels for event in events.of(TaskDone)) < PIXELS
    assert [path.name for path in tmp_path.glob(".*") if path.name != ".liif"] == []


def test_a_store_that_goes_while_it_is_opened_is_somebody_elses(
    tmp_path: Path, photo: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two may hold a claim that each took from a dead process; the other one finishes."""
    out, gone = tmp_path / "a.zarr", tmp_path / "gone"
    growing = canvas.GrowingLevels

    def late(store: TileStore, weighing: Weighing) -> GrowingLevels:
        if not gone.exists():
            store.path.rename(gone)
            raise OutputError(str(store.path / "2"), got="a folder that does not exist")
        return growing(store, weighing)

    monkeypatch.setattr(canvas, "GrowingLevels", late)
    report = upscale_batch(photo, out, spec_of(), listen=events)
    assert [result.status for result in report.results] == ["done"], report
    assert len(events.of(PassedOver)) == 1
    # what is still there and fails is an error as before
    monkeypatch.setattr(canvas, "GrowingLevels", failing)
    report = upscale_batch(photo, tmp_path / "b.zarr", spec_of(), listen=events)
    assert [result.status for result in report.results] == ["failed"], report
    assert len(events.of(PassedOver)) == 1


def failing(store: TileStore, weighing: Weighing) -> GrowingLevels:
    raise OutputError(str(store.path / "2"), got="no permission")


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_a_full_disk_is_one_error_and_the_rest_is_kept(
    tmp_path: Path, photo: Path, events: Events, undisturbed: np.ndarray, suffix: str
) -> None:
    out = tmp_path / f"a{suffix}"
    real, calls = ShardedArray.write_shard, []

    def fill(self: ShardedArray, window: object, pixels: np.ndarray) -> None:
        calls.append(window)
        if len(calls) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, window, pixels)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShardedArray, "write_shard", fill)
        error = error_of(upscale_batch(photo, out, spec_of(), listen=events))
    assert "full disk" in error
    assert "run the same command again" in error
    assert not out.exists()
    rest = Events()
    assert upscale_batch(photo, out, spec_of(), listen=rest).exit_code == 0
    assert rest.of(PlanMade)[0].done_pixels + sum(e.pixels for e in rest.of(TaskDone)) == PIXELS
    found = pixels_of(out)
    np.testing.assert_array_equal(
        np.moveaxis(found, 0, -1) if suffix == ".zarr" else found, undisturbed
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 70 MiB in memory; only root can mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=70m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("cannot mount a tmpfs here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(
    tmp_path: Path, photo: Path, events: Events, small_disk: Path, undisturbed: np.ndarray
) -> None:
    out = small_disk / "a.tif"
    filler = small_disk / "filler"

    def fill_up(event: object) -> None:
        if isinstance(event, TaskDone) and not filler.exists():
            free = os.statvfs(small_disk)
            filler.write_bytes(b"x" * (free.f_bavail * free.f_bsize - 40_000))

    error = error_of(upscale_batch(photo, out, spec_of(), listen=fill_up))
    assert "full disk" in error
    assert sorted(path.name for path in small_disk.iterdir()) == [store_path(out).name, "filler"]
    filler.unlink()
    assert upscale_batch(photo, out, spec_of(), listen=events).exit_code == 0
    assert events.of(PlanMade)[-1].done_pixels > 0
    np.testing.assert_array_equal(pixels_of(out), undisturbed)


def test_what_the_disk_cannot_take_is_refused_before_work(
    tmp_path: Path, photo: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = spec_of("9000000x9000000")
    error = error_of(upscale_batch(photo, tmp_path / "o" / "a.tif", huge, listen=events))
    assert "disk space" in error
    assert "free disk space" in error
    monkeypatch.setattr(os, "access", lambda *_: False)
    error = error_of(upscale_batch(photo, tmp_path / "o" / "a.tif", spec_of(), listen=events))
    assert "cannot write" in error
    assert "permission" in error
    assert not (tmp_path / "o").exists()
