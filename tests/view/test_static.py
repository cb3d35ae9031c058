"""A folder with the page and all of its tiles, and the page beside Deep Zoom images."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import imagecodecs
import numpy as np
import pytest
from click.testing import CliRunner

from liif_cli.cli import liif
from liif_cli.errors import LiifError, OutputError
from liif_cli.io.deepzoom import DeepZoom
from liif_cli.io.viewerpage import add_to_index
from liif_cli.view.collection import collect
from liif_cli.view.picture import Tiles
from liif_cli.view.static import write_static


def images_of(page: Path) -> list[dict[str, Any]]:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return list(json.loads(found[1]))


def joined(folder: Path, layer: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Full resolution of a layer from its tiles, as the page puts them together."""
    size = layer["height"], layer["width"]
    kind = layer["suffix"], layer["tile"], layer["overlap"]
    zoom = DeepZoom(folder / "x", *size, *kind)
    level = len(zoom.levels) - 1
    out = np.zeros((zoom.height, zoom.width, 3), np.uint8)
    for tile in zoom.tiles():
        path = folder / unquote(layer["base"]) / f"{tile[0]}/{tile[1]}_{tile[2]}.{zoom.suffix}"
        pixels = imagecodecs.imread(path)
        assert pixels.shape[:2] == zoom.window(tile).shape
        if tile[0] == level:
            out[zoom.window(tile).to_slices()] = pixels
    return out


def noise(path: Path, height: int = 300, width: int = 420) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(height)
    imagecodecs.imwrite(path, rng.integers(0, 255, (height, width, 3), np.uint8))
    return path


def test_the_folder_holds_every_pixel(tmp_path: Path) -> None:
    noise(tmp_path / "in" / "a&b.png")
    noise(tmp_path / "out" / "a&b.png", 600, 840)
    told: list[tuple[int, int]] = []
    index = write_static(
        collect([tmp_path / "out"], tmp_path / "in"),
        "out",
        tmp_path / "site",
        progress=lambda done, total: told.append((done, total)),
    )
    assert index == tmp_path / "site" / "index.html"
    ((name, layers),) = [(one["name"], one["layers"]) for one in images_of(index)]
    assert (name, [layer["label"] for layer in layers]) == ("a&b", ["input", "out"])
    for layer, path in zip(layers, ("in", "out"), strict=True):
        expected = imagecodecs.imread(tmp_path / path / "a&b.png")
        np.testing.assert_array_equal(joined(tmp_path / "site", layer), expected)
    assert told[-1][0] == told[-1][1] > 0


def test_a_page_of_ours_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    items = collect([noise(tmp_path / "a.png")])
    write_static(items, "one", tmp_path / "site")
    write_static(items, "two", tmp_path / "site")
    assert "<title>two</title>" in (tmp_path / "site" / "index.html").read_text()
    other = tmp_path / "other"
    other.mkdir()
    (other / "index.html").write_text("<html>mine</html>")
    with pytest.raises(OutputError, match="choose another --out"):
        write_static(items, "three", other)
    assert [path.name for path in other.iterdir()] == ["index.html"]


def test_a_run_that_fails_leaves_the_page_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = collect([noise(tmp_path / "a.png"), noise(tmp_path / "b.png", 310)])
    write_static(items, "one", tmp_path / "site")
    before = {path: path.read_bytes() for path in (tmp_path / "site").rglob("*") if path.is_file()}
    (tmp_path / "b.png").unlink()
    with pytest.raises(LiifError):
        write_static(items[:1] + items[1:], "two", tmp_path / "site")
    after = {path: path.read_bytes() for path in (tmp_path / "site").rglob("*") if path.is_file()}
    assert after == before


def test_deep_zoom_tiles_are_taken_as_they_are(tmp_path: Path) -> None:
    source = noise(tmp_path / "a.png")
    done = CliRunner().invoke(
        liif,
        ["upscale", str(source), str(tmp_path / "z" / "a.dzi"), "-s", "2", "-m", "bicubic", "-q"],
    )
    assert done.exit_code == 0, done.output
    index = write_static(collect([tmp_path / "z" / "a.dzi"]), "z", tmp_path / "site")
    (image,) = images_of(index)
    layer = image["layers"][1]
    assert (layer["suffix"], layer["tile"], layer["overlap"]) == ("jpeg", 254, 1)
    for path in (tmp_path / "z" / "a_files").rglob("*.jpeg"):
        place = path.relative_to(tmp_path / "z" / "a_files")
        copy = tmp_path / "site" / "tiles" / "0" / "1" / place
        assert copy.read_bytes() == path.read_bytes()


def test_a_deep_zoom_tile_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    dzi(noise(tmp_path / "a.png"), tmp_path / "z" / "a.dzi")
    gone = max((tmp_path / "z" / "a_files").rglob("*.jpeg"))
    gone.unlink()
    words = ["view", str(tmp_path / "z" / "a.dzi"), "--out", str(tmp_path / "site"), "-q"]
    done = CliRunner().invoke(liif, words)
    assert done.exit_code == 1, done.output
    assert f"{gone}: got no such file" in done.output.replace("\n", "")
    assert not (tmp_path / "site" / "index.html").exists()
    picture = Tiles(tmp_path / "z" / "a.dzi")
    for tile in ((0, 0, 1), (99, 0, 0), (-1, 0, 0)):
        with pytest.raises(KeyError):
            picture.tile(tile)


def dzi(source: Path, output: Path) -> None:
    words = ["upscale", str(source), str(output), "-s", "2", "-m", "bicubic", "-q", "--overwrite"]
    done = CliRunner().invoke(liif, words)
    assert done.exit_code == 0, done.output


def test_a_page_lies_beside_deep_zoom_images_and_shows_all_of_them(tmp_path: Path) -> None:
    for name in ("b", "a b#1"):
        dzi(noise(tmp_path / "in.png"), tmp_path / "web" / f"{name}.dzi")
    index = tmp_path / "web" / "index.html"
    assert [one["name"] for one in images_of(index)] == ["a b#1", "b"]
    for one in images_of(index):
        (layer,) = one["layers"]
        assert joined(tmp_path / "web", layer).shape == (600, 840, 3)
    # one that is gone is left out by the next
    (tmp_path / "web" / "b.dzi").unlink()
    shutil.rmtree(tmp_path / "web" / "b_files")
    dzi(tmp_path / "in.png", tmp_path / "web" / "c.dzi")
    assert [one["name"] for one in images_of(index)] == ["a b#1", "c"]


def test_somebody_s_own_page_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text("<html>mine</html>")
    dzi(noise(tmp_path / "in.png"), tmp_path / "web" / "a.dzi")
    assert (tmp_path / "web" / "index.html").read_text() == "<html>mine</html>"
    assert (tmp_path / "web" / "a.dzi").exists()


def test_many_at_once_are_all_there(tmp_path: Path) -> None:
    images = [DeepZoom(tmp_path / f"{number}.dzi", 10, 10, "png") for number in range(12)]
    for image in images:
        image.path.with_name(f"{image.path.stem}_files").mkdir()
    threads = [threading.Thread(target=add_to_index, args=[image]) for image in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {one["name"] for one in images_of(tmp_path / "index.html")}
    assert names == {str(number) for number in range(12)}


@pytest.mark.skipif(os.name == "nt", reason="names of Windows are text")
def test_names_that_are_no_text_are_shown(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"f\xf6lder")
    folder.mkdir()
    for name in (b"a\xe9.dzi", b"b\n.dzi", b"c#%41.dzi"):
        image = DeepZoom(folder / os.fsdecode(name), 10, 10, "png")
        image.path.with_name(f"{image.path.stem}_files").mkdir()
        add_to_index(image)
    found = images_of(folder / "index.html")
    assert [one["layers"][0]["base"] for one in found] == [
        "a%E9_files/",
        "b%0A_files/",
        "c%23%2541_files/",
    ]


def test_names_end_no_script(tmp_path: Path) -> None:
    image = DeepZoom(tmp_path / "</script><b>@JS@.dzi".replace("/", "_"), 10, 10, "png")
    image.path.with_name(f"{image.path.stem}_files").mkdir()
    add_to_index(image)
    text = (tmp_path / "index.html").read_text()
    assert text.count("<script") == 2
    assert images_of(tmp_path / "index.html")[0]["name"] == image.path.stem
