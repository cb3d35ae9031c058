"""Events in, lines or bars out. Time is a number that the test moves."""

import io
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from liif_cli.engine.events import (
    BatchDone,
    BatchStarted,
    Event,
    ExportStarted,
    ImageDone,
    ImageFailed,
    ImageSkipped,
    PlanMade,
    TaskDone,
    Warned,
)
from liif_cli.geometry.cell import SCALED
from liif_cli.plan.plan import RenderPlan
from liif_cli.ui.progress import BarProgress, PlainProgress, batch_progress


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plan(name: str = "in/a.png", **changes: Any) -> RenderPlan:
    """A plan of 1000 x 1000 output pixels."""
    values: dict[str, Any] = {
        "input": name,
        "output": name.replace("in", "out"),
        "input_format": "png",
        "output_format": "png",
        "input_digest": "0",
        "model_digest": "0",
        "in_shape": (500, 250),
        "out_shape": (1000, 1000),
        "channels": 3,
        "dtype": "uint8",
        "model": "bicubic",
        "device": "cpu",
        "precision": "fp32",
        "cell": SCALED,
        "via": None,
        "self_ensemble": False,
        "radius": (2, 2),
        "tile": 256,
        "task": (512, 512),
        "chunk": 256,
        "shard": 512,
        "via_store": False,
        "workers": 2,
        "projected_mem": 2**30,
        "allowed_mem": 2**32,
        "projected_disk": 10**6,
    }
    return RenderPlan(**{**values, **changes})


def plain(events: list[tuple[float, Event]], **options: Any) -> list[str]:
    """Lines that events, each after some seconds, lead to."""
    stream, clock = io.StringIO(), Clock()
    with PlainProgress(stream, clock=clock, **options) as listen:
        for seconds, event in events:
            clock.now += seconds
            listen(event)
    return stream.getvalue().splitlines()


A = Path("in/a.png")


def test_plain_lines_of_one_image() -> None:
    lines = plain(
        [
            (0, BatchStarted(1)),
            (0, PlanMade(plan())),
            (5, TaskDone(A, 250_000)),
            (5, TaskDone(A, 250_000)),
            (10, TaskDone(A, 500_000)),
            (0, ExportStarted(A)),
            (1, ImageDone(A, Path("out/a.png"), 1_000_000, 21)),
            (0, BatchDone(1, 0, 0, 21)),
        ]
    )
    assert lines == [
        "[1/1] in/a.png: 250x500 -> 1000x1000, 1 Mpx, png",
        "in/a.png: 25%, 0.05 Mpx/s, 15 s left",
        "in/a.png: 50%, 0.05 Mpx/s, 10 s left",
        "in/a.png: done in 21 s, 0.0476 Mpx/s: out/a.png",
    ]


def test_no_line_more_often_than_wanted() -> None:
    tasks: list[tuple[float, Event]] = [(0.05, TaskDone(A, 1000)) for _ in range(1000)]
    lines = plain([(0, BatchStarted(1)), (0, PlanMade(plan())), *tasks])
    # 50 s at 2 % a second: each 10 % takes 5 s, or a step more where a sum is rounded down; 100 %
    # goes without saying
    assert 1 + 8 <= len(lines) <= 1 + 9


def test_slow_images_still_say_something() -> None:
    tasks: list[tuple[float, Event]] = [(1, TaskDone(A, 100)) for _ in range(100)]
    assert len(plain([(0, PlanMade(plan())), *tasks])) == 1 + 10


def test_a_long_export_is_told() -> None:
    events: list[tuple[float, Event]] = [
        (0, BatchStarted(1)),
        (0, PlanMade(plan(via_store=True))),
        (9, TaskDone(A, 1_000_000)),
        (0, ExportStarted(A)),
    ]
    assert plain(events)[1:] == ["in/a.png: rendered, writing the file"]


def test_resumed_pixels_do_not_count_as_speed() -> None:
    lines = plain(
        [(0, BatchStarted(1)), (0, PlanMade(plan(), 500_000)), (10, TaskDone(A, 100_000))]
    )
    assert lines[0].endswith("resumed at 50%")
    assert lines[1] == "in/a.png: 60%, 0.01 Mpx/s, 40 s left"


def test_two_images_at_once() -> None:
    b = Path("in/b.png")
    lines = plain(
        [
            (0, BatchStarted(2)),
            (0, PlanMade(plan())),
            (0, PlanMade(plan("in/b.png"))),
            (10, TaskDone(A, 100_000)),
            (0, TaskDone(b, 500_000)),
            (1, ImageFailed(A, "in/a.png: got a truncated file")),
            (0, TaskDone(A, 100_000)),
            (1, ImageDone(b, Path("out/b.png"), 1_000_000, 12)),
        ]
    )
    assert lines[1].startswith("[2/2] in/b.png")
    assert lines[2].startswith("in/a.png: 10%")
    assert lines[3].startswith("in/b.png: 50%")
    assert lines[4] == "error: in/a.png: got a truncated file"
    assert lines[5].startswith("in/b.png: done")


def test_failures_before_a_plan_are_counted() -> None:
    lines = plain(
        [
            (0, BatchStarted(3)),
            (0, ImageFailed(Path("in/x.png"), "no image")),
            (0, ImageSkipped(Path("in/y.png"), Path("out/y.png"))),
            (0, PlanMade(plan())),
        ]
    )
    assert lines[0] == "error: in/x.png: no image"
    assert lines[1] == "in/y.png: skipped, finished before: out/y.png"
    assert lines[2].startswith("[3/3] in/a.png")


EVERYTHING: list[tuple[float, Event]] = [
    (0, BatchStarted(2)),
    (0, Warned("the aspect changes")),
    (0, PlanMade(plan())),
    (10, TaskDone(A, 1_000_000)),
    (0, ExportStarted(A)),
    (0, ImageDone(A, Path("out/a.png"), 1_000_000, 10)),
    (0, ImageSkipped(Path("in/y.png"), Path("out/y.png"))),
    (0, ImageFailed(Path("in/x.png"), "no image")),
    (0, BatchDone(1, 1, 1, 10)),
]


def test_quiet_is_errors_only() -> None:
    assert plain(EVERYTHING, quiet=True) == ["error: in/x.png: no image"]


def test_verbose_tells_the_plan() -> None:
    text = "\n".join(plain(EVERYTHING, verbose=True))
    assert "bicubic on cpu in fp32, 4 tasks of 512x512 in tiles of 256, 2 workers" in text
    assert "memory 1 GiB of 4 GiB" in text
    assert "writing the file" in text
    assert "warning: the aspect changes" in text


def test_a_closed_stderr_does_not_stop_the_work() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    listen = PlainProgress(Gone())
    for _, event in EVERYTHING:
        listen(event)
    assert listen.gone


def test_events_from_many_threads() -> None:
    stream = io.StringIO()
    listen = PlainProgress(stream)
    listen(BatchStarted(8))

    def image(number: int) -> None:
        name = f"in/{number}.png"
        listen(PlanMade(plan(name)))
        for _ in range(1000):
            listen(TaskDone(Path(name), 1000))
        listen(ImageDone(Path(name), Path("out"), 1_000_000, 1))

    threads = [threading.Thread(target=image, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = stream.getvalue().splitlines()
    assert sum("done in" in line for line in lines) == 8
    assert sorted(line[:5] for line in lines if line.startswith("[")) == [
        f"[{number}/8]" for number in range(1, 9)
    ]
    assert not listen.running


def bars(events: list[tuple[float, Event]], **options: Any) -> tuple[BarProgress, str]:
    """The bars' final state and everything that went to the terminal."""
    stream, clock = io.StringIO(), Clock()
    console = Console(file=stream, force_terminal=True, width=100, _environ={})
    with BarProgress(console, clock=clock, **options) as listen:
        for seconds, event in events:
            clock.now += seconds
            listen(event)
            listen.progress.refresh()
    return listen, stream.getvalue()


def test_bars_show_batch_and_image() -> None:
    listen, text = bars(EVERYTHING)
    assert "a.png 1000x1000" in text
    assert "0.1 Mpx/s" in text
    assert "writing the file" in text
    assert "the aspect changes" in text
    assert "in/x.png: no image" in text
    batch = listen.progress.tasks[0]
    # the failed and the skipped one count as finished as well
    assert len(listen.progress.tasks) == 1
    assert batch.completed == 3


def test_a_bar_for_each_image_in_flight() -> None:
    listen, _ = bars(
        [
            (0, BatchStarted(2)),
            (0, PlanMade(plan())),
            (0, PlanMade(plan("in/b.png"), 300_000)),
            (10, TaskDone(A, 200_000)),
        ]
    )
    _, a, b = listen.progress.tasks
    assert (a.completed, b.completed) == (200_000, 300_000)
    assert a.fields["state"]() == ["0.02 Mpx/s", "40 s left"]


LONG = "in/IMG_20260714_183055_a_long_summer_day_at_the_lake_panorama_stitched_final_2.jpg"


def screen(listen: BarProgress, width: int) -> list[str]:
    """The bars as a terminal of that width shows them."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(listen.progress.get_renderable())
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def at_work(width: int, *events: tuple[float, Event]) -> tuple[BarProgress, list[str]]:
    """What is on the screen after those events."""
    clock = Clock()
    console = Console(file=io.StringIO(), force_terminal=True, width=width, _environ={})
    listen = BarProgress(console, clock=clock)
    for seconds, event in events:
        clock.now += seconds
        listen(event)
    return listen, screen(listen, width)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_long_name_leaves_room_for_the_bar_and_the_time(width: int) -> None:
    large = plan(LONG, out_shape=(15000, 20000))
    _, lines = at_work(
        width, (0, BatchStarted(3)), (0, PlanMade(large)), (100, TaskDone(Path(LONG), 150_000_000))
    )
    batch, image = lines[:2]
    assert image.startswith("IMG_2")
    assert "….jpg" not in image
    assert "2.jpg" in image
    assert ("20000x15000" in image) == (width >= 70)
    for line in (batch, image):
        assert "━" in line
        assert "%" in line
        assert line.rstrip().endswith("left")
    assert "50%" in image
    assert "1:40 min left" in image


def test_a_resumed_image_counts_for_the_batch_at_once_and_not_for_its_speed() -> None:
    started = (0, BatchStarted(2)), (0, PlanMade(plan(), 500_000))
    _, (batch, image) = at_work(80, *started)
    assert "25%" in batch
    assert "50%" in image
    # nothing is known yet
    assert "left" not in batch + image
    assert "Mpx/s" not in batch + image
    # a quarter of an image took 10 s: five quarters are left
    _, (batch, image) = at_work(80, *started, (10, TaskDone(A, 250_000)))
    assert "50 s left" in batch
    assert "10 s left" in image
    # its half of an image took 20 s
    ended = (10, TaskDone(A, 250_000)), (0, ImageDone(A, Path("out"), 500_000, 20))
    _, (batch,) = at_work(80, *started, (10, TaskDone(A, 250_000)), *ended)
    assert "40 s left" in batch


def test_skipped_images_say_nothing_of_the_time_left() -> None:
    skipped = [(0.1, ImageSkipped(Path(f"in/{n}.png"), Path("out"))) for n in range(8)]
    started: list[tuple[float, Event]] = [(0, BatchStarted(10)), *skipped]
    _, (batch,) = at_work(80, *started)
    assert "8/10" in batch
    assert "left" not in batch
    _, (batch, _) = at_work(80, *started, (0, PlanMade(plan())), (9.2, TaskDone(A, 500_000)))
    assert "30 s left" in batch


def test_an_image_of_a_single_task_moves_and_states_no_share() -> None:
    one = plan(task=(1000, 1000))
    listen, (_, image) = at_work(80, (0, BatchStarted(1)), (0, PlanMade(one)))
    assert listen.progress.tasks[1].total is None
    assert "%" not in image
    listen(TaskDone(A, 1_000_000))
    assert "100%" in screen(listen, 80)[1]


def test_names_with_brackets_are_no_markup() -> None:
    name = "in/[red]x[/nope].png"
    _, text = bars(
        [
            (0, BatchStarted(1)),
            (0, PlanMade(plan(name))),
            (0, ImageFailed(Path(name), f"{name}: got [bold]nothing")),
        ]
    )
    assert "[red]x[/nope].png" in text
    assert "got [bold]nothing" in text


def test_no_terminal_means_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with batch_progress(quiet=False, verbose=False) as listen:
        assert isinstance(listen, PlainProgress)
        listen(Warned("careful"))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "warning: careful\n")
