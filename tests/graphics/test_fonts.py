"""Fonts: what is for tests is never trained on, and a font has the glyphs that it is used for."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from liif_cli.errors import UsageError
from liif_cli.graphics import (
    BUILTIN_TEST_FONTS,
    BUILTIN_TRAIN_FONTS,
    TEST_FONTS,
    TEST_SIZES,
    TEXT_PAGES,
    TRAIN_FONTS,
    TRAIN_SIZES,
    Font,
    graphics_pages,
    installed,
    text_pair,
)
from liif_cli.graphics import canvas as canvas_module
from liif_cli.graphics.fonts import PLAIN_SIGNS, face
from liif_cli.graphics.words import STOCKS

Drawn = set[tuple[str, str]]


def drawn_signs(monkeypatch: pytest.MonkeyPatch) -> tuple[Drawn, set[float]]:
    """Filled, as pages are drawn, with (file of the font, sign), and with sizes."""
    signs: Drawn = set()
    sizes: set[float] = set()
    original = canvas_module.Canvas.text

    def text(self, y, x, text, lettering, colour, turn=0):  # type: ignore[no-untyped-def]
        signs.update((lettering.font.file, sign) for sign in text if sign != " ")
        sizes.add(lettering.size)
        return original(self, y, x, text, lettering, colour, turn)

    monkeypatch.setattr(canvas_module.Canvas, "text", text)
    return signs, sizes


def test_no_glyph_and_no_size_of_the_test_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    signs, sizes = drawn_signs(monkeypatch)
    for _ in graphics_pages(40, size=(240, 320), fonts=installed(TRAIN_FONTS)):
        pass
    trained, trained_sizes = set(signs), set(sizes)
    signs.clear()
    sizes.clear()
    for number in range(0, TEXT_PAGES, 3):
        text_pair(number, 2, installed(TEST_FONTS))
    assert len(trained) > 300
    assert len(signs) > 150
    assert not trained & signs
    assert trained_sizes <= set(TRAIN_SIZES)
    # a page of the test is laid out in pixels of x2
    assert sizes <= {2 * size for size in TEST_SIZES}
    assert not {test * scale for test in TEST_SIZES for scale in (2, 3, 4)} & set(TRAIN_SIZES)


def test_sizes_start_at_7_px_of_a_page_reduced_by_2() -> None:
    assert min(TRAIN_SIZES) == 14
    assert max(TRAIN_SIZES) == 120
    assert min(TEST_SIZES) >= 7


def test_each_default_has_a_font_without_matplotlib() -> None:
    assert all(font.builtin for font in (*BUILTIN_TRAIN_FONTS, *BUILTIN_TEST_FONTS))
    assert set(BUILTIN_TRAIN_FONTS) < set(TRAIN_FONTS)
    assert set(BUILTIN_TEST_FONTS) < set(TEST_FONTS)


def glyph(font: cv2.FontFace, sign: str) -> np.ndarray:
    image = np.zeros((100, 100), dtype=np.uint8)
    cv2.putText(image, sign, (20, 70), (255,), font, 50, 400)
    return image


OWN = [font for font in installed((*TRAIN_FONTS, *TEST_FONTS)) if font.file != "uni"]


@pytest.mark.parametrize("font", OWN, ids=lambda font: font.name)
def test_glyphs_are_the_font_s_own(font: Font) -> None:
    """A sign that a font lacks is taken from ``uni``, and looks there as it does here."""
    other = cv2.FontFace("uni")
    for script in font.scripts:
        signs = PLAIN_SIGNS - {" "} if script == "plain" else set("".join(STOCKS[script]))
        same = [sign for sign in signs if (glyph(face(font), sign) == glyph(other, sign)).all()]
        assert same == [], script


def test_a_font_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"font Nimbus.*no nimbus\.ttf.*liif-cli\[plot\]"):
        face(Font("Nimbus", "nimbus.ttf"))
    assert installed([Font("Nimbus", "nimbus.ttf"), *BUILTIN_TEST_FONTS]) == BUILTIN_TEST_FONTS


def test_matplotlib_is_not_imported_and_not_needed() -> None:
    code = """
import sys
from liif_cli.graphics import TRAIN_FONTS, graphics_pages, installed
installed(TRAIN_FONTS)
assert "matplotlib" not in sys.modules and "torch" not in sys.modules
from importlib.machinery import PathFinder
find = PathFinder.find_spec
hidden = lambda cls, name, *a: None if name == "matplotlib" else find(name, *a)
PathFinder.find_spec = classmethod(hidden)
fonts = installed(TRAIN_FONTS)
assert fonts and all(font.builtin for font in fonts), fonts
print(len(list(graphics_pages(2, size=(80, 120)))))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "2\n", done.stderr
