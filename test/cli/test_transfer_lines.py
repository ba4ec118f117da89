"""A transfer in lines: what became of each entry, what holds it up, and how it ended."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.cli.transfer_lines import counted, entry_line, event_line, how_far, is_file, names_shown, note, summary
from test.consoles import HOSTILE
from test.moves import done, failed, left_out, offered, pending, progress, resumed, shown, stalled, verified, waiting


class LineTests(SynchronousTestCase):
    """The lines."""

    def test_entries(self) -> None:
        """A file has its size and the beginning of its root; what isn't one, or has another name now, is told so."""
        self.assertEqual("film.mkv: 4.0 kB, verified 1a2b3c4d1a2b", entry_line(verified()))
        self.assertEqual("photos: there", entry_line(verified("photos", root="", size=0)))
        self.assertIn(", stored as film (1).mkv", entry_line(verified(name="film (1).mkv")))
        self.assertTrue(is_file(verified()))
        for other in (verified("photos", root=""), left_out("a", "refused", "no")):
            self.assertFalse(is_file(other))

    def test_how_far(self) -> None:
        """Numbers have their noun, and their total where it is known."""
        self.assertEqual("3 of 10,000 entries", how_far(3, 10_000, "entry", "entries"))
        self.assertEqual("1 entry", how_far(1, None, "entry", "entries"))
        self.assertEqual("0 of 1 entry, 1.0 kB of 4.0 kB", counted(progress(1000)))

    def test_notes(self) -> None:
        """What isn't simply going on says why, and names the other side."""
        restarted = [f"{number}.jpg" for number in range(5)]
        self.assertEqual("m4.m: waits for consent: a person decides", note(pending()))
        self.assertEqual("m4.m: it reads once more", note(pending("it reads once more", reading=True)))
        self.assertEqual(
            "m4.m: goes on after 3 entries; 0.jpg has changed since and begins anew; 1.jpg has changed since and "
            "begins anew; 2.jpg has changed since and begins anew; so do 2 more",
            note(resumed(restarted=restarted)),
        )
        self.assertIn("its disk is slow", note(stalled()))
        self.assertIn("reset: the link ended; goes on in 2 s, tries for 58 min 0 s more", note(waiting()))

    def test_summary(self) -> None:
        """A complete transfer tells what came now apart from what had come before."""
        self.assertEqual("to m4.m: 1 file, 4.0 kB in 500 ms (8.0 kB/s)", summary(done(), 1))
        event = done(direction="get", sessions=2, refused=1)
        self.assertEqual(
            "from m4.m: 1 entry, 4.0 kB, 1.0 kB of them now in 500 ms (2.0 kB/s), 2 sessions, 1 left out",
            summary(event, 0, before=3000),
        )

    def test_one_of_many(self) -> None:
        """Each event has a line that stands for itself."""
        for event, line in (
            (offered(names=list("abcde")), "m4.m: begins: a, b, c and 2 more"),
            (progress(1000), "m4.m: 0 of 1 entry, 1.0 kB of 4.0 kB, 1.0 kB/s"),
            (
                progress(1000, relayed_by="relay.n"),
                "m4.m: 0 of 1 entry, 1.0 kB of 4.0 kB, 1.0 kB/s, relayed by relay.n",
            ),
            (left_out("a", "refused", "no"), "m4.m: a: refused: no"),
            (done(), "done: to m4.m: 1 entry, 4.0 kB in 500 ms (8.0 kB/s)"),
            (failed(None, "gone"), "m4.m: ended: gone"),
        ):
            self.assertEqual(line, event_line(event))
        self.assertEqual("film.mkv", names_shown(shown()))

    def test_hostile(self) -> None:
        """Names from elsewhere steer no terminal."""
        for line in (entry_line(verified(HOSTILE)), event_line(offered(names=[HOSTILE])), note(pending(HOSTILE))):
            self.assertNotIn("\x1b", line)
