"""Plans: every pixel once, within the memory, or refused with the arithmetic."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liif_cli.errors import OutputError, PlanError, UsageError
from liif_cli.geometry.cell import CellPolicy
from liif_cli.geometry.size import SizeRequest
from liif_cli.geometry.window import Window
from liif_cli.plan.cutting import Cutting
from liif_cli.plan.disk import DISK_SLACK, batch_disk
from liif_cli.plan.memory import GIB, MIB, default_allowed, format_bytes
from liif_cli.plan.passes import BLEED
from liif_cli.plan.plan import Cut, RenderPlan
from liif_cli.plan.planner import LARGEST_SIDE, make_plan
from liif_cli.plan.spec import InputFacts, Machine, ModelCost, OutputFacts, RenderSpec
from tests.plan.facts import COST, MACHINE

TIFF = OutputFacts("out/a.tif", "tiff", disk_free=1 << 50)
JPEG = OutputFacts("out/a.jpg", "jpg", 1 << 50, max_side=65_500, dtypes=("uint8",), streams=False)


def plan_of(
    size: SizeRequest,
    shape: tuple[int, int, int] = (750, 1000, 3),
    outputs: tuple[OutputFacts, ...] = (TIFF,),
    cost: ModelCost = COST,
    machine: Machine = MACHINE,
    dtype: str = "uint8",
    lossy: float = 0.0,
    **options: object,
) -> RenderPlan:
    spec = RenderSpec(size=size, model="m", **options)  # type: ignore[arg-type]
    source = InputFacts("in/a.png", "png", shape, dtype, digest="d", cleanup=lossy)
    return make_plan(spec, source, outputs, cost, machine, model_digest="w", precision="fp32")


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    out_height=st.integers(1, 5000),
    out_width=st.integers(1, 5000),
    radius=st.integers(0, 40),
    megabytes=st.integers(600, 3000),
)
def test_tasks_cover_every_pixel_once_and_carry_their_halo(
    height: int, width: int, out_height: int, out_width: int, radius: int, megabytes: int
) -> None:
    plan = plan_of(
        SizeRequest(width=out_width, height=out_height),
        shape=(height, width, 3),
        cost=dataclasses.replace(COST, radius=(radius, radius)),
        machine=dataclasses.replace(MACHINE, allowed_bytes=megabytes * MIB),
    )
    assert plan.out_shape == (out_height, out_width)
    assert plan.projected_mem <= plan.allowed_mem
    seen = np.zeros(plan.out_shape, np.uint8)
    for task in plan.tasks():
        seen[task.output.to_slices()] += 1
        assert task.read.clip(height, width) == task.read
        for start, stop, axis, low, high in (
            (
                task.output.row_off,
                task.output.row_stop,
                plan.rows,
                task.read.row_off,
                task.read.row_stop,
            ),
            (
                task.output.col_off,
                task.output.col_stop,
                plan.cols,
                task.read.col_off,
                task.read.col_stop,
            ),
        ):
            points = axis.slice(start, stop).nearest
            assert low == max(0, points.min() - radius)
            assert high == min(axis.n_in, points.max() + 1 + radius)
        if plan.via_store:
            assert task.output.row_off % plan.shard == 0
            assert task.output.col_off % plan.shard == 0
    assert (seen == 1).all()
    if plan.via_store:
        assert plan.task[0] % plan.shard == 0
        assert plan.shard % plan.chunk == 0


@pytest.mark.parametrize("cell", [None, "scaled", "clamped:4", "clamped:2.5", "0.3"])
@pytest.mark.parametrize("via", [None, "4", "37/10", "1/3"])
def test_json_both_ways(cell: str | None, via: str | None) -> None:
    plan = plan_of(
        SizeRequest.from_size("20000x15000"),
        cell=CellPolicy.parse(cell) if cell else None,
        via=Fraction(via) if via else None,
    )
    assert RenderPlan.from_json(plan.to_json()) == plan


def test_a_clamp_is_recorded_where_it_acts() -> None:
    """At the scale that the network is asked at."""
    clamped = CellPolicy.parse("clamped:4")
    for scale, via, acts in (
        ("4", None, False),
        ("1x4", None, False),
        ("5", None, True),
        ("2x5", None, True),
        ("5", Fraction(4), False),
        ("2", Fraction(6), True),
    ):
        plan = plan_of(SizeRequest.from_scale(scale), cell=clamped, via=via)
        assert (str(plan.cell) == "clamped:4") is acts, (scale, via)
        assert plan.identity()["cell"] == ("clamped:4" if acts else "scaled")
        assert plan.identity()["via"] == (str(via) if via else None)


def test_fingerprint_follows_what_decides_the_pixels_and_nothing_else() -> None:
    plan = plan_of(SizeRequest.from_scale("4"))
    for same in ({"workers": 7}, {"allowed_mem": 1}, {"input": "elsewhere"}, {"output": "there"}):
        assert dataclasses.replace(plan, **same).fingerprint == plan.fingerprint
    for other in (
        {"input_digest": "e"},
        {"model_digest": "v"},
        {"out_shape": (3000, 4001)},
        {"cell": CellPolicy(factor=2.0)},
        {"cell": CellPolicy.parse("clamped:4")},
        {"via": Fraction(4)},
        {"precision": "bf16"},
        {"self_ensemble": True},
        {"output_format": "zarr"},
    ):
        assert dataclasses.replace(plan, **other).fingerprint != plan.fingerprint
    regrouped = dataclasses.replace(plan, shard=1024)
    assert regrouped.fingerprint == plan.fingerprint
    assert regrouped.store_fingerprint != plan.store_fingerprint


def test_small_outputs_skip_the_store_and_large_ones_do_not() -> None:
    assert not plan_of(SizeRequest.from_scale("4")).via_store
    assert plan_of(SizeRequest.from_size("20000x15000")).via_store
    zarr = dataclasses.replace(TIFF, format="zarr", path="out/a.zarr")
    assert plan_of(SizeRequest.from_scale("1"), outputs=(zarr,)).via_store


def test_less_memory_gives_a_smaller_plan() -> None:
    size = SizeRequest.from_size("20000x15000")
    plans = [
        plan_of(size, machine=dataclasses.replace(MACHINE, allowed_bytes=amount * MIB))
        for amount in (4096, 1024, 600, 480)
    ]
    for plan in plans:
        assert plan.projected_mem <= plan.allowed_mem
    assert [p.projected_mem for p in plans] == sorted(
        (p.projected_mem for p in plans), reverse=True
    )


def test_projected_memory_does_not_grow_with_the_output() -> None:
    sizes = ["20000x15000", "40000x30000", "100000x75000"]
    needed = [plan_of(SizeRequest.from_size(size)).projected_mem for size in sizes]
    assert needed == sorted(needed, reverse=True)


def test_recompute_stays_small_where_memory_allows() -> None:
    heavy = dataclasses.replace(COST, radius=(133, 133), encode_macs=22_000_000)
    plan = plan_of(
        SizeRequest.from_scale("4"),
        shape=(2000, 3000, 3),
        cost=heavy,
        machine=dataclasses.replace(MACHINE, allowed_bytes=32 * GIB),
    )
    read = sum(task.read.pixels for task in plan.tasks())
    assert read <= 2000 * 3000 * 1.4


ZARR = dataclasses.replace(TIFF, format="zarr", path="out/a.zarr")
LIGHT = dataclasses.replace(COST, radius=(34, 34), encode_macs=400_000, query_macs=7_500)


@pytest.mark.parametrize("output", [TIFF, ZARR], ids=["memory", "store"])
@pytest.mark.parametrize("workers", [2, 3, 8])
def test_every_worker_gets_a_task_of_a_small_output(output: OutputFacts, workers: int) -> None:
    plan = plan_of(
        SizeRequest.from_size("5164x3873"),
        shape=(180, 240, 3),
        outputs=(output,),
        cost=dataclasses.replace(LIGHT, radius=(4, 4)),
        machine=dataclasses.replace(MACHINE, workers=workers),
    )
    busy = [0] * workers
    for task in plan.tasks():
        busy[busy.index(min(busy))] += task.output.pixels
    assert max(busy) <= 1.5 * 5164 * 3873 / workers
    assert min(busy) > 0


@pytest.mark.parametrize("output", [TIFF, ZARR], ids=["memory", "store"])
def test_an_image_is_not_cut_where_that_is_mostly_recompute(output: OutputFacts) -> None:
    plan = plan_of(SizeRequest.from_scale("2"), shape=(180, 240, 3), outputs=(output,), cost=LIGHT)
    assert len(list(plan.tasks())) == 1


def test_tasks_of_a_store_are_about_equal() -> None:
    plan = plan_of(
        SizeRequest.from_size("2582x1936"), shape=(180, 240, 3), outputs=(ZARR,), cost=LIGHT
    )
    widths = {task.output.width for task in plan.tasks()}
    # six shards, the last one of 22 pixels: three and three, not four and two
    assert plan.shard == 512
    assert widths == {1536, 2582 - 1536}


def test_no_memory_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(PlanError, match=r"process and model 300.0 MiB.*raise --max-memory"):
        plan_of(
            SizeRequest.from_scale("4"),
            machine=dataclasses.replace(MACHINE, allowed_bytes=310 * MIB),
        )


def test_no_disk_is_refused_with_the_arithmetic() -> None:
    small = dataclasses.replace(TIFF, disk_free=GIB)
    with pytest.raises(PlanError, match=r"disk space for out/a.tif: got 1.7 GiB needed"):
        plan_of(SizeRequest.from_size("20000x15000"), outputs=(small,))


def test_a_small_output_keeps_little_of_the_disk_free_and_a_large_one_64_mib() -> None:
    tight = dataclasses.replace(TIFF, disk_free=MIB)
    small = plan_of(SizeRequest.from_scale("2"), shape=(100, 100, 3), outputs=(tight,))
    assert small.projected_disk <= 4 * 200 * 200 * 3
    large = plan_of(SizeRequest.from_size("20000x15000"))
    needed = large.projected_disk - DISK_SLACK
    assert batch_disk([large, large]) == 2 * needed + DISK_SLACK
    assert batch_disk([]) == 0
    assert batch_disk([small] * 9) == 5 * small.projected_disk


def test_auto_format_goes_on_to_tiff_where_the_first_cannot_hold_it() -> None:
    assert plan_of(SizeRequest.from_scale("4"), outputs=(JPEG, TIFF)).output_format == "jpg"
    assert plan_of(SizeRequest.from_size("66000x10"), outputs=(JPEG, TIFF)).output_format == "tiff"
    assert (
        plan_of(SizeRequest.from_scale("4"), outputs=(JPEG, TIFF), dtype="uint16").output_format
        == "tiff"
    )
    # in memory it must be held whole, and 900 MB of pixels do not fit beside the process
    assert (
        plan_of(SizeRequest.from_size("20000x15000"), outputs=(JPEG, TIFF)).output_format == "tiff"
    )


def test_a_format_that_cannot_hold_it_is_refused_when_it_was_asked_for() -> None:
    with pytest.raises(OutputError, match=r"got 66000x10, expected at most 65500 pixels per side"):
        plan_of(SizeRequest.from_size("66000x10"), outputs=(JPEG,))
    with pytest.raises(OutputError, match="cannot hold uint16"):
        plan_of(SizeRequest.from_scale("4"), outputs=(JPEG,), dtype="uint16")


def test_a_decoder_that_sees_the_whole_image_is_refused() -> None:
    with pytest.raises(PlanError, match="depend on the tile"):
        plan_of(SizeRequest.from_scale("4"), cost=dataclasses.replace(COST, exact_tiling=False))


@pytest.mark.parametrize("tile", [64, 100, 512, 777, 3000])
def test_a_tile_side_is_kept(tile: int) -> None:
    plan = plan_of(
        SizeRequest.from_size("20000x15000"),
        tile=tile,
        machine=dataclasses.replace(MACHINE, allowed_bytes=3 * GIB),
    )
    assert plan.tile == tile
    assert plan.shard % tile == 0
    assert plan.shard % plan.chunk == 0


@pytest.mark.parametrize("tile", [0, -1, 63, 8193])
def test_a_tile_side_out_of_range_is_refused(tile: int) -> None:
    with pytest.raises(UsageError, match="64 to 8192 pixels"):
        plan_of(SizeRequest.from_scale("4"), tile=tile)


def test_default_memory_is_half_of_the_free_one_capped() -> None:
    assert default_allowed(2 * GIB) == GIB
    assert default_allowed(100 * GIB) == 4 * GIB
    assert format_bytes(1.5 * GIB) == "1.5 GiB"
    assert format_bytes(512) == "512 B"


@pytest.mark.parametrize(
    ("takes", "lossy", "asked", "expected"),
    [
        (False, 40.0, None, 0.0),
        (False, 40.0, 0.0, 0.0),
        (True, 40.0, None, 40.0),
        (True, 0.0, None, 0.0),
        (True, 40.0, 0.0, 0.0),
        (True, 40.0, 12.5, 12.5),
    ],
)
def test_how_lossy_the_network_is_told_that_an_image_is(
    takes: bool, lossy: float, asked: float | None, expected: float
) -> None:
    cost = dataclasses.replace(COST, takes_cleanup=takes)
    plan = plan_of(SizeRequest.from_scale("2"), cost=cost, lossy=lossy, cleanup=asked)
    assert plan.cleanup == expected
    assert RenderPlan.from_json(plan.to_json()) == plan
    # what is not told is not part of the identity: outputs of before stay finished
    assert plan.identity().get("cleanup", 0.0) == expected
    assert ("cleanup" in plan.identity()) == (expected > 0)
    assert ("cleanup" in plan.store_identity()) == (expected > 0)


def test_a_gray_image_goes_through_the_network_once_and_is_written_three_times() -> None:
    plan = plan_of(SizeRequest.from_scale("2"))
    gray = dataclasses.replace(plan, gray=True)
    assert [(one.seen, one.span, one.channels) for one in plan.passes] == [((0, 3), (0, 3), 3)]
    assert [(one.seen, one.span, one.channels) for one in gray.passes] == [((0, 1), (0, 3), 1)]
    with_alpha = dataclasses.replace(gray, channels=4, alpha=True)
    assert [(one.seen, one.span) for one in with_alpha.passes] == [
        ((0, 1), (0, 3)),
        ((3, 4), (3, 4)),
    ]
    assert "gray" not in plan.identity()
    assert gray.identity()["gray"] is True
    assert gray.fingerprint != plan.fingerprint
    assert gray.store_fingerprint != plan.store_fingerprint
    assert RenderPlan.from_json(gray.to_json()) == gray


def test_an_encoder_in_bands_takes_less_memory_and_gets_larger_tasks() -> None:
    bands = dataclasses.replace(COST, feat_bytes=128, column_bytes=17_000, band_bytes=30 << 20)
    # layer by layer while that is less, and never more than that
    assert bands.network_bytes(100, 100) == COST.network_bytes(100, 100)
    assert bands.network_bytes(2000, 1000) == max(
        128 * 2_000_000 + 17_000 * 1000 + (30 << 20), (128 + 1024) * 2_000_000
    )
    light = dataclasses.replace(bands, latent_bytes=12, encode_macs=800_000)
    assert light.network_bytes(2000, 1000) < 512 * 2_000_000 / 3
    plain = dataclasses.replace(light, column_bytes=0)
    allowed = 2 << 30
    for cost, expected in ((plain, True), (light, False)):
        cutting = Cutting((3000, 4000), (6000, 8000), cost, allowed)
        assert cutting._large_enough(cutting.task((700, 700))) is expected


def test_one_image_alone_is_cut_for_all_workers() -> None:
    """In a batch, what neighbours compute twice is not worth it: other images are there."""
    cost = dataclasses.replace(COST, radius=(36, 36), encode_macs=300_000, query_macs=4_000)
    plans = [
        plan_of(
            SizeRequest(scale=(4, 4)),
            (200, 300, 3),
            cost=cost,
            machine=dataclasses.replace(MACHINE, alone=alone),
        )
        for alone in (False, True)
    ]
    assert [found.task for found in plans] == [(800, 1200), (800, 600)]
    assert [found.out_shape for found in plans] == [(800, 1200)] * 2


def test_alone_a_tiny_image_is_not_cut() -> None:
    """Where the halo is most of a task, cutting gains nothing."""
    machine = dataclasses.replace(MACHINE, alone=True)
    cost = dataclasses.replace(COST, radius=(36, 36), encode_macs=300_000, query_macs=4_000)
    found = plan_of(SizeRequest(scale=(4, 4)), (20, 30, 3), cost=cost, machine=machine)
    assert found.task == (80, 120)


POSTER = SizeRequest.from_size("20000x15000")


def cut_of(plan: RenderPlan) -> tuple[object, ...]:
    return plan.cut, plan.workers


def test_a_small_part_is_kept_in_memory_and_cut_as_the_whole() -> None:
    whole = plan_of(POSTER)
    part = plan_of(POSTER, roi=Window(100, 200, 50, 60))
    assert cut_of(part) == cut_of(whole)
    assert (whole.via_store, part.via_store) == (True, False)
    # instead of the exporter's share its pixels, and the same share to write them
    assert part.projected_mem - whole.projected_mem == part.pixels * 3


@pytest.mark.parametrize("output", [TIFF, dataclasses.replace(TIFF, format="zarr")])
def test_a_large_part_and_a_part_of_a_store_go_through_one(output: OutputFacts) -> None:
    sides = (700, 900) if output is TIFF else (50, 60)
    whole = plan_of(POSTER, outputs=(output,))
    part = plan_of(POSTER, outputs=(output,), roi=Window(10, 20, *sides))
    assert part.via_store
    assert cut_of(part) == cut_of(whole)
    assert part.projected_mem == whole.projected_mem


def test_a_part_that_a_format_must_hold_whole_is_kept_in_memory_or_refused() -> None:
    size = SizeRequest.from_size("60000x45000")
    part = plan_of(size, outputs=(JPEG,), roi=Window(0, 0, 150, 150))
    assert not part.via_store
    with pytest.raises(PlanError) as refused:
        plan_of(size, outputs=(JPEG,), roi=Window(0, 0, 700, 900))
    assert str(refused.value).startswith("memory for in/a.png: got ")
    assert str(refused.value).endswith(
        "expected at most 2.0 GiB; raise --max-memory, or use a format that streams instead of jpg"
    )


def test_a_part_that_no_longer_fits_the_memory_goes_through_the_store() -> None:
    whole = plan_of(POSTER)
    tight = dataclasses.replace(MACHINE, allowed_bytes=whole.projected_mem + 1000)
    part = plan_of(POSTER, roi=Window(100, 200, 50, 60), machine=tight)
    assert part.via_store


def test_half_rendered_stores_keep_their_shards_and_get_smaller_tasks_for_less_memory() -> None:
    spec = RenderSpec(size=POSTER, model="m")
    source = InputFacts("in/a.png", "png", (750, 1000, 3), "uint8", digest="d")

    def resumed(machine: Machine) -> RenderPlan:
        begun = Cut((6144, 4096), 2048, 512, 256)
        return make_plan(
            spec, source, [TIFF], COST, machine, model_digest="w", precision="fp32", resume=begun
        )

    plenty = resumed(dataclasses.replace(MACHINE, allowed_bytes=8 * GIB))
    assert (plenty.cut, plenty.workers) == (Cut((6144, 4096), 2048, 512, 256), 2)
    sides = []
    for bytes_less in range(1, plenty.projected_mem - MACHINE.base_bytes, 4 * MIB):
        machine = dataclasses.replace(MACHINE, allowed_bytes=plenty.projected_mem - bytes_less)
        try:
            plan = resumed(machine)
        except PlanError:
            break
        assert (plan.shard, plan.chunk, plan.tile) == (2048, 512, 256)
        if (plan.task, plan.workers) not in sides:
            sides.append((plan.task, plan.workers))
    # two workers with smaller tasks come before one with larger ones
    assert sides[:2] == [((4096, 4096), 2), ((2048, 2048), 2)]
    assert {workers for _, workers in sides[2:]} == {1}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"tile": 63}, "--tile: got 63, expected 64 to 8192 pixels"),
        ({"tile": 8193}, "--tile: got 8193, expected 64 to 8192 pixels"),
        (
            {"cost": dataclasses.replace(COST, exact_tiling=False)},
            "model m: got pixels that depend on the tile they are rendered in, "
            "expected a decoder whose tiling is exact",
        ),
        (
            {"size": SizeRequest(width=LARGEST_SIDE + 1, height=2)},
            "output of in/a.png: got 16777217x2, expected at most 16777216 pixels per side",
        ),
        (
            {"pyramid": "mean"},
            "--pyramid: got mean for out/a.tif, expected for tiff no choice at all; "
            "leave it out, or choose another --format",
        ),
        (
            {"roi": Window(700, 0, 51, 10)},
            "--roi of in/a.png: got 10x51 at 0,700, expected a part of its 1000x750 pixels; "
            "give X,Y,W,H in input pixels, X + W and Y + H within the image",
        ),
        *(
            (
                {"size": SizeRequest.from_scale("0.1"), "roi": Window(3, 2, height, width)},
                f"--roi of in/a.png: got {width}x{height} at 2,3, which holds no pixel of an "
                "output of 100x75, expected a larger part",
            )
            for height, width in ((1, 30), (30, 1))
        ),
    ],
)
def test_what_is_refused_before_anything_is_cut(asked: dict[str, Any], said: str) -> None:
    with pytest.raises((UsageError, PlanError)) as refused:
        plan_of(**{"size": SizeRequest.from_scale("4"), **asked})
    assert str(refused.value) == said


def test_what_is_just_not_refused() -> None:
    assert plan_of(SizeRequest.from_scale("4"), tile=8192).tile == 8192
    assert plan_of(SizeRequest(width=LARGEST_SIDE, height=1)).out_shape == (1, LARGEST_SIDE)
    part = plan_of(SizeRequest.from_scale("0.1"), roi=Window(0, 0, 10, 10))
    assert part.region == Window(0, 0, 1, 1)


@pytest.mark.parametrize(
    ("source", "radius"),
    [
        ({}, (20, 31)),
        # colour is carried below transparent pixels, and into what was not measured
        ({"alpha": True}, (20 + BLEED, 31 + BLEED)),
        ({"nodata": 0.0}, (20 + BLEED, 31 + BLEED)),
        ({"alpha": True, "nodata": 0.0}, (20 + BLEED, 31 + BLEED)),
    ],
)
def test_where_colour_is_bled_more_is_read(source: dict[str, Any], radius: tuple[int, int]) -> None:
    facts = InputFacts("in/a.png", "png", (750, 1000, 4), "uint8", digest="d", **source)
    cost = dataclasses.replace(COST, radius=(20, 31))
    spec = RenderSpec(size=SizeRequest.from_scale("4"), model="m")
    plan = make_plan(spec, facts, [TIFF], cost, MACHINE, model_digest="w", precision="fp32")
    assert plan.radius == radius


def test_choices_of_the_format_that_is_taken_are_written_down() -> None:
    offers = dataclasses.replace(
        TIFF, compressions=("deflate", "jpeg"), pyramids=("mean", "none"), quality=80
    )
    plan = plan_of(SizeRequest.from_scale("4"), outputs=(offers,))
    assert (plan.compression, plan.pyramid, plan.quality) == ("deflate", "mean", 0)
    asked = {"compression": "jpeg", "pyramid": "none", "quality": 91}
    plan = plan_of(SizeRequest.from_scale("4"), outputs=(offers,), **asked)
    assert (plan.compression, plan.pyramid, plan.quality) == ("jpeg", "none", 91)
    with pytest.raises(OutputError, match="tiff cannot be compressed so"):
        plan_of(SizeRequest.from_scale("4"), outputs=(offers,), dtype="uint16", compression="jpeg")


def test_a_part_that_resumes_keeps_the_layout_of_its_store() -> None:
    spec = RenderSpec(size=POSTER, model="m", roi=Window(100, 200, 50, 60))
    source = InputFacts("in/a.png", "png", (750, 1000, 3), "uint8", digest="d")
    begun = Cut((2048, 2048), 2048, 512, 256)
    plan = make_plan(
        spec, source, [TIFF], COST, MACHINE, model_digest="w", precision="fp32", resume=begun
    )
    assert plan.via_store
    assert plan.cut == begun


def test_without_an_output_there_is_no_plan() -> None:
    with pytest.raises(PlanError, match=r"no output format for in/a\.png"):
        plan_of(POSTER, outputs=())


def test_everything_that_was_asked_and_found_is_in_the_plan() -> None:
    facts = InputFacts(
        "in/a.tif",
        "bigtiff",
        (75, 100, 4),
        "uint16",
        digest="input's",
        alpha=True,
        ranges=((1.0, 2.0),),
        page=3,
        select=(("t", 2),),
        level=1,
        cleanup=12.0,
        nodata=7.0,
        linear=True,
        mask=True,
    )
    spec = RenderSpec(
        size=SizeRequest.from_scale("3"),
        model="the model",
        via=Fraction(2),
        self_ensemble=True,
        roi=Window(4, 5, 30, 40),
        dpi=300.0,
        strip_metadata=True,
        cell=CellPolicy(factor=2.0),
    )
    machine = dataclasses.replace(MACHINE, device="cuda:1")
    cost = dataclasses.replace(COST, takes_cleanup=True)
    plan = make_plan(spec, facts, [TIFF], cost, machine, model_digest="model's", precision="bf16")
    expected = {
        "input": "in/a.tif",
        "output": "out/a.tif",
        "input_format": "bigtiff",
        "output_format": "tiff",
        "input_digest": "input's",
        "model_digest": "model's",
        "in_shape": (75, 100),
        "out_shape": (225, 300),
        "channels": 4,
        "dtype": "uint16",
        "model": "the model",
        "device": "cuda:1",
        "precision": "bf16",
        "cell": CellPolicy(factor=2.0),
        "via": Fraction(2),
        "self_ensemble": True,
        "allowed_mem": 2 * GIB,
        "alpha": True,
        "ranges": ((1.0, 2.0),),
        "page": 3,
        "select": (("t", 2),),
        "level": 1,
        "strip_metadata": True,
        "roi": Window(4, 5, 30, 40),
        "unpack": False,
        "nodata": 7.0,
        "linear": True,
        "mask": True,
        "dpi": 300.0,
        "cleanup": 12.0,
        "via_store": False,
        "workers": 2,
    }
    assert {name: getattr(plan, name) for name in expected} == expected
    # the part alone is held and written
    assert plan.region == Window(12, 15, 90, 120)
    assert plan.projected_disk == 2 * 90 * 120 * 4 * 2
    other = dataclasses.replace(spec, dpi=None, strip_metadata=False)
    plain = make_plan(other, facts, [TIFF], COST, MACHINE, model_digest="w", precision="fp32")
    assert (plain.dpi, plain.strip_metadata, plain.cleanup) == (0.0, False, 0.0)


def test_an_unpacked_input_is_said_and_takes_disk() -> None:
    facts = InputFacts(
        "in/a.png", "png", (75, 100, 3), "uint8", digest="d", decoded_bytes=GIB, unpack_bytes=MIB
    )
    spec = RenderSpec(size=SizeRequest.from_scale("3"), model="m")
    plan = make_plan(spec, facts, [TIFF], COST, MACHINE, model_digest="w", precision="fp32")
    assert plan.unpack
    assert plan.projected_disk == 2 * (225 * 300 * 3 + 75 * 100 * 3)
