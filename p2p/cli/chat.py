"""``p2p chat``: lines to a peer and from it, for as long as both sides want to."""

from __future__ import annotations

import sys
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Any, Final

import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from p2p.cli.output import json_option, printable, show_json
from p2p.cli.parameters import peer_argument
from p2p.cli.session import ConsoleSession
from p2p.cli.standard_streams import in_thread
from p2p.client import Client
from p2p.console.operations import PeerStatus
from p2p.console.transfer_operations import ChatLine

__all__ = ["chat", "in_thread"]

_LINE_BYTES: Final = 10_000
"""Bytes that are sent as one line; a longer one goes as several. What isn't UTF-8 may take three times as many."""

_STATES: Final = {
    "waiting": "waiting for {peer}; there, somebody has to say: p2p chat {own}",
    "joined": "{peer} is here; end your side with Ctrl-D",
    "left": "{peer} has left",
}


@click.command()
@peer_argument
@json_option
@click.pass_obj
def chat(session: ConsoleSession, peer: str, as_json: bool) -> None:
    """Exchange lines with whoever runs "p2p chat" at PEER, over the direct link.

    Lines are read from standard input until its end (Ctrl-D), and those of the other side are printed. The chat ends
    when both sides have ended. Whoever is first waits for the other, up to ten minutes, and what was typed meanwhile
    isn't lost.

    \b
      p2p chat m4.m
      echo "the oven is free" | p2p chat m4.m

    With --json, each line and what else happens is an object on its own line.
    """
    own = [session.acting or ""]

    def on_chat(event: ChatLine) -> None:
        if as_json:
            show_json({"event": "chat", "peer": peer, **event.model_dump(mode="json")})
        elif event.state == "line":
            click.echo(printable(f"{peer}: {event.line}"))
        else:
            click.echo(_STATES[event.state].format(peer=peer, own=own[0]), err=True)

    async def converse(client: Client, reactor: Any) -> None:
        if not session.acting and isinstance(status := await client.status(), PeerStatus):
            own[0] = status.peers[0].name
        speaking = Deferred.fromCoroutine(_speak(client, peer, session.acting, reactor))
        listening = Deferred.fromCoroutine(client.chat(peer, on_chat, acting=session.acting))
        told: list[Failure] = []

        def cant_speak(failure: Failure) -> None:
            if not failure.check(CancelledError):
                told.append(failure)
                listening.cancel()

        speaking.addErrback(cant_speak)
        try:
            await listening
        except CancelledError:
            if told:
                told[0].raiseException()
            raise
        finally:
            speaking.cancel()

    session.run(converse)


async def _speak(client: Client, peer: str, acting: str | None, reactor: Any) -> None:
    """Say each line of standard input, and then that it has ended."""
    decoder = getincrementaldecoder("utf-8")("replace")  # a long line may be cut within a character
    typed = _Typed(sys.stdin.buffer)
    while (raw := await in_thread(reactor, typed.next_line)) is not None:
        await client.chat_say(peer, decoder.decode(raw).rstrip("\r\n"), acting=acting)
    if rest := decoder.decode(b"", final=True):
        await client.chat_say(peer, rest, acting=acting)
    await client.chat_say(peer, None, acting=acting)


class _Typed:
    """The lines of standard input.

    It is read without Python's buffer: a thread that waits in that one when the command ends makes Python abort.
    """

    def __init__(self, stream: Any) -> None:
        self._read: Callable[[int], bytes | None] = getattr(stream, "raw", stream).read
        self._rest = bytearray()

    def next_line(self) -> bytes | None:
        """The next line with its end, or so much of a long one as goes at once; None at the end of all."""
        while (end := self._rest.find(b"\n", 0, _LINE_BYTES) + 1) == 0 and len(self._rest) < _LINE_BYTES:
            more = self._read(_LINE_BYTES)
            if not more:
                break
            self._rest += more
        end = end or min(len(self._rest), _LINE_BYTES)
        line = bytes(self._rest[:end])
        del self._rest[:end]
        return line or None
