"""What is told when a transfer stands still."""

from __future__ import annotations

from typing import Any, Literal

from twisted.trial.unittest import SynchronousTestCase

from p2p.peer.transfers.stalls import LOOK_S, TELL_S, Own, Probe, Sight, Stall, StallWatch


class StallWatchTests(SynchronousTestCase):
    """A session that is looked at twice a second."""

    def watch(
        self,
        *,
        until: float,
        direction: Literal["send", "get"] = "send",
        stops: float = 0.0,
        answer: float | None = None,
        own: Own = Own.READ,
        **sight: Any,
    ) -> list[tuple[float, Probe | Stall]]:
        """Look at what moves until it stops: what was said, and when. Pings are answered at once, if at all."""
        watch = StallWatch("m4.m", direction, own, 0.0)
        said = []
        for look in range(1, int(until / LOOK_S) + 1):
            now = look * LOOK_S
            seen = watch.look(Sight(**{"moved": min(now, stops) * 1000, "linked": True, **sight}), now)
            if seen is not None:
                said.append((now, seen))
            if isinstance(seen, Probe) and answer is not None:
                watch.answered(seen, answer)
        return said

    def stalls(self, **how: Any) -> list[tuple[float, str]]:
        return [(when, said.text) for when, said in self.watch(**how) if isinstance(said, Stall)]

    def test_moving(self) -> None:
        """Of what moves nothing is told, and nobody is pinged."""
        self.assertEqual([], self.watch(until=60, stops=60))

    def test_timing(self) -> None:
        """The link is pinged after two seconds, what is wrong is told within five, and again every 30 s."""
        said = [(when, type(one)) for when, one in self.watch(until=70, stops=10.0)]
        expected = [(12.0, Probe), (14.5, Stall), (42.0, Probe), (44.5, Stall)]
        self.assertEqual(expected, said)

    def test_just_after_a_look(self) -> None:
        """What stops right after a look is told within five seconds all the same."""
        ((when, _), *_) = self.stalls(until=20, stops=10.001)
        self.assertLessEqual(when, 15.001)

    def test_their_disk(self) -> None:
        """If the link answers pings, it is the disk at the other end."""
        self.assertEqual(
            [(4.5, "m4.m has taken nothing for 5 s; the link answers pings in 2 ms: its disk is slow")],
            self.stalls(until=6, answer=0.0021, stops=0.0)[:1],
        )
        self.assertEqual(
            ["m4.m has sent nothing for 5 s; the link answers pings in 0.4 ms: its disk is slow"],
            [text for _, text in self.stalls(until=6, direction="get", answer=0.0004)],
        )

    def test_rtt(self) -> None:
        """What the ping took is told as a number, too."""
        stalls = [said for _, said in self.watch(until=6, answer=0.0021) if isinstance(said, Stall)]
        self.assertEqual([(0.0021, 4.5)], [(stall.rtt_s, stall.seconds) for stall in stalls])

    def test_nobody_answers(self) -> None:
        """If pings aren't answered, the peer is waited for."""
        stalls = self.stalls(until=6)
        self.assertEqual(["m4.m has taken nothing for 5 s; no ping answered: waiting for m4.m"], [t for _, t in stalls])

    def test_no_link(self) -> None:
        """Without a link nobody is pinged, and it is told how to find out why."""
        said = self.watch(until=6, linked=False)
        self.assertEqual([Stall], [type(one) for _, one in said])
        self.assertIn("p2p why m4.m", said[0][1].text)  # type: ignore[union-attr]  # it is a Stall

    def test_own(self) -> None:
        """What has been blocking here since before it stood still is to blame, whatever the link says."""
        for own, expected in (
            (Own.READ, "nothing could be read here for 5 s: this machine's disk is slow"),
            (Own.INPUT, "standard input has given nothing for 5 s"),
        ):
            with self.subTest(own):
                stalls = self.stalls(until=14, stops=8.0, own=own, own_since=7.9, answer=0.001)
                self.assertEqual([expected], [text for _, text in stalls])

    def test_own_but_later(self) -> None:
        """What began to block here later isn't to blame."""
        ((_, text),) = self.stalls(until=14, stops=8.0, own_since=9.0, answer=0.001)
        self.assertIn("m4.m has taken nothing", text)

    def test_own_at_first(self) -> None:
        """Before anything has moved, half the time until it is told is allowed for it to begin to block here."""
        half = TELL_S / 2
        for own_since, own in ((half, True), (half + 0.01, False), (TELL_S, False)):
            ((_, text),) = self.stalls(until=6, own_since=own_since, answer=0.6)
            self.assertEqual(own, "this machine's disk" in text)
        self.assertIn("answers pings in 600 ms", text)

    def test_excused(self) -> None:
        """While a person decides, or a limit holds it up, it doesn't stand still."""
        self.assertEqual([], self.watch(until=60, excused=True))

    def test_late_answer(self) -> None:
        """An answer that comes when it moves again says nothing about the next standstill."""
        watch = StallWatch("m4.m", "send", Own.READ, 0.0)
        watch.look(Sight(0, True), 0.0)
        ping = watch.look(Sight(0, True), 2.0)
        assert isinstance(ping, Probe)
        watch.look(Sight(1, True), 2.5)
        watch.answered(ping, 0.1)
        watch.look(Sight(1, True), 5.0)
        watch.answered(ping, 0.1)
        stall = watch.look(Sight(1, True), 7.0)
        assert isinstance(stall, Stall)
        self.assertIsNone(stall.rtt_s)
