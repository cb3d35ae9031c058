"""The list of models on terminals of several widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from liif_cli.ui.modellist import print_models, shipped_models


@pytest.mark.parametrize("width", [80, 100, 140])
def test_names_stay_whole(width: int) -> None:
    found = shipped_models()
    stream = io.StringIO()
    print_models(found, console=Console(file=stream, width=width, force_terminal=True))
    text = stream.getvalue()
    for facts in found:
        assert str(facts["name"]) in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


def test_arguments_are_for_those_who_ask() -> None:
    found = shipped_models()
    for verbose in (False, True):
        stream = io.StringIO()
        print_models(found, verbose=verbose, console=Console(file=stream, width=400))
        assert ("n_resblocks" in stream.getvalue()) == verbose
