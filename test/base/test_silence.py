"""When the other end is pinged, and when it is taken for dead."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.silence import Silence


class SilenceTests(SynchronousTestCase):
    """``Silence``, with a limit of 60 s."""

    def setUp(self) -> None:
        """Something was heard at 1000 s."""
        self.silence = Silence(60.0, 1000.0)

    def due(self) -> tuple[float, float]:
        """When the ping and the end are due."""
        return self.silence.ping_at, self.silence.over_at

    def test_silent(self) -> None:
        """It is pinged after each third of the limit, and cut off after all of it, since it was heard."""
        self.assertEqual((1020.0, 1060.0), self.due())
        self.silence.pinged(1020.0)
        self.assertEqual((1040.0, 1060.0), self.due())

    def test_heard(self) -> None:
        """Whatever is heard begins both anew."""
        self.silence.pinged(1020.0)
        self.silence.heard = 1021.0
        self.assertEqual((1041.0, 1081.0), self.due())

    def test_short_sleep(self) -> None:
        """After a short sleep a ping is due at once, and two thirds of the limit are left for the answer."""
        self.silence.slept(2.0, 1005.0)
        self.assertEqual((1005.0, 1045.0), self.due())

    def test_sleep(self) -> None:
        """A sleep counts as so much silence."""
        self.silence.pinged(1004.0)
        self.silence.slept(25.0, 1005.0)
        self.assertEqual((995.0, 1035.0), self.due())

    def test_long_sleep(self) -> None:
        """After a sleep of whatever length, a third of the limit is left for the answer to a ping."""
        self.silence.slept(7200.0, 1005.0)
        self.assertEqual((985.0, 1025.0), self.due())

    def test_silent_before(self) -> None:
        """Who had less than that left when the machine fell asleep gets no more than it had."""
        self.silence.slept(7200.0, 1050.0)
        self.assertEqual((1020.0, 1060.0), self.due())

    def test_doubted(self) -> None:
        """When the way there may be gone, a ping is due at once, and so is the end soon after, unless something is
        heard since."""
        self.assertEqual("was silent for 60 s", self.silence.reason)
        self.silence.pinged(1004.0)
        self.silence.doubted(1005.0, 3.0)
        self.assertEqual((1005.0, 1008.0), self.due())
        self.assertEqual("didn't answer within 3 s after this machine's network had changed", self.silence.reason)
        self.silence.pinged(1005.0)
        self.assertEqual((1025.0, 1008.0), self.due())
        self.silence.heard = 1005.1
        self.assertEqual((1025.1, 1065.1), self.due())
        self.assertEqual("was silent for 60 s", self.silence.reason)

    def test_doubted_late(self) -> None:
        """Doubt gives nobody more time than they had."""
        self.silence.doubted(1058.0, 3.0)
        self.assertEqual((1020.0, 1060.0), self.due())
        self.assertEqual("was silent for 60 s", self.silence.reason)
