"""Twisted endpoint strings (``tcp:5555:interface=192.0.2.1``), checked before anything listens or connects.

Only kinds whose addresses are IP addresses make sense here: routers pass on the addresses that they observe. The
strings are parsed by Twisted itself and then used with a stand-in reactor that opens nothing and notes the port.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from typing import Any

from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory

__all__ = ["check_fresh_listener", "check_listener", "check_router", "host_of_listener", "place_of_listener"]

_LISTENER = "expected an endpoint to listen on, like tcp:5555 or tcp:5555:interface=192.0.2.1"
_FRESH = "expected tcp6:0 or, for one address, tcp:0:interface=192.0.2.1"
_ROUTER = "expected the router's endpoint, like tcp:router-n.example.org:5555"

_NOT_PARSED = (TypeError, ValueError, RuntimeError)
"""What Twisted raises for a description that it can't parse; the last one for a backslash at the end."""


class _StandIn:
    """A reactor that opens nothing and remembers what it was asked for."""

    host = ""
    port = 0

    def listenTCP(self, port: int, factory: object, backlog: int = 50, interface: str = "") -> None:
        self.host, self.port = interface, port

    def connectTCP(
        self, host: str, port: int, factory: object, timeout: float = 30, bindAddress: object = None
    ) -> None:
        self.host, self.port = host, port


def check_listener(description: str) -> str:
    """Check a router's listening endpoint: ``tcp:``, ``tcp6:``, or ``systemd:`` for socket activation.

    A ``systemd:`` socket is handed over at the real start only, so its presence isn't asked for here.

    :raises ValueError: saying what is wrong with the description and what was expected.
    """
    if _kind(description, ("tcp", "tcp6", "systemd"), _LISTENER) == "systemd":
        try:
            with suppress(IndexError, KeyError):  # what Twisted raises for a socket that isn't there
                serverFromString(_StandIn(), description)
        except _NOT_PARSED as error:
            raise ValueError(f"{description!r} can't be used ({_reason(error)}), {_LISTENER}") from error
        return description
    _check_port(description, _listen(description, _LISTENER), 0, _LISTENER)
    return description


def check_fresh_listener(description: str) -> str:
    """Check the endpoint on which a peer binds one fresh socket a request: TCP with a port that the system chooses.

    :raises ValueError: saying what is wrong with the description and what was expected.
    """
    _kind(description, ("tcp", "tcp6"), _FRESH)
    if _listen(description, _FRESH) != 0:
        raise ValueError(f"{description!r} has a fixed port, on which only one request at a time can listen, {_FRESH}")
    return description


def check_router(description: str) -> str:
    """Check the endpoint at which a router is reached, ``tcp:HOST:PORT``.

    :raises ValueError: saying what is wrong with the description and what was expected.
    """
    _kind(description, ("tcp",), _ROUTER)
    reactor = _StandIn()
    try:
        endpoint: Any = clientFromString(reactor, description)
        endpoint.connect(Factory())
    except _NOT_PARSED as error:
        raise ValueError(f"{description!r} can't be used ({_reason(error)}), {_ROUTER}") from error
    if not reactor.host:
        raise ValueError(f"{description!r} has no host, {_ROUTER}")
    _check_port(description, reactor.port, 1, _ROUTER)
    return description


def host_of_listener(description: str) -> str:
    """Return the address that a listening endpoint is bound to: '' for all of IPv4, '::' for all of both."""
    return place_of_listener(description)[0]


@cache
def place_of_listener(description: str) -> tuple[str, int]:
    """Return the address and the port that a listening endpoint is bound to; Twisted takes its time to parse one."""
    reactor = _StandIn()
    serverFromString(reactor, description).listen(Factory())
    return reactor.host, reactor.port


def _kind(description: str, allowed: tuple[str, ...], expected: str) -> str:
    kind, colon, _ = description.partition(":")
    if colon and kind in allowed:
        return kind
    if kind in ("ssl", "tls"):
        raise ValueError(f"{description!r} asks for TLS, which the daemon adds itself, {expected}")
    raise ValueError(f"{description!r} doesn't begin with {' or '.join(f'{one}:' for one in allowed)}, {expected}")


def _listen(description: str, expected: str) -> int:
    """Return the port that a server description names, its interface checked."""
    reactor = _StandIn()
    endpoint: Any
    try:
        endpoint = serverFromString(reactor, description)
    except _NOT_PARSED as error:
        raise ValueError(f"{description!r} can't be used ({_reason(error)}), {expected}") from error
    endpoint.listen(Factory())
    if reactor.host:
        try:
            ip_address(reactor.host)
        except ValueError as error:
            raise ValueError(f"{description!r}: interface {reactor.host!r} isn't an IP address, {expected}") from error
    return reactor.port


def _check_port(description: str, port: int, least: int, expected: str) -> None:
    if not least <= port <= 65_535:
        raise ValueError(f"{description!r} has port {port}, which isn't within {least} to 65535, {expected}")


def _reason(error: Exception) -> str:
    """The parser's own words, without the name of its function."""
    if isinstance(error, RuntimeError):
        return "a backslash at its end"
    text = str(error)
    return text.partition("() ")[2] if isinstance(error, TypeError) else text
