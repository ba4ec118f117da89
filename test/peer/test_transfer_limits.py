"""Tests that hit the limits of transfers: how many there are at once, together, or remembered."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.console.transfer_operations import DEADLINE_S, Moved
from p2p.peer.transfers import plans
from p2p.peer.transfers.journal import MAX_NAMES, shown_transfer
from p2p.transfer import notes, sharing_service
from p2p.transfer.notes import completion_notes
from p2p.transfer.send_session import fetch_request
from p2p.transfer.walking import Totals
from test.peer.transfers.journals import row
from test.peer.transfers.movings import TransfersCase
from test.transfer.sessions import ID, SharingCase


class TransferLimitTests(TransfersCase):
    """What was asked for at one daemon."""

    def refused(self, moving: Deferred[Moved]) -> str:
        """Why something was refused."""
        failure = self.failureResultOf(moving, ExchangeFailed).value
        self.assertIs(Outcome.REFUSED, failure.outcome)
        return str(failure)

    def test_transfers(self) -> None:
        """More transfers than may take place at once wait, each until another one has ended."""
        self.begin_daemon(sessions=2)
        self.send("m1.m", "m2.m", "m3.m")
        self.assertEqual(["m1.m", "m2.m"], [session.target for session in self.sessions])
        self.sessions[0].done()
        self.assertEqual(["m1.m", "m2.m", "m3.m"], [session.target for session in self.sessions])

    def test_transfers_unfinished(self) -> None:
        """More than may be unfinished are refused with what to do, and nothing is begun; then there is room again."""
        self.begin_daemon(unfinished=2)
        self.send("m1.m")
        self.assertIn("p2p transfers --cancel", self.refused(self.send("m2.m", "m3.m")))
        self.assertEqual({"m1.m": "running"}, self.rows())
        self.sessions[0].done()
        self.send("m2.m", "m3.m")
        self.assertEqual(3, len(self.sessions))

    def test_together(self) -> None:
        """So many peers share one reading of the source; the next ones share another, and the last one reads alone."""
        self.patch(plans, "TOGETHER", 3)
        self.send(*(f"m{number}.m" for number in range(7)))
        readings = [getattr(session.engine, "_shared", session.engine) for session in self.sessions]
        self.assertEqual([3, 3, 1], [readings.count(one) for one in dict.fromkeys(readings)])

    def test_deadline(self) -> None:
        """A transfer whose link breaks again and again is given up after an hour, with what broke it last."""
        sending = self.send()
        for _minute in range(70):
            for session in self.sessions:
                if not session.end.called:
                    session.fail()
            if sending.called:
                break
            self.assertLess(self.clock.seconds(), DEADLINE_S + 60)
            self.clock.advance(60)
        (moved,) = self.successResultOf(sending).transfers
        self.assertGreaterEqual(self.clock.seconds(), DEADLINE_S)
        self.assertEqual(("reset", {"m4.m": "failed"}), (moved.outcome, self.rows()))

    def test_shown_names(self) -> None:
        """The list of transfers has so many names of each, however many things were sent at once."""
        paths = [f"/home/n1/{number}" for number in range(MAX_NAMES + 1)]
        shown = shown_transfer(row(what={"paths": paths, "name": None, "links": "keep", "type": "data"}))
        self.assertEqual([str(number) for number in range(MAX_NAMES)], shown.names)


def aged(path: Path, seconds: float) -> Path:
    """Have something been written so long ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))
    return path


class KeptTests(SharingCase):
    """What is kept on disk of transfers that are over, or that nobody goes on with."""

    def test_served(self) -> None:
        """Of what was got from here and never to its end, only the newest are kept."""
        self.patch(sharing_service, "MAX_STATES", 2)
        served = self.host.state / "served"
        for age in (30, 20, 10):
            folder = served / f"{age:016x}"
            folder.mkdir(parents=True)
            aged(folder, age)
        self.successResultOf(self.run_session(session := self.getting("notes"), fetch_request(ID)))
        self.assertEqual(Totals(1, 4), session.totals)
        self.assertEqual({f"{age:016x}" for age in (20, 10)}, {path.name for path in served.iterdir()})


class EndedTests(SynchronousTestCase):
    """What a receiver remembers."""

    def test_ended(self) -> None:
        """Of the transfers that are complete only the newest are remembered."""
        self.patch(notes, "MAX_KEPT", 2)
        state = Path(self.mktemp())
        folder = state / "ended"
        known = completion_notes(state)
        for age in (30, 20, 10):
            known.note(f"{age:016x}", Totals(1, 1))
            aged(folder / f"{age:016x}", age)
        last = "00" * 8
        known.note(last, Totals(2, 2))
        kept = [each for each in (f"{30:016x}", f"{20:016x}", f"{10:016x}", last) if known.find(each) is not None]
        self.assertEqual([f"{10:016x}", last], kept)
