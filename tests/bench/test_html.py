"""The report page: what it says, that names cannot harm it, and that it needs nothing else."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from liif_cli.bench import html, plots
from liif_cli.bench.results import BenchReport, Header, SetInfo
from tests.bench.example import NASTY, make_report, score, with_inputs

VOID = {"meta", "img", "br", "link", "input", "hr", "base", "source"}


class Page(HTMLParser):
    """A page as a list of (tag, attributes) and of cells; refuses tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in {tag}"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._open[-1] if self._open else "", data.strip()))

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


@pytest.fixture
def report(tmp_path: Path) -> BenchReport:
    return make_report(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    path = html.write_html(make_report(folder), folder)
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed; also for tests that have no use for seconds of drawing."""
    monkeypatch.setattr(plots, "find_spec", lambda name: None)


def rows_of(text: str, caption: str, nth: int = 0) -> list[list[str]]:
    """Rows of the nth table of a caption, each cell as its HTML."""
    tables = re.findall(rf"<caption>{re.escape(caption)}</caption>.*?</table>", text, re.DOTALL)
    return [
        re.findall(r"<t[hd].*?</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", tables[nth])
    ]


def plain(cell: str) -> str:
    return re.sub(r"<[^>]*>", " ", cell).strip()


def test_nothing_comes_from_elsewhere(text: str) -> None:
    page = Page(text)
    for name in ("src", "href", "srcset", "poster", "action", "data"):
        assert all(value.startswith(("data:image/png;", "#")) for value in page.attributes(name))
    assert "@import" not in text
    assert "://" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))


def test_names_stay_text(text: str) -> None:
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not page.attributes("onerror")
    # the control character of the name is no character of HTML
    shown = NASTY.replace("\x01", "\N{REPLACEMENT CHARACTER}")
    assert ("th", shown) in page.texts
    assert ("h2", shown) in page.texts
    assert any(shown in text for tag, text in page.texts if tag == "li")
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text)


def test_ids_and_what_refers_to_them(text: str) -> None:
    page = Page(text)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    for name in ("href", "aria-labelledby"):
        for value in page.attributes(name):
            assert value.removeprefix("#") in ids
    assert page.tags[0] == ("html", {"lang": "en"})
    assert all(value for value in page.attributes("alt"))
    heads = [attributes for tag, attributes in page.tags if tag == "th"]
    assert all(head.get("scope") in ("row", "col") for head in heads)


def test_policy_allows_the_own_script_only(text: str) -> None:
    (policy,) = [
        attributes["content"]
        for tag, attributes in Page(text).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}=';", policy)


def test_figures_and_the_best_of_a_column(text: str) -> None:
    head, *rows = rows_of(text, "Mean PSNR, dB")
    assert [plain(cell) for cell in head] == ["method", "x2", "x4", "x30"]
    assert [plain(cell) for cell in rows[1][1:3]] == ["32.00   best", "30.00   best"]
    assert [plain(cell) for cell in rows[0][1:3]] == ["31.00", "29.00"]
    best = [[index for index, row in enumerate(rows) if "best" in row[column]] for column in (1, 2)]
    assert best == [[1], [1]]
    _, *rows = rows_of(text, "Mean SSIM")
    assert plain(rows[1][1]) == "0.3200   best"
    _, *rows = rows_of(text, "Speed, output Mpx/s, encoder and decoder")
    assert plain(rows[1][1]) == "3.20   best"
    _, *rows = rows_of(text, "Mean time an image and peak memory at x4")
    assert [plain(cell) for cell in rows[0]] == ["bicubic", "250", "750", "1,000", "300"]


def test_left_out_images_are_counted_and_explained(text: str) -> None:
    _, *rows = rows_of(text, "Mean PSNR, dB")
    assert plain(rows[0][3]) == "15.00 1 of 2"
    assert "of 2" not in "".join(row[column] for row in rows for column in (1, 2))
    assert "3 results left out of the means" in text
    assert "b, x30, all methods: too small" in text


@pytest.mark.usefixtures("no_matplotlib")
def test_a_method_that_failed_everywhere_keeps_its_row(report: BenchReport, tmp_path: Path) -> None:
    scores = [
        score(entry.set, entry.image, "net", entry.scale, None, "no weights")
        if entry.method == "net"
        else entry
        for entry in report.scores
    ]
    text = html.page(replace(report, scores=scores), tmp_path)
    _, *rows = rows_of(text, "Mean PSNR, dB")
    assert [plain(cell) for cell in rows[1]] == [
        "small network",
        "- 0 of 2",
        "- 0 of 2",
        "- 0 of 2",
    ]


def test_cited_rows_are_marked_and_never_best(text: str) -> None:
    _, *rows = rows_of(text, "Mean PSNR, dB")
    assert plain(rows[-1][0]) == "RDN-LIIF (Table 1)  cited"
    assert [plain(cell) for cell in rows[-1][1:]] == ["99.00", "-", "20.00"]
    for caption in ("Mean SSIM", "Speed, output Mpx/s, encoder and decoder"):
        assert len(rows_of(text, caption)) == 4, "nothing is cited here"


def test_equal_images_have_infinite_psnr(text: str) -> None:
    _, *rows = rows_of(text, "Mean PSNR, dB")
    assert "∞" in rows[2][3]


def test_crops_are_inside(report: BenchReport, text: str, folder: Path) -> None:
    found = [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]*)", text)]
    wanted = [
        (folder / crop.files[name]).read_bytes()
        for crop in report.crops
        for name in ("HR", "bicubic", "net", "nasty")
    ]
    assert found == wanted
    assert len(set(found)) == 8
    first = text[text.index('id="crop-1"') : text.index('id="set-2"')]
    values = re.findall(r'class="value">(.*?)</span></fig', first)
    assert [plain(value) for value in values] == [
        "truth",
        "20.00 dB",
        "22.50 dB   best",
        "21.00 dB",
    ]


@pytest.mark.usefixtures("no_matplotlib")
def test_a_crop_without_its_file_is_said(report: BenchReport, tmp_path: Path) -> None:
    (tmp_path / report.crops[0].files["net"]).unlink()
    text = html.page(report, tmp_path)
    Page(text)
    assert text.count("the file of this crop is gone") == 1
    assert text.count("data:image/png") == 7


def test_machine_and_digests_are_said(text: str) -> None:
    page = Page(text)
    said = [data for tag, data in page.texts if tag in ("dd", "code")]
    for fact in ("Example CPU <3", "4", "2", "liif 9.8.7, torch 2.x", "0123456789ab+", "2, 4, 30"):
        assert fact in said
    assert "feedbeef" * 8 in said
    assert ("dt", "option limit") not in page.texts, "not given"


@pytest.mark.usefixtures("no_matplotlib")
def test_cells_get_tables_of_their_own(report: BenchReport, tmp_path: Path) -> None:
    wide = [replace(entry, cell=2.0, psnr=7.0) for entry in report.scores if entry.scale == 2]
    text = html.page(replace(report, scores=report.scores + wide), tmp_path)
    head, *rows = rows_of(text, "Mean PSNR, dB, cell times 2")
    assert [plain(cell) for cell in head] == ["method", "x2"]
    assert plain(rows[0][1]).startswith("7.00")


@pytest.mark.usefixtures("no_matplotlib")
def test_without_matplotlib_the_page_says_so(report: BenchReport, tmp_path: Path) -> None:
    text = html.page(report, tmp_path)
    assert "<svg" not in text
    assert ("p", plots.MISSING) in Page(text).texts
    assert "Mean PSNR, dB" in text


def test_plots_are_inside(text: str) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    assert [tag for tag, _ in Page(text).tags].count("svg") == 6


def test_reports_of_nothing(tmp_path: Path) -> None:
    header = Header("cpu", 1, 1, "cpu")
    Page(html.page(BenchReport(header, [], [], [], []), tmp_path))
    empty = SetInfo("empty", [], "div2k", "/nowhere")
    Page(html.page(BenchReport(header, [empty], [], [2.0], []), tmp_path))


@pytest.mark.usefixtures("no_matplotlib")
def test_undecodable_names_can_be_written(report: BenchReport, tmp_path: Path) -> None:
    odd = replace(report.sets[0], path="/data/\udcff")
    path = html.write_html(replace(report, sets=[odd, report.sets[1]]), tmp_path)
    assert "/data/?" in path.read_text(encoding="utf-8")


def test_the_same_report_gives_the_same_bytes(
    report: BenchReport, text: str, tmp_path: Path
) -> None:
    again = html.write_html(report, tmp_path)
    assert again.read_text(encoding="utf-8") == text


@pytest.mark.usefixtures("no_matplotlib")
def test_inputs_are_columns_and_gains_are_of_the_same_input(
    report: BenchReport, tmp_path: Path
) -> None:
    text = html.page(with_inputs(report, tmp_path), tmp_path)
    Page(text)
    head, *rows = rows_of(text, "Mean PSNR, dB, x4")
    assert [plain(cell) for cell in head] == ["method", "clean", "jpeg50"]
    assert [plain(cell) for cell in rows[0]] == ["bicubic", "29.00", "28.00   best"]
    assert [plain(cell) for cell in rows[1]] == ["small network", "30.00   best", "27.50"]
    _, *rows = rows_of(text, "dB above bicubic of the same input, x4")
    assert [plain(cell) for cell in rows[0]] == [
        "small network",
        "+1.00   best",
        "\N{MINUS SIGN}0.50",
    ]
    _, *rows = rows_of(text, "Mean SSIM, x4")
    assert len(rows[0]) == 3
    _, *rows = rows_of(text, "Largest chroma of gray images (pixels above 48), x4")
    assert [plain(cell) for cell in rows[1]] == ["small network", "131 (7 px)", "131 (7 px)"]
    assert plain(rows[0][1]) == "0"
    # cited figures are of clean images
    _, *rows = rows_of(text, "Mean PSNR, dB, x2")
    assert [plain(cell) for cell in rows[-1]][1:] == ["99.00", "-"]
    head, *_ = rows_of(text, "Speed, output Mpx/s, encoder and decoder")
    assert [plain(cell) for cell in head] == ["method", "x2", "x4", "x30"]
    assert "Best at x4, clean input" in text
    said = [plain(cell) for row in rows_of(text, "What LR images went through") for cell in row]
    assert said[-2:] == ["jpeg50", "JPEG of quality 50, 4:4:4"]
    assert "b, x30, all methods: too small" in text, "at every input"


@pytest.mark.usefixtures("no_matplotlib")
def test_crops_show_the_degraded_input(report: BenchReport, tmp_path: Path) -> None:
    text = html.page(with_inputs(report, tmp_path), tmp_path)
    parts = [
        text[text.index(f'id="crop-{number}"') :].split("</section>")[0] for number in (1, 3, 4)
    ]
    labels = [re.findall(r'class="label">(.*?)</span>', part)[:3] for part in parts]
    assert labels == [
        ["HR", "bicubic", "small network"],
        ["HR", "bicubic: the input, enlarged", "small network"],
        ["HR", "input, enlarged by bicubic", "small network"],
    ]
    assert "a, x2, clean" in parts[0]
    assert all("a, x2, jpeg50" in part for part in parts[1:])
    values = re.findall(r'class="value">(.*?)</span></fig', parts[2])
    assert [plain(value) for value in values] == ["truth", "-", "22.50 dB   best"]


@pytest.mark.usefixtures("no_matplotlib")
def test_an_image_left_out_at_one_input_says_so(report: BenchReport, tmp_path: Path) -> None:
    both = with_inputs(report, tmp_path)
    failed = score("photos", "a", "net", 8.0, None, "no such codec")
    scores = [*both.scores, replace(failed, input="jpeg50")]
    text = html.page(replace(both, scores=scores), tmp_path)
    assert "a, x8, jpeg50, small network: no such codec" in text
