"""Strips of crops for the README show every crop where it belongs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.readme_crops import ENLARGED, GAP, main
from tests.bench.example import make_report


@pytest.fixture
def results(tmp_path: Path) -> Path:
    report = make_report(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps(report.to_json()))
    return tmp_path


def test_a_strip_has_the_crops_enlarged_side_by_side(results: Path) -> None:
    main([str(results), "--crop", "1", "--methods", "net,bicubic", "--to", str(results / "to")])
    (path,) = (results / "to").iterdir()
    assert path.name == "photos-a-x2.png"
    strip = cv2.imread(str(path))
    width, height = 8 * ENLARGED, 6 * ENLARGED
    assert strip.shape[1] == 3 * width + 2 * GAP
    for place, number in enumerate((0, 2, 1)):  # HR, net, bicubic
        crop = cv2.imread(str(results / "crops" / f"1-{number}.png"))
        left = place * (width + GAP)
        shown = strip[:height, left : left + width]
        np.testing.assert_array_equal(shown[1::ENLARGED, 1::ENLARGED], crop)
        assert strip[height:, left : left + width].min() < 200  # something is written below


def test_the_first_two_and_what_is_not_there(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(results), "--to", str(results / "to")])
    assert len(list((results / "to").iterdir())) == 2
    assert "photos, a, x2: bicubic 20.00, net 22.50" in capsys.readouterr().out
    for arguments in (["--crop", "3"], ["--crop", "0"], ["--methods", "none"]):
        with pytest.raises(SystemExit, match=r"from 1 to 2|no crop of none"):
            main([str(results), *arguments, "--to", str(results / "to")])
