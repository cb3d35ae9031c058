"""What belongs together is shown together: by records, by names, and by what the user says."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from liif_cli.cli import liif
from liif_cli.errors import UsageError
from liif_cli.view.collection import Item, collect


def image(path: Path, side: int = 12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(side + len(path.name))
    cv2.imwrite(str(path), rng.integers(0, 255, (side, side + 4, 3), np.uint8))
    return path


def upscale(*words: object) -> None:
    done = CliRunner().invoke(liif, ["upscale", *map(str, words), "-q"])
    assert done.exit_code == 0, done.output


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """Two photos, each upscaled by two models."""
    image(tmp_path / "in" / "a.png")
    image(tmp_path / "in" / "sub" / "b.png", 15)
    for model in ("bicubic", "nearest"):
        upscale(tmp_path / "in", tmp_path / model, "-s", 2, "-m", model)
    return tmp_path


def shape(items: list[Item]) -> list[tuple[str, list[tuple[str, str, int]]]]:
    return [
        (item.name, [(view.label, view.path.name, view.width) for view in item.views])
        for item in items
    ]


def test_an_input_is_found_by_the_record_of_its_output(batch: Path) -> None:
    assert shape(collect([batch / "bicubic"])) == [
        ("a", [("input", "a.png", 16), ("bicubic", "a.png", 32)]),
        ("sub/b", [("input", "b.png", 19), ("bicubic", "b.png", 38)]),
    ]


def test_outputs_of_several_models_are_versions_of_one_image(batch: Path) -> None:
    found = collect([batch / "nearest", batch / "bicubic"])
    assert [name for name, _ in shape(found)] == ["a", "sub/b"]
    assert [label for label, _, _ in shape(found)[0][1]] == ["input", "nearest", "bicubic"]


def test_files_of_one_input_are_versions_wherever_they_lie(batch: Path) -> None:
    upscale(batch / "in" / "a.png", batch / "else" / "other.png", "-s", 3, "-m", "bicubic")
    found = collect([batch / "nearest" / "a.png", batch / "else" / "other.png"])
    assert shape(found) == [
        ("a", [("input", "a.png", 16), ("nearest", "a.png", 32), ("bicubic", "other.png", 48)])
    ]


def test_batches_that_are_moved_together_find_their_inputs(batch: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for name in ("in", "bicubic"):
        shutil.move(batch / name, tmp_path / "new" / name)
    (found, _) = collect([tmp_path / "new" / "bicubic"])
    assert found.views[0].path == tmp_path / "new" / "in" / "a.png"


def test_an_input_that_is_gone_is_left_out(batch: Path) -> None:
    shutil.rmtree(batch / "in")
    assert shape(collect([batch / "bicubic"]))[0] == ("a", [("bicubic", "a.png", 32)])


def test_without_records_names_decide(batch: Path) -> None:
    for model in ("bicubic", "nearest"):
        shutil.rmtree(batch / model / ".liif")
        shutil.rmtree(batch / model / "sub" / ".liif")
    found = shape(collect([batch / "bicubic", batch / "nearest"], batch / "in"))
    assert found[0] == (
        "a",
        [("input", "a.png", 16), ("bicubic", "a.png", 32), ("nearest", "a.png", 32)],
    )
    assert [label for label, _, _ in found[1][1]] == ["input", "bicubic", "nearest"]
    assert [len(views) for _, views in shape(collect([batch / "bicubic"]))] == [1, 1]


def test_one_input_for_one_output(tmp_path: Path) -> None:
    a, b = image(tmp_path / "a.png", 10), image(tmp_path / "b.png", 20)
    assert shape(collect([b], a)) == [("b", [("input", "a.png", 14), ("b.png", "b.png", 24)])]


def test_a_name_that_is_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    image(tmp_path / "in" / "x[1].png")
    image(tmp_path / "in" / "x1.png")
    image(tmp_path / "out" / "x[1].png", 24)
    ((_, views),) = shape(collect([tmp_path / "out"], tmp_path / "in"))
    assert views[0] == ("input", "x[1].png", 16)


def test_a_part_lies_where_it_was_cut_out(batch: Path) -> None:
    """The input reaches beyond it on all sides."""
    roi = ["--roi", "4,3,8,6"]
    upscale(batch / "in" / "a.png", batch / "part.png", "-s", 2, "-m", "bicubic", *roi)
    (item,) = collect([batch / "part.png"])
    assert item.views[0].rect == (-4 / 8, -3 / 6, 16 / 8, 12 / 6)
    assert item.views[1].rect == (0, 0, 1, 1)


def test_stores_and_deep_zoom_images_are_one_image_each(batch: Path) -> None:
    for name in ("x.zarr", "y.dzi"):
        upscale(batch / "in" / "a.png", batch / "mixed" / name, "-s", 2, "-m", "bicubic")
    image(batch / "mixed" / ".hidden.png")
    (batch / "mixed" / "notes.txt").write_text("no image")
    ((name, views),) = shape(collect([batch / "mixed"]))
    assert [(label, path) for label, path, _ in views] == [
        ("input", "a.png"),
        ("x.zarr", "x.zarr"),
        ("y.dzi", "y.dzi"),
    ]
    assert name == "x"


def test_what_cannot_be_read_is_named_and_left_out(batch: Path) -> None:
    (batch / "bicubic" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing else")
    unread: list[str] = []
    assert len(collect([batch / "bicubic"], unread=unread.append)) == 2
    assert len(unread) == 1
    assert "broken.png" in unread[0]


@pytest.mark.parametrize("name", ["nothing", "empty", "s3://bucket/a.png"])
def test_what_is_nothing_to_show_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    from liif_cli.io.place import location

    path = location(name) if ":" in name else tmp_path / name
    with pytest.raises(UsageError, match="OUTPUT"):
        collect([path])


def test_images_of_one_name_are_told_apart(tmp_path: Path) -> None:
    image(tmp_path / "out" / "a.png")
    image(tmp_path / "out" / "a.bmp")
    (first,) = collect([tmp_path / "out"])
    assert [view.label for view in first.views] == ["a.bmp", "a.png"]
    found = collect([image(tmp_path / "x" / "a.png"), image(tmp_path / "y" / "a.png")])
    assert [item.name for item in found] == [str(tmp_path / d / "a.png") for d in "xy"]
