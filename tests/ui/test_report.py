"""The summary of a batch and its JSON file, from reports made by hand."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from liif_cli.engine.batch import BatchReport, ImageResult
from liif_cli.errors import OutputError, UsageError
from liif_cli.ui.report import check_report_path, print_summary, write_report

DONE = ImageResult(
    Path("in/a.png"),
    Path("out/a.png"),
    "done",
    (200, 300),
    60_000,
    0.5,
    cleanup=15.0,
    gray=True,
)
SKIPPED = ImageResult(Path("in/b.png"), Path("out/b.png"), "skipped", (200, 300))
FAILED = ImageResult(Path("in/[c].png"), None, "failed", error="out of memory")
STOPPED = ImageResult(Path("in/d.png"), None, "interrupted")


def summary(report: BatchReport, terminal: bool = False) -> str:
    stream = io.StringIO()
    print_summary(report, Console(file=stream, force_terminal=terminal, width=80, _environ={}))
    return stream.getvalue()


def test_lines() -> None:
    text = summary(BatchReport([DONE, SKIPPED, FAILED, FAILED], 2.0))
    assert text.splitlines() == [
        "done 1, skipped 1, failed 2, pixels 0.06 Mpx, speed 0.03 Mpx/s, time 2 s",
        "failed: 2 of 4",
        "  in/[c].png: out of memory",
        "  in/[c].png: out of memory",
    ]


def test_table_on_a_terminal() -> None:
    text = summary(BatchReport([DONE, FAILED], 2.0), terminal=True)
    assert "0.03 Mpx/s" in text
    assert "in/[c].png: out of memory" in text
    assert "skipped" not in text


def test_an_interrupt_is_resumable() -> None:
    text = summary(BatchReport([DONE, STOPPED], 2.0, interrupted=True))
    assert "interrupted 1" in text
    assert text.endswith("interrupted; the same command goes on where it stopped\n")


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")
    write_report(BatchReport([DONE, FAILED, STOPPED], 2.0, interrupted=True), path)
    data = json.loads(path.read_text())
    assert (data["exit_code"], data["interrupted"], data["seconds"]) == (3, True, 2.0)
    assert data["counts"] == {"done": 1, "skipped": 0, "failed": 1, "interrupted": 1}
    assert data["images"][0] == {
        "input": "in/a.png",
        "output": "out/a.png",
        "status": "done",
        "width": 300,
        "height": 200,
        "pixels": 60_000,
        "seconds": 0.5,
        "mpx_per_s": 0.12,
        "cleanup": 15.0,
        "gray": True,
        "error": None,
    }
    assert data["images"][1]["error"] == "out of memory"
    assert data["images"][2]["width"] is None
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--report"):
        check_report_path(tmp_path / "missing" / "r.json")
    check_report_path(tmp_path / "r.json")
    (tmp_path / "r.json").mkdir()
    (tmp_path / "r.json" / "full").write_text("")
    with pytest.raises(UsageError, match="a folder"):
        check_report_path(tmp_path / "r.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_report(BatchReport([], 0.0), tmp_path / "file" / "r.json")
