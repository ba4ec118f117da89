"""Connected sockets that another process has made and handed over."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.protocol import Factory, Protocol

__all__ = ["NotConnected", "adopt", "is_connected"]


class NotConnected(Exception):
    """A descriptor is no connected stream socket; the text says what is wrong."""


def is_connected(descriptor: int) -> bool:
    """Whether a descriptor is a stream socket, of UNIX or TCP, with another end."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as handle:
            handle.getpeername()
            return handle.type == socket.SOCK_STREAM and handle.family in _FAMILIES
    except OSError:
        return False


_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)


def adopt(reactor: Any, descriptor: int, protocol: Protocol) -> None:
    """Give a protocol a connection of which there is a descriptor; that remains the caller's to close.

    :param reactor: provides ``IReactorSocket``.
    :raises NotConnected: if the other end is gone, or it is no such socket.
    """
    try:
        with socket.socket(fileno=os.dup(descriptor)) as handle:
            handle.setblocking(False)
            family = handle.family
        reactor.adoptStreamConnection(descriptor, family, Factory.forProtocol(lambda: protocol))
    except OSError as error:
        raise NotConnected(str(error.strerror)) from error
