"""Talk to a daemon from Python: an asynchronous client of its console, on Twisted.

A client is one connection to the UNIX socket that a daemon names ``console`` in its configuration. Any number of
requests may be under way on it, and each answer finds the one that asked::

    from p2p.client import Client

    async with await Client.connect(reactor, Path("run/n1.sock")) as client:
        answer = await client.message("m4.m", "hello")
        print(answer.text)  # HELLO
        moved = await client.send("m4.m", [Path("/srv/film.mkv"), Path("/srv/photos")], on_event=print)
        for one in moved.transfers:
            print(one.peer, one.outcome, one.bytes)
        await client.get("m4.m", ["films/new.mkv"], Path("/srv"))

In a program on asyncio, Twisted runs on its event loop, and a coroutine that uses a client becomes a future::

    async def main():
        loop = asyncio.get_running_loop()
        asyncioreactor.install(loop)  # of twisted.internet; before anything imports the reactor
        from twisted.internet import reactor

        async def status():
            async with await Client.connect(reactor, Path("run/n1.sock")) as client:
                return await client.status()

        print(await Deferred.fromCoroutine(status()).asFuture(loop))

Cancelling the ``Deferred`` of a request (or losing the client) cancels it in the daemon too; a transfer that is
cancelled like that goes on where it was when the same is asked for again. Where a daemon hosts several peers,
``acting`` says which of them acts.
"""

from __future__ import annotations

from p2p.client.client import Client, OnLeg, OnProgress
from p2p.client.console import ANSWER_S, CONNECT_S, NETWORK_S, OnEvent
from p2p.client.transfers import OnChat, OnTransferEvent
from p2p.console.transfer_operations import (
    Cancelled,
    ChatLine,
    Done,
    Failed,
    Listed,
    ListedEntry,
    Moved,
    MovedOne,
    Offered,
    Offers,
    Pending,
    PendingOffer,
    Progress,
    Resumed,
    Stalled,
    TransferEvent,
    TransferShown,
    TransfersShown,
    Verified,
    Waiting,
)

__all__ = [
    "ANSWER_S",
    "CONNECT_S",
    "NETWORK_S",
    "Cancelled",
    "ChatLine",
    "Client",
    "Done",
    "Failed",
    "Listed",
    "ListedEntry",
    "Moved",
    "MovedOne",
    "Offered",
    "Offers",
    "OnChat",
    "OnEvent",
    "OnLeg",
    "OnProgress",
    "OnTransferEvent",
    "Pending",
    "PendingOffer",
    "Progress",
    "Resumed",
    "Stalled",
    "TransferEvent",
    "TransferShown",
    "TransfersShown",
    "Verified",
    "Waiting",
]
