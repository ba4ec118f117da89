"""Tests for ``p2p.report.figures.output``."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree as ET

import matplotlib
from matplotlib.figure import Figure
from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures import DARK, LIGHT, Theme, print_svg, sheet, svg
from p2p.report.figures.output import Picture, _style

SVG = "{http://www.w3.org/2000/svg}"


def draw(theme: Theme) -> Figure:
    """Draw something of everything: a line, markers, text that is turned, what is cut off, an area."""
    figure = sheet.new(2.0)
    axes = figure.subplots()
    axes.set_title("title of $x", fontweight="bold")
    axes.set_ylabel("height & width <b>")
    axes.plot([0, 1, 5], [0, 1, 9], color=theme.text, marker="o")
    axes.fill_between([0, 1], [0, 1], color=theme.wash)
    axes.set_xlim(0, 2)
    return figure


def draw_plain(theme: Theme) -> Figure:
    """Draw little: each font that is embedded takes long."""
    figure = sheet.new(1.0)
    figure.subplots().plot([0, 1], color=theme.ink)
    return figure


PICTURE = Picture("latency", "How long?", "A caption.", 'It shows "1" & <2>.', draw)


class SvgTests(SynchronousTestCase):
    """Figures of the page."""

    def setUp(self) -> None:
        """Draw it."""
        self.text = svg(PICTURE)
        self.root = ET.fromstring(self.text)

    def test_the_same(self) -> None:
        """The same data give the same bytes, whatever somebody has set for matplotlib; there is no date."""
        with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "text.color": "red"}):
            self.assertEqual(svg(PICTURE), self.text)
        self.assertNotIn("metadata", self.text)
        self.assertIsNone(re.search(r"20\d\d-\d\d", self.text))

    def test_for_a_page(self) -> None:
        """It is an image with a text for those who can't see it, as wide as there is room, and nothing else."""
        self.assertEqual(self.root.tag, f"{SVG}svg")
        self.assertTrue(self.text.startswith("<svg "))
        self.assertEqual(self.root.get("role"), "img")
        self.assertEqual(self.root.get("aria-label"), PICTURE.alt)
        self.assertEqual(self.root.get("width"), "100%")
        self.assertIsNone(self.root.get("height"))
        self.assertEqual(self.root.get("viewBox"), "0 0 518.4 144")
        self.assertEqual([one.tag for one in self.root.iter() if "script" in one.tag or "image" in one.tag], [])

    def test_text_is_text(self) -> None:
        """Text stays text in the font of the page, with its size and weight."""
        texts = {one.text: one.get("style", "") for one in self.root.iter(f"{SVG}text")}
        self.assertIn("height & width <b>", texts)
        self.assertIn("font-size: 9px", texts["title of $x"])
        self.assertIn("font-weight: 700", texts["title of $x"])
        self.assertNotIn("DejaVu", "".join(texts.values()))
        self.assertIn("system-ui", self.root.get("font-family", ""))

    def test_colors(self) -> None:
        """Every colour is a custom property, which has a value in light and in dark; a page may set the main ones."""
        sheets = [one.text or "" for one in self.root.iter(f"{SVG}style")]
        drawn = "".join(one.get("style", "") for one in self.root.iter())
        self.assertEqual(len(sheets), 1)
        self.assertIsNone(re.search("#[0-9a-f]{6}", drawn))
        for name in set(re.findall(r"var\((--p2p-\w+)\)", drawn)):
            self.assertEqual(sheets[0].count(f"{name}:"), 3, name)
        self.assertIn("prefers-color-scheme:dark", sheets[0])
        self.assertIn(f"--p2p-ink:var(--ink,{DARK.ink})", sheets[0])
        self.assertIn(f"--p2p-text:{LIGHT.text}", sheets[0])

    def test_styles_stay_inside(self) -> None:
        """Its style is for itself alone, since it may stand in a page among others."""
        sheet_text = next(one.text or "" for one in self.root.iter(f"{SVG}style"))
        for selector in re.findall(r"(?:^|[{}])([^{}@]+)\{", sheet_text):
            self.assertEqual(selector, "#latency")

    def test_ids(self) -> None:
        """Ids begin with the name, are unique, and what is referred to is there: two figures on a page don't clash."""
        for name in ("latency", "drops"):
            text = svg(replace(PICTURE, name=name))
            ids = re.findall(r'\bid="([^"]+)"', text)
            used = re.findall(r'(?:href="#|url\(#)([^")]+)', text)
            self.assertEqual(len(ids), len(set(ids)))
            self.assertTrue(all(one == name or one.startswith(f"{name}-") for one in ids), ids)
            self.assertTrue(used)
            self.assertEqual(set(used) - set(ids), set())
            self.assertEqual(set(ids) - set(used), {name})


class FontTests(SynchronousTestCase):
    """The two ways in which versions of matplotlib write fonts."""

    def test_ways(self) -> None:
        """Size, weight and style stay, and the family goes."""
        one = _style("font: italic 700 8.5px 'DejaVu Sans', 'Arial', sans-serif; text-anchor: end")
        self.assertEqual(one, "font-size: 8.5px; font-style: italic; font-weight: 700; text-anchor: end")
        other = _style("font-weight: 700; font-size: 9px; font-family: 'DejaVu Sans'; fill: #f1e001")
        self.assertEqual(other, "font-weight: 700; font-size: 9px; fill: var(--p2p-ink)")
        self.assertEqual(_style("font: 8px 'DejaVu Sans'"), "font-size: 8px")


class PrintTests(SynchronousTestCase):
    """Figures of the paper."""

    def test_the_same(self) -> None:
        """It needs no font and nothing else, and the same data give the same bytes, without a date."""
        plain = replace(PICTURE, draw=draw_plain)
        made = print_svg(plain)
        self.assertIn(b"<svg", made)
        for unwanted in (b"<text", b"dc:date", b"font-family", b"var(--"):
            self.assertNotIn(unwanted, made)
        self.assertEqual(made, print_svg(plain))


class ImportTests(SynchronousTestCase):
    """What importing costs."""

    def test_light(self) -> None:
        """Importing the package brings neither matplotlib nor pandas."""
        code = (
            "import sys, p2p.report.figures\n"
            "sys.exit(bool({'matplotlib', 'numpy', 'pandas', 'scipy'} & set(sys.modules)))"
        )
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)
