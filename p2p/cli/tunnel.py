"""``p2p tunnel``: a socket of this machine that leads to a program at another peer's."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.errors import ConsoleUnreachable, LocalFileError, P2PError
from p2p.cli.output import show_error
from p2p.cli.parameters import complete_files, peer_argument
from p2p.cli.session import ConsoleSession
from p2p.cli.standard_streams import with_standard_streams
from p2p.client import Client
from p2p.console.unix_socket import bind_privately

__all__ = ["tunnel"]

CONNECTIONS: Final = 64
"""Connections through one tunnel at once; further ones wait until one of them has ended."""

HOST: Final = "127.0.0.1"


@click.command(short_help="Reach a port that a peer opens, by a socket of this machine.")
@peer_argument
@click.argument("port", type=click.IntRange(1, 65535))
@click.argument("local", required=False, shell_complete=complete_files)
@click.pass_obj
def tunnel(session: ConsoleSession, peer: str, port: int, local: str | None) -> None:
    """Have programs here reach PORT of PEER, encrypted over the direct link, until Ctrl-C.

    PORT must be open to this peer: 'tunnel:' in the YAML file of PEER says what is, and nothing else can be reached.

    LOCAL is where programs here find it: the path of a UNIX socket that only you can use, a port of 127.0.0.1, which
    every user of this machine can use, or "-" for standard input and output. Without it, a UNIX socket is made in a
    folder of your own, and shown.

    \b
      p2p tunnel m4.m 5432 ~/db/.s.PGSQL.5432    then: psql -h ~/db
      p2p tunnel m4.m 8080 8080                  then: http://127.0.0.1:8080
      ssh -o ProxyCommand='p2p tunnel %h 22 -' m4.m
    """
    if local == "-":
        session.run(lambda client, reactor: _standard(session, client, reactor, peer, port))
    else:
        session.run(lambda client, reactor: _door(session, client, reactor, peer, port, local))


async def _standard(session: ConsoleSession, client: Client, reactor: Any, peer: str, port: int) -> None:
    await with_standard_streams(reactor, lambda file: client.tunnel(peer, port, file, acting=session.acting))


async def _door(session: ConsoleSession, client: Client, reactor: Any, peer: str, port: int, local: str | None) -> None:
    there = await client.tunnel_told(peer, port, acting=session.acting)
    if local is not None and local.isascii() and local.isdigit():
        listener, path = _bound(int(local)), None
        where = f"{HOST}:{listener.getsockname()[1]}"
    else:
        path = os.path.abspath(_own_folder() / f"{peer}-{port}.sock" if local is None else local)  # noqa: PTH100, ASYNC240 - no more than a look
        listener, where = bind_privately(Path(path)), path
    click.echo(f"{peer}'s {there} is at {where} here, until Ctrl-C", err=True)
    if path is None:
        click.echo(f"every user of this machine can use {where}; a UNIX socket would be yours alone", err=True)
    try:
        await _serve(session, client, reactor, peer, port, listener)
    finally:
        if path is not None:
            with suppress(OSError):  # somebody has removed it
                os.unlink(path)  # noqa: PTH108


def _bound(port: int) -> socket.socket:
    """A socket that listens on a port of this machine alone.

    :raises LocalFileError: if that can't be.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        why = error.strerror if isinstance(error, OSError) else "ports end at 65535"
        raise LocalFileError(f"{HOST}:{port}: can't listen there: {why}; choose another port") from error
    return listener


def _own_folder() -> Path:
    """A folder that only this user can reach; it is made if it isn't there.

    :raises LocalFileError: if it is somebody else's, or others can reach it.
    """
    around = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(around) / "p2p"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise LocalFileError(f"{folder}: can't make a folder for the socket: {error.strerror}; name a path") from error
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise LocalFileError(f"{folder}: others can reach this folder; change that with chmod 700, or name a path")
    return folder


async def _serve(
    session: ConsoleSession, client: Client, reactor: Any, peer: str, port: int, listener: socket.socket
) -> None:
    """Give each connection to the daemon, until this is cancelled or the daemon is gone."""
    running: set[Deferred[None]] = set()
    gone: Deferred[None] = Deferred()

    async def join(program: socket.socket) -> None:
        with program:
            try:
                await client.tunnel(peer, port, program.fileno(), acting=session.acting)
            except ConsoleUnreachable:
                if not gone.called:
                    gone.errback(Failure())
            except P2PError as error:
                show_error(error)

    def begin(program: socket.socket) -> None:
        joining = Deferred.fromCoroutine(join(program))
        running.add(joining)
        joining.addErrback(lambda failure: failure.trap(CancelledError))
        joining.addBoth(ended, joining)
        doors.open(len(running) < CONNECTIONS)

    def ended(result: object, joining: Deferred[None]) -> None:
        running.discard(joining)
        doors.open(len(running) < CONNECTIONS)

    doors = _Doors(reactor, listener, begin)
    doors.open(True)
    try:
        await gone
    finally:
        doors.open(False)
        listener.close()
        for joining in list(running):
            joining.cancel()
        await DeferredList(list(running))


@implementer(IReadDescriptor)
class _Doors:
    """Accepts connections, and leaves them as they are."""

    def __init__(self, reactor: Any, listener: socket.socket, begin: Callable[[socket.socket], None]) -> None:
        listener.setblocking(False)
        self._reactor = reactor
        self._listener = listener
        self._begin = begin

    def open(self, wide: bool) -> None:
        """Accept what comes, or let it wait."""
        if self._listener.fileno() >= 0:
            (self._reactor.addReader if wide else self._reactor.removeReader)(self)

    def fileno(self) -> int:
        return self._listener.fileno()

    def doRead(self) -> None:
        """Somebody has come."""
        with suppress(OSError):  # gone again
            program, _ = self._listener.accept()
            self._begin(program)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops."""

    def logPrefix(self) -> str:
        return "tunnel"
