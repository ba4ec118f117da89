"""``p2p chat``."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome
from p2p.cli import chat as module
from p2p.console.server import Handler
from p2p.services.chat_room import LINE_BYTES
from test.cli.commands import CommandCase
from test.consoles import HOSTILE, failing, peer_operations


class ChatCase(CommandCase):
    """A daemon whose peer answers each line, and leaves when it is left.

    :ivar said: lines that came, None for the end.
    """

    def setUp(self) -> None:
        """Have standard input read at once, but not before the chat was asked for."""
        super().setUp()
        self.said: list[str | None] = []
        self.asked: list[Mapping[str, Any]] = []
        self.ended: Deferred[None] = Deferred()
        self.patch(module, "in_thread", self.read_soon)

    def read_soon(self, reactor: Any, read: Callable[[], bytes | None]) -> Deferred[bytes | None]:
        line: Deferred[bytes | None] = Deferred()
        reactor.callLater(0, lambda: line.callback(read()))
        return line

    def operations(self, *lines: str, **changed: Handler) -> dict[str, Handler]:
        """What the daemon does: these lines come as soon as the other side is there."""

        async def chat(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            self.asked.append(request)
            await emit("chat", state="waiting")
            await emit("chat", state="joined")
            for line in lines:
                await emit("chat", state="line", line=line)
            await self.ended
            await emit("chat", state="left")
            return {"peer": request["peer"]}

        async def say(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            self.said.append(request.get("line"))
            if request.get("line") is None:
                self.ended.callback(None)
            return {"peer": request["peer"]}

        return peer_operations(**{"chat": chat, "chat-say": say, **changed})


class ChatTests(ChatCase):
    """Lines both ways."""

    def test_lines(self) -> None:
        """Lines of the other side are printed, what else happens is told beside them, and each typed line goes over."""
        result = self.run_command("chat", "m4.m", stdin="hello\n\nbye", operations=self.operations("good day", "ah"))
        self.assertEqual((0, "m4.m: good day\nm4.m: ah\n"), (result.exit_code, result.stdout))
        self.assertEqual(["hello", "", "bye", None], self.said)
        waiting, here, left = result.stderr.splitlines()
        self.assertEqual("waiting for m4.m; there, somebody has to say: p2p chat n1.n", waiting)
        self.assertEqual(("m4.m is here; end your side with Ctrl-D", "m4.m has left"), (here, left))

    def test_acting(self) -> None:
        """Whoever acts is whom the other side would have to call."""
        shown = self.run_command("--as", "n1.n", "chat", "m4.m", stdin="", operations=self.operations()).stderr
        self.assertIn("p2p chat n1.n", shown)
        self.assertEqual("n1.n", self.asked[0]["as"])

    def test_json(self) -> None:
        """JSON has an object a line for each thing that happens, lines as they are."""
        shown = self.output("chat", "m4.m", "--json", stdin="x", operations=self.operations(HOSTILE))
        self.assertEqual(
            [("waiting", ""), ("joined", ""), ("line", HOSTILE), ("left", "")],
            [(one["state"], one["line"]) for one in map(json.loads, shown.splitlines())],
        )
        self.assertEqual(
            {("chat", "m4.m")}, {(one["event"], one["peer"]) for one in map(json.loads, shown.splitlines())}
        )

    def test_hostile_line(self) -> None:
        """A line can't steer the terminal."""
        shown = self.run_command("chat", "m4.m", stdin="", operations=self.operations(HOSTILE)).stdout
        self.assertEqual("m4.m: evil\\x1b[2J\\u202egpj.exe\n", shown)

    def test_long_line(self) -> None:
        """A line that is too long goes as several, cut between characters, and each is short enough for the daemon."""
        for text in ("é" * 40_000, "x" * 40_000, "\u2003Ä€" * 9000):
            self.said.clear()
            self.ended = Deferred()
            self.run_command("chat", "m4.m", stdin=text + "\n", operations=self.operations())
            self.assertEqual(text, "".join(line for line in self.said if line is not None))
            self.assertGreater(len(self.said), 3)

    def test_not_text(self) -> None:
        """What isn't UTF-8 goes with marks in its place, and is never too long for that, to the very last byte."""
        self.run_command(
            "chat", "m4.m", stdin=b"caf\xe9\r\n" + b"\xff" * 12_000 + b"\n\xc3", operations=self.operations()
        )
        first, *long, last, end = self.said
        self.assertEqual(("caf\ufffd", "\ufffd", None), (first, last, end))
        self.assertEqual("\ufffd" * 12_000, "".join(line or "" for line in long))
        self.assertLess(max(len((line or "").encode()) for line in self.said), LINE_BYTES)

    def test_not_reached(self) -> None:
        """If the other side can't be reached, the outcome is told, and nothing more is read."""
        chat = failing(ExchangeFailed(Outcome.UNKNOWN_PEER, "router.m has no m9.m"))
        shown = self.failure(3, "chat", "m9.m", stdin="hello\n", operations=self.operations(chat=chat))
        self.assertTrue(shown.startswith("p2p: unknown-peer: router.m has no m9.m\n"), shown)

    def test_line_refused(self) -> None:
        """A line that the daemon doesn't take ends the chat, with the reason."""
        say = failing(InvalidRequest("a line has at most 3 bytes"))
        result = self.run_command("chat", "m4.m", stdin="hello\n", operations=self.operations(**{"chat-say": say}))
        self.assertEqual(2, result.exit_code)
        self.assertIn("a line has at most 3 bytes", result.stderr)

    def test_other_side_leaves(self) -> None:
        """When the chat is over, nothing more is read."""
        reading: list[Deferred[bytes | None]] = []

        def never(reactor: Any, read: object) -> Deferred[bytes | None]:
            reading.append(Deferred(lambda waiting: None))
            return reading[-1]

        self.patch(module, "in_thread", never)
        self.ended.callback(None)
        result = self.run_command("chat", "m4.m", operations=self.operations())
        self.assertEqual((0, []), (result.exit_code, self.said))
        self.assertEqual([True], [one.called for one in reading])

    def test_wrong_name(self) -> None:
        """A name that no peer can have is refused before any daemon is asked."""
        self.assertIn("isn't <node>.<cluster>", self.failure(2, "chat", "m4", operations={}))


class TypedTests(CommandCase):
    """Lines of standard input."""

    def test_unbuffered(self) -> None:
        """Lines are read from the file itself: whoever waits in Python's buffer when a command ends makes it abort."""
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as stream:
            typed = module._Typed(stream)
            for written, lines in ((b"a\nb\n", [b"a\n", b"b\n"]), (b"\nlast", [b"\n"])):
                os.write(writing, written)
                self.assertEqual(lines, [typed.next_line() for _ in lines])
            os.write(writing, b" words")
            os.close(writing)
            self.assertEqual([b"last words", None], [typed.next_line(), typed.next_line()])
            self.assertEqual(stream.raw.read, typed._read)


class Calls:
    """A reactor that is called from threads, and does what they want when the test asks for it."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], object]] = queue.Queue()

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        self._calls.put(lambda: function(*arguments))

    def do(self) -> None:
        """Do the next, which may be on its way."""
        self._calls.get(timeout=10)()


class InThreadTests(CommandCase):
    """Waiting for somebody to type."""

    def test_line(self) -> None:
        """What is read in the thread comes by way of the reactor; None is the end."""
        calls = Calls()
        for typed in (b"line\n", None):
            reading = module.in_thread(calls, lambda typed=typed: typed)  # type: ignore[misc]  # a lambda with a default
            self.assertNoResult(reading)
            calls.do()
            self.assertEqual(typed, self.successResultOf(reading))

    def test_terminal_is_gone(self) -> None:
        """What can't be read is told as an error."""
        calls = Calls()
        for error in (OSError("gone"), ValueError("closed")):

            def read(error: Exception = error) -> bytes:
                raise error

            reading = module.in_thread(calls, read)
            calls.do()
            self.assertIs(error, self.failureResultOf(reading, OSError, ValueError).value)

    def test_left_alone(self) -> None:
        """Nobody waits for a thread in which nothing is typed; what is typed later is dropped."""
        calls, typed = Calls(), threading.Event()

        def read() -> bytes:
            typed.wait(10)
            return b"late"

        reading = module.in_thread(calls, read)
        told: list[Failure] = []
        reading.addErrback(told.append)
        reading.cancel()
        typed.set()
        calls.do()
        self.assertEqual(1, len(told))
