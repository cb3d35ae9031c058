"""A part of an image is, byte for byte, what the whole has there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
import zarr
from PIL import Image

from liif_cli.engine.batch import upscale_batch
from liif_cli.engine.events import PlanMade, TaskDone
from liif_cli.engine.unfinished import store_path
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.plan import cutting
from liif_cli.plan.spec import RenderSpec
from tests.engine.conftest import Events, write_photo


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes through the store, in shards that small images have many of."""
    monkeypatch.setattr(cutting, "SHARD", 64)
    monkeypatch.setattr(cutting, "CHUNK", 32)
    monkeypatch.setattr(cutting, "MEMORY_SHARE", 1 << 40)


def spec_of(scale: str, model: str | Path = "bicubic", **options: object) -> RenderSpec:
    return RenderSpec(SizeRequest.from_scale(scale), str(model), **options)  # type: ignore[arg-type]


def pixels_of(path: Path) -> np.ndarray:
    if path.suffix == ".zarr":
        found = zarr.open(path, mode="r")
        return np.moveaxis(np.asarray(found if isinstance(found, zarr.Array) else found["0"]), 0, 2)
    return tifffile.imread(path) if path.suffix == ".tif" else np.asarray(Image.open(path))


ROIS = [Window(0, 0, 47, 61), Window(13, 20, 20, 30), Window(30, 1, 17, 3), Window(46, 60, 1, 1)]


@pytest.mark.parametrize(
    ("suffix", "scale"),
    [
        (".tif", "3.7"),
        (".zarr", "5x2"),
        (".webp", "0.7"),
        *(
            pytest.param(suffix, scale, marks=pytest.mark.slow)
            for suffix, scale in (
                *((".tif", "0.7"), (".tif", "5x2"), (".zarr", "3.7"), (".zarr", "0.7")),
                *((".webp", "3.7"), (".webp", "5x2")),
            )
        ),
    ],
)
def test_a_part_has_the_bytes_of_the_whole(
    tmp_path: Path,
    photo: Path,
    tiny_weights: Path,
    events: Events,
    small_shards: None,
    suffix: str,
    scale: str,
) -> None:
    spec = spec_of(scale, tiny_weights)
    # WebP loses pixels: what it is given is compared by way of TIFF
    whole_path = tmp_path / f"whole{'.tif' if suffix == '.webp' else suffix}"
    assert upscale_batch(photo, whole_path, spec, listen=events).exit_code == 0
    whole = pixels_of(whole_path)
    for number, roi in enumerate(ROIS[:-1]):
        out = tmp_path / f"{number}{suffix}"
        part_spec = spec_of(scale, tiny_weights, roi=roi)
        assert upscale_batch(photo, out, part_spec, listen=events).exit_code == 0, events
        plan = events.of(PlanMade)[-1].plan
        expected = whole[plan.region.to_slices()]
        got = pixels_of(out)
        assert got.shape == expected.shape
        if suffix != ".webp":
            np.testing.assert_array_equal(got, expected)
        assert plan.region.pixels < whole.shape[0] * whole.shape[1] or number == 0


@pytest.mark.parametrize("self_ensemble", [False, True])
def test_in_memory_as_well(
    tmp_path: Path,
    photo: Path,
    tiny_weights: Path,
    events: Events,
    self_ensemble: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cutting, "MEMORY_TASK", 96)
    monkeypatch.setattr(cutting, "TILE", 64)
    options = {"self_ensemble": self_ensemble}
    upscale_batch(photo, tmp_path / "w.png", spec_of("5", tiny_weights, **options), listen=events)
    whole = pixels_of(tmp_path / "w.png")
    for number, roi in enumerate(ROIS[1:]):
        out = tmp_path / f"{number}.png"
        spec = spec_of("5", tiny_weights, roi=roi, **options)
        assert upscale_batch(photo, out, spec, listen=events).exit_code == 0, events
        top, left = roi.row_off * 5, roi.col_off * 5
        expected = whole[top : top + 5 * roi.height, left : left + 5 * roi.width]
        np.testing.assert_array_equal(pixels_of(out), expected)


def test_neighbouring_parts_make_up_the_whole(
    tmp_path: Path, photo: Path, tiny_weights: Path, events: Events
) -> None:
    upscale_batch(photo, tmp_path / "w.png", spec_of("2.3", tiny_weights), listen=events)
    rows = []
    for top, height in ((0, 20), (20, 27)):
        row = []
        for left, width in ((0, 11), (11, 50)):
            out = tmp_path / f"{top}-{left}.png"
            roi = Window(top, left, height, width)
            upscale_batch(photo, out, spec_of("2.3", tiny_weights, roi=roi), listen=events)
            row.append(pixels_of(out))
        rows.append(np.concatenate(row, 1))
    np.testing.assert_array_equal(np.concatenate(rows), pixels_of(tmp_path / "w.png"))


def test_a_part_goes_on_where_it_was_stopped(
    tmp_path: Path, photo: Path, events: Events, small_shards: None
) -> None:
    roi = Window(5, 7, 40, 50)
    spec = spec_of("6", roi=roi)
    out = tmp_path / "a.zarr"

    sent: list[object] = []

    def stop(event: object) -> None:
        # a second signal would hit the test itself
        if isinstance(event, TaskDone) and not sent:
            sent.append(event)
            os.kill(os.getpid(), 2)

    assert upscale_batch(photo, out, spec, listen=stop).interrupted
    report = upscale_batch(photo, out, spec_of("6"), listen=events)
    assert "roi: was 7,5,50,40, now none" in str(report.results[0].error)
    assert store_path(out).exists()
    rest = Events()
    assert upscale_batch(photo, out, spec, listen=rest).exit_code == 0
    done = rest.of(PlanMade)[0].done_pixels
    assert done > 0
    assert done + sum(event.pixels for event in rest.of(TaskDone)) == 240 * 300
    upscale_batch(photo, tmp_path / "w.zarr", spec_of("6"), listen=events)
    whole = pixels_of(tmp_path / "w.zarr")
    np.testing.assert_array_equal(pixels_of(out), whole[30:270, 42:342])


def test_parts_outside_are_refused(tmp_path: Path, photo: Path, events: Events) -> None:
    for roi in (Window(0, 0, 48, 61), Window(10, 61, 1, 1), Window(0, 60, 5, 2)):
        report = upscale_batch(photo, tmp_path / "a.png", spec_of("2", roi=roi), listen=events)
        assert "a part of its 61x47 pixels" in str(report.results[0].error)
    tiny = spec_of("0.1", roi=Window(1, 1, 1, 1))
    report = upscale_batch(photo, tmp_path / "a.png", tiny, listen=events)
    assert "holds no pixel of an output of 6x5" in str(report.results[0].error)
    assert not (tmp_path / "a.png").exists()


def test_a_part_of_what_no_memory_could_hold(
    tmp_path: Path, events: Events, tiny_weights: Path
) -> None:
    source = write_photo(tmp_path / "in.png", 300, 400)
    roi = Window(100, 100, 3, 4)
    # the whole would take 1.7 GiB beyond what this process holds already
    memory = psutil.Process().memory_info().rss + (600 << 20)
    spec = spec_of("40", tiny_weights, roi=roi, max_memory=memory)
    report = upscale_batch(source, tmp_path / "a.webp", spec, listen=events)
    assert report.exit_code == 0, report
    assert report.results[0].out_shape == (120, 160)
    assert pixels_of(tmp_path / "a.webp").shape == (120, 160, 3)
