"""Gains over bicubic: over the same images, and for cited figures over the whole set only."""

from pathlib import Path

import pytest

from liif_cli.bench.compare import gain, main_cell, main_input, speed_scale
from liif_cli.bench.results import SCALED, BenchReport
from tests.bench.example import make_report, score, with_inputs


@pytest.fixture
def report(tmp_path: Path) -> BenchReport:
    return make_report(tmp_path)


def test_gain_is_the_mean_difference_of_the_images(report: BenchReport) -> None:
    assert gain(report, report.sets[0], "net", 2.0) == pytest.approx(1)
    assert gain(report, report.sets[0], "bicubic", 2.0) == 0
    assert gain(report, report.sets[0], "net", 30.0) == pytest.approx(-0.5)


def test_gain_compares_only_images_that_both_have(report: BenchReport) -> None:
    # the easy image "b" is there for the network alone: means would show 12 dB of gain
    report.scores.append(score("photos", "b", "net", 8.0, 40.0))
    report.scores.append(score("photos", "a", "net", 8.0, 17.0))
    report.scores.append(score("photos", "a", "bicubic", 8.0, 16.0))
    assert gain(report, report.sets[0], "net", 8.0) == pytest.approx(1)


def test_cited_gain_needs_the_whole_set(report: BenchReport) -> None:
    mean = report.mean("photos", "bicubic", 2.0).psnr
    assert mean is not None
    assert gain(report, report.sets[0], "paper", 2.0) == pytest.approx(99 - mean)
    assert gain(report, report.sets[0], "paper", 30.0) is None, "an image is left out at x30"
    assert gain(report, report.sets[0], "paper", 4.0) is None, "nothing was printed"


def test_scale_and_cell_of_comparison(report: BenchReport) -> None:
    assert main_cell(report) == SCALED
    assert speed_scale(report) == 4
    others = BenchReport(report.header, [], [], [2.0, 8.0, 30.0], [])
    assert speed_scale(others) == 8


def test_gain_is_over_bicubic_of_the_same_input(report: BenchReport, tmp_path: Path) -> None:
    both = with_inputs(report, tmp_path)
    assert main_input(both) == "clean"
    assert gain(both, both.sets[0], "net", 2.0) == pytest.approx(1)
    assert gain(both, both.sets[0], "net", 2.0, "jpeg50") == pytest.approx(-0.5)
    assert gain(both, both.sets[0], "paper", 2.0, "jpeg50") is None
    both.scores[:] = [one for one in both.scores if one.input != "clean"]
    assert main_input(both) == "jpeg50"
