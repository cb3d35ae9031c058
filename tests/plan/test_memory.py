"""What a task, an encoder and an accelerator are counted at, number by number."""

from __future__ import annotations

import dataclasses

import pytest

from liif_cli.plan.memory import (
    DEFAULT_CAP,
    GIB,
    HEAP,
    HEAP_OF_BANDS,
    MIB,
    TaskShape,
    default_allowed,
    format_bytes,
    refuse,
)
from liif_cli.plan.spec import ModelCost

COST = ModelCost(
    radius=(3, 5),
    encode_bytes=100,
    latent_bytes=30,
    encode_macs=7,
    query_macs=11,
    query_bytes=1000,
    feat_bytes=20,
)
SHAPE = TaskShape(output=(40, 60), window=(20, 30))


def peak(cost: ModelCost = COST, **options: object) -> int:
    counted = {"collected": 500, "sample_bytes": 3, "ensemble": False, **options}
    return SHAPE.peak_bytes(cost, **counted)  # type: ignore[arg-type]


def test_a_task_counts_its_window_the_network_and_what_it_collects() -> None:
    window, network = 600 * (2 * 3 + 24), 600 * 100
    assert peak() == window + HEAP * (network + 1000) + 500 * 3
    # eight turns are summed in float32
    assert peak(ensemble=True) - peak() == 3 * 4 * 40 * 60
    # of several passes all of the output is collected
    assert peak(passes=2) - peak() == 40 * 60 * 3
    # colour is bled in float32 before it is encoded
    assert peak(dataclasses.replace(COST, encode_bytes=50), alpha=True) == (
        window + HEAP * (600 * 96 + 1000) + 500 * 3
    )
    assert peak(alpha=True) == peak()


def test_a_network_takes_the_most_of_encoding_and_of_the_latent() -> None:
    assert COST.network_bytes(20, 30) == 600 * 100
    assert dataclasses.replace(COST, latent_bytes=90).network_bytes(20, 30) == 600 * 110
    # a quarter of encoding is feat where nobody says more
    plain = dataclasses.replace(COST, feat_bytes=0, latent_bytes=90)
    assert plain.network_bytes(20, 30) == 600 * 115
    bands = dataclasses.replace(COST, column_bytes=40, band_bytes=700)
    assert bands.network_bytes(20, 30) == max(600 * 20 + 30 * 40 + 700, 600 * 50)
    assert dataclasses.replace(bands, band_bytes=40_000).network_bytes(20, 30) == (
        600 * 20 + 30 * 40 + 40_000
    )
    # never more than layer by layer, but for an encoder that cannot
    large = dataclasses.replace(bands, band_bytes=1 << 30)
    assert large.network_bytes(20, 30) == 600 * 100
    only = dataclasses.replace(large, bands_only=True)
    assert only.network_bytes(20, 30) == 600 * 20 + 30 * 40 + (1 << 30)


def test_bands_of_torch_leave_more_holes_in_the_heap() -> None:
    window, held = 600 * (2 * 3 + 24), 500 * 3
    bands = dataclasses.replace(COST, column_bytes=40, band_bytes=30_000)
    at_work = 600 * 20 + 30 * 40 + 30_000 + 1000
    assert peak(bands) == window + HEAP_OF_BANDS * at_work + held
    assert peak(dataclasses.replace(bands, bands_only=True)) == window + HEAP * at_work + held


def test_multiply_adds_of_a_task() -> None:
    assert SHAPE.macs(COST) == 600 * 7 + 2400 * 11


def test_the_share_that_other_tasks_compute_as_well() -> None:
    # of 20 x 30 read, 14 x 20 are its own
    total = 600 * 7 + 2400 * 11
    assert SHAPE.halo_share(COST, (100, 100)) == pytest.approx((600 - 14 * 20) * 7 / total)
    # a side that is the image's has no halo
    assert SHAPE.halo_share(COST, (20, 100)) == pytest.approx((600 - 20 * 20) * 7 / total)
    assert SHAPE.halo_share(COST, (20, 30)) == 0
    thin = TaskShape((2, 2), (4, 4))
    assert thin.halo_share(COST, (9, 9)) == pytest.approx((16 - 1) * 7 / (16 * 7 + 4 * 11))
    idle = dataclasses.replace(COST, encode_macs=0, query_macs=0)
    assert SHAPE.halo_share(idle, (100, 100)) == 0


def test_the_window_of_a_task_is_cut_to_the_image() -> None:
    # 40 of 200 are 20 of 100, one more for rounding, and the halo
    assert TaskShape.of((40, 60), (100, 100), (200, 200), (3, 5)).window == (27, 41)
    assert TaskShape.of((41, 60), (100, 35), (200, 70), (3, 5)).window == (28, 35)


def test_pinned_memory_is_taken_in_powers_of_two() -> None:
    # tiles of 5 x 5 x 3 bytes and a flag: 76; a window of 4 x 3 x 600: 7,200
    assert SHAPE.pinned_bytes(5, 3, 1) == 2 * 128 + 8192
    # no more than three channels cross at once; exact powers stay what they are
    assert SHAPE.pinned_bytes(5, 7, 1) == 2 * 128 + 8192
    assert SHAPE.pinned_bytes(3, 1, 7) == 2 * 64 + 4096
    assert TaskShape((1, 1), (8, 16)).pinned_bytes(5, 1, 2) == 2 * 64 + 512


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (MIB - 1, "1024.0 KiB"),
        (MIB, "1.0 MiB"),
        (GIB, "1.0 GiB"),
        (1500 * GIB, "1500.0 GiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert format_bytes(size) == text


def test_half_of_the_free_memory_is_allowed() -> None:
    assert default_allowed(7) == 3
    assert isinstance(default_allowed(7), int)
    assert default_allowed(1 << 40) == DEFAULT_CAP == 4 * GIB


def test_a_refusal_carries_its_arithmetic() -> None:
    error = refuse("memory for a", 3 * MIB, 2 * MIB, {"b": MIB, "c": 2 * MIB}, "raise it")
    assert str(error) == (
        "memory for a: got 3.0 MiB needed (b 1.0 MiB + c 2.0 MiB), expected at most 2.0 MiB; "
        "raise it"
    )
