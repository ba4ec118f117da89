"""Conversations with every command of the schema, and with every error that one declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.task import Clock
from twisted.protocols.amp import Command, CommandLocator, TooLong
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.control import commands
from p2p.control.channel import Channel
from p2p.control.commands import (
    Busy,
    ControlError,
    DialFailed,
    Enrol,
    Farewell,
    Go,
    InstructConnect,
    ListPeers,
    LookupPeer,
    Observe,
    Ping,
    Register,
    Renew,
    RequestConnect,
    Revoke,
    responder,
)
from test.control.conversation import CALL_S, HANDSHAKE_S, SILENCE_S, Line

TICKET = bytes(range(32))

NOT_SAID = ("dials", "port", "addresses", "observed", "attached", "mapped", "goes", "relays")

CONVERSATIONS: dict[type[Command], tuple[dict[str, Any], dict[str, Any]]] = {
    Register: (
        {"name": "n1.n", "version": "0.1.0", "revocations": 7},
        {"lease": 60.0, "observed": "192.0.2.7", "renews": True},
    ),
    RequestConnect: (
        {
            "target": "m4.m",
            "port": 40001,
            "ticket": TICKET,
            "lifetime": 30.0,
            "plain": False,
            "candidates": ["192.0.2.7", "2001:db8::7"],
            "reports": True,
            "reaches": True,
            "observe": True,
        },
        {
            "address": "198.51.100.4",
            "table_lookup_ns": 512,
            "router_lookup_ns": 1_000_000_007,
            "dialling": True,
            "plain": False,
            "dials": ["192.0.2.7"],
            "port": 40002,
            "reachable": ["198.51.100.4"],
            "attached": ["10.1.1.4"],
            "mapped": 61002,
            "goes": True,
            "relays": None,
        },
    ),
    LookupPeer: ({"name": "m4.m"}, {"address": "198.51.100.4", "table_lookup_ns": 512}),
    InstructConnect: (
        {
            "target": "m4.m",
            "initiator": "n1.n",
            "observed": "192.0.2.7",
            "candidates": [],
            "port": 40001,
            "ticket": TICKET,
            "lifetime": 29.5,
            "plain": True,
            "reports": None,
            "reaches": None,
            "relays": None,
            "attached": ["10.1.1.1"],
            "mapped": 61001,
            "observe": None,
        },
        {"dialling": False, "plain": True, **dict.fromkeys(NOT_SAID)},
    ),
    Observe: ({"ticket": TICKET}, {"address": "192.0.2.7", "port": 61001}),
    Go: ({"target": "m4.m", "initiator": "n1.n", "ticket": TICKET}, {}),
    DialFailed: (
        {
            "target": "m4.m",
            "initiator": "n1.n",
            "ticket": TICKET,
            "addresses": ["192.0.2.7", "2001:db8::7"],
            "failures": ["refused", "no-answer"],
        },
        {},
    ),
    Enrol: (
        {"name": "n5.n", "locator": 77, "key": b"key", "binding": TICKET, "proof": TICKET},
        {"certificate": b"certificate", "links": "tls", "proof": TICKET},
    ),
    Renew: ({"certificate": b"old"}, {"certificate": b"new"}),
    Revoke: ({"statements": [b"one", b"other"]}, {}),
    ListPeers: ({"cluster": "m", "after": ""}, {"names": ["m1.m", "m2.m"], "more": True}),
}


class Answers(CommandLocator):
    """Answers every command as it is told to, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.outcome: Mapping[str, Any] | Exception = {}

    async def _answer(self, arguments: dict[str, Any]) -> Mapping[str, Any]:
        self.asked.append(arguments)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    @responder(Register)
    async def register(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)

    @responder(RequestConnect)
    async def request_connect(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)

    @responder(LookupPeer)
    async def lookup_peer(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)

    @responder(InstructConnect)
    async def instruct_connect(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)

    @responder(Observe)
    async def observe(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)

    @responder(Go)
    async def go(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)

    @responder(DialFailed)
    async def dial_failed(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)

    @responder(Enrol)
    async def enrol(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)

    @responder(Renew)
    async def renew(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)

    @responder(Revoke)
    async def revoke(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)

    @responder(ListPeers)
    async def list_peers(self, **arguments: Any) -> Mapping[str, Any]:
        return await self._answer(arguments)


class ConversationTests(SynchronousTestCase):
    """Two channels in memory."""

    def setUp(self) -> None:
        clock = Clock()
        self.answers = Answers()
        self.asking = Channel(clock, silence_s=SILENCE_S, call_s=CALL_S, handshake_s=HANDSHAKE_S)
        answering = Channel(clock, silence_s=SILENCE_S, call_s=CALL_S, handshake_s=HANDSHAKE_S, locator=self.answers)
        self.line = Line(self.asking, answering)

    def test_answers(self) -> None:
        """Every command carries its arguments over, and its answer back, as they were."""
        for command, (arguments, answer) in CONVERSATIONS.items():
            self.answers.outcome = answer
            asked = self.asking.ask(command, **arguments)
            self.line.settle()
            self.assertEqual(arguments, self.answers.asked[-1], command)
            self.assertEqual(answer, self.successResultOf(asked), command)

    def test_errors(self) -> None:
        """Every error that a command declares arrives as itself, and the connection goes on."""
        for command, (arguments, _) in CONVERSATIONS.items():
            self.assertTrue(command.errors, command)
            for kind in command.errors:
                self.answers.outcome = kind(f"no {command.__name__} for you: {kind.__name__}")
                asked = self.asking.ask(command, **arguments)
                self.line.settle()
                failure = self.failureResultOf(asked, kind)
                self.assertEqual(str(self.answers.outcome), str(failure.value))
                self.assertIsInstance(failure.value, ControlError)
        self.assertTrue(self.asking.is_open)

    def test_ping(self) -> None:
        """Both ends answer a Ping."""
        asked = [channel.ask(Ping) for channel, _ in self.line.ends]
        self.line.settle()
        self.assertEqual([{"revocations": None}] * 2, [self.successResultOf(one) for one in asked])

    def test_everything_is_tried(self) -> None:
        """No command of the schema is left out above."""
        schema = {one for one in vars(commands).values() if isinstance(one, type) and issubclass(one, Command)}
        self.assertEqual(schema - {Command}, {*CONVERSATIONS, Ping, Farewell})

    def test_longest_names(self) -> None:
        """A page of 200 of the longest names fits into an AMP value."""
        names = [f"{number:063}.{'m' * 63}" for number in range(200)]
        self.answers.outcome = {"names": names, "more": False}
        asked = self.asking.ask(ListPeers, cluster="m" * 63, after="")
        self.line.settle()
        self.assertEqual(names, self.successResultOf(asked)["names"])

    def test_too_long(self) -> None:
        """An argument that no AMP value can hold fails where it is sent, and nothing is left waiting."""
        self.assertRaises(TooLong, self.asking.ask, LookupPeer, name="m" * 65536)
        self.line.cut()


class ErrorTests(SynchronousTestCase):
    def test_outcomes(self) -> None:
        """Each error says which outcome an exchange has that fails for this reason."""
        kinds = {one.__name__: one for one in vars(commands).values() if _is_error(one)}
        self.assertEqual(
            {
                "NameMismatch": Outcome.REFUSED,
                "ClusterMismatch": Outcome.REFUSED,
                "TooManyPeers": Outcome.REFUSED,
                "UnknownPeer": Outcome.UNKNOWN_PEER,
                "UnknownCluster": Outcome.UNKNOWN_CLUSTER,
                "ClusterUnreachable": Outcome.CLUSTER_UNREACHABLE,
                "Refused": Outcome.REFUSED,
                "Busy": Outcome.TIMEOUT,
            },
            {name: kind.outcome for name, kind in kinds.items()},
        )

    def test_codes(self) -> None:
        """Within a command, no two errors share a code."""
        for command in CONVERSATIONS:
            codes = list(command.errors.values())
            self.assertEqual(len(codes), len(set(codes)), command)

    def test_retry_time(self) -> None:
        """Busy carries its retry time in its text, over the wire and back."""
        busy = Busy.after(0.25, "50 requests a second")
        self.assertEqual("retry after 0.250 s: 50 requests a second", str(busy))
        self.assertEqual(0.25, Busy(str(busy)).retry_after)

    def test_hostile_retry_time(self) -> None:
        """A retry time that is missing, endless or nothing at all becomes one to live with."""
        times = {
            "": 1.0,
            "later": 1.0,
            "retry after 0.000 s: x": 0.01,
            "retry after 99999 s: x": 60.0,
            "retry after 999999 s: x": 1.0,
            "retry after -1 s: x": 1.0,
            "retry after nan s: x": 1.0,
        }
        self.assertEqual(times, {text: Busy(text).retry_after for text in times})


def _is_error(one: object) -> bool:
    return isinstance(one, type) and issubclass(one, ControlError) and one is not ControlError
