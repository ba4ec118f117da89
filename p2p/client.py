"""Talk to a daemon from Python: an asynchronous client of its console, on Twisted.

A client is one connection to the UNIX socket that a daemon names ``console`` in its configuration. Any number of
requests may be under way on it, and each answer finds the one that asked::

    async with await Client.connect(reactor, Path("run/n1.sock")) as client:
        answer = await client.message("m4.m", "hello")
        print(answer.text)  # HELLO
        sent = await client.send("m4.m", Path("/srv/film.mkv"), content_type="video")
        print(sent.receipt.name, sent.seconds)

Cancelling the ``Deferred`` of a request (or losing the client) cancels it in the daemon too. Where a daemon hosts
several peers, ``acting`` says which of them acts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory

from p2p.config import check_console
from p2p.control.console import REQUESTS
from p2p.control.console_client import ConsoleConnection, OnEvent
from p2p.control.legs import LegName
from p2p.control.operations import (
    Connected,
    ContentType,
    Diagnosis,
    Disconnected,
    Exchanged,
    Leg,
    PeersListed,
    PeerStatus,
    Ponged,
    Registered,
    RouterStatus,
)
from p2p.errors import ConsoleUnreachable, DaemonFault

__all__ = ["Client", "OnEvent", "OnLeg", "OnProgress"]

CONNECT_S = 5.0
"""Seconds that a daemon has to accept a connection on this machine."""

ANSWER_S = 10.0
"""Seconds that a daemon has to answer what it knows itself."""

NETWORK_S = 60.0
"""Seconds for what other machines must answer: above the daemon's own deadlines, which tell more."""

OnProgress = Callable[[int, int | None], None]
"""Is called with the bytes sent so far and the length of the whole, if it is known."""

OnLeg = Callable[[Leg], None]
"""Is called with each leg of the way to a peer when it has ended."""

_M = TypeVar("_M", bound=BaseModel)


class Client:
    """A connection to the console of a daemon.

    Each method raises :class:`~p2p.errors.ConsoleUnreachable` if the daemon doesn't answer in time or ends the
    connection, :class:`~p2p.errors.InvalidRequest` for what it can't carry out,
    :class:`~p2p.errors.LocalFileError` for a file that it can't use and :class:`~p2p.errors.DaemonFault` for a fault
    of its own. What concerns another peer raises :class:`~p2p.errors.ExchangeFailed` with the outcome.
    """

    def __init__(self, clock: Any, connection: ConsoleConnection, name: str) -> None:
        """Use :meth:`connect`."""
        self._clock = clock
        self._connection = connection
        self._name = name
        self._places = DeferredSemaphore(REQUESTS)

    @classmethod
    async def connect(
        cls,
        reactor: Any,
        path: Path,
        *,
        deadline: float = CONNECT_S,
        start: str = "twistd -n p2p-peer --config FILE",
    ) -> Client:
        """Connect to the console at a path.

        :param reactor: provides ``IReactorUNIX`` and ``IReactorTime``.
        :param start: the command that starts the daemon, for the text of the error.
        :raises ConsoleUnreachable: if no daemon answers there.
        """
        factory = Factory.forProtocol(lambda: ConsoleConnection(reactor, str(path)))
        factory.noisy = False
        try:
            check_console(path)
            endpoint: Any = UNIXClientEndpoint(reactor, str(path), timeout=deadline)
            connection = await endpoint.connect(factory)
        except (ConnectError, ValueError) as error:
            why = error.args[0] if error.args and error.args[0] else error  # Twisted's str() begins with a number
            raise ConsoleUnreachable(
                f"no daemon answers on {path} ({why}); if it isn't running, start it with: {start}"
            ) from error
        return cls(reactor, connection, str(path))

    async def close(self) -> None:
        """End the connection; the daemon cancels what is still under way on it."""
        self._connection.hang_up()
        await self._connection.gone

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def request(
        self, op: str, *, on_event: OnEvent | None = None, deadline: float | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Ask for any operation and return the fields of its ``done``.

        :param on_event: is called with each event that comes before the end.
        :param deadline: seconds after which the request is cancelled; None waits for as long as the daemon works.
        :param fields: the arguments; those that are None are left out.
        """
        await self._places.acquire()
        try:
            answer = self._connection.ask(op, {k: v for k, v in fields.items() if v is not None}, on_event)
            if deadline is not None:
                answer.addTimeout(deadline, self._clock)
            return await answer
        except DeadlinePassed as error:
            raise ConsoleUnreachable(
                f"the daemon on {self._name} has not answered {op} within {deadline:g} s; see its log"
            ) from error
        finally:
            self._places.release()

    async def status(self) -> PeerStatus | RouterStatus:
        """What the daemon is, and what it holds open."""
        answer = await self.request("status", deadline=ANSWER_S)
        return _read(RouterStatus, answer) if "neighbours" in answer else _read(PeerStatus, answer)

    async def wait_registered(self, seconds: float) -> Registered:
        """Wait until each hosted peer is registered, at most this many seconds."""
        answer = await self.request("wait-registered", timeout=seconds, deadline=seconds + ANSWER_S)
        return _read(Registered, answer)

    async def peers(self, cluster: str, *, acting: str | None = None) -> list[str]:
        """The names of the peers that are registered in a cluster."""
        answer = await self.request("peers", cluster=cluster, deadline=NETWORK_S, **_as(acting))
        return _read(PeersListed, answer).names

    async def ping(self, peer: str, *, acting: str | None = None) -> Ponged:
        """Measure the round trip to a peer over the direct link, which is set up if it isn't there."""
        return _read(Ponged, await self.request("ping", peer=peer, deadline=NETWORK_S, **_as(acting)))

    async def link(self, peer: str, *, acting: str | None = None) -> Connected:
        """Set up a direct link to a peer, or find the one that is there."""
        return _read(Connected, await self.request("connect", peer=peer, deadline=NETWORK_S, **_as(acting)))

    async def why(
        self, peer: str, *, fresh: bool = False, on_leg: OnLeg | None = None, acting: str | None = None
    ) -> Diagnosis:
        """Walk the legs to a peer, time each, and find the cause and the remedy where one fails.

        A leg that fails raises nothing: the answer says it. It may take a minute, as the deadlines of the daemon are.

        :param fresh: close a link that stands, after the exchanges under way, and walk all legs.
        """
        began = self._clock.seconds()
        await self.status()  # a daemon that doesn't answer this isn't asked for what may rightly take long
        took_ns = round((self._clock.seconds() - began) * 1e9)

        def timed(leg: Leg) -> Leg:
            return leg.model_copy(update={"took_ns": took_ns}) if leg.leg == LegName.DAEMON else leg

        def on_event(event: Mapping[str, Any]) -> None:
            if event["event"] == "leg" and on_leg is not None:
                on_leg(timed(_read(Leg, event)))

        answer = await self.request("why", on_event=on_event, peer=peer, fresh=fresh, **_as(acting))
        found = _read(Diagnosis, answer)
        return found.model_copy(update={"legs": [timed(leg) for leg in found.legs]})

    async def disconnect(self, peer: str | None = None, *, acting: str | None = None) -> int:
        """Close the link to a peer, or all of them, after the exchanges under way; return how many were closed."""
        return _read(Disconnected, await self.request("disconnect", peer=peer, **_as(acting))).closed

    async def message(
        self, peer: str, text: str, *, service: str = "uppercase", acting: str | None = None
    ) -> Exchanged:
        """Send a text to a service of a peer and return the answer with the reply in its ``text``."""
        return await self.exchange(peer, service, text=text, show="text", acting=acting)

    async def send(
        self,
        peer: str,
        path: Path,
        *,
        content_type: ContentType = "data",
        on_progress: OnProgress | None = None,
        acting: str | None = None,
    ) -> Exchanged:
        """Send a file to the inbox of a peer and return the answer with the receipt.

        :param path: an absolute path, which the daemon opens.
        """
        name = path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return await self.exchange(
            peer, "store", path=path, name=name, content_type=content_type, on_progress=on_progress, acting=acting
        )

    async def exchange(
        self,
        peer: str,
        service: str,
        *,
        text: str | None = None,
        path: Path | None = None,
        name: str = "",
        content_type: ContentType = "text",
        show: str = "digest",
        on_progress: OnProgress | None = None,
        acting: str | None = None,
    ) -> Exchanged:
        """Send a text or a file to a content service of a peer; takes as long as it takes.

        :param show: ``text`` to get the reply's body, ``digest`` to get its BLAKE3 alone.
        :raises ExchangeFailed: with the outcome; its ``fields`` hold the times and the bytes that are known.
        """
        reply: list[str] = []

        def on_event(event: Mapping[str, Any]) -> None:
            if event["event"] == "text":
                reply.append(str(event.get("text", "")))
            elif event["event"] == "progress" and on_progress is not None:
                on_progress(event["bytes"], event.get("length"))

        answer = await self.request(
            "exchange",
            on_event=on_event,
            peer=peer,
            service=service,
            type=content_type,
            name=name,
            text=text,
            path=None if path is None else str(path),
            show=show,
            **_as(acting),
        )
        return _read(Exchanged, {**answer, "text": "".join(reply)})


def _as(acting: str | None) -> dict[str, Any]:
    return {"as": acting}


def _read(model: type[_M], answer: Mapping[str, Any]) -> _M:
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        raise DaemonFault(
            f"the daemon gave an answer that this version of p2p doesn't understand ({error.error_count()} problems "
            f"with {model.__name__}); install the same version for both"
        ) from error
