"""Standard input and output as one connection that a daemon can be given."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Thread
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

__all__ = ["in_thread", "with_standard_streams"]

_T = TypeVar("_T")

PIECE: Final = 256 * 1024
"""Bytes that are moved at once at most."""

STDIN: Final = 0
STDOUT: Final = 1


def in_thread(reactor: Any, work: Callable[[], _T]) -> Deferred[_T]:
    """Run what may wait for somebody in a thread that holds up nobody: it is left alone when the command ends."""
    done: Deferred[_T] = Deferred()

    def tell(result: _T | Failure) -> None:
        if not done.called:
            done.callback(result)

    def run() -> None:
        result: _T | Failure
        try:
            result = work()
        except (OSError, ValueError):  # a terminal that has gone away, a pipe that nobody reads
            result = Failure()
        reactor.callFromThread(tell, result)

    Thread(target=run, daemon=True, name="standard streams").start()
    return done


async def with_standard_streams(reactor: Any, ask: Callable[[int], Awaitable[_T]]) -> _T:
    """Have something done with the descriptor of a connection that leads to standard input and output.

    Standard input isn't read after its end, nor is anything of it awaited once the other end has ended, if it is a
    terminal: nobody could know there that it was still wanted.

    :raises OSError: if standard output doesn't take what comes.
    """
    near, far = socket.socketpair()
    told: list[Failure] = []
    asking = Deferred.fromCoroutine(_awaited(ask, far.fileno()))

    def cant_write(failure: Failure) -> None:
        if not failure.check(CancelledError):
            told.append(failure)
            asking.cancel()

    try:
        in_thread(reactor, lambda: _send(near)).addErrback(lambda failure: None)
        writing = in_thread(reactor, lambda: _receive(near)).addErrback(cant_write)
        try:
            answer = await asking
        except CancelledError:
            if told:
                told[0].raiseException()
            raise
        far.close()  # or its other end would wait for more
        await writing
        if told:
            told[0].raiseException()
        return answer
    finally:
        with suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)
        near.close()
        far.close()


async def _awaited(ask: Callable[[int], Awaitable[_T]], descriptor: int) -> _T:
    return await ask(descriptor)


def _send(near: socket.socket) -> None:
    """Send what standard input gives, and its end.

    It is read without Python's buffer: a thread that waits in that one when the command ends makes Python abort.
    """
    try:
        while data := os.read(STDIN, PIECE):
            near.sendall(data)
    finally:
        with suppress(OSError):
            near.shutdown(socket.SHUT_WR)


def _receive(near: socket.socket) -> None:
    """Write what comes to standard output, until its end."""
    while data := near.recv(PIECE):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(STDOUT, rest) :]
    if sys.stdin.isatty():
        with suppress(OSError):
            near.shutdown(socket.SHUT_WR)
