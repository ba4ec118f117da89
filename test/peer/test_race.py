"""Dialling several addresses, one soon after another."""

from __future__ import annotations

import errno
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import DialFailure
from p2p.peer.race import HOLD_S, STAGGER_S, Race

A, B, C = "192.0.2.1", "192.0.2.2", "2001:db8::3"
SECONDS: Final = 4.0


class RaceTests(SynchronousTestCase):
    """Three addresses, dialled by hand."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.dials: dict[str, Deferred[None]] = {}
        self.asked: list[tuple[str, int, float]] = []
        self.age: float | None = None
        self.over = 0
        self.race = self.make(A, B, C)

    def make(self, *hosts: str) -> Race:
        """Make a race; it isn't begun."""
        return Race(self.clock, self, [(host, 7000) for host in hosts], SECONDS, self.ended)

    def ended(self) -> None:
        self.over += 1

    def dial(self, host: str, port: int, seconds: float) -> Deferred[None]:
        """Dial."""
        self.asked.append((host, port, seconds))
        self.dials[host] = Deferred()
        return self.dials[host]

    def handshake_age(self) -> float | None:
        """How old the youngest handshake is."""
        return self.age

    def lose(self, host: str, number: int = errno.ECONNREFUSED) -> None:
        """Let a dial fail."""
        self.dials[host].errback(OSError(number, "no"))

    def advance(self, seconds: float) -> None:
        """Let time pass in steps."""
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)

    @property
    def dialled(self) -> list[str]:
        """The addresses that were dialled so far."""
        return [host for host, _, _ in self.asked]

    def test_staggered(self) -> None:
        """The first is dialled at once, and each next a moment later, all with the time that is left."""
        self.race.begin()
        self.assertEqual([A], self.dialled)
        self.clock.advance(STAGGER_S)
        self.clock.advance(STAGGER_S)
        self.assertEqual([(A, 7000, 4.0), (B, 7000, 3.75), (C, 7000, 3.5)], self.asked)
        self.assertTrue(self.race.running)
        self.race.stop()
        self.assertFalse(self.race.running)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertTrue(all(dial.called for dial in self.dials.values()))
        self.assertEqual(0, self.over)

    def test_next_at_once(self) -> None:
        """When one fails, the next isn't waited for; when all have, that is told, with how each ended."""
        self.race.begin()
        self.lose(A)
        self.assertEqual([A, B], self.dialled)
        self.lose(B, errno.ETIMEDOUT)
        self.lose(C, errno.ENETUNREACH)
        self.assertEqual(
            [(A, DialFailure.REFUSED), (B, DialFailure.SILENT), (C, DialFailure.UNREACHABLE)], self.race.failures
        )
        self.assertEqual((1, False, []), (self.over, self.race.running, self.clock.getDelayedCalls()))

    def test_kinds(self) -> None:
        """What the system says is told in the words of the protocol; what isn't known of it is another failure."""
        for number, kind in (
            (errno.EHOSTUNREACH, DialFailure.UNREACHABLE),
            (errno.EAFNOSUPPORT, DialFailure.UNREACHABLE),
            (errno.EPERM, DialFailure.FORBIDDEN),
            (errno.EACCES, DialFailure.FORBIDDEN),
            (errno.EMFILE, DialFailure.OTHER),
        ):
            race = self.make(A)
            race.begin()
            self.lose(A, number)
            self.assertEqual([(A, kind)], race.failures)
        race = self.make(A)
        race.begin()
        self.dials[A].errback(ValueError("of ours"))
        self.assertEqual([(A, DialFailure.OTHER)], race.failures)

    def test_handshake_holds(self) -> None:
        """A handshake under way holds dials back, for no longer than a moment: a stranger costs no more."""
        self.age = 0.0
        self.race.begin()
        self.assertEqual([], self.dialled)
        self.age = HOLD_S
        self.clock.advance(HOLD_S)
        self.assertEqual([A], self.dialled)
        self.race.stop()

    def test_connected(self) -> None:
        """One that has connected isn't the end: it may break before it is a link, and the next is dialled."""
        race = self.make(A, B)
        race.begin()
        self.dials[A].callback(None)
        self.age = 0.0
        self.advance(0.1)
        self.age = None
        race.broke(A)
        self.assertEqual([A, B], self.dialled)
        self.lose(B)
        self.assertEqual([(A, DialFailure.NO_LINK), (B, DialFailure.REFUSED)], race.failures)
        self.assertEqual(1, self.over)
        race.broke(A)
        self.assertEqual(2, len(race.failures))

    def test_handshake_at_the_end(self) -> None:
        """When the time is over and a handshake is under way, its end is waited for."""
        race = self.make(A)
        race.begin()
        self.dials[A].callback(None)
        self.age = 0.0
        self.advance(1.0)
        self.age = 5.0
        self.advance(SECONDS)
        self.assertEqual(0, self.over)
        self.age = None
        race.broke(A)
        self.assertEqual((1, [(A, DialFailure.NO_LINK)]), (self.over, race.failures))

    def test_coming_in(self) -> None:
        """A dial whose connection is coming in already hasn't failed; if nothing comes of it, nothing answered."""
        race = self.make(A)
        race.begin()
        self.lose(A, errno.EADDRNOTAVAIL)
        self.advance(SECONDS / 2)
        self.assertEqual((0, True), (self.over, race.running))
        self.advance(SECONDS)
        self.assertEqual((1, [(A, DialFailure.SILENT)]), (self.over, race.failures))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_nothing_to_dial(self) -> None:
        """Without an address it is over at once."""
        race = self.make()
        race.begin()
        self.assertEqual((1, False), (self.over, race.running))

    def test_stopped_late(self) -> None:
        """What ends after it was stopped changes nothing."""

        class Stubborn(Deferred[None]):
            def cancel(self) -> None:
                """It goes on."""

        self.race.begin()
        late = self.dials[A]
        late.__class__ = Stubborn
        self.race.stop()
        late.callback(None)
        self.race.begin()
        self.assertEqual(([], 0, [A]), (self.race.failures, self.over, self.dialled))
