"""The machine of one connection attempt: whatever comes in whatever order, it ends once and gives everything back."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.peer.rendezvous import Attempt, goes_first, new_attempt, survivor
from test.properties import PROPERTY

NO_PORTS = ExchangeFailed(Outcome.CONNECT_FAILED, "no ports left")


class World:
    """Writes down what an attempt asks for.

    :ivar answers: what may be answered to the last question, if it is still open.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: ExchangeFailed | None = None
        self.answers: list[str] = []

    def listen(self) -> None:
        self.asked.append("listen")
        self.answers = ["listening"]

    def ask(self, port: int) -> None:
        self.asked.append(f"ask {port}")
        self.answers = ["dialled", "yielded", "busy"]

    def ask_later(self, port: int, seconds: float) -> None:
        self.asked.append(f"ask {port} after {seconds:g} s")
        self.answers = ["again"]

    def close(self) -> None:
        self.asked.append("close")

    def succeed(self) -> None:
        self.asked.append("succeed")

    def fail(self, failure: ExchangeFailed) -> None:
        self.asked.append("fail")
        self.failure = failure


CALLS: dict[str, Callable[[Attempt], None]] = {
    "begin": lambda attempt: attempt.begin(),
    "listening": lambda attempt: attempt.listening(7000),
    "dialled": lambda attempt: attempt.dialled(),
    "yielded": lambda attempt: attempt.yielded(),
    "busy": lambda attempt: attempt.busy(0.5),
    "again": lambda attempt: attempt.again(),
    "failed": lambda attempt: attempt.failed(NO_PORTS),
    "linked": lambda attempt: attempt.linked(),
    "expired": lambda attempt: attempt.expired(),
    "abandon": lambda attempt: attempt.abandon(),
}
ENDS = ("failed", "linked", "expired", "abandon")
"""What can come at any time once an attempt has begun."""

WAYS = ("begin", "begin listening", "begin listening busy", "begin listening dialled", "begin listening yielded")
"""A way to each state in which an attempt waits."""


def after(events: str) -> World:
    """What an attempt has asked for after these events."""
    world = World()
    attempt = new_attempt(world, "m4.m")
    for event in events.split():
        CALLS[event](attempt)
    return world


class AttemptTests(SynchronousTestCase):
    def test_way_to_a_link(self) -> None:
        """It listens, asks with its port, waits, and hands the link on when its listener is closed."""
        self.assertEqual(["listen"], after("begin").asked)
        self.assertEqual(["listen", "ask 7000"], after("begin listening").asked)
        self.assertEqual(["listen", "ask 7000"], after("begin listening dialled").asked)
        world = after("begin listening dialled linked")
        self.assertEqual(["listen", "ask 7000", "close", "succeed"], world.asked)

    def test_yielding(self) -> None:
        """When the target's own request goes first it waits just as well."""
        world = after("begin listening yielded linked")
        self.assertEqual(["listen", "ask 7000", "close", "succeed"], world.asked)

    def test_busy(self) -> None:
        """Where somebody is busy it asks again, with the same port, each time after the time that it was told."""
        world = after("begin listening busy again busy again dialled linked")
        later = ["ask 7000 after 0.5 s", "ask 7000"]
        self.assertEqual(["listen", "ask 7000", *later, *later, "close", "succeed"], world.asked)

    def test_link_at_any_time(self) -> None:
        """A link that stands ends it well wherever it is: the target's own request may be faster than anything."""
        for way in WAYS:
            self.assertEqual(["close", "succeed"], after(f"{way} linked").asked[-2:], way)

    def test_failure_at_any_time(self) -> None:
        """An error of listening or asking is told as it is."""
        for way in WAYS:
            world = after(f"{way} failed")
            self.assertEqual(["close", "fail"], world.asked[-2:], way)
            self.assertIs(NO_PORTS, world.failure)

    def test_abandoned_at_any_time(self) -> None:
        """An attempt that nobody waits for gives everything back."""
        for way in WAYS:
            world = after(f"{way} abandon")
            self.assertEqual(["close", "fail"], world.asked[-2:], way)
            assert world.failure is not None
            self.assertEqual(Outcome.RESET, world.failure.outcome)

    def test_expired(self) -> None:
        """The death of the ticket is told as what it means: no answer, too busy, or no connection."""
        for way, outcome, word in (
            ("begin", Outcome.TIMEOUT, "routers didn't say"),
            ("begin listening", Outcome.TIMEOUT, "routers didn't say"),
            ("begin listening busy", Outcome.TIMEOUT, "too busy"),
            ("begin listening dialled", Outcome.CONNECT_FAILED, "does a firewall"),
            ("begin listening yielded", Outcome.CONNECT_FAILED, "does a firewall"),
        ):
            world = after(f"{way} expired")
            self.assertEqual(["close", "fail"], world.asked[-2:], way)
            assert world.failure is not None
            self.assertEqual(outcome, world.failure.outcome, way)
            self.assertIn(word, str(world.failure))
            self.assertIn("m4.m", str(world.failure))

    def test_late(self) -> None:
        """Whatever comes after the end changes nothing."""
        for late in CALLS:
            if late != "begin":
                self.assertEqual(["listen", "close", "succeed"], after(f"begin linked {late}").asked, late)

    @given(st.data())
    @PROPERTY
    def test_any_order(self, data: st.DataObject) -> None:
        """In every order in which answers and ends may come, it ends once, closes once, and asks nothing afterwards."""
        world = World()
        attempt = new_attempt(world, "m4.m")
        attempt.begin()
        for _ in range(12):
            event = data.draw(st.sampled_from([*world.answers * 3, *ENDS]))
            if event in world.answers:
                world.answers = []
            CALLS[event](attempt)
        attempt.abandon()
        ends = [asked for asked in world.asked if asked in ("succeed", "fail")]
        self.assertEqual((1, 1), (len(ends), world.asked.count("close")))
        self.assertEqual(["close", ends[0]], world.asked[-2:])


class RuleTests(SynchronousTestCase):
    """Two peers that ask for each other."""

    def test_one_goes_first(self) -> None:
        """Of two peers exactly one goes first, and both agree which: the one whose name sorts lower."""
        self.assertTrue(goes_first("m4.m", "n1.n"))
        self.assertFalse(goes_first("n1.n", "m4.m"))

    def test_survivor(self) -> None:
        """Of two links that came to be at once the lower initiator's survives, in whichever order they came."""
        self.assertTrue(survivor("n1.n", "m4.m", together=True))
        self.assertFalse(survivor("m4.m", "n1.n", together=True))

    def test_newer_survives(self) -> None:
        """Who asks again has lost the older link: the newer one survives by the same initiator, and after a while."""
        self.assertTrue(survivor("m4.m", "m4.m", together=True))
        for standing, new in (("m4.m", "n1.n"), ("n1.n", "m4.m"), ("n1.n", "n1.n")):
            self.assertTrue(survivor(standing, new, together=False))
