"""Ports that are lent out."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.peer.ports import FreshPorts, NoPort
from test.network import Machine
from test.peer.pair import N1, NodeCase


class FreshPortsTests(SynchronousTestCase):
    """``FreshPorts``."""

    def test_any(self) -> None:
        """Without a range, the system chooses, and never lacks one."""
        ports = FreshPorts()
        self.assertEqual([0, 0], [self.successResultOf(ports.take()), self.successResultOf(ports.take(wait=False))])
        ports.give(0)
        self.assertEqual((0, 0, []), (len(ports), ports.waiting, ports.warnings))

    def test_lent(self) -> None:
        """Each is lent once; the one that came back the longest time ago is lent first."""
        ports = FreshPorts(range(42000, 42003))
        self.assertEqual([42000, 42001], [self.successResultOf(ports.take()) for _ in range(2)])
        ports.give(42000)
        self.assertEqual([42002, 42000], [self.successResultOf(ports.take()) for _ in range(2)])

    def test_used_up(self) -> None:
        """Who finds none waits for the next that comes back, in turn, or doesn't want to; it is told, too."""
        ports = FreshPorts(range(42000, 42001))
        self.assertEqual([], ports.warnings)
        self.successResultOf(ports.take())
        self.assertIn("the next link waits", ports.warnings[0])
        self.failureResultOf(ports.take(wait=False), NoPort)
        first, second = ports.take(), ports.take()
        self.assertIn("all 1 ports of 'ports' are in use, and 2 links wait", ports.warnings[0])
        first.cancel()
        self.failureResultOf(first, CancelledError)
        ports.give(42000)
        self.assertEqual(42000, self.successResultOf(second))
        ports.give(42000)
        self.assertEqual(([], 0), (ports.warnings, ports.waiting))


class UseTests(NodeCase):
    """A pair whose daemons have few ports."""

    def test_range(self) -> None:
        """Fresh sockets of both ends have ports of the range, which are free again when the link stands."""
        pair = self.make_pair(ports=(range(42000, 42002), range(42000, 42002)))
        for _ in range(5):
            link = pair.link()
            self.assertEqual({42000, 42001} | {int(one.rpartition(":")[2]) for one in link.addresses}, {42000, 42001})
            pair.n1.disconnect()
            pair.network.settle()
        self.assertEqual([], pair.n1.ports.warnings)
        self.assert_nothing_left(pair)

    def test_waits(self) -> None:
        """An attempt waits for a port, and one that is given up doesn't."""
        pair = self.make_pair(ports=(range(42000, 42001), range(0)))
        pair.host("m5.m", "192.0.2.5")
        pair.routers.before = lambda initiator, target: held if target == "m4.m" else None
        held: Deferred[None] = Deferred()
        first = pair.start(pair.n1.link_to("m4.m"))
        second, third = pair.start(pair.n1.link_to("m5.m")), pair.start(pair.n1.link_to("m5.m"))
        self.assertEqual(1, pair.n1.ports.waiting)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertNoResult(third)
        held.callback(None)
        pair.network.settle()
        self.successResultOf(first)
        self.successResultOf(third)
        self.assert_nothing_left(pair)

    def test_given_up(self) -> None:
        """Who waited for a port until the ticket was dead is told that; who gave up waiting takes none."""
        for gives_up in (True, False):
            pair = self.make_pair(ports=(range(42000, 42001), range(0)))
            taken = self.successResultOf(pair.n1.ports.take())
            waiting = pair.start(pair.n1.link_to("m4.m"))
            if gives_up:
                waiting.cancel()
                self.failureResultOf(waiting, CancelledError)
            else:
                pair.network.advance(31)
                self.assertIn("no port of 'ports' was free", self.failed(waiting, Outcome.TIMEOUT))
            self.assertEqual(0, pair.n1.ports.waiting)
            pair.n1.ports.give(taken)
            self.assertEqual({}, pair.leftovers())

    def test_target_without(self) -> None:
        """A target that has no port left dials all the same."""
        pair = self.make_pair(ports=(range(0), range(42000, 42001)))
        self.successResultOf(pair.m4.ports.take())
        pair.link()
        self.assert_nothing_left(pair)

    def test_taken_by_others(self) -> None:
        """A port that another program has is passed over; if none can be had, that is the error."""
        pair = self.make_pair(ports=(range(42000, 42003), range(0)))
        listen = Machine.listenTCP
        taken = {42000, 42001}

        def busy(machine: Machine, port: int, *arguments: Any, **more: Any) -> Any:
            if port in taken:
                raise CannotListenError("", port, OSError(errno.EADDRINUSE, "Address already in use"))
            return listen(machine, port, *arguments, **more)

        self.patch(Machine, "listenTCP", busy)
        link = pair.link()
        self.assertEqual(f"{N1}:42002", link.addresses[0])
        pair.n1.disconnect()
        pair.network.settle()
        taken.add(42002)
        waiting = pair.start(pair.n1.link_to("m4.m"))
        self.assertIn("Address already in use", self.failed(waiting, Outcome.CONNECT_FAILED))
        self.assertEqual([], pair.n1.ports.warnings)
        self.assertEqual({}, pair.leftovers())
