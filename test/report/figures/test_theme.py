"""Tests for ``p2p.report.figures.theme``."""

from __future__ import annotations

import colorsys
import re

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures.theme import DARK, LIGHT, Theme, look

TYPES = ("text", "audio", "video", "zeros", "random")


def luminance(color: str) -> float:
    """Work out the relative luminance of WCAG."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Work out the contrast ratio of WCAG."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


class ThemeTests(SynchronousTestCase):
    """The colours."""

    def test_colors(self) -> None:
        """Every colour of both themes is written in full, as what stands for it in a page is found by it."""
        for theme in (LIGHT, DARK):
            for name in Theme.names():
                self.assertTrue(re.fullmatch(r"#[0-9a-f]{6}", theme.color(name)), name)

    def test_readable(self) -> None:
        """Text stands out from the paper and from areas by 4.5 at least, marks by 3, as WCAG asks."""
        for theme in (LIGHT, DARK):
            for name in ("ink", "soft"):
                self.assertGreaterEqual(contrast(theme.color(name), theme.paper), 4.5, name)
                self.assertGreaterEqual(contrast(theme.color(name), theme.wash), 4.5, name)
            for name in (*TYPES, "other", "another", "equivalent", "differs", "inconclusive"):
                self.assertGreaterEqual(contrast(theme.color(name), theme.paper), 3, name)

    def test_hues(self) -> None:
        """A type has the same hue in both themes, so that nobody takes it for another one."""
        for name in TYPES:
            hues = []
            for theme in (LIGHT, DARK):
                red, green, blue = (int(theme.color(name)[at : at + 2], 16) / 255 for at in (1, 3, 5))
                hues.append(colorsys.rgb_to_hls(red, green, blue)[0])
            self.assertLess(min(abs(hues[0] - hues[1]), 1 - abs(hues[0] - hues[1])), 0.07, name)


class LookTests(SynchronousTestCase):
    """How a condition is drawn."""

    def test_types(self) -> None:
        """Types differ in colour, in marker and in line, so that none of these is needed alone."""
        looks = [look(name) for name in TYPES]
        for parts in ({one.color for one in looks}, {one.marker for one in looks}, {one.dash for one in looks}):
            self.assertEqual(len(parts), len(TYPES))
        self.assertFalse(any(one.is_hollow for one in looks))

    def test_labels(self) -> None:
        """A control under another label has the colour of its bytes, the marker of its label, and is hollow."""
        control = look("text-as-video")
        self.assertEqual(control.color, look("text").color)
        self.assertEqual(control.marker, look("video").marker)
        self.assertTrue(control.is_hollow)

    def test_others(self) -> None:
        """Whatever else a file names is drawn too, always the same."""
        self.assertEqual(look("film"), look("film"))
        self.assertTrue(look("film").color in Theme.names())
        self.assertEqual(look("text-as-film").color, "text")
        self.assertEqual(look("").color, "other")
        self.assertEqual({"other", "another"}, {look(f"film {number}").color for number in range(30)})
