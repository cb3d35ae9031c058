"""The registry: names cost nothing until they are loaded."""

import subprocess
import sys
from fractions import Fraction

import pytest

from liif_cli.errors import UsageError
from liif_cli.models import DECODERS, ENCODERS
from liif_cli.registry import Registry


@pytest.fixture
def shapes() -> Registry:
    return Registry("shape", {"half": "fractions:Fraction", "gone": "no_such_module_here:Gone"})


def test_is_a_mapping_in_the_order_given(shapes: Registry) -> None:
    assert list(shapes) == ["half", "gone"]
    assert len(shapes) == 2
    assert shapes["half"] == "fractions:Fraction"
    assert "third" not in shapes
    with pytest.raises(KeyError):
        shapes["third"]


def test_load_gives_the_attribute(shapes: Registry) -> None:
    assert shapes.load("half") is Fraction


def test_a_broken_entry_hurts_only_its_own_load(shapes: Registry) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module_here"):
        shapes.load("gone")


def test_later_changes_of_the_table_do_not_reach_the_registry() -> None:
    table = {"half": "fractions:Fraction"}
    registry = Registry("shape", table)
    table["more"] = "fractions:Fraction"
    assert list(registry) == ["half"]


def test_unknown_name_says_what_there_is_and_what_was_meant(shapes: Registry) -> None:
    with pytest.raises(UsageError) as caught:
        shapes.load("hlaf")
    message = str(caught.value)
    assert "unknown shape: got 'hlaf', expected one of half, gone" in message
    assert "did you mean 'half'?" in message


def test_far_names_suggest_nothing(shapes: Registry) -> None:
    with pytest.raises(UsageError) as caught:
        shapes.load("zzzzzz")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("registry", [ENCODERS, DECODERS], ids=["encoders", "decoders"])
def test_entries_are_module_and_attribute(registry: Registry) -> None:
    assert len(registry) > 0
    for path in registry.values():
        module, attribute = path.split(":")
        assert module.startswith("liif_cli.")
        assert attribute.isidentifier()


def test_the_tables_of_networks_import_no_torch() -> None:
    code = "import sys, liif_cli.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
