"""What an output is known by: earlier outputs stay finished only as long as it holds."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction

import pytest

from liif_cli.geometry.cell import CellPolicy
from liif_cli.geometry.window import Window
from liif_cli.plan.plan import Cut, RenderPlan, fingerprint_of

PLAN = RenderPlan(
    input="in/a.png",
    output="out/a.tif",
    input_format="png",
    output_format="tiff",
    input_digest="d",
    model_digest="w",
    in_shape=(30, 40),
    out_shape=(300, 400),
    channels=3,
    dtype="uint8",
    model="m",
    device="cpu",
    precision="fp32",
    cell=CellPolicy.parse("scaled"),
    via=None,
    self_ensemble=False,
    radius=(5, 6),
    tile=64,
    task=(128, 256),
    chunk=64,
    shard=128,
    via_store=True,
    workers=2,
    projected_mem=1000,
    allowed_mem=2000,
    projected_disk=3000,
)
FULL = dataclasses.replace(
    PLAN,
    via=Fraction(37, 10),
    cell=CellPolicy.parse("clamped:4"),
    self_ensemble=True,
    page=3,
    select=(("c", 0), ("z", 4)),
    level=1,
    strip_metadata=True,
    roi=Window(1, 2, 10, 20),
    compression="zstd",
    quality=93,
    nodata=-9999.0,
    pyramid="pages",
    cleanup=12.5,
    gray=True,
    linear=True,
    mask=True,
    dpi=150.0,
    ranges=((0.0, 5.0),),
)
ALWAYS = {
    "version": 1,
    "input": "d",
    "model": "w",
    "out_shape": [300, 400],
    "format": "tiff",
    "precision": "fp32",
}


def test_every_key_as_it_is_written_in_records() -> None:
    assert PLAN.identity() == {
        **ALWAYS,
        "cell": "scaled",
        "via": None,
        "self_ensemble": False,
        "page": 1,
        "strip_metadata": False,
    }
    assert FULL.identity() == {
        **ALWAYS,
        "cell": "clamped:4",
        "via": "37/10",
        "self_ensemble": True,
        "page": 3,
        "strip_metadata": True,
        "roi": {"row_off": 1, "col_off": 2, "height": 10, "width": 20},
        "compression": "zstd",
        "quality": 93,
        "nodata": "-9999.0",
        "pyramid": "pages",
        "cleanup": 12.5,
        "gray": True,
        "linear": True,
        "mask": True,
        "dpi": 150.0,
        "select": [["c", 0], ["z", 4]],
        "level": 1,
    }


@pytest.mark.parametrize("plan", [PLAN, FULL], ids=["plain", "full"])
def test_a_store_is_known_by_its_grid_as_well_but_not_by_how_it_is_exported(
    plan: RenderPlan,
) -> None:
    expected = {**plan.identity(), "chunk": 64, "shard": 128}
    expected.pop("compression", None)
    expected.pop("pyramid", None)
    assert plan.store_identity() == expected
    assert plan.store_fingerprint == fingerprint_of(expected)
    assert plan.fingerprint == fingerprint_of(plan.identity())


def test_a_fingerprint_is_that_of_the_sorted_object() -> None:
    # SHA-256 of {"a": 1, "b": [2]}
    expected = "ae8a9a50524642753023cd4de34447191a8651989979c60bbcc5b0eeebb6e1dc"
    assert fingerprint_of({"b": [2], "a": 1}) == expected
    assert fingerprint_of({"a": 1, "b": [3]}) != expected


@pytest.mark.parametrize("plan", [PLAN, FULL], ids=["plain", "full"])
def test_json_both_ways_in_one_order(plan: RenderPlan) -> None:
    text = plan.to_json()
    assert RenderPlan.from_json(text) == plan
    keys = list(json.loads(text))
    assert keys == sorted(keys)
    assert set(keys) == {field.name for field in dataclasses.fields(RenderPlan)}


def test_what_changes_nothing_of_the_result_is_not_in_it() -> None:
    other = dataclasses.replace(
        PLAN, workers=7, task=(256, 128), tile=32, projected_mem=1, device="cuda:0", output="b.tif"
    )
    assert other.identity() == PLAN.identity()


def test_a_cut_both_ways() -> None:
    cut = Cut((128, 256), 64, 32, 16)
    assert cut.to_dict() == {"task": (128, 256), "shard": 64, "chunk": 32, "tile": 16}
    assert Cut.from_dict(json.loads(json.dumps(cut.to_dict()))) == cut


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        {"task": [1, 2], "shard": 3, "chunk": 4},
        {"task": [1], "shard": 3, "chunk": 4, "tile": 5},
        {"task": [1, 2, 3], "shard": 3, "chunk": 4, "tile": 5},
        {"task": [1, 2], "shard": "x", "chunk": 4, "tile": 5},
        {"task": [0, 2], "shard": 3, "chunk": 4, "tile": 5},
        {"task": [1, 0], "shard": 3, "chunk": 4, "tile": 5},
        {"task": [1, 2], "shard": 0, "chunk": 4, "tile": 5},
        {"task": [1, 2], "shard": 3, "chunk": 0, "tile": 5},
        {"task": [1, 2], "shard": 3, "chunk": 4, "tile": -1},
    ],
)
def test_what_is_not_a_cut(found: object) -> None:
    assert Cut.from_dict(found) is None


def test_the_smallest_cut_is_one() -> None:
    found = {"task": [1, 1], "shard": 1, "chunk": 1, "tile": 1}
    assert Cut.from_dict(found) == Cut((1, 1), 1, 1, 1)


def test_a_part_is_the_pixels_whose_centres_lie_in_it() -> None:
    part = dataclasses.replace(PLAN, roi=Window(row_off=3, col_off=5, height=6, width=7))
    # at x10
    assert part.region == Window(row_off=30, col_off=50, height=60, width=70)
    # a store begins at a shard
    assert part.canvas == Window(row_off=0, col_off=0, height=90, width=120)
    late = dataclasses.replace(part, roi=Window(row_off=20, col_off=30, height=2, width=3))
    assert late.canvas == Window(row_off=128, col_off=256, height=92, width=74)
    assert dataclasses.replace(late, via_store=False).canvas == late.region
    # half a pixel of the input is no centre's
    third = dataclasses.replace(PLAN, out_shape=(10, 40), roi=Window(1, 0, 2, 40))
    assert third.region == Window(row_off=0, col_off=0, height=1, width=40)
