"""Plan files and the work on them, in this process (commands: ``tests/commands/test_work.py``)."""

from __future__ import annotations

import dataclasses
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import zarr

from liif_cli.engine import work as module
from liif_cli.engine.events import Event, PlanMade
from liif_cli.engine.executors import Machines, upscale_by
from liif_cli.engine.journal import state_folder
from liif_cli.engine.machine import numerics_of
from liif_cli.engine.results import BatchReport
from liif_cli.engine.run import Slice
from liif_cli.engine.unfinished import store_path
from liif_cli.engine.work import WorkOrder, make_plan_file, plan_status, work
from liif_cli.errors import OutputError, UsageError
from liif_cli.geometry.size import SizeRequest
from liif_cli.models.loader import model_digest
from liif_cli.plan.planfile import PlanFile
from liif_cli.plan.spec import RenderSpec
from tests.engine.conftest import write_photo

SPEC = RenderSpec(SizeRequest.from_scale("2"), "bicubic", device="cpu")


def folder_of(root: Path, *names: str) -> Path:
    for name in names:
        write_photo(root / "in" / name, 9, 12)
    return root / "in"


def planned(root: Path, spec: RenderSpec = SPEC, suffix: str = "") -> tuple[PlanFile, Path]:
    at = root / "p.jsonl"
    plan, _ = make_plan_file(root / "in", root / "out", spec, suffix=suffix, at=at)
    plan.write(at)
    return plan, at


def done(order: WorkOrder) -> BatchReport:
    return work(order, lambda event: None)


# --- making a plan


def test_a_plan_says_what_decides_the_results(tmp_path: Path) -> None:
    folder_of(tmp_path, "b.png", "sub/a.png", "sub/thumb.png")
    (tmp_path / "in" / "odd.psb").write_bytes(b"8BPS\0\2")
    spec = dataclasses.replace(SPEC, include=("*.png",), exclude=("thumb*",), precision="auto")
    plan, left_out = make_plan_file(
        tmp_path / "in", tmp_path / "out", spec, suffix="_x", at=tmp_path / "p.jsonl"
    )
    assert plan == PlanFile(
        input=str(tmp_path / "in"),
        output=str(tmp_path / "out"),
        # the names are those that are left, and every machine has fp32
        spec=dataclasses.replace(SPEC, precision="fp32"),
        suffix="_x",
        model_digest=model_digest("bicubic"),
        numerics=numerics_of(torch.device("cpu"), "fp32"),
        names=("b.png", "sub/a.png"),
    )
    assert left_out == [tmp_path / "in" / "odd.psb"]


def test_a_precision_that_is_asked_for_stays(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png")
    plan, _ = planned(tmp_path, dataclasses.replace(SPEC, precision="bf16"))
    assert plan.spec.precision == plan.numerics["precision"] == "bf16"


def test_one_image_has_no_names(tmp_path: Path) -> None:
    image = folder_of(tmp_path, "a.png") / "a.png"
    at = tmp_path / "p.jsonl"
    plan, _ = make_plan_file(image, tmp_path / "o.png", SPEC, suffix="", at=at)
    assert plan.names == ()
    store = zarr.open_array(
        tmp_path / "in.zarr", mode="w", shape=(9, 12, 3), chunks=(9, 12, 3), dtype="u1"
    )
    store[:] = np.uint8(7)
    plan, _ = make_plan_file(tmp_path / "in.zarr", tmp_path / "o.png", SPEC, suffix="", at=at)
    assert plan.names == ()
    # a folder with one image is a folder
    assert planned(tmp_path)[0].names == ("a.png",)


def test_outputs_that_would_meet_are_refused_before_there_is_a_plan(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "a.bmp", "sub/a.png")
    spec = dataclasses.replace(SPEC, format="png")
    with pytest.raises(UsageError, match=r"a\.png"):
        planned(tmp_path, spec)
    plan, _ = planned(tmp_path, dataclasses.replace(spec, keep_extension=True))
    assert len(plan.names) == 3
    folder_of(tmp_path / "other", "a.png", "b.png")
    planned(tmp_path / "other")
    with pytest.raises(UsageError, match=r"\{stem\}"):
        planned(tmp_path / "other", dataclasses.replace(SPEC, name="one"))


def test_paths_are_relative_to_the_plan_where_they_were_given_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path, "a.png")
    monkeypatch.chdir(tmp_path)
    at = Path("plans") / "p.jsonl"
    plan, _ = make_plan_file(Path("in"), tmp_path / "out", SPEC, suffix="", at=at)
    assert plan.input == os.path.join("..", "in")
    assert plan.output == str(tmp_path / "out")


def test_a_plan_in_a_bucket_has_no_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    from liif_cli.io.place import location

    folder_of(tmp_path, "a.png")
    monkeypatch.chdir(tmp_path)
    at = location("s3://bucket/p.jsonl")
    with pytest.raises(UsageError) as error:
        make_plan_file(Path("in"), Path("out"), SPEC, suffix="", at=at)
    assert str(error.value) == (
        "PLAN: got s3://bucket/p.jsonl, and in on this machine, "
        "expected inputs and outputs in a bucket as well, or absolute paths"
    )
    plan, _ = make_plan_file(tmp_path / "in", tmp_path / "out", SPEC, suffix="", at=at)
    assert plan.input == str(tmp_path / "in")


# --- doing it


def test_outputs_have_the_names_that_were_asked_for(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "sub/b.bmp")
    spec = dataclasses.replace(SPEC, name="{stem}_y", format="tiff", keep_extension=True)
    _, at = planned(tmp_path, spec, suffix="-big")
    report = done(WorkOrder(str(at)))
    assert report.exit_code == 0
    outputs = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.glob("out/**/*.tif")
    )
    assert outputs == ["a_y-big.png.tif", "sub/b_y-big.bmp.tif"]
    single, at = tmp_path / "in" / "a.png", tmp_path / "q.jsonl"
    plan, _ = make_plan_file(single, tmp_path / "one", spec, suffix="-big", at=at)
    plan.write(at)
    assert done(WorkOrder(str(at))).exit_code == 0
    assert [path.name for path in (tmp_path / "one").glob("*.tif")] == ["a_y-big.png.tif"]


def test_a_plan_is_of_its_images_and_done_is_not_looked_at_again(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "b.png")
    _, at = planned(tmp_path)
    folder_of(tmp_path, "later.png")
    report = done(WorkOrder(str(at)))
    assert [result.input.name for result in report.results] == ["a.png", "b.png"]
    for name in ("a.png", "b.png"):
        # whoever opened it would fail
        (tmp_path / "in" / name).write_bytes(b"not an image any more")
    report = done(WorkOrder(str(at)))
    assert [(one.status, one.error or "") for one in report.results] == [("skipped", "")] * 2


def test_an_own_slice_comes_first_then_the_others_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}.png" for number in range(7)]
    folder_of(tmp_path, *names)
    _, at = planned(tmp_path)
    rests = set()
    for seed in range(8):
        random.seed(seed)
        begun: list[str] = []

        def listen(event: Event, begun: list[str] = begun) -> None:
            if isinstance(event, PlanMade):
                begun.append(Path(event.plan.input).name)

        work(WorkOrder(str(at), 1, 3), listen)
        assert begun[:2] == ["1.png", "4.png"]
        rest = tuple(begun[2:])
        others = [name for name in names if name not in begun[:2]]
        start = others.index(rest[0])
        assert list(rest) == others[start:] + others[:start]
        rests.add(rest)
        for path in (tmp_path / "out").glob("*.png"):
            path.unlink()
    assert len(rests) > 2


def test_workers_begin_an_image_of_many_tasks_at_different_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path, "a.png")
    _, at = planned(tmp_path)
    parts: list[Slice] = []

    def run_batch(batch: Any, *rest: object, **more: object) -> BatchReport:
        parts.append(batch.part)
        batch.claims.close()
        batch.deaths.close()
        return BatchReport([], 0.0)

    monkeypatch.setattr(module, "run_batch", run_batch)
    for index in range(4):
        done(WorkOrder(str(at), index, 4))
    assert parts == [Slice(0.25 * index, 0.25) for index in range(4)]


def test_an_image_that_failed_as_often_as_it_may_is_not_tried(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    plan, at = planned(tmp_path)

    def tried(**options: Any) -> tuple[str, str]:
        result = {one.input.name: one for one in done(WorkOrder(str(at), **options)).results}
        assert result["a.png"].status in ("done", "skipped")
        assert not (result["a.png"].status == "skipped" and result["a.png"].error)
        return result["bad.png"].status, result["bad.png"].error or ""

    for _ in range(3):
        status, error = tried(tries=3)
        assert status == "failed"
        assert "set aside" not in error
    for tries in (3, 2):
        status, error = tried(tries=tries)
        assert status == "failed"
        assert error.endswith("(set aside after 3 tries)")
    assert "set aside" not in tried(tries=4)[1]
    assert "set aside" not in tried(again=True)[1]
    write_photo(tmp_path / "in" / "bad.png", 9, 12)
    assert tried(again=True)[0] == "done"
    files = state_folder(at, plan.identity).glob("*.jsonl")
    notes = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    again = [note["image"] for note in notes if note["status"] == "again"]
    assert again == ["bad.png", "bad.png"], "and no image that never failed"


@pytest.mark.parametrize(
    ("there", "here", "got", "expected"),
    [
        ({"torch": "1.0"}, {"torch": "2.0"}, "torch 2.0", "torch 1.0"),
        (
            {"torch": "1.0", "gpu": "A"},
            {"torch": "2.0"},
            "torch 2.0, gpu none",
            "torch 1.0, gpu A",
        ),
    ],
)
def test_a_machine_with_other_numerics_is_refused(
    tmp_path: Path,
    there: dict[str, str],
    here: dict[str, str],
    got: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder_of(tmp_path, "a.png")
    plan, at = planned(tmp_path)
    dataclasses.replace(plan, numerics=there).write(at)
    monkeypatch.setattr(module, "numerics_of", lambda device, precision: here)
    with pytest.raises(UsageError) as error:
        done(WorkOrder(str(at)))
    assert str(error.value) == (
        f"this machine's results may differ from other workers': got {got}, expected {expected}; "
        "use equal machines and versions, or give --mixed"
    )
    assert done(WorkOrder(str(at), mixed=True)).exit_code == 0


def test_a_machine_with_less_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path, "a.png")
    allowed = 2 * psutil.Process().memory_info().rss + 2**30
    _, at = planned(tmp_path, dataclasses.replace(SPEC, max_memory=allowed))
    real = psutil.virtual_memory()

    def of(total: int) -> None:
        memory = real._replace(total=total)
        monkeypatch.setattr(module.psutil, "virtual_memory", lambda: memory)

    of(allowed - 1)
    with pytest.raises(UsageError) as error:
        done(WorkOrder(str(at)))
    assert str(error.value) == (
        f"memory of this machine: got {allowed - 1:,} bytes, expected {allowed:,}, which the plan "
        "gives to each worker; make the plan with a smaller --max-memory"
    )
    of(allowed)
    assert done(WorkOrder(str(at))).exit_code == 0


def test_other_weights_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png")
    plan, at = planned(tmp_path)
    dataclasses.replace(plan, model_digest="f" * 64).write(at)
    with pytest.raises(UsageError) as error:
        done(WorkOrder(str(at)))
    digest = model_digest("bicubic")[:12]
    assert str(error.value) == (
        f"--model bicubic: got weights {digest}, expected ffffffffffff, those that the plan was "
        "made with; install the same version, or copy the same file, on every machine"
    )


# --- how far it is


def noted(at: Path, plan: PlanFile, *lines: dict[str, Any]) -> None:
    folder = state_folder(at, plan.identity)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "w.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_the_time_that_is_left_is_that_of_what_was_done(tmp_path: Path) -> None:
    names = ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png"]
    folder_of(tmp_path, *names)
    plan, at = planned(tmp_path)
    assert plan_status(at) == module.PlanStatus(6, 0, {}, {}, 0, None)
    (tmp_path / "out").mkdir()

    def ended(name: str, begun: float | None, ended: float, pixels: int = 0) -> None:
        output = tmp_path / "out" / name
        output.touch()
        common = {"image": name, "output": str(output)}
        if begun is not None:
            noted(at, plan, {**common, "status": "begun", "at": begun, "pixels": pixels})
        noted(at, plan, {**common, "status": "done", "at": ended})

    # done before there was a plan: nobody knows how long it took
    ended("a.png", None, 500.0)
    status = plan_status(at)
    assert (status.done, status.left, status.pixels, status.seconds_left) == (1, 5, 0, None)
    ended("b.png", 100.0, 130.0, 1000)
    ended("c.png", 110.0, 140.0, 500)
    status = plan_status(at)
    # two in 40 seconds, three to go
    assert (status.done, status.left, status.pixels, status.seconds_left) == (3, 3, 1500, 60.0)
    noted(at, plan, {"image": "d.png", "status": "failed", "at": 141.0, "error": "no"})
    assert plan_status(at, tries=1).seconds_left == 40.0
    assert plan_status(at, tries=1).failed == {"d.png": "no"}
    assert plan_status(at).failed == {}
    noted(at, plan, {"image": "d.png", "status": "failed", "at": 142.0, "error": "no, again"})
    assert plan_status(at).failed == {"d.png": "no, again"}
    # an image that failed and was done after all did not fail
    ended("d.png", 150.0, 160.0)
    assert plan_status(at).failed == {}
    for name in ("e.png", "f.png"):
        ended(name, 160.0, 150.0)
    status = plan_status(at)
    assert (status.done, status.left, status.seconds_left) == (6, 0, None)
    # what is removed is to be done again
    (tmp_path / "out" / "a.png").unlink()
    assert (plan_status(at).done, plan_status(at).left) == (5, 1)


def test_clocks_that_differ_give_no_negative_time(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "b.png")
    plan, at = planned(tmp_path)
    output = tmp_path / "out" / "a.png"
    output.parent.mkdir()
    output.touch()
    common = {"image": "a.png", "output": str(output)}
    noted(
        at,
        plan,
        {**common, "status": "done", "at": 90.0},
        {**common, "status": "begun", "at": 100.0, "pixels": 1},
    )
    assert plan_status(at).seconds_left == 0.0


def test_the_part_of_an_image_in_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path, "a.png", "b.png")
    plan, at = planned(tmp_path)
    output = tmp_path / "out" / "a.png"
    begun = {"image": "a.png", "status": "begun", "at": 1.0, "output": str(output), "pixels": 9}
    noted(at, plan, begun)
    assert plan_status(at).in_work == {"a.png": None}
    store = store_path(output)
    store.mkdir(parents=True)
    # its worker is about to make it
    assert plan_status(at).in_work == {"a.png": None}

    def opened(path: Path) -> Any:
        assert path == store
        base = type("Base", (), {"missing": lambda self: iter([(0, 0), (0, 1), (1, 0)])})()
        return type("Store", (), {"base": base, "grid": range(12)})()

    monkeypatch.setattr(module.TileStore, "open", opened)
    assert plan_status(at).in_work == {"a.png": 0.75}

    def broken(path: Path) -> Any:
        raise OutputError("a store", got="nothing")

    monkeypatch.setattr(module.TileStore, "open", broken)
    assert plan_status(at).in_work == {"a.png": None}


# --- upscaling by an executor


def test_what_workers_share_is_removed_when_all_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path, "a.png", "b.png")
    (tmp_path / "in" / "odd.psb").write_bytes(b"8BPS\0\2")
    orders: list[WorkOrder] = []

    def execute(order: WorkOrder, machines: str, say: str) -> dict[int, BatchReport]:
        assert (machines, say) == ("machines", "say")
        orders.append(order)
        first = work(order, lambda event: None)
        return {0: dataclasses.replace(first, interrupted=len(orders) == 1)}

    monkeypatch.setattr(
        "liif_cli.engine.executors.EXECUTORS", type("E", (), {"load": lambda self, name: execute})()
    )

    def once() -> tuple[BatchReport, list[str]]:
        report = upscale_by(
            "any",
            tmp_path / "in",
            tmp_path / "out",
            SPEC,
            "_x",
            "machines",  # type: ignore[arg-type]
            "say",  # type: ignore[arg-type]
        )
        hidden = [path.name for path in (tmp_path / "out" / ".liif").iterdir()]
        return report, sorted(name for name in hidden if name.startswith("plan"))

    interrupted, left = once()
    assert interrupted.interrupted
    path = Path(orders[0].plan)
    assert left == [path.name, f"{path.name}.state"]
    assert path.parent == tmp_path / "out" / ".liif"
    report, left = once()
    # the same call resumes the same plan
    assert orders[0] == orders[1]
    assert not report.interrupted
    assert left == []
    assert report.left_out == (tmp_path / "in" / "odd.psb",)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a_x.png", "b_x.png"]


@pytest.mark.parametrize("there", [False, True])
def test_one_output_that_is_a_file(
    tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = folder_of(tmp_path, "a.png") / "a.png"
    plans: list[Path] = []

    def execute(order: WorkOrder, machines: object, say: object) -> dict[int, BatchReport]:
        plans.append(Path(order.plan))
        return {0: work(order, lambda event: None)}

    monkeypatch.setattr(
        "liif_cli.engine.executors.EXECUTORS", type("E", (), {"load": lambda self, name: execute})()
    )
    output = tmp_path / "out.png"
    if there:
        # a folder is a folder, whatever its name
        output.mkdir()
    report = upscale_by("any", image, output, SPEC, "", Machines(), print)
    assert report.exit_code == 0
    assert plans[0].parent == (output if there else tmp_path) / ".liif"
    assert (output / "a.png" if there else output).is_file()
