"""Words, sentences, numbers and code for generated pages, in the scripts that a font has."""

from __future__ import annotations

import numpy as np

from liif_cli.graphics.fonts import Font

PLAIN = """the of and to in is that for was with as on by it be from at which this are have not
were their but has had an or its one all also been more may can will some no there time year would
other into than then first two over such our many most through where after between world under
state system water never always paper light field house small large number report figure table
image pixel screen window button value second minute hour price total order list page chapter
quick brown fox jumps lazy dog history science music river mountain winter summer energy market
method result model network signal filter sample error measure surface colour shadow corner edge
Monday Friday January October London Vienna Tokyo Madrid Quartz Zebra Jukebox Vortex""".split()

LATIN = """für über größer Straße Mädchen schön Käse Übung après être où déjà façon élève garçon
château naïve señor mañana corazón niño año también ação coração São João łódź żółty źródło świat
český příliš žluťoučký kůň håndbog smørrebrød Ångström fjord jõgi öö gyűjtő erdő İstanbul
çiçek şehir ğ Ærø Þór""".split()

CYRILLIC = """и в не на что быть он с это как по но они мы весь который город время рука жизнь день
страница число слово книга вопрос сторона мир случай голова ребёнок сила конец вид система часть
Москва Київ София объект съёмка щука ящик эхо юг""".split()

GREEK = """και το να του η της με που από για είναι σε ένα θα δεν στο κόσμος λόγος ψυχή φως ημέρα
σελίδα αριθμός βιβλίο χρόνος ζωή θάλασσα ξένος Αθήνα Ελλάδα Ωμέγα άλφα""".split()

CJK = """天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏中文字体图像放大网络学习的一是在不了有和人这
人大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经
日本語の画像を拡大するこれはひらがなとカタカナです東京大阪京都新聞電車駅前高校生ありがとう"""

KEYWORDS = (
    "def return if else for while in not and import from class int void const let with".split()
)
NAMES = "x y i n value index total count name path size width image scale feat coord cell".split()
NAMES += "read_file makeList next_item parse getValue items self result queue node".split()
"""Code is made of these."""

ALLOWED = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,;:!?()[]-+=/&%'"
)
"""What a font of plain script draws as itself."""

STOPS = (".", ".", ".", ".", "!", "?", ":", ";")


def script(rng: np.random.Generator, font: Font) -> str:
    """One of the font's scripts; mostly the Latin one, and of that mostly English."""
    first = font.scripts[0]
    others = [name for name in font.scripts if name not in ("plain", "latin")]
    if first == "plain" or not others:
        return first
    if first == "cjk" or rng.random() < 0.12:
        return str(rng.choice(others))
    return "latin" if rng.random() < 0.15 else "plain"


def words(rng: np.random.Generator, count: int, kind: str) -> list[str]:
    """``count`` words of a script, without punctuation; 8 % are numbers."""
    if kind == "cjk":
        return ["".join(_cjk(rng, int(rng.integers(1, 5)))) for _ in range(count)]
    stock = {"latin": PLAIN[:60] + LATIN * 2, "cyrillic": CYRILLIC, "greek": GREEK}.get(kind, PLAIN)
    chosen = [stock[k] for k in rng.integers(0, len(stock), count)]
    for k in np.flatnonzero(rng.random(count) < 0.08):
        chosen[k] = number(rng)
    return chosen


def paragraph(rng: np.random.Generator, count: int, kind: str) -> list[str]:
    """``count`` words with capitals and punctuation, split where a line may be broken."""
    if kind == "cjk":
        run = [*_cjk(rng, count * 2)]
        for k in range(int(rng.integers(6, 14)), len(run), int(rng.integers(8, 16))):
            run[k] = "，" if rng.random() < 0.6 else "。"
        return run
    chosen = words(rng, count, kind)
    start = True
    until = int(rng.integers(4, 14))
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
            word = f"'{word}'" if kind == "plain" else f"“{word}”"
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
    signs = "".join(chr(code) for code in range(33, 127))
    if font.scripts[0] == "plain":
        signs = "".join(sign for sign in signs if sign in ALLOWED)
    return "".join(signs[k] for k in rng.integers(0, len(signs), length))


def code_line(rng: np.random.Generator) -> list[tuple[str, str]]:
    """A line of code without indentation, as (kind, text); kinds are those of an editor's colours."""
    name = [NAMES[k] for k in rng.integers(0, len(NAMES), 4)]
    digits = str(int(rng.integers(0, 1000)))
    phrase = " ".join(words(rng, int(rng.integers(1, 4)), "plain"))
    forms: tuple[list[tuple[str, str]], ...] = (
        [("name", name[0]), ("sign", " = "), ("call", name[1]), ("sign", "("), ("name", name[2])]
        + [("sign", ", "), ("number", digits), ("sign", ")")],
        [("word", "if "), ("name", name[0]), ("sign", " >= "), ("number", digits), ("sign", ":")],
        [("word", "for "), ("name", name[0]), ("word", " in "), ("call", "range")]
        + [("sign", "("), ("number", digits), ("sign", "):")],
        [("word", "def "), ("call", name[0]), ("sign", "("), ("name", name[1]), ("sign", ", ")]
        + [("name", name[2]), ("sign", "):")],
        [("word", "return "), ("name", name[0]), ("sign", "["), ("name", name[1]), ("sign", "] * ")]
        + [("number", f"{int(digits) / 100}")],
        [("note", "# " + phrase)],
        [("name", name[0]), ("sign", " += "), ("text", f'"{phrase}"')],
        [("word", "import "), ("name", name[0]), ("sign", "."), ("name", name[1])],
        [("name", name[0]), ("sign", "->"), ("call", name[1]), ("sign", "(&"), ("name", name[2])]
        + [("sign", "); "), ("note", "// " + phrase)],
        [("sign", "} "), ("word", "else"), ("sign", " {")],
        [("sign", "<"), ("word", name[0]), ("name", " id"), ("sign", "="), ("text", f'"{name[1]}"')]
        + [("sign", ">"), ("name", phrase), ("sign", f"</{name[0]}>")],
    )
    return forms[int(rng.integers(len(forms)))]


def _cjk(rng: np.random.Generator, count: int) -> list[str]:
    stock = CJK.replace("\n", "")
    return [stock[k] for k in rng.integers(0, len(stock), count)]
