"""Talk to a daemon from Python: an asynchronous client of its console, on Twisted.

A client is one connection to the UNIX socket that a daemon names ``console`` in its configuration. Any number of
requests may be under way on it, and each answer finds the one that asked::

    from p2p.client import Client, GetArguments, SendArguments

    async with await Client.connect(reactor, Path("run/n1.sock")) as client:
        answer = await client.message("m4.m", "hello")
        print(answer.text)  # HELLO
        films = SendArguments(peers=["m4.m"], paths=["/srv/film.mkv", "/srv/photos"], limit=10_000_000)
        moved = await client.send(films, on_event=print)
        for one in moved.transfers:
            print(one.peer, one.outcome, one.bytes)
        await client.get(GetArguments(peer="m4.m", names=["films/new.mkv"], folder="/srv"))

Requests with options are models, the same that the daemon reads: they say what there is, with its defaults, and raise
:class:`pydantic.ValidationError` (a :class:`ValueError`) for what can't be asked.

In a program on asyncio, Twisted runs on its event loop, and a coroutine that uses a client becomes a future::

    async def main():
        loop = asyncio.get_running_loop()
        asyncioreactor.install(loop)  # of twisted.internet; before anything imports the reactor
        from twisted.internet import reactor

        async def status():
            async with await Client.connect(reactor, Path("run/n1.sock")) as client:
                return await client.status()

        print(await Deferred.fromCoroutine(status()).asFuture(loop))

Deadlines run on the clock of the reactor that a client is given. Twisted's own goes by the wall clock; a program that
runs for long does well to call ``p2p.wire.monotonic.run_on_monotonic_clock(reactor)`` first, as the command does.

Cancelling the ``Deferred`` of a request (or losing the client) cancels it in the daemon too; a transfer that is
cancelled like that goes on where it was when the same is asked for again. Where a daemon hosts several peers,
``acting`` says which of them acts.
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

from p2p.base.config import check_console
from p2p.base.errors import ConsoleUnreachable, DaemonFault
from p2p.console.lines import REQUESTS, ConsoleConnection, OnEvent
from p2p.console.operations import (
    Arguments,
    Connected,
    ConsoleAnswer,
    Diagnosis,
    DisconnectArguments,
    Disconnected,
    ExchangeArguments,
    Exchanged,
    Leg,
    LegName,
    NoArguments,
    PeerArguments,
    PeersArguments,
    PeersListed,
    PeerStatus,
    Pinged,
    Registered,
    RouterStatus,
    WaitRegisteredArguments,
    WhyArguments,
)
from p2p.console.transfer_operations import (
    EVENTS,
    CancelArguments,
    Cancelled,
    ChatArguments,
    ChatLine,
    ChatSayArguments,
    DecideArguments,
    Done,
    Failed,
    GetArguments,
    Listed,
    ListedEntry,
    LsArguments,
    Moved,
    MovedOne,
    Offered,
    Offers,
    OffersArguments,
    Pending,
    PendingOffer,
    Progress,
    Resumed,
    SendArguments,
    Stalled,
    TransferEvent,
    TransfersArguments,
    TransferShown,
    TransfersShown,
    Verified,
    Waiting,
    read_event,
)
from p2p.console.tunnel_operations import PipeArguments, PipeListenArguments, ProgramJoined, TunnelArguments, TunnelTold

__all__ = [
    "ANSWER_S",
    "CONNECT_S",
    "NETWORK_S",
    "Cancelled",
    "ChatLine",
    "Client",
    "Done",
    "ExchangeArguments",
    "Failed",
    "GetArguments",
    "Listed",
    "ListedEntry",
    "Moved",
    "MovedOne",
    "Offered",
    "Offers",
    "OnChat",
    "OnEvent",
    "OnJoined",
    "OnLeg",
    "OnProgress",
    "OnTransferEvent",
    "Pending",
    "PendingOffer",
    "PipeListenArguments",
    "ProgramJoined",
    "Progress",
    "Resumed",
    "SendArguments",
    "Stalled",
    "TransferEvent",
    "TransferShown",
    "TransfersArguments",
    "TransfersShown",
    "Verified",
    "Waiting",
]

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

OnTransferEvent = Callable[[TransferEvent], object]
"""Is called with each event of a transfer; what it raises ends the request with that error."""

OnJoined = Callable[[str], object]
"""Is called with the name of the peer whose end is there."""

OnChat = Callable[[ChatLine], object]
"""Is called with what happens in a chat."""

_M = TypeVar("_M", bound=BaseModel)


class Client:
    """A connection to the console of a daemon.

    Each method raises :class:`~p2p.base.errors.ConsoleUnreachable` if the daemon doesn't answer in time or ends the
    connection, :class:`~p2p.base.errors.InvalidRequest` for what it can't carry out,
    :class:`~p2p.base.errors.LocalFileError` for a file that it can't use and
    :class:`~p2p.base.errors.DaemonFault` for a fault of its own. What concerns another peer raises
    :class:`~p2p.base.errors.ExchangeFailed` with the outcome.
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
        start: str = "twistd -n --pidfile= p2p-peer --config FILE",
    ) -> Self:
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
        self,
        op: str,
        arguments: Mapping[str, Any],
        *,
        on_event: OnEvent | None = None,
        deadline: float | None = None,
        file: int | None = None,
    ) -> dict[str, Any]:
        """Ask for any operation and return the fields of its ``done``.

        :param on_event: is called with each event that comes before the end.
        :param deadline: seconds after which the request is cancelled; None waits for as long as the daemon works.
        :param file: a file descriptor that goes along; the arguments have ``stream`` true then.
        """
        await self._places.acquire()
        try:
            answer = self._connection.ask(op, arguments, on_event, file)
            if deadline is not None:
                answer.addTimeout(deadline, self._clock)
            return await answer
        except DeadlinePassed as error:
            raise ConsoleUnreachable(
                f"the daemon on {self._name} has not answered {op} within {deadline:g} s; see its log"
            ) from error
        finally:
            self._places.release()

    async def _ask(self, op: str, arguments: Arguments, answer: type[_M], **how: Any) -> _M:
        return _read(answer, await self.request(op, arguments.request(), **how))

    # -- the daemon and its links -----------------------------------------------------------------------------

    async def status(self) -> PeerStatus | RouterStatus:
        """What the daemon is, and what it holds open."""
        answer = await self.request("status", NoArguments().request(), deadline=ANSWER_S)
        return _read(RouterStatus, answer) if "neighbours" in answer else _read(PeerStatus, answer)

    async def wait_registered(self, seconds: float) -> Registered:
        """Wait until each hosted peer is registered, at most this many seconds."""
        arguments = WaitRegisteredArguments(timeout=seconds)
        return await self._ask("wait-registered", arguments, Registered, deadline=seconds + ANSWER_S)

    async def peers(self, cluster: str, *, acting: str | None = None) -> list[str]:
        """The names of the peers that are registered in a cluster."""
        arguments = PeersArguments(cluster=cluster, acting=acting)
        return (await self._ask("peers", arguments, PeersListed, deadline=NETWORK_S)).names

    async def ping(self, peer: str, *, acting: str | None = None) -> Pinged:
        """Measure the round trip to a peer over the direct link, which is set up if it isn't there."""
        return await self._ask("ping", PeerArguments(peer=peer, acting=acting), Pinged, deadline=NETWORK_S)

    async def link(self, peer: str, *, acting: str | None = None) -> Connected:
        """Set up a direct link to a peer, or find the one that is there."""
        return await self._ask("connect", PeerArguments(peer=peer, acting=acting), Connected, deadline=NETWORK_S)

    async def why(self, arguments: WhyArguments, *, on_leg: OnLeg | None = None) -> Diagnosis:
        """Walk the legs to a peer, time each, and find the cause and the remedy where one fails.

        A leg that fails raises nothing: the answer says it. It may take a minute, as the deadlines of the daemon are.
        """
        began = self._clock.seconds()
        await self.status()  # a daemon that doesn't answer this isn't asked for what may rightly take long
        took_ns = round((self._clock.seconds() - began) * 1e9)

        def timed(leg: Leg) -> Leg:
            return leg.model_copy(update={"took_ns": took_ns}) if leg.leg == LegName.DAEMON else leg

        def on_event(event: Mapping[str, Any]) -> None:
            if event["event"] == "leg" and on_leg is not None:
                on_leg(timed(_read(Leg, event)))

        found = await self._ask("why", arguments, Diagnosis, on_event=on_event)
        return found.model_copy(update={"legs": [timed(leg) for leg in found.legs]})

    async def disconnect(self, peer: str | None = None, *, acting: str | None = None) -> int:
        """Close the link to a peer, or all of them, after the exchanges under way; return how many were closed."""
        return (await self._ask("disconnect", DisconnectArguments(peer=peer, acting=acting), Disconnected)).closed

    # -- exchanges --------------------------------------------------------------------------------------------

    async def message(
        self, peer: str, text: str, *, service: str = "uppercase", acting: str | None = None
    ) -> Exchanged:
        """Send a text to a service of a peer and return the answer with the reply in its ``text``."""
        return await self.exchange(ExchangeArguments(peer=peer, service=service, text=text, show="text", acting=acting))

    async def exchange(self, arguments: ExchangeArguments, *, on_progress: OnProgress | None = None) -> Exchanged:
        """Send a text or a file to a content service of a peer; takes as long as it takes.

        :raises ExchangeFailed: with the outcome; its ``fields`` hold the times and the bytes that are known.
        """
        reply: list[str] = []

        def on_event(event: Mapping[str, Any]) -> None:
            if event["event"] == "text":
                reply.append(str(event.get("text", "")))
            elif event["event"] == "progress" and on_progress is not None:
                on_progress(event["bytes"], event.get("length"))

        answer = await self.request("exchange", arguments.request(), on_event=on_event)
        return _read(Exchanged, {**answer, "text": "".join(reply)})

    # -- transfers --------------------------------------------------------------------------------------------

    async def send(
        self, arguments: SendArguments, *, file: int | None = None, on_event: OnTransferEvent | None = None
    ) -> Moved:
        """Send files and folders into the inbox of one or several peers; the sources are read once for all of them.

        What an earlier ``send`` of the same didn't bring to its end goes on where it was. How it ended with each peer
        is in the answer, and raises nothing.

        :param file: where ``stream`` is true, an open file descriptor, of a pipe for example; the daemon gets a copy
            and reads it to its end.
        :raises LocalFileError: if a source can't be used; nothing is sent then.
        """
        return await self._ask("send", arguments, Moved, file=file, on_event=_events(on_event))

    async def get(
        self, arguments: GetArguments, *, file: int | None = None, on_event: OnTransferEvent | None = None
    ) -> Moved:
        """Get files and folders that a peer shares, as :meth:`list_shared` shows them, into a folder.

        :param file: where ``stream`` is true, a file descriptor to which the daemon writes each chunk once it is
            verified.
        """
        return await self._ask("get", arguments, Moved, file=file, on_event=_events(on_event))

    async def list_shared(self, peer: str, path: str = "", *, acting: str | None = None) -> Listed:
        """What a peer shares, or what is in one of its shared folders."""
        arguments = LsArguments(peer=peer, path=path, acting=acting)
        return await self._ask("ls", arguments, Listed, deadline=NETWORK_S)

    async def transfers(
        self,
        arguments: TransfersArguments | None = None,
        *,
        on_shown: Callable[[TransfersShown], object] | None = None,
        on_event: OnTransferEvent | None = None,
    ) -> TransfersShown:
        """The transfers that the daemon knows, those that changed last first.

        With ``follow``, they go to ``on_shown``, and then all that happens to any transfer goes to ``on_event``, until
        the request is cancelled or the daemon ends. Who takes long over an event may miss some that come meanwhile.
        """
        arguments = arguments or TransfersArguments()
        transfer = _events(on_event)

        def passed_on(event: Mapping[str, Any]) -> None:
            if event["event"] == "transfers" and on_shown is not None:
                on_shown(_read(TransfersShown, event))
            elif transfer is not None:
                transfer(event)

        deadline = None if arguments.follow else ANSWER_S
        return await self._ask("transfers", arguments, TransfersShown, on_event=passed_on, deadline=deadline)

    async def cancel_transfer(self, transfer: str) -> Cancelled:
        """Give a transfer up for good; what has arrived of an unfinished file is removed."""
        return await self._ask("cancel-transfer", CancelArguments(transfer=transfer), Cancelled, deadline=NETWORK_S)

    # -- offers and chats -------------------------------------------------------------------------------------

    async def offers(self) -> Offers:
        """What waits for a person's consent."""
        return await self._ask("offers", OffersArguments(), Offers, deadline=ANSWER_S)

    async def decide(self, offer: str, *, accept: bool) -> None:
        """Take what was offered, or not.

        :raises InvalidRequest: if there is no such offer (any more).
        """
        await self._ask("decide", DecideArguments(offer=offer, accept=accept), ConsoleAnswer, deadline=ANSWER_S)

    async def chat(self, peer: str, on_chat: OnChat, *, acting: str | None = None) -> None:
        """Hold a conversation with a peer, until both sides have ended it."""

        def passed_on(event: Mapping[str, Any]) -> None:
            if event["event"] == "chat":
                on_chat(_read(ChatLine, event))

        await self._ask("chat", ChatArguments(peer=peer, acting=acting), ConsoleAnswer, on_event=passed_on)

    async def chat_say(self, peer: str, line: str | None, *, acting: str | None = None) -> None:
        """Say a line in the conversation that :meth:`chat` holds; None ends one's own side of it.

        It returns when there is room for the next line.
        """
        await self._ask("chat-say", ChatSayArguments(peer=peer, line=line, acting=acting), ConsoleAnswer)

    # -- tunnels and pipes ------------------------------------------------------------------------------------

    async def tunnel_told(self, peer: str, port: int, *, acting: str | None = None) -> str:
        """Where a tunnel to a port of a peer would lead, as ``address:port`` there.

        :raises ExchangeFailed: with ``refused``, if the peer doesn't open it to this one.
        """
        arguments = TunnelArguments(peer=peer, port=port, acting=acting)
        return (await self._ask("tunnel", arguments, TunnelTold, deadline=NETWORK_S)).to

    async def tunnel(
        self, peer: str, port: int, file: int, *, acting: str | None = None, on_joined: OnJoined | None = None
    ) -> ProgramJoined:
        """Join a connection with one to a port that a peer opens, until both have ended.

        :param file: the descriptor of a connected stream socket. The daemon gets a copy, reads and writes it, and shuts
            it down at the end.
        """
        arguments = TunnelArguments(peer=peer, port=port, acting=acting, stream=True)
        return await self._ask("tunnel", arguments, ProgramJoined, file=file, on_event=_joined(on_joined))

    async def pipe(
        self, peer: str, file: int, *, acting: str | None = None, on_joined: OnJoined | None = None
    ) -> ProgramJoined:
        """Join a connection with one that :meth:`pipe_listen` has at a peer, until both have ended."""
        arguments = PipeArguments(peer=peer, acting=acting, stream=True)
        return await self._ask("pipe", arguments, ProgramJoined, file=file, on_event=_joined(on_joined))

    async def pipe_listen(
        self, arguments: PipeListenArguments, file: int, *, on_joined: OnJoined | None = None
    ) -> ProgramJoined:
        """Wait for a peer that comes with :meth:`pipe`, for as long as it takes, and join it with a connection."""
        asked = arguments.model_copy(update={"stream": True})
        return await self._ask("pipe-listen", asked, ProgramJoined, file=file, on_event=_joined(on_joined))


def _joined(on_joined: OnJoined | None) -> OnEvent:
    def passed_on(event: Mapping[str, Any]) -> None:
        if event["event"] == "joined" and on_joined is not None:
            on_joined(str(event.get("peer")))

    return passed_on


def _events(on_event: OnTransferEvent | None) -> OnEvent | None:
    """Make a listener of raw events from one of those of transfers; kinds that a newer daemon may have are left out."""
    if on_event is None:
        return None

    def passed_on(event: Mapping[str, Any]) -> None:
        fields = event.get("transfer")
        if event["event"] != "transfer" or not isinstance(fields, dict) or fields.get("event") not in EVENTS:
            return
        try:
            read = read_event(fields)
        except ValidationError as error:
            raise _not_understood(error, str(fields["event"])) from error
        on_event(read)

    return passed_on


def _read(model: type[_M], answer: Mapping[str, Any]) -> _M:
    """Read an answer or an event.

    :raises DaemonFault: if it isn't one.
    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        raise _not_understood(error, model.__name__) from error


def _not_understood(error: ValidationError, what: str) -> DaemonFault:
    """The error for an answer that can't be read."""
    return DaemonFault(
        f"the daemon gave an answer that this version of p2p doesn't understand ({error.error_count()} problems "
        f"with {what}); install the same version for both"
    )
