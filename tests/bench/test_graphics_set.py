"""The set of drawn pages: LR and HR of each scale, what is left out, and a folder of its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from liif_cli.bench.data import GRAPHICS, PAGES, find_sets, graphics_set
from liif_cli.bench.inputs import degrade, parse_input
from liif_cli.bench.job import Bench
from liif_cli.bench.metrics import is_gray
from liif_cli.bench.protocol import score
from liif_cli.bench.results import BenchReport
from liif_cli.bench.tables import grids, markdown
from liif_cli.errors import UsageError
from liif_cli.graphics.pairs import text_pair
from tests.bench.test_job import picture, run, spec_of, write

PAGE = Path(GRAPHICS)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without one called graphics."""
    monkeypatch.chdir(tmp_path)


def report_of(*data: Path, **changes: object) -> BenchReport:
    return run(spec_of(*data, methods=("bicubic",), limit=1, **changes)).report


def test_a_page_is_drawn_at_both_sizes() -> None:
    image = graphics_set().images[0]
    digests = set()
    for scale in (2, 3, 4):
        hr, lr = image.read(float(scale))
        drawn = text_pair(0, scale)
        np.testing.assert_array_equal(lr, drawn.lr)
        np.testing.assert_array_equal(hr, drawn.hr)
        assert hr.shape == (lr.shape[0] * scale, lr.shape[1] * scale, 3)
        digests.add(image.digest(float(scale)))
    assert len(digests) == 3
    assert image.digest(2.0) == graphics_set().images[0].digest(2.0)


def test_it_is_measured_beside_the_built_in_set() -> None:
    built_in, pages = find_sets([])
    assert built_in.name == "built-in"
    assert [image.name for image in pages.images] == [f"page-{number:02}" for number in PAGES]
    grays = [is_gray(image.read(2.0)[0]) for image in pages.images[:4]]
    assert any(grays)
    assert not all(grays)
    (whole,) = find_sets([PAGE])
    assert len(whole.images) == 40
    assert whole.images[7].name == pages.images[1].name
    assert [image.name for image in find_sets([PAGE], limit=2)[0].images] == ["page-00", "page-01"]


def test_a_folder_of_that_name_wins(tmp_path: Path) -> None:
    write(tmp_path / GRAPHICS / "a.png", picture(40, 40))
    (entry,) = find_sets([PAGE])
    assert entry.path == PAGE
    assert [image.name for image in entry.images] == ["a"]
    with pytest.raises(UsageError, match="or 'graphics'"):
        find_sets([Path("graphisc")])


def test_scales_that_it_lacks_are_left_out_quietly(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "a.png", picture(120, 120))
    said: list[str] = []
    spec = spec_of(tmp_path / "photos", PAGE, methods=("bicubic",), scales=(6.0, 4.0), limit=1)
    result = Bench(spec, said.append).run()
    assert said == []
    photos, pages = result.report.sets
    heads = [[c.head for c in grids(result.report, entry)[0].columns] for entry in (photos, pages)]
    assert heads == [["x6", "x4"], ["x4"]]
    assert "| graphics, PSNR in dB over RGB | x4 |" in markdown(result.report)
    only = report_of(tmp_path / "photos", PAGE, scales=(6.0,))
    assert [entry.name for entry in only.sets] == ["photos"]
    with pytest.raises(UsageError, match=r"x2, x3, x4.*graphics"):
        run(spec_of(PAGE, scales=(2.5,)))


def test_scores_and_inputs_start_from_the_drawn_lr(tmp_path: Path) -> None:
    inputs = ("clean", "jpeg50", "blur")
    report = report_of(PAGE, scales=(2.0,), inputs=inputs, out=tmp_path / "out")
    image = graphics_set().images[0]
    bench = Bench(spec_of(PAGE, scales=(2.0,), methods=("bicubic",), limit=1))
    pair = bench._pair(bench.sets[0], 2.0, image)
    np.testing.assert_array_equal(pair.lr, text_pair(0, 2).lr)
    for found in report.scores:
        lr = degrade(pair, parse_input(found.input), image.name, 2.0).lr
        colours = bench.methods[0].run(lr, (pair.hr.shape[0], pair.hr.shape[1]), "div2k").colours
        assert found.psnr == pytest.approx(score(colours, pair.hr, 2.0, "div2k")[0], abs=1e-4)
        assert found.chroma == 0
    assert len({found.psnr for found in report.scores}) == 3
    again = report_of(PAGE, scales=(2.0,), inputs=inputs, out=tmp_path / "out")
    assert again.scores == report.scores
