"""What a figure is; figures as SVG for page and paper, the same bytes for the same data. Needs the extra ``report``."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET

import matplotlib
from matplotlib.figure import Figure

from p2p.report import formats
from p2p.report.figures.theme import DARK, LIGHT, Theme

__all__ = ["FONTS", "Picture", "drawing", "print_svg", "svg"]

FONTS: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'
"""Of the page. Matplotlib measures text with its own DejaVu Sans, which is wider than any of these."""

_PAGE_COLORS: Final = ("paper", "ink", "soft", "line")
"""Colours that a page may set itself, as custom properties ``--paper`` to ``--line``."""

_SVG: Final = "http://www.w3.org/2000/svg"
_LINK: Final = "{http://www.w3.org/1999/xlink}href"
_MARKED: Final = Theme(**{name: f"#f1e0{number:02x}" for number, name in enumerate(Theme.names())})
"""Colours that stand for themselves, and become custom properties of CSS."""

_COLOR: Final = re.compile(r"#f1e0([0-9a-f]{2})")
_NUMBER: Final = re.compile(r"-?\d+\.\d+")
_FONT: Final = re.compile(r"font: ((?:\w+ )*)([\d.]+)px [^;]*")
_FAMILY: Final = re.compile(r"font-family: [^;]*; ?")
_REFERENCE: Final = re.compile(r"url\(#([^)]+)\)")

_STYLE: Final[dict[str, Any]] = {
    "axes.axisbelow": True,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 5.0,
    "axes.titlesize": 9.0,
    "axes.unicode_minus": True,
    "errorbar.capsize": 0.0,
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "grid.linewidth": 0.6,
    "legend.borderaxespad": 0.0,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "path.simplify": True,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold a dollar sign
    "xtick.labelsize": 8.0,
    "xtick.major.size": 3.0,
    "xtick.major.width": 0.7,
    "xtick.minor.size": 2.0,
    "ytick.labelsize": 8.0,
    "ytick.major.size": 0.0,
    "ytick.minor.size": 0.0,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure: what it is about, in words, and how to draw it.

    :ivar name: the id in the page, and part of file names.
    :ivar question: the question that it answers.
    :ivar caption: what is shown, what the marks are, and how many blocks it rests on.
    :ivar alt: the same for somebody who can't see it, with the main figures.
    :ivar draw: draws it in a theme, as a figure of matplotlib.
    """

    name: str
    question: str
    caption: str
    alt: str
    draw: Callable[[Theme], Figure]


@contextmanager
def drawing(picture: Picture, theme: Theme) -> Iterator[Figure]:
    """Draw a picture; what somebody set for matplotlib on this machine makes no difference to it."""
    settings: Any = {
        **_STYLE,
        "axes.edgecolor": theme.soft,
        "axes.facecolor": "none",
        "axes.labelcolor": theme.soft,
        "axes.titlecolor": theme.ink,
        "figure.facecolor": "none",
        "grid.color": theme.line,
        "legend.labelcolor": theme.ink,
        "text.color": theme.ink,
        "xtick.color": theme.soft,
        "ytick.color": theme.soft,
        "svg.hashsalt": picture.name,
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield picture.draw(theme)


def print_svg(picture: Picture) -> bytes:
    """Draw a figure for print, in the light theme: letters are shapes, so that it looks the same everywhere."""
    content = io.BytesIO()
    with drawing(picture, LIGHT) as figure, matplotlib.rc_context({"svg.fonttype": "path"}):
        figure.savefig(content, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return content.getvalue()


def svg(picture: Picture) -> str:
    """Draw a figure for a page: text stays text, colours are custom properties, and nothing reaches out of it."""
    content = io.StringIO()
    with drawing(picture, _MARKED) as figure:
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(content, format="svg", metadata=nothing)
    root = ET.fromstring(content.getvalue())  # ours, from matplotlib, not from anybody else
    viewed = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib |= {
        "id": picture.name,
        "viewBox": " ".join(map(_short, viewed.split())),
        "width": "100%",
        "role": "img",
        "aria-label": formats.shown(picture.alt),
        "font-family": FONTS,
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }
    _clean(root, picture.name)
    style = ET.Element(f"{{{_SVG}}}style")
    style.text = _sheet(picture.name)
    root.insert(0, style)
    ET.register_namespace("", _SVG)
    return ET.tostring(root, encoding="unicode") + "\n"


def _clean(root: ET.Element, name: str) -> None:
    """Take out what only matplotlib needs, and give ids that no other figure has."""
    for parent in list(root.iter()):
        for child in list(parent):
            # Its style sheet would apply to the whole page.
            if child.tag == f"{{{_SVG}}}style" or not (len(child) or child.attrib or (child.text or "").strip()):
                parent.remove(child)
    used = {
        reference
        for element in root.iter()
        for value in element.attrib.values()
        for reference in (_REFERENCE.findall(value) if "url(" in value else [value[1:]] if value[:1] == "#" else [])
    }
    for element in root.iter():
        if (target := element.attrib.pop(_LINK, None)) is not None:
            element.set("href", f"#{name}-{target[1:]}")
        for key, value in list(element.attrib.items()):
            if key == "id" and element is not root:
                if value in used:
                    element.set(key, f"{name}-{value}")
                else:
                    del element.attrib[key]
            elif key == "style":
                element.set(key, _style(value))
            elif key == "clip-path":
                element.set(key, _REFERENCE.sub(rf"url(#{name}-\1)", value))
            elif key in ("d", "x", "y", "width", "height", "transform"):
                element.set(key, _NUMBER.sub(lambda found: _short(found[0]), value).replace("\n", " ").strip())
        if element.tag != f"{{{_SVG}}}text":
            element.text = None
        element.tail = None


def _short(number: str) -> str:
    """Round to hundredths of a point, of which nobody sees any."""
    return f"{float(number):.2f}".rstrip("0").rstrip(".").replace("-0", "-0" if float(number) <= -0.005 else "0")


def _style(value: str) -> str:
    """Take the font of the page; some versions of matplotlib write fonts in one property, some in several."""
    value = _COLOR.sub(lambda found: f"var(--p2p-{Theme.names()[int(found[1], 16)]})", value)
    value = _FONT.sub(lambda found: f"font-size: {_short(found[2])}px{_face(found[1])}", value)
    return _FAMILY.sub("", value)


def _face(before: str) -> str:
    """Write the style and the weight that stand before the size."""
    parts = before.split()
    styles = [f"; font-style: {part}" for part in parts if part in ("italic", "oblique")]
    weights = [f"; font-weight: {part}" for part in parts if part.isdigit() or part == "bold"]
    return "".join(styles + weights)


def _sheet(name: str) -> str:
    """Write the colours of both themes; those of the page win."""

    def colors(theme: Theme) -> str:
        return "".join(
            f"--p2p-{one}:{f'var(--{one},{theme.color(one)})' if one in _PAGE_COLORS else theme.color(one)};"
            for one in Theme.names()
        )

    return (
        f"#{name}{{{colors(LIGHT)}}}@media (prefers-color-scheme:dark){{#{name}{{{colors(DARK)}}}}}"
        f"@media print{{#{name}{{{colors(LIGHT)}}}}}"
    )
