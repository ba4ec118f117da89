"""The client of a console: every answer finds who asked, and nobody waits for ever."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import ConnectError, ConnectionDone, TimeoutError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from p2p.base.errors import (
    ConfigError,
    ConsoleUnreachable,
    DaemonFault,
    ExchangeFailed,
    InvalidRequest,
    LocalFileError,
    Outcome,
)
from p2p.client import ANSWER_S, CONNECT_S, NETWORK_S, Client, ExchangeArguments
from p2p.console.lines import ANSWER_BYTES, REQUESTS, ConsoleConnection
from p2p.console.operations import Leg, PeerStatus, RouterStatus, WhyArguments
from test.client_cases import CONSOLE, ClientCase
from test.consoles import DIGEST, failing, peer_operations, pending, router_operations


class OperationTests(ClientCase):
    """The typed methods."""

    def setUp(self) -> None:
        """Connect to a peer daemon."""
        self.peer = self.client(peer_operations())

    def test_status(self) -> None:
        """The status of a peer daemon and that of a router are told apart."""
        status = self.result(self.peer.status())
        self.assertIsInstance(status, PeerStatus)
        self.assertEqual(status.peers[0].links[0].direct.remote, "127.0.0.1:50022")
        status = self.result(self.client(router_operations()).status())
        self.assertIsInstance(status, RouterStatus)
        self.assertEqual(status.neighbours, {"m": True, "o": False})

    def test_small_operations(self) -> None:
        """Waiting, listing, pinging, linking and disconnecting answer in their types."""
        self.assertEqual(self.result(self.peer.wait_registered(5)).registered, 1)
        self.assertEqual(self.result(self.peer.peers("m")), ["m1.m", "m2.m", "m3.m"])
        self.assertEqual(self.result(self.peer.ping("m4.m")).rtt_ns, 420_000)
        self.assertTrue(self.result(self.peer.link("m4.m")).reused)
        self.assertEqual(self.result(self.peer.disconnect("m4.m")), 1)
        self.assertEqual(self.result(self.peer.disconnect()), 3)

    def test_why(self) -> None:
        """Each leg is told as it ends and stands in the answer; one's own daemon's time is measured from here."""
        legs = [Leg(leg="daemon", state="ok"), Leg(leg="router", state="ok", took_ns=5)]

        async def why(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            for leg in legs:
                await emit("leg", **leg.model_dump())
            await emit("news", text="of a newer daemon")
            shown = [leg.model_dump() for leg in legs]
            return {"acting": "n1.n", "standing": False, "outcome": "ok", "legs": shown, **request}

        client = self.client(peer_operations(why=why))
        told: list[Leg] = []
        found = self.result(client.why(WhyArguments(peer="m4.m", fresh=True), on_leg=told.append))
        self.assertEqual(("m4.m", "ok", None), (found.peer, found.outcome, found.link))
        self.assertEqual([0, 5], [leg.took_ns for leg in found.legs])
        self.assertEqual(told, found.legs)
        self.assertEqual(found, self.result(client.why(WhyArguments(peer="m4.m", fresh=True))))

    def test_acting(self) -> None:
        """The peer that acts goes as ``as``, and isn't named when it isn't given."""
        seen: list[Mapping[str, Any]] = []

        async def link(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
            seen.append(request)
            return {"peer": "m4.m", "reused": False, "initiator": "n1.n"}

        client = self.client(peer_operations(connect=link))
        self.result(client.link("m4.m", acting="n1.n"))
        self.result(client.link("m4.m"))
        self.assertEqual(seen, [{"peer": "m4.m", "as": "n1.n"}, {"peer": "m4.m"}])

    def test_message(self) -> None:
        """A message gives the reply, put together from its pieces, and the times."""
        answer = self.result(self.peer.message("m4.m", "good\nmorning"))
        self.assertEqual((answer.text, answer.bytes, answer.seconds), ("GOOD\nMORNING", 12, 0.5))

    def test_exchange(self) -> None:
        """A file goes to a service by its absolute path, and progress is told to who wants it."""
        progress: list[tuple[int, int | None]] = []

        def on_progress(done: int, length: int | None) -> None:
            progress.append((done, length))

        film = ExchangeArguments(peer="m4.m", service="store", path="/srv/film.mkv", name="film.mkv", type="video")
        for told in (None, on_progress):
            answer = self.result(self.peer.exchange(film, on_progress=told))
            self.assertEqual((answer.type, answer.receipt.name, answer.digest), ("video", "film.mkv", DIGEST))
        self.assertEqual(progress, [(1000, 4000), (4000, 4000)])

    def test_senseless(self) -> None:
        """What can't be asked isn't: a model of the request says what is wrong with it, before anything is sent."""
        error = self.assertRaises(ValueError, ExchangeArguments, peer="m4.m", service="store")
        self.assertIn('give either "text" or "path"', str(error))


class FailureTests(ClientCase):
    """What the daemon can't do raises what it says."""

    def test_kinds(self) -> None:
        """Each kind of failure becomes its error."""
        for raised, kind in (
            (ConfigError("not hosted"), InvalidRequest),
            (LocalFileError("a.txt: gone"), LocalFileError),
            (KeyError("bug"), DaemonFault),
        ):
            error = self.error(self.client({"ping": failing(raised)}).ping("m4.m"), kind)
            self.assertTrue(str(error))
        self.flushLoggedErrors(KeyError)

    def test_outcomes(self) -> None:
        """A failed exchange raises its outcome, its reason and what is known of it."""
        for outcome in set(Outcome) - {Outcome.OK}:
            client = self.client({"exchange": failing(ExchangeFailed(outcome, "why", {"planned_ns": 5}))})
            error = self.error(client.message("m4.m", "x"), ExchangeFailed)
            self.assertEqual((error.outcome, str(error), error.fields), (outcome, "why", {"planned_ns": 5}))

    def test_outcome_of_the_future(self) -> None:
        """An outcome that this version doesn't know is the daemon's fault, not a crash."""
        connection = ConsoleConnection(MemoryReactorClock(), "console")
        connection.makeConnection(StringTransport())
        answer = connection.ask("ping", {}, None)
        connection.dataReceived(b'{"id":1,"event":"failed","error":"outcome","outcome":"melted","reason":"hot"}\n')
        self.failureResultOf(answer, DaemonFault)

    def test_other_version(self) -> None:
        """An answer that isn't understood names the likely cause."""

        async def ping(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
            return {"rtt": "fast"}

        error = self.error(self.client({"ping": ping}).ping("m4.m"), DaemonFault)
        self.assertIn("same version", str(error))

    def test_too_long(self) -> None:
        """A text that doesn't fit in a request isn't sent, and what to do is told; the client goes on."""
        client = self.client(peer_operations())
        error = self.error(client.message("m4.m", "x" * (1 << 20)), InvalidRequest)
        self.assertIn("as a file", str(error))
        self.assertEqual(self.result(client.message("m4.m", "x")).text, "X")


class WaitingTests(ClientCase):
    """Deadlines, cancelling, and many requests at once."""

    def test_deadlines(self) -> None:
        """A daemon that doesn't answer in time is unreachable, and is told that nobody waits any more."""
        for ask, seconds in (
            (lambda client: client.status(), ANSWER_S),
            (lambda client: client.peers("m"), NETWORK_S),
            (lambda client: client.ping("m4.m"), NETWORK_S),
            (lambda client: client.link("m4.m"), NETWORK_S),
            (lambda client: client.wait_registered(3), 3 + ANSWER_S),
        ):
            begun: list[Deferred[None]] = []
            wait = pending(begun)
            client = self.client(dict.fromkeys(("status", "peers", "ping", "connect", "wait-registered"), wait))
            running = self.begin(ask(client))
            self.reactor.advance(seconds - 0.1)
            self.assertNoResult(running)
            self.reactor.advance(0.1)
            self.assertIn("has not answered", str(self.failureResultOf(running, ConsoleUnreachable).value))
            self.reactor.settle()
            self.assertTrue(begun[0].called)

    def test_transfers_have_none(self) -> None:
        """An exchange takes as long as it takes."""
        begun: list[Deferred[None]] = []
        running = self.begin(self.client({"exchange": pending(begun)}).message("m4.m", "x"))
        self.reactor.advance(100_000)
        self.assertNoResult(running)
        running.addErrback(lambda failure: failure.trap(CancelledError))
        running.cancel()

    def test_cancel(self) -> None:
        """Cancelling a request cancels it in the daemon, and the connection goes on."""
        begun: list[Deferred[None]] = []
        client = self.client(peer_operations(exchange=pending(begun)))
        running = self.begin(client.message("m4.m", "x"))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.reactor.settle()
        self.assertTrue(begun[0].called)
        self.assertEqual(self.result(client.peers("m")), ["m1.m", "m2.m", "m3.m"])

    def test_cancelled_by_the_daemon(self) -> None:
        """A request that the daemon cancels ends as one that was cancelled here."""
        self.error(self.client({"ping": failing(CancelledError())}).ping("m4.m"), CancelledError)

    def test_event_that_is_not_taken(self) -> None:
        """If the caller's function fails at an event, its request fails with that, and the others go on."""
        client = self.client(peer_operations())

        def fail(done: int, length: int | None) -> None:
            raise ZeroDivisionError

        arguments = ExchangeArguments(peer="m4.m", service="store", path="/srv/a")
        sending = client.exchange(arguments, on_progress=fail)
        self.error(sending, ZeroDivisionError)
        self.assertEqual(self.result(client.ping("m4.m")).peer, "m4.m")

    def test_many(self) -> None:
        """More requests than a daemon takes at once wait for their turn; each gets its own answer."""
        begun: list[Deferred[None]] = []
        client = self.client({"wait": pending(begun)})
        count = 3 * REQUESTS
        running = gatherResults([Deferred.fromCoroutine(client.request("wait", {"number": n})) for n in range(count)])
        for _ in range(3):
            self.reactor.settle()
            self.assertEqual(len(begun), REQUESTS)
            while begun:
                begun.pop().callback(None)
        self.reactor.settle()
        self.assertEqual([one["number"] for one in self.successResultOf(running)], list(range(count)))


class ConnectionTests(ClientCase):
    """The connection's beginning and end."""

    def test_no_daemon(self) -> None:
        """Where nobody listens, the error names the socket, the reason and the command that starts the daemon."""
        reactor = MemoryReactorClock()
        connecting = Deferred.fromCoroutine(Client.connect(reactor, CONSOLE, start="twistd -n --pidfile= p2p-router"))
        reactor.unixClients[0][1].clientConnectionFailed(None, Failure(ConnectError(2, "No such file or directory")))
        error = str(self.failureResultOf(connecting, ConsoleUnreachable).value)
        for part in (str(CONSOLE), "No such file or directory", "twistd -n --pidfile= p2p-router"):
            self.assertIn(part, error)

    def test_daemon_that_accepts_nothing(self) -> None:
        """A daemon has 5 s to accept a connection, and is unreachable then."""
        reactor = MemoryReactorClock()
        connecting = Deferred.fromCoroutine(Client.connect(reactor, CONSOLE))
        _, factory, patience, _ = reactor.unixClients[0]
        self.assertEqual(CONNECT_S, patience)
        factory.clientConnectionFailed(None, Failure(TimeoutError()))
        self.failureResultOf(connecting, ConsoleUnreachable)

    def test_daemon_ends(self) -> None:
        """When the daemon ends the connection, every request fails, and so does each later one."""
        begun: list[Deferred[None]] = []
        client = self.client({"wait": pending(begun)})
        running = [self.begin(client.request("wait", {})) for _ in range(2)]
        self.reactor.console.stopService()
        self.reactor.settle()
        for one in running:
            self.failureResultOf(one, ConsoleUnreachable)
        self.error(client.ping("m4.m"), ConsoleUnreachable)

    def test_one_fails_and_cancels_another(self) -> None:
        """Who gives up a request because another failed with the connection disturbs nobody."""
        client = self.client({"wait": pending([])})
        first, second = (self.begin(client.request("wait", {})) for _ in range(2))
        first.addErrback(lambda failure: second.cancel())
        self.reactor.console.stopService()
        self.reactor.settle()
        self.assertIsNone(self.successResultOf(first))
        self.failureResultOf(second, CancelledError)

    def test_close(self) -> None:
        """Leaving the client ends the connection, and the daemon cancels what was under way."""
        begun: list[Deferred[None]] = []
        client = self.client({"wait": pending(begun)})
        running = self.begin(client.request("wait", {}))

        async def leave() -> None:
            async with client:
                pass

        self.result(leave())
        self.failureResultOf(running, ConsoleUnreachable)
        self.assertTrue(begun[0].called)
        self.assertEqual(self.reactor.console.connected, 0)

    def test_too_many_clients(self) -> None:
        """A daemon that has no place for another client says so."""
        client = self.client(peer_operations(), connections=0)
        self.assertIn("limit", str(self.error(client.ping("m4.m"), ConsoleUnreachable)))

    def test_daemon_that_talks_nonsense(self) -> None:
        """A line that can't be read, or is too long, ends the connection and every request on it."""
        for line in (b"nonsense\n", b"{}\n", b'{"id": 1}\n', b"x" * (ANSWER_BYTES + 1)):
            connection = ConsoleConnection(MemoryReactorClock(), "console")
            transport = StringTransport()
            connection.makeConnection(transport)
            answer = connection.ask("ping", {}, None)
            connection.dataReceived(line)
            self.failureResultOf(answer, DaemonFault)
            self.assertTrue(transport.disconnecting)
            connection.connectionLost(Failure(ConnectionDone()))
            self.assertRaises(DaemonFault, connection.ask, "ping", {}, None)

    def test_requests_are_lines(self) -> None:
        """A request is one line of JSON with its number, its operation and its arguments."""
        connection = ConsoleConnection(MemoryReactorClock(), "console")
        transport = StringTransport()
        connection.makeConnection(transport)
        connection.ask("ping", {"peer": "m4.m"}, None)
        self.assertEqual(json.loads(transport.value()), {"id": 1, "op": "ping", "peer": "m4.m"})
        connection.dataReceived(b'{"id":1,"event":"news"}\n{"id":99,"event":"done"}\n')
        self.assertFalse(transport.disconnecting)
