"""Words, sentences, numbers and code for generated pages, in the scripts that a font has."""
# ruff: noqa: RUF001 - Cyrillic, Greek and Chinese are meant

from __future__ import annotations

import re

import numpy as np

from liif_cli.graphics.fonts import PLAIN_SIGNS, Font

PLAIN = """
the of and to in is that for was with as on by it be from at which this are have not were their but
has had an or its one all also been more may can will some no there time year would other into than
then first two over such our many most through where after between world under state system water
never always paper light field house small large number report figure table image pixel screen
window button value second minute hour price total order list page chapter quick brown fox jumps
lazy dog history science music river mountain winter summer energy market method result model
network signal filter sample error measure surface colour shadow corner edge Monday Friday January
October London Vienna Tokyo Madrid Quartz Zebra Jukebox Vortex
"""

LATIN = """
für über größer Straße Mädchen schön Käse Übung après être où déjà façon élève garçon château naïve
señor mañana corazón niño año también ação coração São João łódź żółty źródło świat český příliš
žluťoučký kůň håndbog smørrebrød Ångström fjord jõgi öö gyűjtő erdő çiçek şehir Ærø Þór
"""

CYRILLIC = """
и в не на что быть он с это как по но они мы весь который город время рука жизнь день страница число
слово книга вопрос сторона мир случай голова ребёнок сила конец вид система часть Москва София
объект съёмка щука ящик эхо юг Фёдор Живопись Цена
"""

GREEK = """
και το να του η της με που από για είναι σε ένα θα δεν στο κόσμος λόγος ψυχή φως ημέρα σελίδα
αριθμός βιβλίο χρόνος ζωή θάλασσα ξένος Αθήνα Ελλάδα Ωμέγα άλφα
"""

CJK = """
天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏中文字体图像放大网络学习的一是在不了
有和人这为上个国我以要他时用们生到作于出就分对成会可主发年动同工也能下过子说产种面
而方后多定行法所民得经日本語の画像を拡大するこれはひらがなとカタカナです東京大阪新聞電車
"""

STOCKS = {
    "plain": PLAIN.split(),
    "latin": PLAIN.split()[:60] + 2 * LATIN.split(),
    "cyrillic": CYRILLIC.split(),
    "greek": GREEK.split(),
    "cjk": list("".join(CJK.split())),
}
"""Words by script; of ``cjk`` signs."""

STOPS = (".", ".", ".", ".", "!", "?", ":", ";")

CODE = (
    "{0} = {1}({2}, {d})",
    "if {0} >= {d} and not {1}:",
    "for {0} in range({d}):",
    "def {0}({1}, {2}):",
    "return {0}[{1}] * {d}.5",
    "# {p}",
    '{0} += "{p}"',
    "import {0}.{1}",
    "{0}->{1}(&{2}); // {p}",
    "}} else {{",
    '<{0} id="{1}">{p}</{0}>',
    "const {0} = {{ {1}: {d}, {2}: [] }};",
    "while ({0} != null && {1} < 0x{d}) {{",
    "@{0}",
    "{0}[{1}, :] |= {2} ^ ~{3}",
    "$ {0} --{1}={d} | {2} > {3}.txt",
)
"""Lines of code: names (0 to 3), a number (d), a phrase (p)."""

NAMES = """
x y i n value index total count name path size width image scale feat coord cell read_file makeList
next_item parse getValue items self result queue node MAX_SIZE kernel
"""

TOKEN = re.compile(
    r'(?P<note>(?:#|//).*)|(?P<text>"[^"]*")|(?P<number>\d[\w.]*)'
    r"|(?P<word>\b(?:if|and|not|for|in|def|return|import|else|const|while|null)\b)"
    r'|(?P<call>\w+(?=\())|(?P<name>\w+)|(?P<sign>(?:(?!//)[^\w"#])+)'
)
"""What an editor colours."""


def script(rng: np.random.Generator, font: Font) -> str:
    """One of the font's scripts; mostly the Latin one, and of that mostly English."""
    first = font.scripts[0]
    if len(font.scripts) > 1 and rng.random() < 0.12:
        return str(rng.choice(font.scripts[1:]))
    if first == "latin":
        return "latin" if rng.random() < 0.15 else "plain"
    return first


def words(rng: np.random.Generator, count: int, kind: str) -> list[str]:
    """``count`` words of a script, without punctuation; 8 % are numbers."""
    stock = STOCKS[kind]
    if kind == "cjk":
        return ["".join(_drawn(rng, stock, int(rng.integers(1, 5)))) for _ in range(count)]
    chosen = _drawn(rng, stock, count)
    for k in np.flatnonzero(rng.random(count) < 0.08):
        chosen[k] = number(rng)
    return chosen


def paragraph(rng: np.random.Generator, count: int, kind: str) -> list[str]:
    """``count`` words with capitals and punctuation, split where a line may be broken."""
    if kind == "cjk":
        run = _drawn(rng, STOCKS[kind], count * 2)
        for k in range(int(rng.integers(6, 14)), len(run), int(rng.integers(8, 16))):
            run[k] = "，" if rng.random() < 0.6 else "。"
        return run
    chosen = words(rng, count, kind)
    start, until = True, int(rng.integers(4, 14))
    for k, word in enumerate(chosen):
        if start:
            word = word[:1].upper() + word[1:]
        start = False
        roll = rng.random()
        until -= 1
        if until <= 0 or k == count - 1:
            word += STOPS[int(rng.integers(len(STOPS)))]
            start, until = True, int(rng.integers(4, 14))
        elif roll < 0.09:
            word += ","
        elif roll < 0.11:
            word = f"({word})"
        elif roll < 0.13:
            word = f"'{word}'"
        elif roll < 0.15:
            word = word.upper()
        chosen[k] = word
    return chosen


def title(rng: np.random.Generator, kind: str, most: int = 4) -> str:
    """A heading of 1 to ``most`` words."""
    chosen = words(rng, int(rng.integers(1, most + 1)), kind)
    if kind == "cjk":
        return "".join(chosen)
    style = rng.random()
    if style < 0.2:
        return " ".join(chosen).upper()
    if style < 0.5:
        return " ".join(chosen).capitalize()
    return " ".join(word[:1].upper() + word[1:] for word in chosen)


def number(rng: np.random.Generator) -> str:
    """A number: whole, decimal, with thousands, a share, a date, a time, an amount."""
    n = int(rng.integers(1, 10 ** int(rng.integers(1, 6))))
    forms = (
        f"{n}",
        f"{n / 100:.2f}",
        f"{n:,}",
        f"{n % 1000 / 10:.1f}%",
        f"{1900 + n % 140}-{1 + n % 12:02}-{1 + n % 28:02}",
        f"{n % 24:02}:{n % 60:02}",
        f"{n % 1000}.50",
        f"-{n % 100}",
    )
    return forms[int(rng.integers(len(forms)))]


def scramble(rng: np.random.Generator, length: int, font: Font) -> str:
    """Letters, digits and signs in any order."""
    signs = [chr(code) for code in range(33, 127)]
    if font.scripts[0] == "plain":
        signs = [sign for sign in signs if sign in PLAIN_SIGNS]
    return "".join(_drawn(rng, signs, length))


def code_line(rng: np.random.Generator, font: Font) -> list[tuple[str, str]]:
    """A line of code without indentation, as (kind of token, text)."""
    line = CODE[int(rng.integers(len(CODE)))].format(
        *_drawn(rng, NAMES.split(), 4),
        d=int(rng.integers(0, 1000)),
        p=" ".join(words(rng, int(rng.integers(1, 4)), "plain")),
    )
    if font.scripts[0] == "plain":
        line = "".join(sign for sign in line if sign in PLAIN_SIGNS)
    return [(str(token.lastgroup), token.group()) for token in TOKEN.finditer(line)]


def _drawn(rng: np.random.Generator, stock: list[str], count: int) -> list[str]:
    return [stock[k] for k in rng.integers(0, len(stock), count)]
