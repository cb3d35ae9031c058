"""The plots: the right numbers in them, PNG files, and SVG that may stand in a page."""

import logging
import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import pytest

from liif_cli.bench import plots
from liif_cli.bench.html_plot import inline_svg
from liif_cli.bench.results import BenchReport, Header, SetInfo
from tests.bench.example import NASTY, make_report, with_inputs

pytest.importorskip("matplotlib", reason="the extra plot is not installed")


@pytest.fixture
def report(tmp_path: Path) -> BenchReport:
    return make_report(tmp_path)


def lines(plot: plots.Plot) -> dict[str, list[tuple[float, float]]]:
    """Label -> points of a figure, those without a value left out."""
    (axes,) = plot.figure.axes
    return {
        str(line.get_label()): [
            (float(x), float(y)) for x, y in line.get_xydata() if not math.isnan(y)
        ]
        for line in axes.lines
    }


def test_lines_are_the_figures_of_the_report(report: BenchReport) -> None:
    gain, psnr, speed = plots.make_plots(report, report.sets[:1])
    assert lines(gain)["small network"] == [(2, 1), (4, 1), (30, -0.5)]
    assert lines(psnr)["bicubic"] == [(2, 31), (4, 29), (30, 15)]
    assert lines(psnr)["RDN-LIIF (Table 1) (cited)"] == [(2, 99), (30, 20)]
    # 2.7 + 3.3 Mpx in 1 s each; a cited row has no speed
    assert lines(speed)["small network"] == [(pytest.approx(3.0), 30)]
    assert len(lines(speed)) == 3


def test_axis_of_scales_has_the_scales_as_ticks(report: BenchReport) -> None:
    for plot in plots.make_plots(report, report.sets[:1])[:2]:
        (axes,) = plot.figure.axes
        assert axes.get_xscale() == "log"
        assert list(axes.get_xticks()) == [2, 4, 30]
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["x2", "x4", "x30"]


def test_every_method_looks_different(report: BenchReport) -> None:
    for plot in plots.make_plots(report):
        (axes,) = plot.figure.axes
        looks = {(line.get_color(), line.get_marker()) for line in axes.lines}
        assert len(looks) == len(axes.lines)


def test_no_bicubic_no_gain(report: BenchReport) -> None:
    without = replace(report, methods=report.methods[1:])
    names = [plot.name for plot in plots.make_plots(without, without.sets[:1])]
    assert names == ["photos-psnr", "photos-speed"]


def test_a_plot_of_the_gain_by_input(report: BenchReport, tmp_path: Path) -> None:
    both = with_inputs(report, tmp_path)
    found = {plot.name: plot for plot in plots.make_plots(both, both.sets[:1])}
    assert list(found) == ["photos-gain", "photos-inputs", "photos-psnr", "photos-speed"]
    assert lines(found["photos-inputs"])["small network"] == [(0, 1), (1, -0.5)]
    (axes,) = found["photos-inputs"].figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["clean", "jpeg50"]
    # the others are of the clean input
    assert lines(found["photos-psnr"])["bicubic"] == [(2, 31), (4, 29), (30, 15)]
    lossy = [one for one in both.scores if one.input == "jpeg50"]
    alone = plots.make_plots(replace(both, scores=lossy), both.sets[:1])
    assert lines(alone[1])["bicubic"] == [(2, 30), (4, 28), (30, 14)]
    assert alone[1].figure.axes[0].get_title(loc="left") == "photos: PSNR, jpeg50 input"


def test_an_empty_report_has_no_plots() -> None:
    empty = BenchReport(Header("cpu", 1, 1, "cpu"), [SetInfo("s", [], "div2k", "")], [], [], [])
    assert plots.make_plots(empty) == []


def test_png_files(report: BenchReport, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "plots"
    paths = plots.write_plots(report, folder)
    assert sorted(paths) == sorted(folder.iterdir())
    assert len(paths) == 6
    for path in paths:
        assert re.fullmatch(r"[A-Za-z0-9._-]+\.png", path.name)
        pixels = cv2.imread(str(path))
        assert pixels is not None
        assert pixels.shape[:2] == (780, 980)
        assert pixels.min() < 60, "ink"
        assert tuple(pixels[0, 0]) == (255, 255, 255)


def test_sets_of_similar_names_get_files_of_their_own(report: BenchReport) -> None:
    names = ["a b", "a/b", "a_b", "..", "ж"]
    sets = [SetInfo(name, [], "div2k", "") for name in names]
    files = plots.file_names(replace(report, sets=sets))
    assert list(files) == names
    assert list(files.values()) == ["a_b", "a_b-2", "a_b-3", "set", "set-2"]


def test_without_matplotlib_one_line_says_so(
    report: BenchReport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        assert plots.write_plots(report, tmp_path / "plots") == []
    assert caplog.messages == [plots.MISSING]
    assert not (tmp_path / "plots").exists()


def test_svg_fits_into_a_page(report: BenchReport) -> None:
    ids: list[str] = []
    for index, plot in enumerate(plots.make_plots(report)):
        text = inline_svg(plot, f"p{index}-")
        root = ElementTree.fromstring(text)
        own = [element.get("id", "") for element in root.iter() if element.get("id")]
        ids += own
        wanted = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
        assert wanted
        assert wanted <= set(own)
        assert root.get("role") == "img"
        assert root.get("aria-label") == plot.text
        assert "://" not in text
        for colour in (plots.INK, plots.GRID, plots.COLOURS[0]):
            assert colour not in text, "colours that the page's theme decides"
    assert len(ids) == len(set(ids)), "an id stands once in a page"


def test_labels_are_text_whatever_they_hold(report: BenchReport) -> None:
    svg = inline_svg(plots.make_plots(report, report.sets[1:])[1], "p-")
    texts = ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("text")]
    assert NASTY.replace("\x01", "\N{REPLACEMENT CHARACTER}") in texts
    hidden = replace(report.methods[0], label="_private")
    with_hidden = replace(report, methods=[hidden, *report.methods[1:]])
    assert "_private" in inline_svg(plots.make_plots(with_hidden)[0], "p-"), "in the legend, too"
