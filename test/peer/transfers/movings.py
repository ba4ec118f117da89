"""A daemon's transfers with peers and sessions that do what the test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.console.transfer_operations import GetArguments, Moved, SendArguments
from p2p.exchange.exchange import Request
from p2p.peer.node import HostedPeer
from p2p.peer.transfers import getting, sending
from p2p.peer.transfers.manager import Transfers
from p2p.transfer.answers import Asked
from p2p.transfer.send_session import SessionTold
from p2p.transfer.walking import Totals
from test.peer.pair import at_once
from test.peer.transfers.journals import Pool, make_journal
from test.peer.transfers.moving_doubles import WALL, Events

__all__ = ["Session", "TransfersCase"]


class Session:
    """A session that goes as its test says; stands in for both kinds.

    :ivar engine: what it would read from or write to.
    :ivar request: what its exchange asks for.
    :ivar end: ends the exchange.
    """

    def __init__(self, engine: Any, asked: Asked, threads: Any, clock: Any, told: SessionTold, **how: Any) -> None:
        self.engine = engine
        self.names = asked.paths
        self.told = told
        self.how = how
        self.totals: Totals | None = None
        self.excused = False
        self.released = False
        self.target = ""
        self.request: Request | None = None
        self.end: Deferred[Any] = Deferred()
        self._threads = threads

    @property
    def transfer(self) -> str:
        """The id of the transfer."""
        assert self.request is not None
        return str(self.request.more["id"])

    def sink(self) -> Any:
        """Nobody writes to it."""

    async def release(self) -> None:
        self.released = True
        if hasattr(self.engine, "suspend"):
            if self.totals is None:
                await self._threads(self.engine.suspend)
        else:
            await self._threads(self.engine.close)

    def done(self, entries: int = 1, size: int = 4) -> None:
        """Have it end well."""
        self.totals = Totals(entries, size)
        if "sealed" in self.how:
            self.how["sealed"]()
            self.engine.abandon()
        self.end.callback(None)

    def fail(self, outcome: Outcome = Outcome.RESET, reason: str = "the link broke") -> None:
        """Have it end badly."""
        self.end.errback(Failure(ExchangeFailed(outcome, reason)))


class StandInPeer:
    """A hosted peer whose exchanges are those of the test."""

    def __init__(self, name: str, case: TransfersCase) -> None:
        self.name = name
        self.links: dict[str, Any] = {}
        self.link_watchers: list[Callable[[str], None]] = []
        self.registration = self
        self.listed: list[str] = []
        self._case = case

    async def call(self, command: Any, *, cluster: str, after: str) -> Mapping[str, Any]:
        return {"names": [name for name in self.listed if name.endswith(f".{cluster}") and name > after], "more": False}

    async def exchange(
        self, target: str, request: Request, source: Any, sink: Any, *, planned_ns: int, watch: Any
    ) -> Any:
        source.target, source.request = target, request
        if not hasattr(source, "end"):
            source.end = Deferred()  # of one that is given up
        self._case.sessions.append(source)
        await source.end


class TransfersCase(SynchronousTestCase):
    """A daemon that hosts n1.n and n2.n.

    :ivar sessions: those that began.
    """

    def setUp(self) -> None:
        self.hosted: tuple[str, ...] = ("n1.n", "n2.n")
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.film = self.base / "film.mp4"
        self.film.write_bytes(b"film")
        self.clock = Clock()
        self.wall_ahead_s = 0.0
        self.sessions: list[Session] = []
        self.tokens = 0
        self.patch(sending, "SendSession", lambda engine, *rest, **how: Session(engine, Asked(()), *rest, **how))
        self.patch(getting, "GetSession", Session)
        self.begin_daemon()

    def begin_daemon(self, *, start: bool = True, **more: Any) -> None:
        """Start a daemon, the first or one after it was killed."""
        self.peers = {name: StandInPeer(name, self) for name in self.hosted}
        self.journal, self.pool = make_journal(self.base / "journal")
        self.transfers = Transfers(
            self.clock,
            cast(Mapping[str, HostedPeer], self.peers),
            self.journal,
            self.base / "state",
            at_once,
            lambda: WALL + self.wall_ahead_s + self.clock.seconds(),
            self._bytes,
            **more,
        )
        self.events = Events()
        self.addCleanup(self._end, self.transfers, self.pool)
        if start:
            self.did(self.transfers.start())

    def kill_daemon(self) -> Pool:
        """Have it vanish as kill -9 does: nothing more is written, and nobody is told."""
        pool, self.pool.held = self.pool, []
        for session in self.sessions:
            if not session.released:
                session.engine.suspend() if hasattr(session.engine, "suspend") else session.engine.close()
        for call in self.clock.getDelayedCalls():
            call.cancel()
        return pool

    def did(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def send(self, *targets: str, acting: str = "n1.n", file: int | None = None, **arguments: Any) -> Deferred[Moved]:
        given = {"peers": list(targets) or ["m4.m"], **arguments}
        if not arguments.get("stream"):
            given.setdefault("paths", [str(self.film)])
        peer = cast(HostedPeer, self.peers[acting])
        return Deferred.fromCoroutine(self.transfers.send(peer, SendArguments(**given), self.events.append, file))

    def get(self, *names: str, file: int | None = None, **arguments: Any) -> Deferred[Moved]:
        given = {"peer": "m4.m", "names": list(names) or ["film.mp4"], **arguments}
        if not arguments.get("stream"):
            given.setdefault("folder", str(self.base))
        peer = cast(HostedPeer, self.peers["n1.n"])
        return Deferred.fromCoroutine(self.transfers.get(peer, GetArguments(**given), self.events.append, file))

    def leave(self, moving: Deferred[Moved]) -> None:
        """The client that asked for it is gone."""
        moving.cancel()
        self.failureResultOf(moving, CancelledError)

    def rows(self) -> dict[str, str]:
        """The state of each transfer in the journal, by the peer at its other end."""
        return {row.peer: row.state.value for row in self.did(self.journal.latest(100))}

    def _end(self, transfers: Transfers, pool: Pool) -> None:
        """Let nothing that waits outlive the test."""
        held, pool.held = pool.held or [], None
        for commit in held:
            commit()
        self.successResultOf(Deferred.fromCoroutine(transfers.stop()))

    def _bytes(self, count: int) -> bytes:
        self.tokens += 1
        return self.tokens.to_bytes(count)
