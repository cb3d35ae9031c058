"""What workers note of a plan's images, and what each of them makes of the others' notes."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from liif_cli.engine import journal as module
from liif_cli.engine.events import ImageDone, ImageFailed, ImageSkipped, PassedOver, PlanMade
from liif_cli.engine.journal import Entry, Journal, Known, begun, state_folder
from liif_cli.errors import OutputError

PLAN, IDENTITY = "p.jsonl", "0123456789abcdef" * 4


def noted(folder: Path, worker: str, *lines: Any) -> None:
    """Append to a worker's file: objects, or text as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines]
    with (folder / f"{worker}.jsonl").open("a") as file:
        file.write("".join(texts))


def line(image: str, status: str, at: float, **more: Any) -> dict[str, Any]:
    return {"image": image, "status": status, "at": at, **more}


def known_of(folder: Path) -> Known:
    known = Known(folder)
    known.refresh(now=True)
    return known


# --- reading


def test_every_status(tmp_path: Path) -> None:
    out = {"output": str(tmp_path / "o.png")}
    noted(
        tmp_path,
        "w",
        line("begun", "begun", 1.5, pixels=12, **out),
        line("done", "begun", 2, pixels=34, **out),
        line("done", "done", 3, **out),
        line("skipped", "skipped", 4, **out),
        line("failed", "begun", 5, pixels=56, **out),
        line("failed", "failed", 6, error="no"),
        line("failed", "failed", 7, error="no, again"),
        line("again", "failed", 8, error="no"),
        line("again", "again", 9),
    )
    known = known_of(tmp_path)
    assert known.entries == {
        "begun": Entry(**out, begun=1.5, pixels=12),
        "done": Entry(**out, done=True, begun=2, ended=3, pixels=34),
        "skipped": Entry(**out, done=True, ended=4),
        "failed": Entry(**out, failures=2, error="no, again", begun=5, ended=7, pixels=56),
        "again": Entry(ended=8),
    }
    assert dict(begun(known)) == {"begun": known.entries["begun"]}


def test_an_image_that_is_tried_again_is_in_work(tmp_path: Path) -> None:
    out = {"output": "o.png", "pixels": 1}
    noted(tmp_path, "w", line("a", "begun", 1, **out), line("a", "failed", 2, error="no"))
    known = known_of(tmp_path)
    assert not list(begun(known))
    noted(tmp_path, "v", line("a", "begun", 3, **out))
    known.refresh(now=True)
    assert [name for name, _ in begun(known)] == ["a"]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_files_are_taken_in_the_order_of_time(tmp_path: Path, order: tuple[str, str]) -> None:
    first, second = order
    noted(
        tmp_path,
        first,
        line("x", "failed", 1, error="one"),
        line("x", "failed", 2, error="two"),
        line("x", "failed", 4, error="three"),
    )
    noted(tmp_path, second, line("x", "again", 3))
    entry = known_of(tmp_path).entries["x"]
    # one try since it was to be tried again, whichever file is read first
    assert (entry.failures, entry.error) == (1, "three")


@pytest.mark.parametrize(
    "odd",
    [
        "no JSON\n",
        "[" * 100_000 + "\n",
        "[1, 2]\n",
        "7\n",
        "\n",
        '{"image": "b", "at": 1, "output": "o"}\n',
        '{"status": "done", "at": 1, "output": "o"}\n',
        '{"image": "b", "status": "done", "output": "o"}\n',
        '{"image": "b", "status": "done", "at": 1}\n',
        '{"image": "b", "status": "done", "at": "x", "output": "o"}\n',
        '{"image": "b", "status": "done", "at": NaN, "output": "o"}\n',
        '{"image": "b", "status": "done", "at": [], "output": "o"}\n',
        '{"image": "b", "status": "begun", "at": 1, "output": "o"}\n',
        '{"image": "b", "status": "begun", "at": 1, "pixels": 1}\n',
        '{"image": "b", "status": "failed", "at": 1}\n',
        '{"image": "b", "status": "finished", "at": 1, "output": "o"}\n',
        "\udcff\n".encode("utf-8", "surrogateescape").decode("latin-1"),
    ],
)
def test_lines_that_nobody_wrote_are_passed_over(tmp_path: Path, odd: str) -> None:
    good = line("a", "failed", 1, error="no")
    noted(tmp_path, "w", good, odd, good)
    assert known_of(tmp_path).entries == {"a": Entry(failures=2, error="no", ended=1)}


def test_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    text = json.dumps(line("a", "failed", 1, error="no")) + "\n"
    known = Known(tmp_path)
    for part in (text[:5], text[5:9], text[9:-1]):
        noted(tmp_path, "w", part)
        known.refresh(now=True)
        assert known.entries == {}
    noted(tmp_path, "w", text[-1:], text)
    for _ in range(2):
        known.refresh(now=True)
        assert known.entries["a"].failures == 2


def test_only_journals_are_read_and_no_folder_is_no_note(tmp_path: Path) -> None:
    assert known_of(tmp_path / "missing").entries == {}
    noted(tmp_path, "w", line("a", "failed", 1, error="no"))
    (tmp_path / "w.jsonl").rename(tmp_path / "w.jsonl.bak")
    assert known_of(tmp_path).entries == {}


def test_others_are_looked_at_every_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    known = Known(tmp_path)
    seen = []
    for now, forced in (
        (100.0, False),
        (101.9, False),
        (102.0, False),
        (103.9, False),
        (103.9, True),
        (105.8, False),
        (105.9, False),
    ):
        noted(tmp_path, "w", line("a", "failed", now, error="no"))
        known.refresh(now=forced)
        seen.append(known.entries["a"].failures)
    assert seen == [1, 1, 3, 3, 5, 5, 7]


def test_done_is_what_is_still_there(tmp_path: Path) -> None:
    there, gone, link = (tmp_path / name for name in ("there.png", "gone.png", "link.png"))
    there.touch()
    link.symlink_to(tmp_path / "nowhere")
    for name in (there, gone, link):
        noted(tmp_path, "w", line(name.stem, "done", 1, output=str(name)))
    noted(tmp_path, "w", line("begun", "begun", 1, output=str(there), pixels=1))
    known = known_of(tmp_path)
    names = ("there", "gone", "link", "begun", "unknown")
    assert [known.is_done(name) for name in names] == [True, False, True, False, False]


# --- writing


@dataclass
class Plan:
    """What a journal asks of a plan."""

    input: str
    output: str
    pixels: int = 77


def lines_of(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.iterdir()
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_what_a_worker_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "time", lambda: 1234.5)
    root = tmp_path / "in"
    journal = Journal(tmp_path / PLAN, IDENTITY, root)
    image, output = root / "sub" / "a.png", tmp_path / "out" / "a.png"
    for event in (
        PlanMade(Plan(str(image), str(output))),  # type: ignore[arg-type]
        ImageDone(image, output, 5, 0.1),
        ImageSkipped(image, output),
        ImageFailed(image, "a \x1b[31mred\x1b[0m word"),
        PassedOver(image, "damage"),
    ):
        journal.listen(event)
    journal.note(root / "b.png", "again")
    journal.close()
    journal.close()
    common = {"image": "sub/a.png", "at": 1234.5}
    assert journal.folder == tmp_path / "p.jsonl.state" / IDENTITY[:16]
    lines = lines_of(journal.folder)
    assert lines.pop(3).pop("error").startswith("a ")
    assert lines == [
        {**common, "status": "begun", "output": str(output), "pixels": 77},
        {**common, "status": "done", "output": str(output)},
        {**common, "status": "skipped", "output": str(output)},
        {"image": "b.png", "status": "again", "at": 1234.5},
    ]
    assert b"\x1b" not in b"".join(path.read_bytes() for path in journal.folder.iterdir())
    # what one notes another one reads
    assert known_of(journal.folder).entries.keys() == {"sub/a.png", "b.png"}


def test_a_line_is_there_as_soon_as_it_is_noted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / PLAN, IDENTITY, tmp_path)
    assert not list(journal.folder.iterdir()), "who notes nothing leaves no file"
    for count in (1, 2, 3):
        journal.note(tmp_path / "a.png", "again")
        assert len(lines_of(journal.folder)) == count
    journal.close()


def test_a_single_image_has_its_own_name(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    journal = Journal(tmp_path / PLAN, IDENTITY, image)
    assert journal.name(image) == "a.png"


def test_each_worker_has_a_file_that_says_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.socket, "gethostname", lambda: "node7.x_y/z")
    journals = [Journal(tmp_path / PLAN, IDENTITY, tmp_path) for _ in range(3)]
    for journal in journals:
        journal.note(tmp_path / "a", "again")
        journal.close()
    names = [path.name for path in state_folder(tmp_path / PLAN, IDENTITY).iterdir()]
    assert len(names) == 3
    pattern = rf"node7-x-y-z-{os.getpid()}-[0-9a-f]{{8}}\.jsonl"
    assert all(re.fullmatch(pattern, name) for name in names), names


def test_a_folder_and_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl.state").touch()
    with pytest.raises(OutputError, match=r"p\.jsonl\.state"):
        Journal(tmp_path / PLAN, IDENTITY, tmp_path)
    (tmp_path / "p.jsonl.state").unlink()
    journal = Journal(tmp_path / PLAN, IDENTITY, tmp_path)
    journal.folder.rmdir()
    with pytest.raises(OutputError, match=r"cannot write .*\.jsonl.*No such file"):
        journal.note(tmp_path / "a.png", "again")
    journal.close()
