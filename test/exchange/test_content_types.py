"""Tests for :mod:`p2p.exchange.content_types`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.exchange.content_types import TYPES, type_of


class TypeTests(SynchronousTestCase):
    """The type by the ending."""

    def test_types(self) -> None:
        """The ending of the last name of a path tells the type, in capitals or not; what it doesn't tell is data."""
        for path, kind in (
            ("a.txt", "text"),
            ("a.MD", "text"),
            ("a.wav", "audio"),
            ("photos/a.mka", "audio"),
            ("a.mp4", "video"),
            ("a.tar.mkv", "video"),
            (".webm", "video"),
            ("a.zip", "data"),
            ("a.ts", "data"),
            ("a.mkv/b", "data"),
            ("a.mkv ", "data"),
            ("mkv", "data"),
            ("", "data"),
        ):
            self.assertEqual(kind, type_of(path), path)

    def test_all(self) -> None:
        """There are four of them."""
        self.assertEqual({"text", "audio", "video", "data"}, set(TYPES))
