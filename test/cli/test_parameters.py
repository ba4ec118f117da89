"""Lengths of time as people write them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.cli.parameters import parse_duration


class DurationTests(SynchronousTestCase):
    """``--deadline``."""

    def test_read(self) -> None:
        """Seconds are meant where nothing else is said; parts are added up."""
        for text, seconds in (
            ("90", 90),
            ("0", 0),
            ("1.5s", 1.5),
            ("10min", 600),
            ("10 m", 600),
            ("1h", 3600),
            ("1h 30min", 5400),
            ("2d", 172_800),
            (" 1h30m ", 5400),
        ):
            self.assertEqual(seconds, parse_duration(text), text)

    def test_wrong(self) -> None:
        """Anything else is told with examples."""
        for text in ("", "h", "1 year", "-5", "1h later", "now 1h", "1e3", "1..5", "∞"):
            error = self.assertRaises(ValueError, parse_duration, text)
            self.assertIn("10min", str(error))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever is written, it is a time or an error."""
        try:
            self.assertGreaterEqual(parse_duration(text), 0)
        except ValueError:
            return
