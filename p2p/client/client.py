"""Everything that can be asked of a daemon, as typed methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from p2p.client.console import ANSWER_S, NETWORK_S, OnEvent, acting_as, read_answer
from p2p.client.transfers import TransferClient
from p2p.console.legs import LegName
from p2p.console.operations import (
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

__all__ = ["Client", "OnEvent", "OnLeg", "OnProgress"]

OnProgress = Callable[[int, int | None], None]
"""Is called with the bytes sent so far and the length of the whole, if it is known."""

OnLeg = Callable[[Leg], None]
"""Is called with each leg of the way to a peer when it has ended."""


class Client(TransferClient):
    """A connection to the console of a daemon.

    Each method raises :class:`~p2p.base.errors.ConsoleUnreachable` if the daemon doesn't answer in time or ends the
    connection, :class:`~p2p.base.errors.InvalidRequest` for what it can't carry out,
    :class:`~p2p.base.errors.LocalFileError` for a file that it can't use and
    :class:`~p2p.base.errors.DaemonFault` for a fault of its own. What concerns another peer raises
    :class:`~p2p.base.errors.ExchangeFailed` with the outcome.
    """

    async def status(self) -> PeerStatus | RouterStatus:
        """What the daemon is, and what it holds open."""
        answer = await self.request("status", deadline=ANSWER_S)
        return read_answer(RouterStatus, answer) if "neighbours" in answer else read_answer(PeerStatus, answer)

    async def wait_registered(self, seconds: float) -> Registered:
        """Wait until each hosted peer is registered, at most this many seconds."""
        answer = await self.request("wait-registered", timeout=seconds, deadline=seconds + ANSWER_S)
        return read_answer(Registered, answer)

    async def peers(self, cluster: str, *, acting: str | None = None) -> list[str]:
        """The names of the peers that are registered in a cluster."""
        answer = await self.request("peers", cluster=cluster, deadline=NETWORK_S, **acting_as(acting))
        return read_answer(PeersListed, answer).names

    async def ping(self, peer: str, *, acting: str | None = None) -> Ponged:
        """Measure the round trip to a peer over the direct link, which is set up if it isn't there."""
        return read_answer(Ponged, await self.request("ping", peer=peer, deadline=NETWORK_S, **acting_as(acting)))

    async def link(self, peer: str, *, acting: str | None = None) -> Connected:
        """Set up a direct link to a peer, or find the one that is there."""
        return read_answer(Connected, await self.request("connect", peer=peer, deadline=NETWORK_S, **acting_as(acting)))

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
                on_leg(timed(read_answer(Leg, event)))

        answer = await self.request("why", on_event=on_event, peer=peer, fresh=fresh, **acting_as(acting))
        found = read_answer(Diagnosis, answer)
        return found.model_copy(update={"legs": [timed(leg) for leg in found.legs]})

    async def disconnect(self, peer: str | None = None, *, acting: str | None = None) -> int:
        """Close the link to a peer, or all of them, after the exchanges under way; return how many were closed."""
        return read_answer(Disconnected, await self.request("disconnect", peer=peer, **acting_as(acting))).closed

    async def message(
        self, peer: str, text: str, *, service: str = "uppercase", acting: str | None = None
    ) -> Exchanged:
        """Send a text to a service of a peer and return the answer with the reply in its ``text``."""
        return await self.exchange(peer, service, text=text, show="text", acting=acting)

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
            **acting_as(acting),
        )
        return read_answer(Exchanged, {**answer, "text": "".join(reply)})
