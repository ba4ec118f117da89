"""What the types of a command's arguments take, and how they tell what they don't."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols.amp import Argument, Command
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ProtocolViolation
from p2p.control import commands
from p2p.control.arguments import Boolean, Float, Integer, ListOf, String, Unicode
from test.properties import PROPERTY


def read(kind: Argument, raw: bytes) -> Any:
    """The value that some bytes are of this type."""
    objects: dict[str, Any] = {}
    kind.fromBox(b"it", {b"it": raw}, objects, None)
    return objects["it"]


class ArgumentTests(SynchronousTestCase):
    """Each type as docs/protocol.rst has it, under "Boxes"."""

    def refused(self, kind: Argument, *values: bytes) -> str:
        """The one reason for which none of these is of a type."""
        reasons = set()
        for raw in values:
            with self.subTest(raw=raw), self.assertRaises(ProtocolViolation) as caught:
                read(kind, raw)
            reasons.add(str(caught.exception))
        (reason,) = reasons
        return reason

    def test_integer(self) -> None:
        """Decimal digits, at most 18; nothing else that Python takes for a number, and no number without end."""
        self.assertEqual([41234, 0, -7], [read(Integer(), raw) for raw in (b"41234", b"0", b"-7")])
        self.assertEqual(10**18 - 1, read(Integer(), b"9" * 18))
        odd = (b"", b"many", b" 1", b"1\n", b"+1", b"1_0", b"0x10", b"1.0", "\u0661".encode(), b"9" * 19, b"9" * 5000)
        self.assertEqual("it isn't a whole number of at most 18 digits", self.refused(Integer(), *odd))

    def test_float(self) -> None:
        """A finite number as Python prints it, with or without a point."""
        numbers = {b"30.0": 30.0, b"30": 30.0, b"5e-05": 5e-05, b"-1.5E+3": -1500.0}
        self.assertEqual(list(numbers.values()), [read(Float(), raw) for raw in numbers])
        odd = (b"", b"soon", b"nan", b"inf", b"-inf", b"1e999", b"1_0.0", b" 1.0", b".5", b"1.", b"1." + b"0" * 5000)
        self.assertEqual("it isn't a number", self.refused(Float(), *odd))

    @given(st.floats(min_value=1e-90, max_value=1e17), st.integers(-(10**18) + 1, 10**18 - 1))
    @PROPERTY
    def test_own_numbers(self, real: float, whole: int) -> None:
        """Whatever this side may write is read as it was."""
        self.assertEqual(real, read(Float(), Float().toString(real)))
        self.assertEqual(whole, read(Integer(), Integer().toString(whole)))

    def test_boolean(self) -> None:
        """``True`` and ``False``, in this spelling."""
        self.assertEqual([True, False], [read(Boolean(), raw) for raw in (b"True", b"False")])
        self.assertEqual("it is neither True nor False", self.refused(Boolean(), b"", b"true", b"1", b"True "))

    def test_texts(self) -> None:
        """A Unicode is UTF-8, a String whatever it is."""
        self.assertEqual(["größ", ""], [read(Unicode(), raw) for raw in ("größ".encode(), b"")])
        self.assertEqual("it isn't UTF-8", self.refused(Unicode(), b"\xff", b"a\xc3", b"\xed\xa0\x80"))
        self.assertEqual(b"\xff\x00", read(String(), b"\xff\x00"))

    def test_list(self) -> None:
        """A list ends with its last element: one that breaks off is no list, wherever it does."""
        self.assertEqual(["m1.m", "", "m4.m"], read(ListOf(Unicode()), b"\0\4m1.m\0\0\0\4m4.m"))
        self.assertEqual([], read(ListOf(Unicode()), b""))
        whole = b"\0\4m1.m"
        cut = [whole + whole[:size] for size in range(1, len(whole))]
        reason = self.refused(ListOf(Unicode()), b"\0\x09\1", b"\0", b"\xff\xff", *cut)
        self.assertEqual("it breaks off within an element", reason)
        self.assertEqual("it has an element that isn't UTF-8", self.refused(ListOf(Unicode()), b"\0\1\xff"))

    @given(st.lists(st.text(max_size=20), max_size=20))
    @PROPERTY
    def test_own_lists(self, texts: list[str]) -> None:
        """A list is read as it was written."""
        self.assertEqual(texts, read(ListOf(Unicode()), ListOf(Unicode()).toString(texts)))

    @given(st.binary(max_size=40))
    @PROPERTY
    def test_anything(self, raw: bytes) -> None:
        """Whatever the bytes are, a type takes them or says in plain words that they don't fit."""
        for kind in (Integer(), Float(), Boolean(), String(), Unicode(), ListOf(Unicode())):
            try:
                read(kind, raw)
            except ProtocolViolation as error:
                self.assertRegex(str(error), r"^it (isn't|is neither|breaks off|has an element that isn't) ?[^(){}]*$")

    def test_missing(self) -> None:
        """A value that isn't there is named, unless it may be left out."""
        with self.assertRaisesRegex(ProtocolViolation, "^it is missing$"):
            Unicode().fromBox(b"it", {}, {}, None)
        objects: dict[str, Any] = {}
        Unicode(optional=True).fromBox(b"it", {}, objects, None)
        self.assertEqual({"it": None}, objects)

    def test_all_commands(self) -> None:
        """The schema has no other types, so that nothing comes in by Twisted's own."""
        kinds = {
            type(kind)
            for command in vars(commands).values()
            if isinstance(command, type) and issubclass(command, Command)
            for _, kind in (*command.arguments, *command.response)
        }
        self.assertEqual({Boolean, Float, Integer, ListOf, String, Unicode}, kinds)
