"""JSON lines: what goes in comes out, and what can't be read is told from what can."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.console.lines import HANG_UP_S, JSONLines, decode, encode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Recorder(JSONLines):
    """Keeps the lines it gets."""

    def __init__(self, clock: Clock, max_line: int = 100) -> None:
        super().__init__(clock, max_line)
        self.lines: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:
        """Keep a line."""
        self.lines.append(line)


class CodecTests(SynchronousTestCase):
    """``encode`` and ``decode``."""

    @given(st.dictionaries(st.text(), VALUES, max_size=4))
    def test_round_trip(self, message: dict[str, Any]) -> None:
        """Any JSON object comes back as it was, from exactly one line."""
        line = encode(message)
        self.assertEqual(line.count(b"\n"), 1)
        self.assertEqual(decode(line[:-1]), message)

    def test_file_name_that_is_not_utf8(self) -> None:
        """The bytes of a file name that aren't UTF-8, which Python holds as lone surrogates, survive."""
        name = b"caf\xe9".decode("utf-8", "surrogateescape")
        self.assertEqual(decode(encode({"path": name, "more": "é"})[:-1]), {"path": name, "more": "é"})

    def test_no_number(self) -> None:
        """A number that isn't finite isn't JSON: neither written nor read."""
        self.assertRaises(ValueError, encode, {"a": float("nan")})
        for line in (b'{"a": NaN}', b'{"a": -Infinity}'):
            self.assertRaises(ValueError, decode, line)

    @given(st.binary(max_size=60))
    def test_garbage(self, line: bytes) -> None:
        """Garbage gives an object or ``ValueError``, nothing else."""
        try:
            self.assertIsInstance(decode(line), dict)
        except ValueError as error:
            self.assertTrue(str(error))

    def test_nested_too_deeply(self) -> None:
        """What would exhaust the stack is refused like any other garbage."""
        self.assertRaisesRegex(ValueError, "nested", decode, b"[" * 1_000_000)

    def test_key_twice(self) -> None:
        """A key that stands twice could mean either, so the line means nothing."""
        self.assertRaisesRegex(ValueError, "the key 'op' stands twice", decode, b'{"id":1,"op":"status","op":"peers"}')

    def test_not_an_object(self) -> None:
        """A line must hold an object, not any JSON."""
        for line in (b"[]", b"3", b'"x"', b"null"):
            self.assertRaisesRegex(ValueError, "object", decode, line)


class HangUpTests(SynchronousTestCase):
    """The end of a connection."""

    def setUp(self) -> None:
        """Make a connection."""
        self.clock = Clock()
        self.protocol = Recorder(self.clock)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    def test_cut_anywhere(self) -> None:
        """However the bytes are cut, the same lines arrive."""
        stream = b'{"a":1}\n{"b":2}\n'
        for cut in range(len(stream) + 1):
            protocol = Recorder(self.clock)
            protocol.makeConnection(StringTransport())
            protocol.dataReceived(stream[:cut])
            protocol.dataReceived(stream[cut:])
            self.assertEqual(protocol.lines, [b'{"a":1}', b'{"b":2}'])

    def test_polite(self) -> None:
        """Hanging up lets the other end read the rest, and once that is done no abort follows."""
        self.protocol.hang_up()
        self.assertTrue(self.transport.disconnecting)
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.successResultOf(self.protocol.gone))

    def test_abort(self) -> None:
        """An end that doesn't read is aborted after five seconds."""
        self.protocol.hang_up()
        self.clock.advance(HANG_UP_S - 0.1)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(0.1)
        self.assertTrue(self.transport.disconnected)

    def test_twice(self) -> None:
        """Hanging up twice, or after the end, does nothing more."""
        self.protocol.hang_up()
        self.protocol.hang_up()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.protocol.hang_up()
        self.assertEqual(self.clock.getDelayedCalls(), [])
