"""Every parser of p2p has a target of fuzzing, and every target takes what its format may bring."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from test.fuzz.catalogue import TARGETS
from test.fuzz.target import Target, cut
from test.properties import PROPERTY
from test.strategies import FORMATS, JOURNAL_ROWS, nearly

_ROOT: Final = Path(__file__).resolve().parents[2] / "p2p"

_VERBS: Final = ("parse_", "read_", "load_", "decode", "check_", "checked_")
_NOUNS: Final = ("Parser", "Decoder", "Reader")

ELSEWHERE: Final = {
    "check_console": "the path of a socket in a file of ours: the target yaml reads such files",
    "check_request": "the arguments of a question, when they are parsed: test.router has its tests",
    "check_instruction": "arguments that the control channel has parsed: test.peer.test_instruction has its tests",
    "check_reachable": "as check_instruction",
    "check_have": "what has been parsed by then: the target reports reads it, test.transfer.test_answers has its tests",
    "check_listed": "the names of a page, when it is parsed: test.base has its tests",
    "checked_folder": "the path of a folder on this machine: its owner names it",
    "checked_request": "as check_request",
    "checked_sources": "paths on this machine: their owner names them",
    "checked_with_file": "an operation of the console: the daemon's own user asks for it",
    "load_credentials": "files of a configuration: the target pem reads them",
    "read_gauge": "what the kernel says of a process",
    "read_text": "part of what the target raw-data reads",
    "Reader": "a declaration without code",
}
"""What looks like a parser of foreign bytes by its name, and has no target for a reason."""


def found_parsers() -> Iterator[str]:
    """The names of public functions and classes that read something, by what they are called."""
    for path in sorted(_ROOT.rglob("*.py")):
        if path.relative_to(_ROOT).parts[0] == "report":
            continue  # it shows what others have read
        for node in ast.parse(path.read_text("utf-8")).body:
            match node:
                case ast.FunctionDef(name=name) if name.startswith(_VERBS):
                    yield name
                case ast.ClassDef(name=name) if name.endswith(_NOUNS) and not name.startswith("_"):
                    yield name


class ListTests(SynchronousTestCase):
    """The list of targets."""

    def test_every_parser(self) -> None:
        """Each parser is fed by a target, or it is said why not; and nothing is named that isn't there."""
        covered = {one.__name__ for target in TARGETS.values() for one in target.covers}
        parsers = set(found_parsers())
        self.assertEqual([], sorted(parsers - covered - set(ELSEWHERE)))
        self.assertEqual([], sorted(set(ELSEWHERE) - parsers))
        self.assertEqual(set(), covered & set(ELSEWHERE))

    def test_formats(self) -> None:
        """Each format that has a strategy is that of a target."""
        self.assertEqual(set(), set(FORMATS) - set(TARGETS))

    def test_pieces(self) -> None:
        """The first byte of an input says how the others are cut."""
        self.assertEqual([b"abc"], [bytes(piece) for piece in cut(b"\0abc")])
        self.assertEqual([b"ab", b"c"], [bytes(piece) for piece in cut(b"\2abc")])
        self.assertEqual([b""], [bytes(piece) for piece in cut(b"")])


class InputTests(SynchronousTestCase):
    """Some inputs of each target, as many as take a moment; ``make fuzz`` has the others."""

    def test_seeds(self) -> None:
        """What a target begins with raises nothing that isn't declared; nor does nothing, or one byte."""
        for target in TARGETS.values():
            for data in (*target.seeds, b"", b"\0", b"\xff"):
                target.run(data)

    def test_undeclared(self) -> None:
        """What isn't declared is a fault of the parser, and comes out."""
        broken = Target("broken", (), (KeyError,), (), 10, lambda data: [1][len(data)])
        broken.run(b"")
        with self.assertRaises(IndexError):
            broken.run(b"x")


def _of_format(name: str) -> Any:
    """A test that feeds a target with its format."""

    @PROPERTY
    @given(nearly(FORMATS[name]), st.integers(0, 20))
    def test(self: SynchronousTestCase, data: bytes, size: int) -> None:
        TARGETS[name].run((bytes([size]) + data) if TARGETS[name].in_pieces else data)

    test.__doc__ = f"Whatever comes as {name}, only what is declared is raised."
    return test


class FormatTests(SynchronousTestCase):
    """Each format, right and nearly right."""

    test_boxes = _of_format("boxes")
    test_hello = _of_format("hello")
    test_control = _of_format("control")
    test_yamux = _of_format("yamux")
    test_messages = _of_format("messages")
    test_records = _of_format("records")
    test_reports = _of_format("reports")
    test_listings = _of_format("listings")
    test_orders = _of_format("orders")
    test_state = _of_format("state")
    test_notes = _of_format("notes")
    test_yaml = _of_format("yaml")
    test_names = _of_format("names")
    test_paths = _of_format("paths")

    def test_all(self) -> None:
        """No format is left out."""
        for name in FORMATS:
            self.assertTrue(hasattr(self, f"test_{name.replace('-', '_')}"), name)

    @PROPERTY
    @given(JOURNAL_ROWS)
    def test_journal(self, row: dict[str, Any]) -> None:
        """Whatever stands in a row of the journal, it is read as what it is, or the journal is said to be damaged."""
        for column, value in row.items():
            text = str(value).encode("utf-8", "replace")
            TARGETS["journal"].run(column.encode() + b"\0" + text)
