"""A plot's SVG, made fit to stand inside an HTML page that may be light or dark."""

from __future__ import annotations

from xml.etree import ElementTree

from liif_cli.bench.plots import COLOURS, GRID, INK, PAPER, Plot, svg

# the stylesheet of the page gives these their colours
_THEME = {
    INK: "var(--ink)",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
    COLOURS[0]: "var(--blue)",
}


def inline_svg(plot: Plot, prefix: str) -> str:
    """The ``<svg>`` element of a plot.

    Args:
        plot: a figure of ``liif_cli.bench.plots``.
        prefix: put before every id, since a page has several plots and each id once.
    """
    # made here a moment ago by matplotlib, so no hostile XML
    root = ElementTree.fromstring(svg(plot))
    for element in root.findall("{*}metadata"):
        root.remove(element)
    for element in root.iter():
        # an SVG inside HTML has no namespaces
        element.tag = _local(element.tag)
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            element.set(_local(name), _adapted(_local(name), value, prefix))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", plot.text)
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _adapted(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == "href":
        return value.replace("#", f"#{prefix}", 1)
    value = value.replace("url(#", f"url(#{prefix}")
    for colour, variable in _THEME.items():
        value = value.replace(colour, variable)
    return value
