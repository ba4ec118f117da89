"""Paths that come from elsewhere never lead out of the folder that they are taken in."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import P2PError
from p2p.exchange.inbox import checked_name
from p2p.exchange.paths import (
    MAX_DEPTH,
    MAX_NAME,
    MAX_PATH,
    RESERVED,
    InvalidPath,
    checked_path,
    from_bytes,
    numbered,
    shown,
    stays_inside,
    to_bytes,
)
from test.properties import PROPERTY

NASTY = st.sampled_from(["..", ".", "/", "//", "../", "a", "-rf", RESERVED, "\0", "\n", "\x1b[2J", "\udc80", "é", " "])
TEXTS = st.text(max_size=60) | st.lists(NASTY, max_size=12).map("".join) | st.lists(NASTY, max_size=12).map("/".join)
NAMES = (
    st.binary(min_size=1, max_size=MAX_NAME).map(from_bytes).filter(lambda name: "/" not in name and "\0" not in name)
)


class BytesTests(SynchronousTestCase):
    """Text and bytes of a path."""

    @given(st.binary(max_size=200))
    @PROPERTY
    def test_lossless(self, raw: bytes) -> None:
        """Any bytes become text and the same bytes again: a name needn't be UTF-8."""
        self.assertEqual(to_bytes(from_bytes(raw)), raw)
        self.assertEqual(from_bytes(raw), os.fsdecode(raw))

    def test_no_bytes(self) -> None:
        """Half of a surrogate pair stands for no bytes: that is said, instead of a UnicodeEncodeError."""
        for take in (to_bytes, checked_path):
            error = self.assertRaises(InvalidPath, take, "a\ud800")
            self.assertIn("'a\\ud800'", str(error))


class CheckedPathTests(SynchronousTestCase):
    """What the path of an entry may be."""

    def refused(self, *texts: str, reason: str) -> None:
        for text in texts:
            error = self.assertRaises(InvalidPath, checked_path, text)
            self.assertIn(reason, str(error))
            self.assertTrue(str(error).isprintable(), str(error))
            self.assertLess(len(str(error)), 1500)

    @given(TEXTS)
    @example("\udcc2\udc85")
    @PROPERTY
    def test_never_leaves_the_root(self, text: str) -> None:
        """Whatever the text, either it is refused, or its parts stay below the folder that they are taken in."""
        try:
            parts = checked_path(text)
        except InvalidPath:
            return
        joined = "/".join(parts)
        self.assertEqual(to_bytes(joined), to_bytes(text))
        self.assertEqual(os.path.normpath("/root/" + joined), "/root/" + joined)
        self.assertTrue(PurePosixPath("/root", *parts).is_relative_to("/root"))
        self.assertEqual(len(PurePosixPath("/root", *parts).parts), 2 + len(parts))
        for part in parts:
            self.assertNotIn(part, ("", ".", ".."))
            self.assertFalse(part.startswith(RESERVED))
            self.assertFalse(set(part) & {chr(number) for number in [*range(0x20), *range(0x7F, 0xA0)]})

    def test_taken(self) -> None:
        """Names of any script, a leading dash, spaces, dots and bytes that aren't UTF-8 are names like others."""
        for text in ("a", "-rf", "a/-/b", "日本 語.txt", ".hidden", "...", "a/..b", "x\udcff", ".p2p", "a\u00a0b"):
            self.assertEqual(checked_path(text), tuple(text.split("/")))

    def test_composed(self) -> None:
        """Bytes that are escaped one by one and together are a character are that character."""
        self.assertEqual(checked_path("caf\udcc3\udca9"), ("café",))

    def test_nothing(self) -> None:
        """An empty path is refused."""
        self.refused("", reason="is empty")

    def test_absolute(self) -> None:
        """A path from the root of the system is refused."""
        self.refused("/", "/etc/passwd", "//x", reason="is absolute")

    def test_parts_that_are_none(self) -> None:
        """Parts that go nowhere or up are refused, wherever they are."""
        self.refused("..", ".", "../x", "a/../b", "a/..", "a/./b", "a//b", "a/", reason="which is the name of nothing")

    def test_control_characters(self) -> None:
        """Control characters are refused, a newline and those above ASCII among them, also in escaped bytes."""
        self.refused("a\nb", "\0", "a/\x1b[2J", "\x7f", "\u0085", "\udcc2\udc85", reason="control character")

    def test_directions_and_lines(self) -> None:
        """What shows a name in another order, or breaks its line, is refused, also in escaped bytes; joiners aren't."""
        for character in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069":
            self.refused(f"a/gpj{character}exe", reason="turns the direction of writing")
        self.refused("\udce2\udc80\udcae", reason="turns the direction of writing")
        self.refused("a\u2028b", "a\u2029b", reason="separator of lines or paragraphs")
        for text in (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\U0001f468\u200d\U0001f469",
            "\ufeff",
            "\u3000",
        ):
            self.assertEqual((text,), checked_path(text))

    def test_one_rule(self) -> None:
        """The services that keep a file under its name refuse the same ones of what can't be printed."""
        for number in (*range(1, 0x3000), 0xFEFF, 0xE0001):
            name = f"a{chr(number)}b"
            if chr(number) in "/\\":
                continue
            verdicts = []
            for check in (checked_path, checked_name):
                try:
                    check(name)
                except P2PError:
                    verdicts.append(False)
                else:
                    verdicts.append(True)
            self.assertEqual(1, len(set(verdicts)), hex(number))

    def test_reserved(self) -> None:
        """The names of what p2p itself keeps in an inbox are refused at any depth."""
        self.refused(RESERVED, ".p2p-0123456789abcdef/state.json", "a/.p2p-x", reason="marks what is under way")

    def test_long_names(self) -> None:
        """A part may have 255 bytes, however many characters that is."""
        for character in "x", "é", "\udcff":
            fits = character * (MAX_NAME // len(to_bytes(character)))
            self.assertEqual(checked_path("a/" + fits), ("a", fits))
            self.refused(fits + character, reason="more than 255 bytes")

    def test_long_paths(self) -> None:
        """A path may have 4096 bytes."""
        name = "é" * 127 + "x"  # 255 bytes
        path = "/".join([name] * 16)
        self.assertEqual(len(to_bytes(path)), MAX_PATH - 1)
        self.assertEqual(len(checked_path(path)), 16)
        longest = f"aéb/{path[2:]}"
        self.assertEqual((len(to_bytes(longest)), len(checked_path(longest))), (MAX_PATH, 17))
        self.refused(path + "/a", reason="longer than 4096 bytes")

    def test_deep_paths(self) -> None:
        """A path may have 64 parts."""
        self.assertEqual(len(checked_path("/".join("x" * MAX_DEPTH))), MAX_DEPTH)
        self.refused("/".join("x" * (MAX_DEPTH + 1)), reason="64 folders deep")


class ShownTests(SynchronousTestCase):
    """Paths in messages."""

    @given(TEXTS)
    @PROPERTY
    def test_harmless(self, text: str) -> None:
        """What a person sees of a path steers no terminal, and is never long."""
        self.assertTrue(shown(text).isprintable())
        self.assertLess(len(shown("x" * 100_000)), 210)

    def test_plain(self) -> None:
        """A path like any other is shown in quotes."""
        self.assertEqual(shown("a/b c"), "'a/b c'")

    def test_cut(self) -> None:
        """A path of 200 characters is shown whole, of a longer one the first 197."""
        self.assertEqual(shown("x" * 200), repr("x" * 200))
        self.assertEqual(shown("x" * 201), repr("x" * 197 + "..."))


class StaysInsideTests(SynchronousTestCase):
    """Where links may lead."""

    @given(st.lists(st.sampled_from("ab"), min_size=1, max_size=5), TEXTS)
    @PROPERTY
    def test_never_leaves_the_root(self, parts: list[str], target: str) -> None:
        """A link that stays inside leads to no place above the topmost folder of its path, or above the root."""
        if stays_inside(parts, target):
            here = "/root/" + "/".join(parts[:-1])
            top = "/root/" + "/".join(parts[:1]) if len(parts) > 1 else "/root"
            led = os.path.normpath(f"{here}/{target}")
            self.assertEqual(os.path.commonpath([top, led]), os.path.normpath(top))

    def test_inside(self) -> None:
        """A link may lead down, beside itself, and up within the folder that is sent."""
        for path, target in (
            ("a/link", "b"),
            ("a/link", "b/c"),
            ("a/link", "./b//c/"),
            ("a/link", "."),
            ("a/b/link", "../c"),
            ("a/b/c/link", "../../d"),
            ("link", "beside"),
        ):
            self.assertTrue(stays_inside(path.split("/"), target), (path, target))

    def test_outside(self) -> None:
        """A link may not lead out of the folder that is sent, nor back from where another link may lead."""
        for path, target in (
            ("link", "/etc/passwd"),
            ("link", ".."),
            ("a/link", "../b"),
            ("a/b/link", "../../c"),
            ("a/b/link", "./.././../c"),
            ("a/b/link", "c/../.."),
            ("a/b/link", "c/.."),
            ("link", ""),
        ):
            self.assertFalse(stays_inside(path.split("/"), target), (path, target))


class NumberedTests(SynchronousTestCase):
    """Other names for what has one that is taken."""

    def test_number(self) -> None:
        """The number stands before the ending; a name without an ending has it at its end."""
        for name, expected in (
            ("film.mp4", "film (2).mp4"),
            ("folder", "folder (2)"),
            (".bashrc", ".bashrc (2)"),
            ("dot.", "dot. (2)"),
            ("x." + "e" * 200, "x." + "e" * 200 + " (2)"),
        ):
            self.assertEqual(numbered(name, 2), expected)
        self.assertEqual(numbered("film.mp4", 0), "film.mp4")

    @given(NAMES, st.integers(1, 10**6))
    @PROPERTY
    def test_valid(self, name: str, number: int) -> None:
        """A numbered name is another one, not too long, and as valid as the name was; no character is cut in two."""
        other = numbered(name, number)
        self.assertNotEqual(other, name)
        self.assertLessEqual(len(to_bytes(other)), MAX_NAME)
        try:
            checked_path(name)
        except InvalidPath:
            return
        self.assertEqual(checked_path(other), (other,))
        self.assertEqual({c for c in other if "\udc80" <= c <= "\udcff"} - set(name), set())

    def test_cut(self) -> None:
        """A name that is as long as can be is cut for its number, by whole characters."""
        self.assertEqual(numbered("é" * 125 + ".mp4", 10), "é" * 123 + " (10).mp4")
        self.assertEqual(numbered("\udcff" * 255, 1), "\udcff" * 251 + " (1)")
