"""The kit's own encoding: it says what the examples of docs/protocol.rst say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from blake3 import blake3
from twisted.trial.unittest import SynchronousTestCase

from test.hostile import wire

_TEXT: Final = (Path(__file__).resolve().parents[2] / "docs" / "protocol.rst").read_text("utf-8")
_NONCE: Final = bytes(range(32))
_MTIME: Final = 1_700_000_000 * 10**9


def example(name: str) -> bytes:
    """The bytes of an example of the document."""
    found = re.search(rf"\.\. vector: {name}\n.*?::\n\n((?:    [^\n]*\n)+)", _TEXT, re.DOTALL)
    assert found is not None, name
    return bytes.fromhex("".join(line.partition(";")[0] for line in found[1].splitlines()))


def fields(data: bytes) -> dict[str, bytes]:
    """The one box of some bytes."""
    buffer = bytearray(data)
    (box,) = wire.take_boxes(buffer)
    assert not buffer
    return box


class ExampleTests(SynchronousTestCase):
    """What the kit says to behave well, byte for byte where the order of pairs doesn't matter."""

    def test_questions(self) -> None:
        """Questions and answers of the control channel."""
        self.assertEqual(
            fields(example("register-question")), fields(wire.question("Register", name="n1.n", version="0.1.0"))
        )
        self.assertEqual(
            fields(example("instruct-connect-question")),
            fields(
                wire.question(
                    "InstructConnect",
                    target="m4.m",
                    initiator="n1.n",
                    observed="",
                    candidates=wire.list_of(["192.0.2.11", "2001:db8:100::b"]),
                    port=41234,
                    ticket=_NONCE,
                    lifetime="30.0",
                    plain="False",
                )
            ),
        )
        answer = fields(example("list-peers-answer"))
        self.assertEqual(["m1.m", "m4.m"], wire.read_list(answer["names"]))
        self.assertEqual(answer, fields(wire.answer(1, names=wire.list_of(["m1.m", "m4.m"]), more="False")))

    def test_link(self) -> None:
        """Proofs, hellos, and frames without data."""
        for role in ("dialler", "listener"):
            self.assertEqual(example(f"{role}-proof"), wire.proof(_NONCE, role, "n1.n", "m4.m"))
        ticket = wire.proof(_NONCE, "dialler", "n1.n", "m4.m")
        self.assertEqual(example("hello-dialler"), wire.hello(ticket=ticket))
        self.assertEqual(example("ping-frame"), wire.frame(wire.PING, wire.SYN, 0, 0))
        self.assertEqual(example("go-away-frame"), wire.frame(wire.GO_AWAY, 0, 0, 0))

    def test_exchange(self) -> None:
        """A request, and what is read of a reply."""
        text = "größ".encode()
        request = wire.message(
            "uppercase",
            text,
            type="text",
            name="",
            encoding="utf-8",
            length=6,
            closing={"digest": blake3(text).digest()},
        )
        frames = wire.frame(wire.DATA, wire.SYN, 2, data=request) + wire.frame(wire.DATA, wire.FIN, 2)
        self.assertEqual(example("exchange-request"), frames)
        (frame,) = [one for one in wire.take_frames(bytearray(example("exchange-reply"))) if one.data]
        self.assertEqual(({}, "GRÖSS".encode(), {"outcome": b"ok"}), wire.read_message(frame.data))

    def test_transfer(self) -> None:
        """Records, leaves and roots."""
        (frame,) = [one for one in wire.take_frames(bytearray(example("transfer-request"))) if one.data]
        _, body, tail = wire.read_message(frame.data)
        records = wire.entry("d", "folder", mode="755") + wire.file_records("d/a.txt", b"abc") + wire.end_record(2, 3)
        self.assertEqual(body, records)
        self.assertEqual({}, tail)
        self.assertEqual(example("tree-leaf"), wire.leaf_of(b"abc"))
        self.assertEqual(example("tree-empty"), wire.root_of([], 0))

    def test_fetch(self) -> None:
        """What is asked for, and a link."""
        (frame,) = [one for one in wire.take_frames(bytearray(example("fetch-request"))) if one.data]
        _, body, _ = wire.read_message(frame.data)
        have = {"have": 1, "entries": 0, "bytes": 0, "offset": 0}
        self.assertEqual(body, wire.boxes(have, {"path": "docs/a.txt"}))
        link = wire.entry("l", "link", target="a", mtime=_MTIME)
        self.assertEqual(b"E", link[:1])
        self.assertEqual(b"a", fields(link[5:])["target"])


class CutTests(SynchronousTestCase):
    """What came in part waits for the rest."""

    def test_boxes(self) -> None:
        """Only whole boxes are taken off a buffer."""
        data = wire.boxes({"a": "1"}, {"b": "2"})
        buffer = bytearray(data[:-1])
        self.assertEqual([{"a": b"1"}], list(wire.take_boxes(buffer)))
        buffer += data[-1:]
        self.assertEqual([{"b": b"2"}], list(wire.take_boxes(buffer)))

    def test_frames(self) -> None:
        """Only whole frames are taken off a buffer."""
        data = wire.frame(wire.DATA, 0, 2, data=b"abc")
        for cut in (3, 13):
            buffer = bytearray(data[:cut])
            self.assertEqual([], list(wire.take_frames(buffer)))
            buffer += data[cut:]
            self.assertEqual([wire.Frame(wire.DATA, 0, 2, 3, b"abc")], list(wire.take_frames(buffer)))

    def test_messages(self) -> None:
        """A message that breaks off has no tail, and one that never began no head."""
        whole = wire.message("echo", b"abc")
        self.assertEqual(({"service": b"echo"}, b"abc", None), wire.read_message(whole[:-3]))
        self.assertEqual((None, b"", None), wire.read_message(whole[:4]))
