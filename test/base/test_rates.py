"""Rates that are measured, and limits of bytes and of requests a second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.rates import BURST_S, GRAIN_S, Meter, Pace, Quota, Rate
from test.properties import PROPERTY


class PaceTests(SynchronousTestCase):
    """When bytes may go."""

    def test_even(self) -> None:
        """From the first on, bytes wait as long as they take; who was late makes up for a quarter of a second."""
        pace = Pace(1000, 50.0)
        self.assertEqual(pace.burst, 250)
        self.assertAlmostEqual(pace.delay(100, 50.0), 0.1)
        self.assertAlmostEqual(pace.delay(100, 50.1), 0.1)
        self.assertEqual(pace.delay(250, 50.45), 0.0)
        self.assertAlmostEqual(pace.delay(100, 50.45), 0.1)

    def test_no_debt(self) -> None:
        """What may go at once has a delay of 0, not one of less."""
        self.assertEqual(Pace(1000, 0.0).delay(100, 0.2), 0.0)

    def test_idleness(self) -> None:
        """However long nothing was sent, not more than a burst goes at once after it."""
        pace = Pace(1000, 0.0)
        self.assertEqual(pace.delay(250, 3600.0), 0.0)
        self.assertAlmostEqual(pace.delay(10, 3600.0), 0.01)

    def test_large_piece(self) -> None:
        """A piece that is larger than a burst waits until the limit allows all of it."""
        self.assertAlmostEqual(Pace(1000, 0.0).delay(10_000, 0.0), 10)

    def test_slowest(self) -> None:
        """Even the lowest limit lets a byte through at a time; none at all would be no transfer."""
        self.assertEqual(Pace(1, 0.0).burst, 1)
        self.assertRaises(ValueError, Pace, 0, 0.0)

    @given(
        st.integers(1, 10**9),
        st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 100)), min_size=1, max_size=30),
    )
    @PROPERTY
    def test_never_faster(self, limit: int, sends: list[tuple[int, float]]) -> None:
        """From the start on, no more bytes go than the seconds by then allow; in a later stretch of time also a burst,
        or its first piece."""
        now = 0.0
        pace = Pace(limit, now)
        gone: list[tuple[float, int]] = []
        for size, idle in sends:
            now += idle
            now += pace.delay(size, now)
            gone.append((now, size))
        self.assertLessEqual(sum(size for _, size in gone), limit * (now + GRAIN_S) * (1 + 1e-6) + 1)
        for first, (start, size) in enumerate(gone):
            at_once = max(limit * BURST_S, size)
            total = 0
            for at, size in gone[first:]:
                total += size
                most = limit * (at - start + GRAIN_S) + at_once
                self.assertLessEqual(total, most * (1 + 1e-6) + 1)

    @given(st.integers(1024, 10**9), st.integers(1, 200))
    @PROPERTY
    def test_never_slower(self, limit: int, count: int) -> None:
        """A sender that always has something gets what the limit allows."""
        pace = Pace(limit, 0.0)
        now = 0.0
        for _ in range(count):
            now += pace.delay(pace.burst, now)
        self.assertLessEqual(now, count * pace.burst / limit * (1 + 1e-6))


class RateTests(SynchronousTestCase):
    """Bytes a second over the last three seconds."""

    def test_at_first(self) -> None:
        """Before any time has passed there is no rate."""
        self.assertEqual(0.0, Rate(5.0, 100).a_second(5.0))

    def test_even(self) -> None:
        """What was there before doesn't count."""
        rate = Rate(0.0, 1000)
        for second in range(1, 10):
            rate.add(float(second), 1000 + 50 * second)
        self.assertAlmostEqual(50.0, rate.a_second(9.0))

    def test_forgets(self) -> None:
        """What was faster long ago is forgotten, and what stands still comes to nothing."""
        rate = Rate(0.0, 0)
        rate.add(1.0, 10**9)
        for second in range(2, 6):
            rate.add(float(second), 10**9)
        self.assertEqual(0.0, rate.a_second(5.0))

    def test_window(self) -> None:
        """Of something that grows ever faster, the growth over exactly the last three seconds is told."""
        for step in (0.5, 1.0):
            rate = Rate(0.0, 0)
            for number in range(1, 21):
                at = number * step
                rate.add(at, int(1000 * at * at))
                began = max(at - 3.0, 0.0)
                self.assertAlmostEqual(1000 * (at * at - began * began) / (at - began), rate.a_second(at))

    def test_rare(self) -> None:
        """The older of two moments that are both long ago doesn't count."""
        rate = Rate(0.0, 0)
        rate.add(1.0, 10**9)
        rate.add(10.0, 10**9)
        self.assertEqual(0.0, rate.a_second(10.0))

    def test_moments(self) -> None:
        """Moments count that are a tenth of a second apart; what is told sooner than that is replaced."""
        for apart, told in ((0.1, 0.0), (0.05, 1000 / 3.1)):
            rate = Rate(0.0, 0)
            rate.add(apart, 1000)
            rate.add(3.1, 1000)
            self.assertAlmostEqual(told, rate.a_second(3.1))

    def test_bounded(self) -> None:
        """However often it is told, it remembers few moments, and nothing is lost of the sum."""
        rate = Rate(0.0, 0)
        for step in range(100_000):
            rate.add(step / 10_000, step)
        self.assertLess(len(rate._seen), 40)
        self.assertAlmostEqual(10_000, rate.a_second(9.9999))


class MeterTests(SynchronousTestCase):
    def test_burst_and_rate(self) -> None:
        """A burst costs no wait; each one more puts its end off by its share of a second."""
        meter = Meter(10, 3)
        self.assertEqual([0.0, 0.0, 0.0], [meter.take(5.0) for _ in range(3)])
        self.assertEqual([0.1, 0.2], [round(meter.take(5.0), 6) for _ in range(2)])
        self.assertEqual(0.0, meter.take(5.3))

    def test_no_burst(self) -> None:
        """Without a burst, each waits for its own time, one behind the other."""
        meter = Meter(4)
        self.assertEqual([0.25, 0.5], [meter.take(1.0), meter.take(1.0)])

    def test_looking_costs_nothing(self) -> None:
        """To ask how long one would have to wait charges nothing."""
        meter = Meter(1, 1)
        self.assertEqual([0.0, 0.0], [meter.wait(0.0), meter.wait(0.0)])
        meter.take(0.0)
        self.assertEqual([1.0, 0.5, 0.0], [meter.wait(0.0), meter.wait(0.5), meter.wait(1.0)])

    def test_clock_that_goes_back(self) -> None:
        """A clock that goes back makes nobody wait for more than was charged."""
        meter = Meter(1, 2)
        meter.take(10.0)
        self.assertLessEqual(meter.take(10.0), 1.0)

    def test_makes_no_sense(self) -> None:
        """A meter that could never let anything through is refused."""
        self.assertRaises(ValueError, Meter, 0, 5)
        self.assertRaises(ValueError, Meter, 1, -1)

    @PROPERTY
    @given(st.lists(st.floats(0, 0.5), max_size=200))
    def test_rate(self, gaps: list[float]) -> None:
        """Whatever the rhythm, no more get through without a wait than the burst and the rate allow."""
        meter = Meter(20, 5)
        now, passed = 0.0, 0
        for gap in gaps:
            now += gap
            if not meter.wait(now):
                passed += meter.take(now) == 0.0
        self.assertLessEqual(passed, 5 + 20 * now + 1e-6)


class QuotaTests(SynchronousTestCase):
    def test_appointments(self) -> None:
        """Who asks too much is put off, one question behind the other, and served when it comes as it was told."""
        quota = Quota(10, 2)
        waits = [quota.ask(0.0) for _ in range(5)]
        self.assertEqual([0.0, 0.0, 0.1, 0.2, 0.3], [round(one, 6) for one in waits])
        self.assertEqual([0.0, 0.0, 0.0], [quota.ask(wait) for wait in waits[2:]])

    def test_many_that_wait(self) -> None:
        """As many questions as the burst has may wait at a time for ever: all are served, at the rate."""
        quota = Quota(50, 100)
        waiting = [0.0] * 64
        served = 0
        while waiting[0] < 10.0:
            now = waiting.pop(0)
            wait = quota.ask(now)
            served += not wait
            waiting.append(now + (wait or 0.001))
            waiting.sort()
        self.assertFalse(quota.abused)
        self.assertGreater(served, 100 + 50 * 10 * 0.9)

    def test_abuse(self) -> None:
        """Who asks on and on without a pause has soon used up its second chances."""
        quota = Quota(10, 5)
        asked = 0
        while not quota.abused:
            quota.ask(0.001 * asked)
            asked += 1
        self.assertEqual(5 + 5 + 1, asked)

    def test_pressed(self) -> None:
        """It is known that the last question has used up half of the second chances, until one is served again."""
        quota = Quota(10, 6)
        self.assertFalse(quota.pressed)
        pressed = []
        for _ in range(6 + 6):
            quota.ask(0.0)
            pressed.append(quota.pressed)
        self.assertEqual([False] * (6 + 3) + [True] * 3, pressed)
        self.assertFalse(quota.abused)
        self.assertEqual(0.0, quota.ask(10.0))
        self.assertFalse(quota.pressed)

    def test_twice_the_rate(self) -> None:
        """So has, a while later, who asks a little too much all the time."""
        quota = Quota(10, 5)
        self.assertEqual(0, sum(quota.ask(one / 10) > 0 for one in range(1000)))
        for one in range(40):
            quota.ask(100 + one / 30)
        self.assertTrue(quota.abused)

    @PROPERTY
    @given(st.lists(st.floats(0, 0.1), max_size=300))
    def test_bounded(self, gaps: list[float]) -> None:
        """Whatever the rhythm, who isn't abusive was answered and put off no more than twice the burst and rate."""
        quota = Quota(20, 5)
        now = 0.0
        for number, gap in enumerate(gaps, start=1):
            now += gap
            quota.ask(now)
            if not quota.abused:
                self.assertLessEqual(number, 2 * (5 + 20 * now) + 1e-6)
