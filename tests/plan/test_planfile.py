"""Plan files: everything comes back, and what is not as it was made is refused."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liif_cli import __version__
from liif_cli.errors import UsageError
from liif_cli.geometry.cell import CellPolicy
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.plan.planfile import PlanFile, spec_from_dict, spec_to_dict
from liif_cli.plan.spec import RenderSpec

PLAIN = RenderSpec(size=SizeRequest.from_scale("3.7"), model="bicubic")
FULL = RenderSpec(
    size=SizeRequest.from_size("4000x3000", "inside"),
    model="m.safetensors",
    format="tiff",
    cell=CellPolicy.parse("clamped:4"),
    via=Fraction("2.5"),
    tile=128,
    max_memory=2**31,
    roi=Window(1, 2, 3, 4),
    select=(("c", 1), ("z", 3)),
    level=1,
    cleanup=30.0,
    quality=90,
    overwrite=True,
)
NUMERICS = {"device": "cpu", "precision": "fp32"}


def plan_of(spec: RenderSpec = PLAIN, names: tuple[str, ...] = ("a.png", "b/c.png")) -> PlanFile:
    return PlanFile("in", "out", spec, "-x", "abc", NUMERICS, names)


@pytest.mark.parametrize("spec", [PLAIN, FULL], ids=["plain", "full"])
def test_it_comes_back_as_it_was(tmp_path: Path, spec: RenderSpec) -> None:
    plan = plan_of(spec)
    plan.write(tmp_path / "p.jsonl")
    assert PlanFile.read(tmp_path / "p.jsonl") == plan
    assert spec_from_dict(json.loads(json.dumps(spec_to_dict(spec)))) == spec


@given(st.lists(st.text(), unique=True, max_size=5))
def test_names_of_any_kind_come_back(names: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        plan = plan_of(names=tuple(names))
        plan.write(Path(folder, "p.jsonl"))
        assert PlanFile.read(Path(folder, "p.jsonl")) == plan


def test_names_of_bytes_that_are_no_text_come_back(tmp_path: Path) -> None:
    plan = plan_of(names=("a\udcff.png",))
    plan.write(tmp_path / "p.jsonl")
    assert PlanFile.read(tmp_path / "p.jsonl").names == plan.names


def test_another_request_is_another_plan() -> None:
    others = [plan_of(FULL), plan_of(names=("a.png",)), plan_of()]
    assert len({plan.identity for plan in others}) == 3
    assert plan_of().identity == plan_of().identity


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"-x"', '"-y"'), "changed after it was made"),
        (lambda text: text.replace("b/c", "b/d"), "changed after it was made"),
        (lambda text: text.rsplit("\n", 2)[0] + "\n", "changed after it was made"),
        (lambda text: text.replace('"liif_plan": 1', '"liif_plan": 9'), "version 9"),
        (lambda text: "[]\n", "a file that 'liif plan' wrote"),
        (lambda text: "", "a file that 'liif plan' wrote"),
        (lambda text: "\x89PNG", "a file that 'liif plan' wrote"),
    ],
)
def test_what_is_no_plan_or_was_changed_is_refused(tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "p.jsonl"
    plan_of().write(path)
    path.write_bytes(change(path.read_text()).encode("latin-1"))
    with pytest.raises(UsageError, match=message):
        PlanFile.read(path)


def test_a_plan_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        PlanFile.read(tmp_path / "none.jsonl")


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    plan = plan_of()
    assert plan.place(tmp_path / "sub" / "p.jsonl", "../in") == tmp_path / "in"
    assert plan.place(tmp_path / "p.jsonl", "/abs") == Path("/abs")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda text: text.replace('"-x"', '"-y"'),
            ", which was changed after it was made, expected the file as 'liif plan' wrote it; "
            "make it again with the options that are wanted",
        ),
        (
            lambda text: text.replace('"liif_plan": 1', '"liif_plan": 9'),
            " of version 9, expected version 1; make it again with this liif's 'liif plan'",
        ),
        (lambda text: "{}\n", ", expected a file that 'liif plan' wrote"),
        (lambda text: "caf\xe9", ", expected a file that 'liif plan' wrote"),
        (
            lambda text: text.replace('"images"', '"sha256"'),
            ", which was changed after it was made",
        ),
    ],
)
def test_the_whole_refusal(tmp_path: Path, change, said: str) -> None:
    path = tmp_path / "p.jsonl"
    plan_of().write(path)
    path.write_text(change(path.read_text()), encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        PlanFile.read(path)
    assert str(refused.value).startswith(f"PLAN: got {path}{said}")
    if "; " in said or "expected a file" in said:
        assert str(refused.value).endswith(said)


def test_names_that_are_no_text_are_refused_whatever_the_checksum_says(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    plan_of(names=("a.png", 5)).write(path)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="changed after it was made"):
        PlanFile.read(path)


def test_a_plan_that_is_not_there_is_said_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    with pytest.raises(UsageError) as refused:
        PlanFile.read(path)
    assert str(refused.value) == f"PLAN: got {path}: No such file or directory; check the path"


def test_what_the_first_line_says(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    plan_of().write(path)
    header, *names = map(json.loads, path.read_text().splitlines())
    assert names == ["a.png", "b/c.png"]
    assert len(header.pop("sha256")) == 64
    assert header == {
        "liif_plan": 1,
        "liif": __version__,
        "input": "in",
        "output": "out",
        "images": 2,
        "spec": spec_to_dict(PLAIN),
        "suffix": "-x",
        "model_digest": "abc",
        "numerics": NUMERICS,
    }
    # of a single file there are no names
    plan_of(names=()).write(path)
    assert json.loads(path.read_text())["images"] == 1
