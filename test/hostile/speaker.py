"""Connections over which anything can be said: TCP and TLS with sockets that block, for threads and plain scripts.

Nothing is ever sent to another machine: whoever isn't within 127.0.0.0/8 is not connected to.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

from test.hostile import wire
from test.hostile.wire import Box, Value

__all__ = [
    "CONTROL",
    "LINK",
    "Budget",
    "Control",
    "CutOff",
    "Identity",
    "Late",
    "Speaker",
    "Spent",
    "connect",
    "fresh_port",
]
__all__ += ["secured", "take_one"]

CONTROL: Final = "p2p-control/1"
"""ALPN of a control channel."""

LINK: Final = "p2p/1"
"""ALPN of a direct link."""

_HERE: Final = IPv4Network("127.0.0.0/8")
_READ: Final = 1 << 16
_SOON: Final = 10.0

_T = TypeVar("_T")


class CutOff(Exception):
    """The other end ended the connection; the text says how."""


class Late(Exception):
    """What was waited for didn't come in time, or the other end took nothing for so long."""


class Spent(Exception):
    """An attack has used up what it may do."""


class Budget:
    """What an attack may do: so many bytes, for so long; both are enforced where it speaks.

    :param seconds: after which :attr:`left` is false; a while later every word is refused.
    """

    _GRACE_S: Final = 60.0  # to come to its end, and to wait for what is told meanwhile

    def __init__(self, seconds: float, most: int) -> None:
        self._most = most
        self._said = 0
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> bool:
        """Whether the attack may go on: what it says in a loop, it says while this is true."""
        return time.monotonic() < self._end and self._said < self._most

    @property
    def seconds(self) -> float:
        """How long it may still go on."""
        return max(self._end - time.monotonic(), 0.0)

    def spend(self, size: int) -> None:
        """Account for bytes that are about to be said.

        :raises Spent: if they are too many, or much too late.
        """
        self._said += size
        if self._said > self._most or time.monotonic() > self._end + self._GRACE_S:
            raise Spent(f"its time is over, or it has said all that it may: {self._said} bytes of {self._most}")


class Identity(NamedTuple):
    """Who one claims to be: PEM files."""

    certificate: Path
    key: Path
    authority: Path

    def context(self, *, server: bool, alpn: str) -> ssl.SSLContext:
        """What a TLS connection is made with: the other end's chain isn't looked at, nor its name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_REQUIRED if server else ssl.CERT_NONE  # a server has to ask for a certificate
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols([alpn])
        return context


class Speaker:
    """One connection.

    :ivar arrived: bytes that came and that nobody has read yet.
    :ivar ended: how the other end ended it, empty while it hasn't.
    :ivar budget: to which attack it belongs, if to one.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self.arrived = bytearray()
        self.ended = ""
        self.budget: Budget | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection without a word."""
        self._socket.close()

    @property
    def port(self) -> int:
        """The port at this end."""
        port: int = self._socket.getsockname()[1]
        return port

    def say(self, *what: bytes, seconds: float = _SOON, deaf: bool = False) -> None:
        """Send bytes as they are, and gather what comes meanwhile.

        :param seconds: how long the other end may take nothing at all.
        :param deaf: whether nothing is read.
        :raises CutOff: if the connection has ended.
        :raises Late: if the other end takes no more.
        """
        left = memoryview(b"".join(what))
        if self.budget is not None:
            self.budget.spend(len(left))
        end = time.monotonic() + seconds
        while left:
            if not deaf:
                self._gather()
            sent = self._try(lambda: self._socket.send(left[:_READ]))  # noqa: B023 - it is called at once
            if sent:
                left = left[sent:]
                end = time.monotonic() + seconds
            elif time.monotonic() > end:
                raise Late(f"it takes nothing for {seconds:g} s, with {len(left)} bytes left")
            else:
                select.select([] if deaf else [self._socket], [self._socket], [], 0.05)

    def hear(self, seconds: float = _SOON) -> None:
        """Wait until more has come.

        :raises CutOff: if the connection has ended.
        :raises Late: if nothing comes in time.
        """
        before, end = len(self.arrived), time.monotonic() + seconds
        while len(self.arrived) == before:
            self._gather()
            left = end - time.monotonic()
            if len(self.arrived) == before:
                if self.ended:  # what is left of a box or a frame never becomes a whole one
                    raise CutOff(self.ended)
                if left <= 0:
                    raise Late(f"nothing came for {seconds:g} s")
                select.select([self._socket], [], [], min(left, 0.2))

    def until_cut(self, seconds: float) -> str:
        """Read on until the other end ends the connection, and say how it did; empty if it doesn't in time."""
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                self.hear(left)
                self.arrived.clear()
        except CutOff as error:
            return str(error)
        except Late:
            pass
        return ""

    def boxes(self, seconds: float = _SOON) -> Iterator[Box]:
        """The boxes that come, one after another, until one keeps away for so long.

        :raises CutOff: if the connection has ended.
        """
        while True:
            yield from wire.take_boxes(self.arrived)
            try:
                self.hear(seconds)
            except Late:
                return

    def box(self, seconds: float = _SOON) -> Box:
        """The next box.

        :raises Late: if none comes.
        """
        for box in self.boxes(seconds):
            # Those that came with it wait in the buffer: a generator takes one at a time.
            return box
        raise Late(f"no box came for {seconds:g} s")

    def _gather(self) -> None:
        while data := self._try(lambda: self._socket.recv(_READ)):
            self.arrived += data
        if data == b"":
            self.ended = self.ended or "closed"
        if self.ended and not self.arrived:
            raise CutOff(self.ended)

    def _try(self, call: Callable[[], _T]) -> _T | None:
        """What a call of the socket gives; None if it can't be done at once."""
        try:
            return call()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLZeroReturnError:
            self.ended = "closed"
        except (ssl.SSLError, OSError) as error:
            self.ended = _how(error)
        if self.arrived:
            return None
        raise CutOff(self.ended)


def connect(port: int, *, source: str = "127.0.0.1", host: str = "127.0.0.1", seconds: float = _SOON) -> socket.socket:
    """A TCP connection to a daemon of this machine, from any of its loopback addresses.

    :raises CutOff: if it is refused.
    :raises Late: if it doesn't come to stand.
    """
    if IPv4Address(host) not in _HERE:
        raise ValueError(f"{host} is another machine: nothing is ever sent there")
    sock = socket.socket()
    sock.settimeout(seconds)
    try:
        sock.bind((source, 0))
        sock.connect((host, port))
    except TimeoutError as error:
        sock.close()
        raise Late(f"no TCP connection within {seconds:g} s") from error
    except OSError as error:
        sock.close()
        raise CutOff(_how(error)) from error
    return sock


def secured(sock: socket.socket, who: Identity, *, server: bool, alpn: str, seconds: float = _SOON) -> Speaker:
    """Do a TLS handshake over a connection.

    :raises CutOff: if the other end doesn't want it.
    """
    sock.settimeout(seconds)
    try:
        return Speaker(who.context(server=server, alpn=alpn).wrap_socket(sock, server_side=server))
    except TimeoutError as error:
        sock.close()
        raise Late(f"no end of the TLS handshake within {seconds:g} s") from error
    except OSError as error:
        sock.close()
        raise CutOff(_how(error)) from error


@contextmanager
def fresh_port(host: str = "127.0.0.1", port: int = 0) -> Iterator[socket.socket]:
    """A listening socket."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(64)
        yield listening


def take_one(listening: socket.socket, seconds: float = _SOON) -> socket.socket:
    """The next connection to a listening socket.

    :raises Late: if none comes.
    """
    listening.settimeout(seconds)
    try:
        return listening.accept()[0]
    except TimeoutError as error:
        raise Late(f"nobody connected for {seconds:g} s") from error


class Control:
    """A control channel, from either end.

    :ivar speaker: what it goes over.
    """

    def __init__(self, speaker: Speaker) -> None:
        self.speaker = speaker
        self._tag = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.speaker.close()

    def put(self, command: str, **arguments: Value) -> str:
        """Ask without waiting for the answer; returns the tag of the question."""
        self._tag += 1
        tag = f"{self._tag:x}"
        self.speaker.say(wire.question(command, tag, **arguments))
        return tag

    def ask(self, command: str, *, seconds: float = _SOON, **arguments: Value) -> Box:
        """Ask and return the answer, which may be an error; other boxes that come meanwhile are dropped.

        :raises Late: if none comes in time.
        :raises CutOff: if the connection ends.
        """
        tag = self.put(command, **arguments).encode()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            box = self.speaker.box(left)
            if tag in (box.get("_answer"), box.get("_error")):
                return box
        raise Late(f"no answer to {command} within {seconds:g} s")

    def register(self, name: str) -> Box:
        """Register as a peer."""
        return self.ask("Register", name=name, version="0.1.0")

    def instructed(self, seconds: float = _SOON) -> Box:
        """The next InstructConnect that comes; pings are answered meanwhile.

        :raises Late: if none comes.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            box = self.speaker.box(left)
            if box.get("_command") == b"Ping" and "_ask" in box:
                self.speaker.say(wire.answer(box["_ask"]))
            elif box.get("_command") == b"InstructConnect":
                return box
        raise Late(f"no InstructConnect for {seconds:g} s")


def _how(error: BaseException) -> str:
    """How a connection ended, in a word or two."""
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    if isinstance(error, ssl.SSLEOFError):
        return "closed"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or 'error').lower().replace('_', ' ')}"
    return str(getattr(error, "strerror", "") or error).lower()
