"""What people see of a transfer: enough to trust it, and never ten thousand lines."""

from __future__ import annotations

from typing import Any

import click
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from p2p.cli import transfer_view
from p2p.cli.output import ExitCode
from p2p.cli.transfer_view import COUNT_S, LARGE_BYTES, LINES, LINES_AT_ONCE, PROBLEMS, PeopleView
from p2p.console.transfer_operations import TransferEvent
from test.consoles import HOSTILE
from test.moves import (
    done,
    failed,
    left_out,
    moved,
    offered,
    pending,
    progress,
    resumed,
    stalled,
    verified,
    waiting,
)


class ViewCase(SynchronousTestCase):
    """Shows events to somebody.

    :ivar now: the time, seconds.
    """

    def setUp(self) -> None:
        """Begin at no time in particular."""
        self.now = 1000.0
        self.terminal = False
        self.patch(transfer_view, "on_terminal", lambda: self.terminal)

    def shown(self, *events: TransferEvent | float, **how: Any) -> Result:
        """What is printed for these events; numbers are seconds that pass between them."""

        @click.command()
        def show() -> None:
            known: dict[str, Any] = {"several": False, "verbose": False, **how}
            view = PeopleView(now=lambda: self.now, **known)
            for event in events:
                if isinstance(event, float):
                    self.now += event
                else:
                    view.show(event)
            view.show_end(moved(), ExitCode.OK)

        result = CliRunner().invoke(show)
        self.assertIsNone(result.exception)
        return result


class LinesTests(ViewCase):
    """Off a terminal."""

    def test_few(self) -> None:
        """Each of a few files has its line, with the name that it got if that is another; folders and links haven't."""
        result = self.shown(
            offered(),
            verified("photos", root="", size=0),
            verified("photos/a.jpg"),
            verified("photos/b.jpg", name="photos (1)/b.jpg"),
            done(entries=3),
        )
        self.assertEqual(
            "photos/a.jpg: 4.0 kB, verified 1a2b3c4d1a2b\n"
            "photos/b.jpg: 4.0 kB, verified 1a2b3c4d1a2b, stored as photos (1)/b.jpg\n"
            "to m4.m: 3 entries, 4.0 kB in 500 ms (8.0 kB/s)\n",
            result.stdout,
        )
        self.assertEqual("", result.stderr)

    def test_not_quite(self) -> None:
        """What isn't quite what is at the sender's is told, of folders and of many files too; of very many it isn't."""
        odd = [verified("a", root="", size=0, note="its time is far"), verified("b", note="it grew")]
        plain = [verified(f"f{number}") for number in range(30)]
        result = self.shown(offered(), *odd[:1], *plain, *odd[1:], done(entries=32))
        self.assertIn("a: there; its time is far\n", result.stdout)
        self.assertIn("b: 4.0 kB, verified 1a2b3c4d1a2b; it grew\n", result.stdout)
        self.assertEqual(21, result.stdout.count(": 4.0 kB") + result.stdout.count(": there"))
        result = self.shown(offered(), *(verified(f"{number}", root="", note="odd") for number in range(300)))
        self.assertEqual(100, result.stdout.count("odd"))

    def test_many(self) -> None:
        """Of many small files the first have a line, then it is told that the others are counted; so are large ones."""
        files = [verified(f"{number:05}") for number in range(10_000)]
        large = verified("large", size=LARGE_BYTES)
        result = self.shown(*files, large, done(entries=10_001, bytes=107_000_000))
        lines = result.stdout.splitlines()
        self.assertEqual(LINES + 2, len(lines))
        self.assertTrue(lines[LINES].startswith("large: 67.1 MB"))
        self.assertEqual("to m4.m: 10,001 files, 107.0 MB in 500 ms (214.0 MB/s)", lines[-1])
        self.assertEqual("further files are counted, not listed; to see each: --verbose\n", result.stderr)

    def test_running_count(self) -> None:
        """Where there is no bar, files that are counted are told of now and then, less and less often."""
        files = [verified(f"{number:05}") for number in range(LINES + 1)]
        self.assertEqual("", self.shown(COUNT_S, progress(1000, entries=5, entries_total=40)).stdout)
        counts: list[TransferEvent | float] = []
        for seconds in (COUNT_S, COUNT_S, COUNT_S, 10_000.0, 10_000.0, 10_000.0):
            counts += [seconds, progress(2_000_000, entries=30, entries_total=40, bytes_total=8_000_000)]
        lines = self.shown(*files, *counts).stdout.splitlines()[LINES:]
        self.assertEqual(["m4.m: 30 of 40 entries, 2.0 MB of 8.0 MB"] * 5, lines)
        result = self.shown(*files, COUNT_S, progress(1, entries=30, entries_total=None, bytes_total=None))
        self.assertEqual("m4.m: 30 entries, 1 byte", result.stdout.splitlines()[-1])

    def test_verbose(self) -> None:
        """Who wants to see everything does: folders and links too."""
        files = [verified(f"{number:05}") for number in range(100)]
        result = self.shown(verified("photos", root="", size=0), *files, verbose=True)
        self.assertEqual(101, len(result.stdout.splitlines()))
        self.assertEqual("photos: there", result.stdout.splitlines()[0])

    def test_left_out(self) -> None:
        """What is left out has its line among the problems; too many of them are counted, too."""
        events = [left_out(f"{number:05}", "refused", "it is a link") for number in range(PROBLEMS + 50)]
        result = self.shown(*events)
        lines = result.stderr.splitlines()
        self.assertEqual(("", PROBLEMS + 1), (result.stdout, len(lines)))
        self.assertEqual("p2p: 00000: refused: it is a link", lines[0])
        self.assertEqual("further problems are counted, not listed; to see each: --verbose", lines[-1])
        self.assertEqual(PROBLEMS + 50, len(self.shown(*events, verbose=True).stderr.splitlines()))

    def test_notes(self) -> None:
        """Nothing holds a transfer up silently."""
        result = self.shown(
            pending("somebody at m4.m is asked"),
            resumed(),
            resumed(entries=1, path="film.mkv", offset=5_000_000),
            resumed(entries=0, path="film.mkv", offset=5_000_000),
            resumed(entries=0, path="film.mkv", restarted=["a"]),
            resumed(restarted=list("abcde")),
            resumed(entries=0, bytes=0),
            stalled(),
            waiting(),
        )
        self.assertEqual("", result.stdout)
        self.assertEqual(
            [
                "m4.m: waits for consent: somebody at m4.m is asked",
                "m4.m: goes on after 3 entries",
                "m4.m: goes on after 1 entry with film.mkv from 5.0 MB",
                "m4.m: goes on with film.mkv from 5.0 MB",
                "m4.m: goes on; a has changed since and begins anew",
                "m4.m: goes on after 3 entries; "
                + "; ".join(f"{path} has changed since and begins anew" for path in "abc")
                + "; so do 2 more",
                "m4.m: goes on",
                "m4.m has taken nothing for 5 s; the link answers pings in 2 ms: its disk is slow",
                "m4.m: reset: the link ended; goes on in 2 s, tries for 58 min 0 s more",
            ],
            result.stderr.splitlines(),
        )

    def test_direction_and_sessions(self) -> None:
        """What was got is from the peer, and how many sessions it took is told if it was more than one."""
        result = self.shown(done(direction="get", sessions=3))
        self.assertEqual("from m4.m: 1 entry, 4.0 kB in 500 ms (8.0 kB/s), 3 sessions\n", result.stdout)

    def test_gone_on(self) -> None:
        """The rate is that of what has come since the command began, and so is what it is called."""
        result = self.shown(resumed(bytes=3000, offset=3000), progress(3500), done(sessions=2))
        self.assertIn("4.0 kB, 1.0 kB of them now in 500 ms (2.0 kB/s), 2 sessions\n", result.stdout)
        result = self.shown(progress(1000), resumed(bytes=3000, offset=3000), done(sessions=2))
        self.assertIn("4.0 kB in 500 ms (8.0 kB/s), 2 sessions\n", result.stdout)

    def test_relayed(self) -> None:
        """That it goes over a relay is said once, and so is that it goes directly from then on."""
        ways = [progress(1000, relayed_by="relay.n"), progress(2000, relayed_by="relay.n"), progress(3000)]
        result = self.shown(progress(500), *ways, done())
        self.assertEqual(["m4.m: is relayed by relay.n", "m4.m: goes directly now"], result.stderr.splitlines())

    def test_output_is_content(self) -> None:
        """Where standard output is the content's, all lines go to standard error."""
        result = self.shown(verified(), done(), quiet_output=True)
        self.assertEqual(("", 2), (result.stdout, len(result.stderr.splitlines())))

    def test_hostile(self) -> None:
        """Nothing that the other side says can steer the terminal."""
        text = {"peer": HOSTILE, "reason": HOSTILE}
        events: list[TransferEvent] = [
            verified(HOSTILE, name=HOSTILE + "2", peer=HOSTILE),
            left_out(HOSTILE, "refused", HOSTILE, peer=HOSTILE),
            pending(**text),
            waiting(**text),
            stalled(text=HOSTILE),
            resumed(restarted=[HOSTILE], peer=HOSTILE),
            progress(1, path=HOSTILE, peer=HOSTILE),
            done(peer=HOSTILE),
            failed(**text),
        ]
        for self.terminal in (False, True):
            result = self.shown(*events, several=True)
            for stream in (result.stdout, result.stderr):
                self.assertNotIn("\u202e", stream)
                self.assertNotIn("[2Jgpj", stream)
                self.assertNotIn("evil\x1b", stream)


class TerminalTests(ViewCase):
    """On a terminal."""

    def setUp(self) -> None:
        """Be one."""
        super().setUp()
        self.terminal = True

    def test_bar(self) -> None:
        """A bar has the file under way, how many are done, percent, bytes, rate and the time that is left."""
        result = self.shown(
            offered(entries=3), progress(1000, entries=1, entries_total=3), progress(4000), verified(), done()
        )
        for part in ("m4.m  1 of 3 entries  film.mkv", "25%", "1.0 kB of 4.0 kB", "1.0 kB/s", "3 s left", "100%"):
            self.assertIn(part, result.stderr)
        self.assertEqual(2, len(result.stdout.splitlines()))
        self.assertNotIn("\x1b", result.stdout)

    def test_lines_wait(self) -> None:
        """Thousands of files a second don't redraw the bars each time: lines wait, but not too many of them."""
        files = [verified(f"{number:05}") for number in range(LINES_AT_ONCE + 10)]
        result = self.shown(progress(1), *files, verbose=True)
        self.assertEqual(LINES_AT_ONCE + 10, len(result.stdout.splitlines()))
        self.assertLess(result.stderr.count("m4.m  0 of 1 entry"), 6)

    def test_nothing_left(self) -> None:
        """At the end the bars are gone and the cursor is back."""
        result = self.shown(progress(1))
        self.assertEqual(result.stderr.count("\x1b[?25l"), result.stderr.count("\x1b[?25h"))
        self.assertTrue(result.stderr.rstrip("\n").endswith("\x1b[2K"), repr(result.stderr[-20:]))
