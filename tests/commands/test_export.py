"""``liif export``: every format from a store that ``liif upscale`` finished."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner
from PIL import Image, ImageCms

from liif_cli.cli import liif
from liif_cli.engine.export import export_store
from liif_cli.engine.verify import verify
from liif_cli.io.tilestore import TileStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A finished store of 900x600 from an image with a profile and a resolution."""
    folder = tmp_path_factory.mktemp("export")
    y, x = np.mgrid[:100, :150]
    pixels = np.stack([x + 20, y * 2, x + y], -1).astype(np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(folder / "in.png", dpi=(100, 100), icc_profile=profile)
    command = ["upscale", str(folder / "in.png"), str(folder / "out.zarr"), "--scale", "6"]
    assert run([*command, "--model", "bicubic", "-q"]).exit_code == 0
    return folder / "out.zarr"


def run(arguments):
    return CliRunner().invoke(liif, [str(each) for each in arguments])


def pixels_of(store) -> np.ndarray:
    return np.asarray(zarr.open_array(str(store / "0"), mode="r")).transpose(1, 2, 0)


@pytest.mark.parametrize("name", ["out.png", "out.tif", "out.zarr", "out.jpg", "out.webp"])
def test_the_same_pixels_and_metadata(store, tmp_path, name):
    path = tmp_path / name
    result = run(["export", store, path])
    assert result.exit_code == 0, result.stderr
    if name.endswith("zarr"):
        np.testing.assert_array_equal(pixels_of(path), pixels_of(store))
        assert TileStore.open(path).fingerprint == TileStore.open(store).fingerprint
        assert TileStore.open(path).finished
    else:
        with Image.open(path) as image:
            found = np.asarray(image).astype(int)
            assert image.info["icc_profile"]
            if name != "out.webp":
                assert image.info["dpi"] == pytest.approx((600, 600), abs=0.1)
        rest = np.abs(found - pixels_of(store)).mean()
        assert rest == 0 if name in ("out.png", "out.tif") else rest < 4
    assert verify(path).intact
    assert store.exists()
    assert verify(store).intact


def test_alpha_exif_and_a_resolution_of_two_sides_are_kept(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x013B] = "Ada"
    image = Image.fromarray(pixels)
    image.save(tmp_path / "in.png", dpi=(100, 200), exif=exif.tobytes())
    command = ["upscale", tmp_path / "in.png", tmp_path / "out.zarr", "--scale", "2"]
    assert run([*command, "--model", "bicubic", "-q"]).exit_code == 0
    told: list[tuple[int, int]] = []
    export_store(
        tmp_path / "out.zarr", tmp_path / "out.tif", progress=lambda *now: told.append(now)
    )
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        page = file.pages.first
        assert page.extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
        assert page.tags["Artist"].value == "Ada"
        assert page.get_resolution("INCH") == pytest.approx((200, 400), abs=0.1)
    assert told[-1] == (80 * 120, 80 * 120)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_upscale_takes_it_for_its_own(store, tmp_path):
    assert run(["export", store, tmp_path / "out.tif"]).exit_code == 0
    command = ["upscale", store.parent / "in.png", tmp_path / "out.tif", "--scale", "6"]
    result = run([*command, "--model", "bicubic"])
    assert result.exit_code == 0
    assert "skipped 1" in result.stderr


def test_choices(store, tmp_path):
    path = tmp_path / "out.tif"
    result = run(["export", store, path, "--compression", "zstd", "--pyramid", "pages"])
    assert result.exit_code == 0
    with tifffile.TiffFile(path) as file:
        assert [page.aspage().compression.name for page in file.pages] == ["ZSTD", "ZSTD"]
        assert file.pages.first.pages is None
        np.testing.assert_array_equal(file.asarray(), pixels_of(store))
    result = run(["export", store, tmp_path / "out.png", "--compression", "lzw"])
    assert result.exit_code == 2
    assert "no choice at all" in result.stderr
    result = run(["export", store, tmp_path / "out.png", "--pyramid", "pages"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: --pyramid: got pages")
    result = run(["export", store, tmp_path / "out.png", "--format", "tiff"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: FILE and --format do not fit: got out.png and tiff")
    assert run(["export", store, tmp_path / "out.gif"]).exit_code == 2
    result = run(["export", store, store])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: FILE: got the store itself; choose another name")


def test_what_is_there_stays(store, tmp_path):
    path = tmp_path / "out.png"
    path.write_text("mine")
    result = run(["export", store, path])
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert path.read_text() == "mine"
    assert run(["export", store, path, "--overwrite", "-q"]).exit_code == 0
    with Image.open(path) as image:
        assert image.size == (900, 600)


def test_unfinished_newer_and_other_stores(store, tmp_path):
    def refused(path, *texts):
        result = run(["export", path, tmp_path / "out.png"])
        assert result.exit_code == 1
        for text in texts:
            assert text in result.stderr, result.stderr
        assert not (tmp_path / "out.png").exists()

    kwargs = {"height": 100, "width": 100, "channels": 1, "dtype": "uint8"}
    unfinished = TileStore.create(
        tmp_path / "u.zarr", **kwargs, chunk=50, shard=50, fingerprint="f"
    )
    for window in list(unfinished.grid)[:3]:
        unfinished.base.write_shard(window, np.zeros((50, 50, 1), np.uint8))
    refused(unfinished.path, "is not finished", "3 of 4 shards (75 %)", "run the 'liif upscale'")
    unfinished.base.write_shard(list(unfinished.grid)[3], np.zeros((50, 50, 1), np.uint8))
    refused(unfinished.path, "not the reduced levels")
    metadata = unfinished.path / "zarr.json"
    facts = json.loads(metadata.read_text())
    facts["attributes"]["liif"]["version"] += 1
    metadata.write_text(json.dumps(facts))
    refused(unfinished.path, "version 3")
    zarr.create_array(tmp_path / "other.zarr", shape=(20, 30), chunks=(10, 10), dtype="uint8")
    refused(tmp_path / "other.zarr", "another program")
    refused(tmp_path / "missing.zarr", "no Zarr store")


def test_a_damaged_shard_ends_it(store, tmp_path):
    shard = next((store / "0" / "c" / "0" / "0").iterdir())
    kept = shard.read_bytes()
    shard.write_bytes(kept[:-9] + b"x" + kept[-8:])
    try:
        result = run(["export", store, tmp_path / "out.png"])
    finally:
        shard.write_bytes(kept)
    assert result.exit_code == 1
    assert "damaged shard" in result.stderr
    assert list(tmp_path.iterdir()) == []
