"""The server side of the console: every line gets its answer, and nobody gets more than the limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ConfigError, ExchangeFailed, LocalFileError, Outcome
from p2p.console.lines import ANSWER_BYTES, REQUEST_BYTES
from p2p.console.operations import Arguments
from p2p.console.server import ConsoleServer, Emit, Handler, checked
from p2p.control.channel import ControlLost
from p2p.control.commands import UnknownPeer
from test.consoles import failing, pending


async def echo(request: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
    """Give back the arguments."""
    return {"arguments": dict(request)}


class Conversation:
    """A client of a console, line by line."""

    def __init__(self, console: ConsoleServer) -> None:
        self.protocol = console.factory.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    def say(self, *messages: Mapping[str, Any] | bytes) -> list[dict[str, Any]]:
        """Send lines, and return what was answered since."""
        for message in messages:
            line = message if isinstance(message, bytes) else json.dumps(message).encode()
            self.protocol.dataReceived(line + b"\n")
        return self.answers()

    def answers(self) -> list[dict[str, Any]]:
        """What was answered since the last look."""
        lines = self.transport.value().splitlines()
        self.transport.clear()
        return [json.loads(line) for line in lines]

    def lose(self) -> None:
        """End the connection from the client's side."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


class ConsoleCase(SynchronousTestCase):
    """Makes consoles."""

    def setUp(self) -> None:
        """Make a reactor on which nothing is real."""
        self.reactor = MemoryReactorClock()

    def console(self, handlers: Mapping[str, Handler], **limits: int) -> ConsoleServer:
        """Make a console that isn't started."""
        return ConsoleServer(self.reactor, Path("/run/p2p/console"), handlers, **limits)

    def conversation(self, **handlers: Handler) -> Conversation:
        """Connect to a console with these operations."""
        return Conversation(self.console(handlers))


class RequestTests(ConsoleCase):
    """Requests and their answers."""

    def test_done(self) -> None:
        """A request is answered with ``done``, its number and what the handler returned."""
        answers = self.conversation(echo=echo).say({"id": 7, "op": "echo", "peer": "m4.m"})
        self.assertEqual(answers, [{"id": 7, "event": "done", "arguments": {"peer": "m4.m"}}])

    def test_events(self) -> None:
        """Events come before the end, in their order, under the number of the request."""

        async def progress(request: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
            await emit("progress", bytes=1)
            await emit("progress", bytes=2)
            return {}

        answers = self.conversation(progress=progress).say({"id": 1, "op": "progress"})
        self.assertEqual(
            [(one["id"], one["event"], one.get("bytes")) for one in answers],
            [(1, "progress", 1), (1, "progress", 2), (1, "done", None)],
        )

    def test_concurrent(self) -> None:
        """Requests of one connection run at the same time; who is done first is answered first."""
        begun: list[Deferred[None]] = []
        conversation = self.conversation(wait=pending(begun))
        self.assertEqual(conversation.say({"id": 1, "op": "wait"}, {"id": 2, "op": "wait"}), [])
        begun[1].callback(None)
        begun[0].callback(None)
        self.assertEqual([one["id"] for one in conversation.answers()], [2, 1])

    def test_unreadable(self) -> None:
        """A line that can't be read, or has no number, is answered without one, and the next line is read."""
        conversation = self.conversation(echo=echo)
        for line in (b"{", b"\xff", b"[1]", b"", b"[" * 100_000, b'{"op": "echo"}', b'{"id": true, "op": "echo"}'):
            (answer,) = conversation.say(line)
            self.assertEqual((answer["id"], answer["event"], answer["error"]), (None, "failed", "usage"), line[:20])
            self.assertIsNone(answer["outcome"])
        self.assertEqual(conversation.say({"id": 1, "op": "echo"})[0]["event"], "done")

    def test_unknown_operation(self) -> None:
        """An operation that isn't there is answered with the ones that are."""
        conversation = self.conversation(echo=echo)
        for op in ("nothing", None, ["echo"], {"a": 1}):
            (answer,) = conversation.say({"id": 3, "op": op})
            self.assertEqual((answer["id"], answer["error"]), (3, "usage"))
            self.assertIn("this daemon has echo", answer["reason"])

    def test_number_twice(self) -> None:
        """A number can't be used again while its request is under way; afterwards it can."""
        begun: list[Deferred[None]] = []
        conversation = self.conversation(wait=pending(begun))
        (answer,) = conversation.say({"id": 1, "op": "wait"}, {"id": 1, "op": "wait"})
        self.assertIn("still under way", answer["reason"])
        begun[0].callback(None)
        conversation.answers()
        self.assertEqual(conversation.say({"id": 1, "op": "wait"}), [])


class CancelTests(ConsoleCase):
    """Requests that nobody waits for any more."""

    def test_connection_ends(self) -> None:
        """When a client's connection ends, its requests are cancelled."""
        begun: list[Deferred[None]] = []
        conversation = self.conversation(wait=pending(begun))
        conversation.say({"id": 1, "op": "wait"}, {"id": 2, "op": "wait"})
        conversation.lose()
        self.assertEqual([one.called for one in begun], [True, True])
        self.assertEqual(conversation.answers(), [])

    def test_on_request(self) -> None:
        """``cancel`` cancels one request, which says so; the others go on."""
        begun: list[Deferred[None]] = []
        conversation = self.conversation(wait=pending(begun))
        conversation.say({"id": 1, "op": "wait"}, {"id": 2, "op": "wait"})
        answers = conversation.say({"id": 3, "op": "cancel", "request": 1})
        self.assertEqual([(one["id"], one["event"]) for one in answers], [(1, "failed"), (3, "done")])
        self.assertEqual(answers[0]["error"], "cancelled")
        self.assertFalse(begun[1].called)

    def test_nothing_to_cancel(self) -> None:
        """Cancelling what isn't under way does nothing and says so."""
        conversation = self.conversation()
        for request in (9, None, [1]):
            (answer,) = conversation.say({"id": 3, "op": "cancel", "request": request})
            self.assertEqual(answer, {"id": 3, "event": "done", "cancelled": False})

    def test_work_after_the_end(self) -> None:
        """A handler that goes on after its client has left finds that nothing is written any more."""

        async def stubborn(request: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
            try:
                await Deferred[None]()
            except CancelledError:
                await emit("progress", bytes=1)
            return {}

        conversation = self.conversation(stubborn=stubborn)
        conversation.say({"id": 1, "op": "stubborn"})
        conversation.lose()
        self.assertEqual(conversation.answers(), [])


class FailureTests(ConsoleCase):
    """What a handler raises becomes the answer."""

    def failed(self, error: Exception) -> dict[str, Any]:
        """The answer for an operation that raises this."""
        (answer,) = self.conversation(fail=failing(error)).say({"id": 1, "op": "fail"})
        self.assertEqual((answer["id"], answer["event"]), (1, "failed"))
        return answer

    def test_outcome(self) -> None:
        """A failed exchange carries its outcome and what else is known of it."""
        answer = self.failed(ExchangeFailed(Outcome.RESET, "the link ended", {"bytes": 5, "id": 9}))
        self.assertEqual((answer["error"], answer["outcome"]), ("outcome", "reset"))
        self.assertEqual((answer["reason"], answer["bytes"]), ("the link ended", 5))

    def test_control_errors(self) -> None:
        """Errors of the control channel have outcomes too."""
        self.assertEqual(self.failed(UnknownPeer("no m9.m"))["outcome"], "unknown-peer")
        self.assertEqual(self.failed(ControlLost("gone"))["outcome"], "cluster-unreachable")

    def test_file_and_usage(self) -> None:
        """A local file's error is ``file``; any other error that is expected is ``usage``."""
        self.assertEqual(self.failed(LocalFileError("a.txt: gone"))["error"], "file")
        answer = self.failed(ConfigError("not hosted here"))
        self.assertEqual((answer["error"], answer["outcome"], answer["reason"]), ("usage", None, "not hosted here"))

    def test_fault(self) -> None:
        """A fault of our own is logged and answered without its details; the console goes on."""
        answer = self.failed(KeyError("secret"))
        self.assertEqual((answer["error"], answer["outcome"]), ("internal", None))
        self.assertIn("log", answer["reason"])
        self.assertNotIn("secret", answer["reason"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_answer_that_is_no_json(self) -> None:
        """An answer that can't be written is a fault of our own."""

        async def wrong(request: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
            return {"when": object()}

        (answer,) = self.conversation(wrong=wrong).say({"id": 1, "op": "wrong"})
        self.assertEqual(answer["error"], "internal")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_failure_that_is_no_json(self) -> None:
        """Even when the failure itself can't be written, the request is over and the fault is logged."""
        conversation = self.conversation(fail=failing(ExchangeFailed(Outcome.RESET, "", {"when": object()})))
        self.assertEqual(conversation.say({"id": 1, "op": "fail"}, {"id": 1, "op": "fail"}), [])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 2)

    def test_answer_too_long(self) -> None:
        """An answer longer than a client reads is a fault of our own, not a broken connection."""

        async def long(request: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
            return {"names": "n" * ANSWER_BYTES}

        (answer,) = self.conversation(long=long).say({"id": 1, "op": "long"})
        self.assertEqual(answer["error"], "internal")
        self.flushLoggedErrors()

    def test_long_reason(self) -> None:
        """A reason is cut before it becomes a burden."""
        self.assertEqual(len(self.failed(ConfigError("x" * 1_000_000))["reason"]), 2000)


class LimitTests(ConsoleCase):
    """Every limit is told, and nobody else suffers."""

    def test_line(self) -> None:
        """A request may have 1 MiB; a longer one is told and the client hung up on, with or without its end."""
        text = b"x" * (REQUEST_BYTES - len(b'{"id":1,"op":"echo","text":""}'))
        conversation = self.conversation(echo=echo)
        self.assertEqual(conversation.say(b'{"id":1,"op":"echo","text":"%s"}' % text)[0]["event"], "done")
        for line in (b"x" * (REQUEST_BYTES + 1), b"x" * (REQUEST_BYTES + 1) + b"\n"):
            conversation = self.conversation(echo=echo)
            conversation.protocol.dataReceived(line)
            (answer,) = conversation.answers()
            self.assertIn("send long content as a file", answer["reason"])
            self.assertTrue(conversation.transport.disconnecting)

    def test_requests(self) -> None:
        """A client has so many requests under way, and one more when one has ended."""
        begun: list[Deferred[None]] = []
        conversation = Conversation(self.console({"wait": pending(begun)}, requests=2))
        (answer,) = conversation.say(*({"id": n, "op": "wait"} for n in (1, 2, 3)))
        self.assertEqual((answer["id"], answer["error"]), (3, "usage"))
        self.assertIn("limit", answer["reason"])
        begun[0].callback(None)
        conversation.answers()
        self.assertEqual(conversation.say({"id": 3, "op": "wait"}), [])

    def test_connections(self) -> None:
        """A console has so many clients, and one more when one has left."""
        console = self.console({"echo": echo}, connections=1)
        first, second = Conversation(console), Conversation(console)
        (answer,) = second.answers()
        self.assertIn("limit", answer["reason"])
        self.assertTrue(second.transport.disconnecting)
        second.lose()
        self.assertEqual(console.connected, 1)
        first.lose()
        self.assertEqual(Conversation(console).say({"id": 1, "op": "echo"})[0]["event"], "done")

    def test_congestion(self) -> None:
        """While a client doesn't read, what a handler emits waits; when it reads again, it goes on."""
        emitted: list[int] = []

        async def flood(request: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
            for number in range(4):
                if number == 1:
                    conversation.protocol.pauseProducing()
                await emit("text", text="x")
                emitted.append(number)
            return {}

        conversation = self.conversation(flood=flood)
        conversation.say({"id": 1, "op": "flood"})
        self.assertEqual(emitted, [0])
        conversation.protocol.resumeProducing()
        self.assertEqual(emitted, [0, 1, 2, 3])
        self.assertEqual(conversation.answers()[-1]["event"], "done")

    def test_congested_to_the_end(self) -> None:
        """A client that never reads again leaves nothing behind when it goes."""

        async def flood(request: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
            conversation.protocol.pauseProducing()
            await emit("text", text="x")
            return {}

        conversation = self.conversation(flood=flood)
        conversation.say({"id": 1, "op": "flood"})
        conversation.answers()
        conversation.protocol.stopProducing()
        conversation.lose()
        conversation.protocol.resumeProducing()
        self.assertEqual(conversation.answers(), [])


class CheckedTests(ConsoleCase):
    """Operations with checked arguments."""

    def setUp(self) -> None:
        """Make a console with one such operation."""
        super().setUp()

        class PingArguments(Arguments):
            peer: str
            count: int = 1
            acting: str | None = Field(default=None, alias="as")

        class Pinged(BaseModel):
            peer: str
            acting: str | None = Field(serialization_alias="as")

        async def ping(arguments: PingArguments, emit: Emit) -> Pinged:
            return Pinged(peer=arguments.peer * arguments.count, acting=arguments.acting)

        self.ping = self.conversation(ping=checked(PingArguments, ping))

    def test_arguments(self) -> None:
        """A handler gets its arguments as a model, and may answer with one; names are those of the wire."""
        (answer,) = self.ping.say({"id": 1, "op": "ping", "peer": "a", "count": 2, "as": "n1.n"})
        self.assertEqual(answer, {"id": 1, "event": "done", "peer": "aa", "as": "n1.n"})

    def test_wrong(self) -> None:
        """What is missing, unknown or of a wrong type is told by its name."""
        for wrong, name in (
            ({}, "peer"),
            ({"peer": 4}, "peer"),
            ({"peer": "a", "count": "2"}, "count"),
            ({"peer": "a", "rear": "b"}, "rear"),
        ):
            (answer,) = self.ping.say({"id": 1, "op": "ping", **wrong})
            self.assertEqual(answer["error"], "usage")
            self.assertIn(f"{name}: ", answer["reason"])


class StopTests(ConsoleCase):
    """The end of a daemon."""

    def test_stop(self) -> None:
        """Stopping cancels all requests, answers no more, and ends every connection."""
        begun: list[Deferred[None]] = []
        console = self.console({"wait": pending(begun)})
        conversation = Conversation(console)
        conversation.say({"id": 1, "op": "wait"})
        stopping = console.stopService()
        self.assertTrue(begun[0].called)
        self.assertEqual(conversation.answers(), [])
        self.assertTrue(conversation.transport.disconnecting)
        self.assertNoResult(stopping)
        conversation.lose()
        self.assertIsNone(self.successResultOf(stopping))

    def test_client_that_does_not_read(self) -> None:
        """A client that doesn't read can't hold up the end: it is aborted."""
        console = self.console({"echo": echo})
        conversation = Conversation(console)
        console.stopService()
        self.reactor.advance(5)
        self.assertTrue(conversation.transport.disconnected)
