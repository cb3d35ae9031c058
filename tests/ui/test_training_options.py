"""Options of liif train as values."""

from __future__ import annotations

import pytest

from liif_cli.errors import UsageError
from liif_cli.ui.training_options import recipe_values
from liif_cli.ui.types import DurationType


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("25m", 1500), ("1h30m", 5400), ("1.5h", 5400), ("1H2M3S", 3723), (7.0, 7)],
)
def test_durations(text: object, seconds: float) -> None:
    assert DurationType().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "25", "0s", "m", "-5m", "5m1h", "1d", "5 m", "nans"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match="25m"):
        DurationType().convert(text, None, None)


def test_the_length_of_a_training_is_said_once() -> None:
    given = (("lr", "1"), ("lr", "2"), ("epochs", "3"))
    assert recipe_values(given, None, None) == {"lr": "2", "epochs": "3"}
    expected = {"lr": "2", "epochs": "0", "iterations": "5", "time": "0"}
    assert recipe_values(given, 5, None) == expected
    assert recipe_values((), None, 90.0) == {"time": "90.0"}
    with pytest.raises(UsageError, match="--time"):
        recipe_values((), 5, 90.0)
