"""Reports of a training as lines and as a bar."""

import io

from rich.console import Console

from liif_cli.train.report import TrainReport
from liif_cli.ui.training import TrainingBar, TrainingLines


def entry(iteration: int, psnr: float | None = None) -> TrainReport:
    return TrainReport(iteration, 1000, 0.05, 1e-3, 1.0, psnr, 20.0, 0.04, iteration / 1000)


def test_lines_every_ten_seconds_and_at_each_measurement() -> None:
    now = 0.0
    stream = io.StringIO()
    with TrainingLines(stream, clock=lambda: now) as lines:
        lines.say("10 photos")
        for iteration in range(100, 1001, 100):
            now += 4
            lines.report(entry(iteration, 30.0 if iteration == 400 else None))
    text = stream.getvalue().splitlines()
    assert text[0] == "10 photos"
    assert [line.split()[1] for line in text[1:]] == ["300", "400", "700", "1000"]
    # 4 s for each 100 iterations from the first report on
    assert text[1].endswith("loss 0.0500, lr 1.00e-03, 20 it/s, data 4%, 28 s left")
    assert "PSNR 30.00 dB" in text[2]
    assert "left" not in text[-1]


def test_quiet_says_nothing() -> None:
    stream = io.StringIO()
    lines = TrainingLines(stream, quiet=True)
    lines.say("10 photos")
    lines.report(entry(1000, 30.0))
    assert stream.getvalue() == ""


def test_bar() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120, _environ={})
    with TrainingBar(console) as bar:
        bar.say("left out: [x].png")
        bar.report(entry(300))
        bar.report(entry(400, 31.5))
        bar.progress.refresh()
    text = stream.getvalue()
    assert "left out: [x].png" in text
    assert "400/1000 loss 0.0500" in text
    assert "iteration 400: loss 0.0500, lr 1.00e-03, 20 it/s, data 4%, PSNR 31.50 dB" in text
    assert bar.progress.tasks[0].completed == 0.4
