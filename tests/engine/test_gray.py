"""A gray image stays gray, to the bit, whatever the model and however the file stores it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image

from liif_cli.engine import batch as engine
from liif_cli.engine.batch import upscale_batch
from liif_cli.engine.dryrun import plan_batch
from liif_cli.engine.events import PlanMade
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.io.gray import is_gray
from liif_cli.io.sources.whole import WholeFileSource
from liif_cli.models import checkpoint
from liif_cli.models.loader import model_names
from liif_cli.models.model import Model, ModelSpec, Part
from liif_cli.plan import cutting
from liif_cli.plan.spec import RenderSpec
from tests.engine.conftest import Events

HEIGHT, WIDTH = 37, 44


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes through the store, in shards that small images have many of."""
    monkeypatch.setattr(cutting, "SHARD", 64)
    monkeypatch.setattr(cutting, "CHUNK", 32)
    monkeypatch.setattr(cutting, "MEMORY_SHARE", 1 << 40)


def plane(dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    """A gray picture (HEIGHT, WIDTH) of edges and noise."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.random((5, 6)), np.ones((8, 8)))[:HEIGHT, :WIDTH]
    values = 0.8 * coarse + 0.2 * rng.random((HEIGHT, WIDTH))
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


def rgb(gray: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """Three equal channels, and what comes behind them."""
    return np.stack([gray, gray, gray, *more], -1)


def write(path: Path, pixels: np.ndarray) -> Path:
    """A file of these pixels by the library of its format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zarr":
        zarr.save(path, pixels)
    elif path.suffix == ".tif":
        kind = "rgb" if pixels.ndim == 3 and pixels.shape[2] >= 3 else "minisblack"
        extra = [1] if pixels.ndim == 3 and pixels.shape[2] in (2, 4) else None
        tifffile.imwrite(
            path,
            pixels,
            photometric=kind,
            extrasamples=["unassalpha"] if extra else None,
            planarconfig="contig",
        )
    elif pixels.dtype == np.uint16 and pixels.ndim == 3:
        cv2.imwrite(str(path), pixels)
    else:
        Image.fromarray(pixels).save(path)
    return path


def read(path: Path) -> np.ndarray:
    """(h, w, channels) by the library of the format."""
    if path.suffix == ".zarr":
        return np.moveaxis(np.asarray(zarr.open(path, mode="r")["0"]), 0, 2)
    if path.suffix == ".tif":
        found = tifffile.imread(path)
    else:
        found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return found[..., np.newaxis] if found.ndim == 2 else found


def upscaled(
    source: Path, target: Path, model: str | Path = "bicubic", scale: str = "2.7", **options: Any
) -> np.ndarray:
    spec = RenderSpec(SizeRequest.from_scale(scale), str(model), **options)
    report = upscale_batch(source, target, spec, listen=lambda event: None)
    assert report.exit_code == 0, report.results
    return read(target)


def check_gray(found: np.ndarray, alone: np.ndarray) -> None:
    """Three equal channels, each of them what the same image in one channel becomes."""
    assert found.shape[2] - alone.shape[2] == 2
    for channel in range(3):
        np.testing.assert_array_equal(found[..., channel], alone[..., 0])
    if alone.shape[2] == 2:
        np.testing.assert_array_equal(found[..., 3], alone[..., 1])
    assert len(np.unique(alone[..., 0])) > 40


@pytest.mark.parametrize(
    ("model", "suffix"),
    [
        pytest.param(model, suffix, marks=[] if number == at % 3 else pytest.mark.slow)
        for at, model in enumerate(model_names())
        for number, suffix in enumerate((".png", ".tif", ".zarr"))
    ],
)
def test_every_model_and_kernel(tmp_path: Path, model: str, suffix: str) -> None:
    gray = plane()
    found = upscaled(write(tmp_path / "rgb.png", rgb(gray)), tmp_path / f"o{suffix}", model)
    alone = upscaled(write(tmp_path / "gray.png", gray), tmp_path / f"alone{suffix}", model)
    check_gray(found, alone)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("alpha", [False, True])
def test_every_sample_type(tmp_path: Path, tiny_weights: Path, dtype: Any, alpha: bool) -> None:
    gray = plane(dtype)
    more = [np.roll(plane(dtype, 1), 9)] if alpha else []
    if alpha:
        # opaque, transparent and in between
        more[0][:, :12], more[0][:9] = 0, np.iinfo(dtype).max if gray.dtype.kind == "u" else 1
    source = write(tmp_path / "rgb.tif", rgb(gray, *more))
    single = write(tmp_path / "gray.tif", np.stack([gray, *more], -1) if alpha else gray)
    found = upscaled(source, tmp_path / "o.tif", tiny_weights)
    check_gray(found, upscaled(single, tmp_path / "alone.tif", tiny_weights))
    assert found.dtype == dtype


def test_a_float_range(tmp_path: Path, tiny_weights: Path) -> None:
    gray = plane(np.float32) * 900 - 200
    found = upscaled(write(tmp_path / "rgb.tif", rgb(gray)), tmp_path / "o.tif", tiny_weights)
    alone = upscaled(write(tmp_path / "gray.tif", gray), tmp_path / "alone.tif", tiny_weights)
    check_gray(found, alone)
    assert found.max() > 400


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"quality": 40, "subsampling": 2}),
        ("a.jpg", {"quality": 85, "subsampling": 0, "progressive": True}),
        ("a.webp", {"lossless": True}),
        ("a.bmp", {}),
    ],
)
def test_every_way_to_store_it(
    tmp_path: Path, tiny_weights: Path, name: str, options: dict[str, Any]
) -> None:
    Image.fromarray(rgb(plane())).save(tmp_path / name, **options)
    decoded = np.asarray(Image.open(tmp_path / name))
    assert (decoded == decoded[..., :1]).all()
    alone = upscaled(write(tmp_path / "g.png", decoded[..., 0]), tmp_path / "g.tif", tiny_weights)
    check_gray(upscaled(tmp_path / name, tmp_path / "o.tif", tiny_weights), alone)


def test_gray_colours_of_a_palette(tmp_path: Path, tiny_weights: Path) -> None:
    image = Image.fromarray(plane() // 2).convert("P")
    # colours that no pixel has
    image.putpalette([value for k in range(128) for value in (k, k, k)] + [255, 0, 0] * 128)
    image.save(tmp_path / "p.png")
    found = upscaled(tmp_path / "p.png", tmp_path / "o.png", tiny_weights)
    alone = upscaled(write(tmp_path / "g.png", plane() // 2), tmp_path / "g.tif", tiny_weights)
    check_gray(found, alone)


def test_formats_that_lose(tmp_path: Path, tiny_weights: Path) -> None:
    source = write(tmp_path / "a.png", rgb(plane()))
    found = upscaled(source, tmp_path / "o.jpg", tiny_weights)
    assert found.shape[2] == 3
    np.testing.assert_array_equal(found, np.repeat(found[..., :1], 3, 2))
    # whatever a lossy WebP holds, its decoder rounds green apart from red and blue
    found = upscaled(source, tmp_path / "o.webp", tiny_weights).astype(int)
    np.testing.assert_array_equal(found[..., 0], found[..., 2])
    assert set(np.unique(found[..., 0] - found[..., 1])) <= {0, 1}


@pytest.mark.parametrize("alpha", [False, True])
def test_a_lossy_webp_of_a_gray_picture(tmp_path: Path, tiny_weights: Path, alpha: bool) -> None:
    more = [np.full((HEIGHT, WIDTH), 255, np.uint8)] if alpha else []
    if alpha:
        more[0][:20] = plane(seed=4)[:20]
    Image.fromarray(rgb(plane(), *more)).save(tmp_path / "a.webp", quality=30)
    decoded = np.asarray(Image.open(tmp_path / "a.webp"))
    assert (decoded[..., 0] != decoded[..., 1]).any()
    found = upscaled(tmp_path / "a.webp", tmp_path / "o.tif", tiny_weights)
    single = np.delete(decoded, (1, 2), 2) if alpha else decoded[..., 0]
    alone = upscaled(write(tmp_path / "g.tif", single), tmp_path / "g.out.tif", tiny_weights)
    check_gray(found, alone)


def test_a_lossy_webp_of_little_colour_stays_one(tmp_path: Path, tiny_weights: Path) -> None:
    for channel in range(3):
        pixels = rgb(plane())
        pixels[8:24, 8:24, channel] = np.minimum(pixels[8:24, 8:24, channel].astype(int) + 4, 255)
        Image.fromarray(pixels).save(tmp_path / "a.webp", quality=100)
        decoded = np.asarray(Image.open(tmp_path / "a.webp"))
        source = engine.open_source(tmp_path / "a.webp")
        np.testing.assert_array_equal(source.read(Window.whole(HEIGHT, WIDTH)), decoded)
        assert not is_gray(source)


@pytest.mark.parametrize("turned", [3, 6])
def test_turned_by_exif(tmp_path: Path, tiny_weights: Path, turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    for name, pixels in (("rgb.jpg", rgb(plane())), ("gray.jpg", plane())):
        Image.fromarray(pixels).save(tmp_path / name, quality=100, exif=exif.tobytes())
    alone = upscaled(tmp_path / "gray.jpg", tmp_path / "alone.tif", tiny_weights)
    check_gray(upscaled(tmp_path / "rgb.jpg", tmp_path / "o.tif", tiny_weights), alone)


@pytest.mark.parametrize("options", [{"self_ensemble": True}, {"via": 3}])
def test_by_turns_and_on_the_way(
    tmp_path: Path, tiny_weights: Path, options: dict[str, Any]
) -> None:
    source, single = write(tmp_path / "rgb.png", rgb(plane())), write(tmp_path / "g.png", plane())
    alone = upscaled(single, tmp_path / "alone.tif", tiny_weights, **options)
    check_gray(upscaled(source, tmp_path / "o.tif", tiny_weights, **options), alone)


@pytest.mark.parametrize("kind", ["told", "pair"])
def test_a_network_that_is_told(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(5)
    sizes = {"n_resblocks": 1, "n_feats": 8, **({"cleanup": True} if kind == "told" else {})}
    spec = ModelSpec(
        encoder=Part("edsr", sizes),
        decoder=Part("liif", {"hidden": [16], "skip": "bilinear"}),
        lossy=kind == "pair",
    )
    checkpoint.save(Model(spec).eval(), {}, tmp_path / "m.safetensors")
    Image.fromarray(rgb(plane())).save(tmp_path / "rgb.jpg", quality=50)
    Image.fromarray(plane()).save(tmp_path / "gray.jpg", quality=50)
    alone = upscaled(tmp_path / "gray.jpg", tmp_path / "alone.tif", tmp_path / "m.safetensors")
    found = upscaled(tmp_path / "rgb.jpg", tmp_path / "o.tif", tmp_path / "m.safetensors")
    # the luma tables are the same; that of chroma has nothing to hold
    check_gray(found, alone)


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_tiles_and_parts_are_those_of_the_whole(
    tmp_path: Path, tiny_weights: Path, small_shards: None, suffix: str
) -> None:
    gray = plane()
    # gray in this part alone is not enough, and colour elsewhere does not matter to it
    source = write(tmp_path / "rgb.png", rgb(gray, np.full_like(gray, 255)))
    whole = upscaled(source, tmp_path / f"whole{suffix}", tiny_weights, "5", tile=64)
    roi = Window(5, 7, 20, 30)
    part = upscaled(source, tmp_path / f"part{suffix}", tiny_weights, "5", tile=64, roi=roi)
    np.testing.assert_array_equal(part, whole[25:125, 35:185])
    check_gray(
        whole,
        upscaled(
            write(tmp_path / "g.tif", np.stack([gray, np.full_like(gray, 255)], -1)),
            tmp_path / f"alone{suffix}",
            tiny_weights,
            "5",
            tile=64,
        ),
    )


def test_the_whole_decides_for_a_part(tmp_path: Path, tiny_weights: Path) -> None:
    pixels = rgb(plane())
    pixels[0, 0] = (200, 10, 10)
    source = write(tmp_path / "a.png", pixels)
    whole = upscaled(source, tmp_path / "whole.tif", tiny_weights, "2")
    roi = Window(20, 20, 10, 10)
    part = upscaled(source, tmp_path / "part.tif", tiny_weights, "2", roi=roi)
    np.testing.assert_array_equal(part, whole[40:60, 40:60])
    assert (part != part[..., :1]).any()


def test_one_coloured_pixel_makes_the_image_what_it_was(tmp_path: Path, tiny_weights: Path) -> None:
    pixels = rgb(plane())
    pixels[-1, -1, 2] ^= 1
    found = upscaled(write(tmp_path / "a.png", pixels), tmp_path / "o.tif", tiny_weights)
    assert (found != found[..., :1]).any()
    identity = json.loads((tmp_path / ".liif" / "o.tif.json").read_text())["identity"]
    assert "gray" not in identity


# --- how it is found out


def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that are decoded as a whole from now on."""
    found: list[Path] = []
    original = WholeFileSource._decode

    def counted(self: WholeFileSource) -> Any:
        found.append(self.info.path)
        return original(self)

    monkeypatch.setattr(WholeFileSource, "_decode", counted)
    return found


def spec_of(**options: Any) -> RenderSpec:
    return RenderSpec(SizeRequest.from_scale("2"), "bicubic", **options)


@pytest.mark.parametrize("coloured", [False, True])
def test_files_are_decoded_once_and_finished_ones_not_at_all(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch, coloured: bool
) -> None:
    pixels = rgb(plane())
    pixels[3, 4, 0] ^= coloured
    source = write(tmp_path / "a.png", pixels)
    decoded = decodings(monkeypatch)
    for target in (tmp_path / "o.png", tmp_path / "o.zarr"):
        decoded.clear()
        assert upscale_batch(source, target, spec_of(), listen=events).exit_code == 0
        assert decoded == [source]
        plans = [event.plan for event in events.of(PlanMade)]  # type: ignore[attr-defined]
        assert plans[-1].gray is not coloured
        report = upscale_batch(source, target, spec_of(), listen=events)
        assert [(one.status, one.gray) for one in report.results] == [("skipped", not coloured)]
        (planned,) = plan_batch(source, target, spec_of(), listen=events).images
        assert planned.skipped
        assert planned.plan is not None
        assert planned.plan.gray is not coloured
        assert decoded == [source]


def test_a_dry_run_knows_it(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "a.png", rgb(plane()))
    decoded = decodings(monkeypatch)
    (planned,) = plan_batch(source, tmp_path / "o.png", spec_of(), listen=events).images
    assert planned.plan is not None
    assert planned.plan.gray
    assert decoded == [source]


@pytest.mark.parametrize(("page", "gray"), [(1, False), (2, True)])
def test_a_dry_run_looks_at_the_page_that_was_asked_for(
    tmp_path: Path, events: Events, page: int, gray: bool
) -> None:
    pages = np.stack([rgb(plane())] * 2)
    pages[0, 3, 4, 0] ^= 1
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="rgb")
    spec = spec_of(page=page)
    (planned,) = plan_batch(tmp_path / "a.tif", tmp_path / "o.png", spec, listen=events).images
    assert planned.plan is not None
    assert planned.plan.gray is gray


def record_of(output: Path) -> Path:
    return output.parent / ".liif" / f"{output.name}.json"


def made_before(output: Path) -> None:
    """Make a record one of a version that did not look for gray."""
    data = json.loads(record_of(output).read_text())
    data.pop("gray")
    data["identity"].pop("gray", None)
    record_of(output).write_text(json.dumps(data))


def test_finished_outputs_of_before_stay_finished_unless_they_are_gray(
    tmp_path: Path, events: Events
) -> None:
    pixels = rgb(plane())
    write(tmp_path / "in" / "gray.png", pixels)
    write(tmp_path / "in" / "single.png", plane())
    pixels[9, 9, 1] ^= 1
    write(tmp_path / "in" / "photo.png", pixels)
    report = upscale_batch(tmp_path / "in", tmp_path / "out", spec_of(), listen=events)
    assert report.exit_code == 0
    for name in ("gray.png", "photo.png", "single.png"):
        made_before(tmp_path / "out" / name)
    report = upscale_batch(tmp_path / "in", tmp_path / "out", spec_of(), listen=events)
    assert {one.input.name: one.status for one in report.results} == {
        "gray.png": "failed",
        "photo.png": "skipped",
        "single.png": "skipped",
    }
    message = next(one.error for one in report.results if one.error)
    assert "the input is gray, and was taken for coloured" in message
    assert "--overwrite" in message
    report = upscale_batch(
        tmp_path / "in", tmp_path / "out", spec_of(overwrite=True), listen=events
    )
    assert {one.input.name: one.status for one in report.results} == {
        "gray.png": "done",
        "photo.png": "skipped",
        "single.png": "skipped",
    }


def test_a_store_that_lost_a_shard_goes_on(
    tmp_path: Path, tiny_weights: Path, small_shards: None
) -> None:
    source = write(tmp_path / "a.png", rgb(plane()))
    whole = upscaled(source, tmp_path / "o.zarr", tiny_weights, "5")
    for shard in sorted((tmp_path / "o.zarr" / "0" / "c").rglob("*")):
        if shard.is_file():
            lost = shard
    written = {path: os.stat(path).st_mtime_ns for path in lost.parents[2].rglob("*")}
    lost.unlink()
    np.testing.assert_array_equal(upscaled(source, tmp_path / "o.zarr", tiny_weights, "5"), whole)
    kept = [path for path, time in written.items() if path.is_file()]
    assert kept
    assert all(os.stat(path).st_mtime_ns == written[path] for path in kept if path != lost)


def test_an_input_that_is_unpacked(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, events: Events
) -> None:
    monkeypatch.setattr(cutting, "INPUT_SHARE", 1 << 40)
    gray = plane()
    alone = upscaled(write(tmp_path / "gray.png", gray), tmp_path / "alone.tif", tiny_weights)
    for name in ("rgb.png", "rgb.tif"):
        source = tmp_path / name
        if name == "rgb.tif":
            tifffile.imwrite(source, rgb(gray), rowsperstrip=5, compression="deflate")
        else:
            write(source, rgb(gray))
        spec = RenderSpec(SizeRequest.from_scale("2.7"), str(tiny_weights))
        target = tmp_path / f"{name}.out.tif"
        assert upscale_batch(source, target, spec, listen=events).exit_code == 0
        plan = events.of(PlanMade)[-1].plan  # type: ignore[attr-defined]
        assert plan.unpack
        assert plan.gray
        check_gray(read(target), alone)


def test_every_input_is_closed_whatever_happens(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, closed = [], []
    real = engine.open_source

    def watched(path: Path, page: int | None = None) -> Any:
        source = real(path, page)
        opened.append(source)
        close = source.close

        def noted() -> None:
            closed.append(source)
            close()

        source.close = noted  # type: ignore[method-assign]
        return source

    monkeypatch.setattr(engine, "open_source", watched)
    write(tmp_path / "in" / "a.png", rgb(plane()))
    write(tmp_path / "in" / "b.png", plane())
    damaged = write(tmp_path / "in" / "c.png", rgb(plane()))
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 255
    damaged.write_bytes(data)
    for _ in range(2):
        report = upscale_batch(tmp_path / "in", tmp_path / "out", spec_of(), listen=events)
        assert [one.status for one in report.results][2] == "failed"
        assert "damaged" in str(report.results[2].error)
    planned = plan_batch(tmp_path / "in", tmp_path / "new", spec_of(), listen=events).images
    assert [one.plan is None for one in planned] == [False, False, True]
    assert {id(one) for one in opened} == {id(one) for one in closed}
