"""From paths to pairs: order, mirroring, sidecars and clashes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from liif_cli.errors import UsageError
from liif_cli.io import image_suffixes
from liif_cli.io.discover import (
    _UNREAD_SUFFIXES,
    check_clashes,
    discover,
    unread,
    unread_kind,
)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def outputs(pairs, root: Path) -> list[str]:
    return [str(pair.output(pair.wanted).relative_to(root)) for pair in pairs]


def test_folder_is_walked_and_mirrored(photos, tmp_path):
    touch(photos, "b.png", "a.JPG", "sub/deep/c.tiff", "sub/a.webp", "note.txt", "sub/x.csv")
    pairs = discover(photos, tmp_path / "out")
    assert [str(pair.relative) for pair in pairs] == [
        "a.JPG",
        "b.png",
        "sub/a.webp",
        "sub/deep/c.tiff",
    ]
    assert outputs(pairs, tmp_path / "out") == [str(pair.relative) for pair in pairs]
    assert [pair.wanted for pair in pairs] == ["jpg", "png", "webp", "tiff"]
    assert pairs == discover(photos, tmp_path / "out")


def test_format_and_suffix(photos, tmp_path):
    touch(photos, "a.jpeg", "b.v2.png")
    pairs = discover(photos, tmp_path / "out", suffix="_x4", format="jpg")
    assert outputs(pairs, tmp_path / "out") == ["a_x4.jpeg", "b.v2_x4.jpg"]
    pairs = discover(photos, tmp_path / "out", format="tiff")
    assert outputs(pairs, tmp_path / "out") == ["a.tif", "b.v2.tif"]


def test_auto_format_may_be_settled_later(photos, tmp_path):
    touch(photos, "a.bmp", "b.png")
    pairs = discover(photos, tmp_path / "out")
    assert [pair.wanted for pair in pairs] == [None, "png"]
    assert pairs[0].output("png") == tmp_path / "out" / "a.png"
    assert pairs[1].output("tiff") == tmp_path / "out" / "b.tif"


def test_sidecars_and_hidden_things_are_no_inputs(photos, tmp_path):
    touch(
        photos,
        "a.png",
        "._a.png",
        ".hidden.jpg",
        "Thumbs.db",
        ".DS_Store",
        ".cache/b.png",
        "__MACOSX/c.png",
        ".a.png.0123456789ab.partial",
        "sub/._x.jpg",
    )
    assert [str(pair.relative) for pair in discover(photos, tmp_path / "out")] == ["a.png"]


def test_zarr_stores_are_leaves(photos, tmp_path):
    zarr.create_array(str(photos / "b.zarr"), data=np.zeros((4, 4), np.uint8))
    zarr.create_array(str(photos / "store"), data=np.zeros((4, 4), np.uint8))
    touch(photos, "a.png", "c.png", "b.zarr/inside.png")
    pairs = discover(photos, tmp_path / "out")
    assert [str(pair.relative) for pair in pairs] == ["a.png", "b.zarr", "c.png", "store"]
    assert pairs[1].output("zarr") == tmp_path / "out" / "b.zarr"
    (alone,) = discover(photos / "b.zarr", tmp_path / "out")
    assert alone.output("zarr") == tmp_path / "out" / "b.zarr"


@pytest.mark.parametrize(
    ("output", "expected"),
    [("out", "out/a.png"), ("x.jpg", "x.jpg"), ("new/x.TIF", "new/x.TIF"), ("x.zarr", "x.zarr")],
)
def test_single_file(photos, tmp_path, output, expected):
    touch(photos, "a.png")
    (pair,) = discover(photos / "a.png", tmp_path / output)
    assert pair.output(pair.wanted) == tmp_path / expected


def test_existing_folder_with_an_image_suffix_is_a_folder(photos, tmp_path):
    touch(photos, "a.png")
    (tmp_path / "out.png").mkdir()
    (pair,) = discover(photos / "a.png", tmp_path / "out.png")
    assert pair.output("png") == tmp_path / "out.png" / "a.png"


def test_existing_store_is_a_file(photos, tmp_path):
    touch(photos, "a.png")
    zarr.create_array(str(tmp_path / "x.zarr"), data=np.zeros((4, 4), np.uint8))
    (pair,) = discover(photos / "a.png", tmp_path / "x.zarr")
    assert pair.output("zarr") == tmp_path / "x.zarr"


def test_single_input_of_any_suffix(photos, tmp_path):
    touch(photos, "image")
    (pair,) = discover(photos / "image", tmp_path / "out")
    assert pair.wanted is None
    assert pair.output("jpg") == tmp_path / "out" / "image.jpg"


def test_output_inside_input_is_not_read(photos):
    touch(photos, "a.png", "out/a.png", "out/b.png", "sub/out/c.png")
    pairs = discover(photos, photos / "out")
    assert [str(pair.relative) for pair in pairs] == ["a.png", "sub/out/c.png"]


def test_output_beside_input_is_not_read_again(photos):
    touch(photos, "a.png", "a_x4.png", "b_x4.png")
    pairs = discover(photos, photos, suffix="_x4")
    assert outputs(pairs, photos) == ["a_x4.png", "b_x4_x4.png"]


def test_what_holds_an_image_is_one_whatever_its_name(photos, tmp_path):
    picture = np.zeros((4, 5, 3), np.uint8)
    for name, kind in (("scan", "PNG"), ("photo.000", "JPEG"), ("a.data", "TIFF")):
        Image.fromarray(picture).save(photos / name, kind)
    touch(photos, "empty", "b.gif")
    (photos / "notes").write_text("no image")
    (photos / "todo").write_text("P1 buy paper\nP2 scan 3 slides\n")
    (photos / "film").write_bytes(b"\0\0\1\0\0\x0f\xff\xf8" + bytes(60))
    (photos / ".hidden").write_bytes((photos / "scan").read_bytes())
    pairs = discover(photos, tmp_path / "out")
    assert [pair.input.name for pair in pairs] == ["a.data", "b.gif", "photo.000", "scan"]


def test_what_looks_like_an_image_and_is_not_read_is_named(photos, tmp_path):
    names = ["a.svg", "b.DCM", "c.fits", "sub/d.nef"]
    touch(photos, *names, "e.txt", "f.xml", "e.png", ".a.svg", "Thumbs.db")
    # a raw photo is a TIFF file in which the photo is not what a TIFF reader finds
    (photos / "sub/d.nef").write_bytes(b"II*\0" + bytes(60))
    left_out: list[Path] = []
    pairs = discover(photos, tmp_path / "out", left_out=left_out)
    assert [pair.input.name for pair in pairs] == ["e.png"]
    assert [path.relative_to(photos).as_posix() for path in left_out] == names
    assert unread_kind(left_out[1]) == "a medical image (.dcm)"
    failing = unread(left_out[3], photos)
    assert (failing.relative, failing.wanted) == (Path("sub/d.nef"), None)
    (photos / "e.png").unlink()
    with pytest.raises(UsageError, match="but 4 files of kinds that are not read"):
        discover(photos, tmp_path / "out")


def test_what_is_read_is_not_said_to_be_left_out():
    assert not _UNREAD_SUFFIXES.keys() & image_suffixes()


def test_an_extension_is_kept_where_it_changes(photos, tmp_path):
    touch(photos, "a.bmp", "a.png", "b.gif")
    pairs = discover(photos, tmp_path / "out", keep_extension=True)
    named = [pair.output(pair.wanted or "png").name for pair in pairs]
    assert named == ["a.bmp.png", "a.png", "b.gif.png"]
    check_clashes([(pair, "png") for pair in pairs])
    pairs = discover(photos, tmp_path / "out", format="tiff", suffix="_x2", keep_extension=True)
    assert [pair.output("tiff").name for pair in pairs] == [
        "a_x2.bmp.tif",
        "a_x2.png.tif",
        "b_x2.gif.tif",
    ]


def test_clashes_name_both(photos, tmp_path):
    touch(photos, "a.png", "a.jpg")
    discover(photos, tmp_path / "out")
    with pytest.raises(UsageError, match=r"a\.jpg and .*a\.png to .*a\.tif.*--keep-extension"):
        discover(photos, tmp_path / "out", format="tiff")


def test_clashes_of_formats_settled_later(photos, tmp_path):
    touch(photos, "a.png", "a.bmp")
    pairs = discover(photos, tmp_path / "out")
    check_clashes([(pairs[0], "tiff"), (pairs[1], "png")])
    with pytest.raises(UsageError, match="two inputs"):
        check_clashes([(pair, "tiff") for pair in pairs])


@pytest.mark.parametrize("kind", ["same folder", "same file", "by link", "another input"])
def test_inputs_are_never_overwritten(photos, tmp_path, kind):
    touch(photos, "a.png")
    source, output, options = photos, photos, {}
    if kind == "same file":
        source, output = photos / "a.png", photos / ".." / "photos" / "a.png"
    elif kind == "by link":
        output = tmp_path / "link"
        output.symlink_to(photos, target_is_directory=True)
    elif kind == "another input":
        touch(photos, "a.jpg")
        options = {"format": "png"}
    with pytest.raises(UsageError, match="overwrite an input"):
        discover(source, output, **options)


def test_nothing_to_do(photos, tmp_path):
    with pytest.raises(UsageError, match="no image"):
        discover(photos, tmp_path / "out")
    touch(photos, "note.txt", "._x.jpg")
    with pytest.raises(UsageError, match="no image"):
        discover(photos, tmp_path / "out")
    with pytest.raises(UsageError, match="no such file"):
        discover(tmp_path / "missing", tmp_path / "out")


def test_options_that_do_not_fit(photos, tmp_path):
    touch(photos, "a.png")
    touch(tmp_path, "note.txt", "old.png")
    with pytest.raises(UsageError, match="unknown format"):
        discover(photos, tmp_path / "out", format="gif")
    with pytest.raises(UsageError, match="do not fit"):
        discover(photos / "a.png", tmp_path / "x.jpg", format="png")
    with pytest.raises(UsageError, match="not written"):
        discover(photos / "a.png", tmp_path / "x.bmp")
    with pytest.raises(UsageError, match="file that is there"):
        discover(photos / "a.png", tmp_path / "note.txt")
    with pytest.raises(UsageError, match="file that is there"):
        discover(photos, tmp_path / "old.png")
    with pytest.raises(UsageError, match="a file name"):
        discover(photos, tmp_path / "new.png")
    with pytest.raises(UsageError, match="--suffix"):
        discover(photos, tmp_path / "out", suffix="x/y")


def test_a_folder_that_cannot_be_listed_fails_alone_at_the_end(photos, tmp_path, monkeypatch):
    touch(photos, "a.png", "locked/b.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    pairs = discover(photos, tmp_path / "out")
    assert [str(pair.relative) for pair in pairs] == ["a.png", "locked"]
    assert pairs[0].error is None
    assert "locked: got Permission denied" in str(pairs[1].error)


def test_links_to_themselves_and_pipes_are_entries_like_others(photos, tmp_path):
    touch(photos, "a.png")
    (photos / "b.png").symlink_to("b.png")
    (photos / "loop").symlink_to("loop")
    os.mkfifo(photos / "c.png")
    pairs = discover(photos, tmp_path / "out")
    assert [pair.input.name for pair in pairs] == ["a.png", "b.png", "c.png"]


def test_importing_costs_no_codec():
    import subprocess
    import sys

    program = (
        "import sys, liif_cli.io, liif_cli.io.discover;"
        "from pathlib import Path; liif_cli.io.is_image(Path('a.png'));"
        "liif_cli.io.exporter_for('tiff');"
        "print([n for n in ('cv2','tifffile','zarr','imagecodecs','torch') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


@pytest.mark.parametrize("url", ["ftp://example.org/a.png", "hdfs://cluster/photos", "ABFS://b/c"])
def test_urls_are_refused_by_name(photos, tmp_path, url):
    with pytest.raises(UsageError, match=f"INPUT: got {url.split(':')[0]}://.*download"):
        discover(Path(url), tmp_path / "out")
    touch(photos, "a.png")
    with pytest.raises(UsageError, match="OUTPUT"):
        discover(photos, Path(url))
