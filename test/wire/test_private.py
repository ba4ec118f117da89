"""Tests for :mod:`p2p.wire.private`: what is there, what is missed, and what links do then."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from unittest import mock

import OpenSSL
import twisted.protocols
from cryptography.hazmat.bindings.openssl import binding
from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL
from twisted.logger import LogLevel, capturedLogs
from twisted.protocols.tls import BufferingTLSTransport
from twisted.trial.unittest import SynchronousTestCase

from p2p.wire import private
from p2p.wire.bulk import BulkConnection, BulkTLS
from p2p.wire.private import PARTS, Part, Way, absent, link_way, warn_of_missing
from p2p.wire.wide_socket import widened
from test.upgrades import upgraded
from test.wire.sockets import Turns

PACKAGES: Final[dict[str, ModuleType]] = {"twisted.protocols.tls": twisted.protocols, "OpenSSL.SSL": OpenSSL}
"""The modules that are upgraded, and the packages that they are in."""


class PartsTests(SynchronousTestCase):
    """The table of private parts."""

    def test_all_here(self) -> None:
        """The installed releases have every part; if this fails, it names what an upgrade took away.

        Links then work in Twisted's own way. To have the fast one again, :mod:`p2p.wire.bulk` must learn what took the
        place of these parts.
        """
        self.assertEqual((), absent(PARTS))

    def without(self, part: Part) -> AbstractContextManager[Any]:
        """An upgrade that gives a part another name, for whoever looks its owner up by its name."""
        module, _, kind = part.owner.rpartition(".")
        if module in PACKAGES:
            return mock.patch.object(PACKAGES[module], module.rpartition(".")[2], upgraded(module, part.name))
        if kind == "lib":
            return mock.patch.object(Binding, "lib", Without(Binding.lib, part.name))
        return mock.patch.object(binding, kind, Without(Binding, part.name))

    def test_each_is_missed(self) -> None:
        """Whichever part has another name after an upgrade, it is told as missing, by its old name."""
        for part in PARTS:
            with self.subTest(part=str(part)), self.without(part):
                gone = absent(PARTS)
                self.assertIn(str(part), gone)
                if part.owner.startswith("twisted."):
                    self.assertEqual(1, len(gone))

    def test_owner_is_gone(self) -> None:
        """Neither a module that is gone nor a class that can't be made any more is an error."""
        parts = (Part("twisted.protocols.nothing.X", "_a", ""), Part("no_such_project.X", "_b", ""))
        self.assertEqual(("twisted.protocols.nothing.X._a", "no_such_project.X._b"), absent(parts))
        with mock.patch.object(OpenSSL, "SSL", ModuleType("SSL")):
            self.assertEqual(4, len(absent(PARTS)))

    def test_uses(self) -> None:
        """Each part stands in the table once, and with what it is for."""
        self.assertEqual(len(PARTS), len({str(part) for part in PARTS}))
        self.assertTrue(all(part.use for part in PARTS))


class WayTests(SynchronousTestCase):
    """What links are made of."""

    def test_fast(self) -> None:
        """Where all is there, links have the fast way, and nothing is logged."""
        self.assertEqual(Way(BulkTLS, BulkConnection), link_way())
        with capturedLogs() as logs:
            warn_of_missing()
        self.assertEqual([], logs)

    def test_stock(self) -> None:
        """Where a part is missing, links have Twisted's own transports, with TLS and without; a warning names it."""
        self.patch(private, "missing", lambda: ("x._y", "x._z"))
        transport, connection = link_way()
        self.assertIs(BufferingTLSTransport, transport)
        self.assertIs(SSL.Connection, type(connection(SSL.Context(SSL.TLS_METHOD))))
        with socket.socket() as handle:
            below = SimpleNamespace(getHandle=lambda: handle, reactor=Turns())
            self.assertIs(below, widened(below, lambda data: None))
        with capturedLogs() as logs:
            warn_of_missing()
        self.assertEqual([(LogLevel.warn, "x._y, x._z")], [(log["log_level"], log["parts"]) for log in logs])


class Without:
    """A module or a class without one of its names."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = owner
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            raise AttributeError(name)
        return getattr(self._owner, name)
