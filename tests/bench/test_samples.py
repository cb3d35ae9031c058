"""The sample images: the same bytes every time, and what they are said to be."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liif_cli.bench import samples
from liif_cli.bench.samples import sample_images, write_samples
from liif_cli.errors import OutputError

SHAPES = {
    "chart": (256, 384, 3),
    "zone_plate": (256, 256, 3),
    "dead_leaves": (240, 320, 3),
    "fractal": (240, 320, 3),
}


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    return sample_images()


def digest(images: dict[str, np.ndarray]) -> str:
    return hashlib.sha256(b"".join(image.tobytes() for image in images.values())).hexdigest()


def test_names_shapes_and_type(images: dict[str, np.ndarray]) -> None:
    assert {name: image.shape for name, image in images.items()} == SHAPES
    assert all(image.dtype == np.uint8 for image in images.values())


def test_another_process_makes_the_same_bytes(images: dict[str, np.ndarray]) -> None:
    code = (
        "import hashlib; from liif_cli.bench.samples import sample_images;"
        "print(hashlib.sha256(b''.join(i.tobytes() for i in sample_images().values())).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == digest(images)


@pytest.mark.parametrize("name", SHAPES)
def test_uses_the_range_of_tones(images: dict[str, np.ndarray], name: str) -> None:
    low, high = np.percentile(images[name], [1, 99])
    assert low < 60
    assert high > 190


def test_zone_plate_is_symmetric_and_gray(images: dict[str, np.ndarray]) -> None:
    plate = images["zone_plate"]
    for turned in (plate[::-1], plate[:, ::-1], plate.transpose(1, 0, 2)):
        np.testing.assert_array_equal(turned, plate)
    assert (plate == plate[:, :, :1]).all()


def test_zone_plate_holds_no_alias(images: dict[str, np.ndarray]) -> None:
    # corners lie beyond the highest frequency, where an undersampled plate shows false rings
    plate = images["zone_plate"][:, :, 0].astype(int)
    assert np.ptp(plate[:20, :20]) <= 2
    assert abs(plate[:20, :20].mean() - 127.5) < 1
    assert np.ptp(plate[100:156, 100:156]) > 200


def test_dead_leaves_cover_everything(images: dict[str, np.ndarray]) -> None:
    # colours of leaves are never black; an uncovered pixel would be
    assert images["dead_leaves"].max(axis=2).min() > 20


def test_chart_has_text_edges_softened_by_averaging(images: dict[str, np.ndarray]) -> None:
    # the title's box: mostly paper, some ink, and a share of tones between the two
    title = images["chart"][22:42, 16:140].astype(int).mean(axis=2)
    ink, paper = title < 60, title > 220
    assert 0.15 < ink.mean() < 0.6
    assert paper.mean() > 0.25
    assert 0.03 < (~ink & ~paper).mean() < 0.5


def test_write_samples_are_png_that_pillow_reads(
    images: dict[str, np.ndarray], tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "in"
    paths = write_samples(folder)
    assert paths == [folder / f"{name}.png" for name in SHAPES]
    assert sorted(folder.iterdir()) == sorted(paths)
    for path in paths:
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("PNG", "RGB")
            np.testing.assert_array_equal(np.asarray(image), images[path.stem])


def test_writing_twice_replaces(
    images: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "_samples", images.items)
    (tmp_path / "chart.png").write_bytes(b"old")
    first = {path: path.read_bytes() for path in write_samples(tmp_path)}
    assert {path: path.read_bytes() for path in write_samples(tmp_path)} == first


def test_a_folder_that_is_a_file_is_named_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn() -> np.ndarray:
        raise AssertionError("drawn in spite of the file")

    monkeypatch.setattr(samples, "_chart", drawn)
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(OutputError, match="taken"):
        write_samples(taken)
