"""The operations of the console for tunnels and pipes: what they need, and what happens when links come and go."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import CancelledError

from p2p.base.errors import InvalidRequest, Outcome
from p2p.services.splice import Splice
from p2p.wire.adopted import NotConnected
from test.peer.programs import ProgramCase


class TunnelConsoleTests(ProgramCase):
    def test_needs_a_connection(self) -> None:
        """Without the descriptor of a connected stream socket nothing is asked of the other peer."""
        readable, writable = os.pipe()
        self.addCleanup(os.close, readable)
        self.addCleanup(os.close, writable)
        for file in (None, readable):
            for asking in (
                self.ask("tunnel", file=file, peer="m4.m", stream=True, port=22),
                self.ask("pipe", file=file, peer="m4.m", stream=True),
            ):
                self.failureResultOf(asking, InvalidRequest)
            self.failureResultOf(self.ask("pipe-listen", "m4.m", file), InvalidRequest)
        self.assertEqual([], self.pair.routers.asked)

    def test_unknown_peer(self) -> None:
        """A peer that isn't there is said not to be."""
        self.failed(self.begin("tunnel", peer="m9.m", port=22), Outcome.UNKNOWN_PEER)

    def test_bad_port(self) -> None:
        """A port is a number that ports have."""
        for port in (0, 65536, "22"):
            self.failureResultOf(self.begin("tunnel", peer="m4.m", port=port), InvalidRequest)

    def test_program_gone(self) -> None:
        """A program that has left before everything stood leaves nothing behind."""

        def gone(reactor: Any, descriptor: int, splice: Splice) -> None:
            raise NotConnected("not connected")

        self.listen()
        self.adopt = gone  # type: ignore[method-assign]  # in the place of what stands in anyway
        self.assertIn("gone", str(self.failureResultOf(self.begin("tunnel", peer="m4.m", port=22)).value))
        self.assert_closed()

    def test_several(self) -> None:
        """Connections over one link are apart from each other."""
        asking = [self.tunnelled() for _ in range(5)]
        for number, program in enumerate(self.here):
            program.transport.write(b"%d" % number)
        self.pair.network.settle()
        self.assertEqual([b"0", b"1", b"2", b"3", b"4"], [bytes(one.data) for one in self.there])
        self.assertEqual(1, len(self.pair.routers.asked))
        self.there[2].transport.abortConnection()
        self.pair.network.settle()
        self.failed(asking.pop(2), Outcome.RESET)
        for one in asking:
            self.assertNoResult(one)
            one.cancel()
            self.failureResultOf(one, CancelledError)
        self.assert_closed()

    def test_full_link(self) -> None:
        """Where a link carries as many exchanges as it may, one more waits for its turn."""
        link, _ = self.pair.run(self.pair.n1.link_to("m4.m"))
        self.listen()
        turns = link.turns.tokens
        for _ in range(turns):
            self.successResultOf(link.turns.acquire())
        asking = self.begin("tunnel", peer="m4.m", port=22)
        self.assertEqual([], self.there)
        link.turns.release()
        self.pair.network.settle()
        self.assertEqual(1, len(self.there))
        asking.cancel()
        self.failureResultOf(asking, CancelledError)

    def test_link_closing(self) -> None:
        """A link that begins to close at the other end takes no new connection, which goes over the next link."""
        self.pair.run(self.pair.n1.link_to("m4.m"))
        self.listen()
        self.m4.disconnect()
        asking = self.begin("tunnel", peer="m4.m", port=22)
        self.assertEqual(1, len(self.there))
        self.assertNoResult(asking)
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
