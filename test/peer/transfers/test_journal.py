"""The journal of transfers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2p.base.errors import LocalFileError
from p2p.console.transfer_operations import Direction
from p2p.peer.transfers import journal as module
from p2p.peer.transfers.journal import MAX_NOTED, Journal, State
from test.peer.transfers.journals import make_journal, row

OLD_JOURNAL = """
CREATE TABLE transfers (
    id TEXT NOT NULL, acting TEXT NOT NULL, direction TEXT NOT NULL, peer TEXT NOT NULL, what TEXT NOT NULL,
    how TEXT NOT NULL, state TEXT NOT NULL, entries INTEGER NOT NULL, bytes INTEGER NOT NULL, bytes_total INTEGER,
    sessions INTEGER NOT NULL, sent_bytes INTEGER NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
    deadline REAL NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, sealed INTEGER NOT NULL,
    PRIMARY KEY (id, acting, direction, peer)
);
INSERT INTO transfers (id, acting, direction, peer, what, how, state, entries, bytes, bytes_total, sessions, sent_bytes,
    created, updated, deadline, outcome, reason, sealed)
VALUES ('0000000000000000', 'n1.n', 'send', 'm4.m',
    '{"links": "keep", "name": null, "paths": ["/home/n1/film.mp4"], "type": "data"}',
    '{"deadline_s": 3600.0, "limit": null}', 'waiting', 0, 0, NULL, 0, 0, 1000.0, 1000.0, 4600.0, '', '', 0);
PRAGMA user_version = 1;
"""
"""The file as version 0.1.0 made it, with one transfer."""


class JournalTests(SynchronousTestCase):
    """A journal whose commits take no time, or as long as the test says."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.journal, self.pool = make_journal(self.path)

    def did(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def enter(self, *rows: Any) -> None:
        for one in rows:
            self.successResultOf(self.journal.enter(one))

    def test_round_trip(self) -> None:
        """What was entered is read as it was."""
        entered = row(state=State.RUNNING, entries=3, bytes=5, bytes_total=7, sessions=2, sent_bytes=9, reason="weil")
        self.enter(entered)
        self.assertEqual([entered], self.did(self.journal.find(entered.id)))
        self.assertEqual([], self.did(self.journal.find("ff" * 8)))

    def test_left_out(self) -> None:
        """The first entries that didn't get through are kept with their reasons, each once, the others are counted."""
        one = row()
        for name in ("a", "a", "caf\udce9", "b" * 2 * MAX_NOTED, "c"):
            one.leave_out(name, "refused", "neither file, folder nor link")
        self.assertEqual((4, ["a", "caf\udce9", "c"]), (one.refused, [path for path, _, _ in one.left_out]))
        self.enter(one)
        self.assertEqual([one], self.did(self.journal.find(one.id)))
        for number in range(1000):
            one.leave_out(f"{number:010}", "refused", "neither file, folder nor link")
        self.assertEqual(1004, one.refused)
        self.assertLessEqual(sum(len(part) for kept in one.left_out for part in kept), MAX_NOTED)
        long = row()
        long.leave_out("x" * 5000, "refused", "y" * 5000)
        self.assertEqual([("x" * MAX_NOTED, "refused", "y" * MAX_NOTED)], long.left_out)

    def test_of_version_0_1_0(self) -> None:
        """A journal of version 0.1.0 goes on to be used, and that version can use it again."""
        self.pool.close()
        self.path.unlink()
        with closing(sqlite3.connect(self.path)) as old, old:
            old.executescript(OLD_JOURNAL)
        self.journal, self.pool = make_journal(self.path)
        (found,) = self.did(self.journal.unfinished())
        self.assertEqual((row(), 0, []), (found, found.refused, found.left_out))
        found.leave_out("fifo", "refused", "no file")
        self.enter(found)
        self.assertEqual([found], self.did(self.journal.unfinished()))
        with closing(sqlite3.connect(self.path)) as old, old:
            self.assertEqual((1,), old.execute("PRAGMA user_version").fetchone())
            columns = OLD_JOURNAL.partition("INSERT INTO transfers (")[2].partition(")")[0]
            values = old.execute(f"SELECT {columns} FROM transfers").fetchone()
            old.execute(
                f"INSERT INTO transfers ({columns}) VALUES ({', '.join('?' * len(values))})", ["1", *values[1:]]
            )

    def test_survives(self) -> None:
        """A row that was entered is there after the daemon was killed at any later moment."""
        self.enter(row())
        other, _ = make_journal(self.path)
        self.assertEqual([row()], self.did(other.unfinished()))

    def test_update(self) -> None:
        """What is new of a transfer is written, and what it consists of stays; one that isn't there isn't made."""
        self.enter(row())
        self.successResultOf(self.journal.update(row(state=State.DONE, bytes=5, what={"paths": ["/other"]})))
        self.successResultOf(self.journal.update(row("11" * 8)))
        self.assertEqual([row(state=State.DONE, bytes=5)], self.did(self.journal.latest(10)))

    def test_entered_again(self) -> None:
        """A transfer that goes on with other limits keeps the time when it was begun."""
        self.enter(row(), row(created=2000.0, how={"limit": 5}))
        self.assertEqual([row(how={"limit": 5})], self.did(self.journal.latest(10)))

    def test_both_ends_here(self) -> None:
        """A daemon that hosts both peers of a transfer has a row for each."""
        self.enter(row(), row(acting="m4.m", direction="receive", peer="n1.n"))
        self.assertEqual(2, len(self.did(self.journal.find(row().id))))

    def test_unfinished(self) -> None:
        """What this daemon promised is taken up, the oldest first; not what others began, or what has ended."""
        self.enter(*(row(f"{number:016x}", state=state) for number, state in enumerate(State)))
        self.enter(row("aa" * 8, state=State.RUNNING, direction="receive"))
        self.enter(row("bb" * 8, created=1.0, direction="get"))
        self.assertEqual(["bb" * 8, f"{0:016x}", f"{1:016x}"], [one.id for one in self.did(self.journal.unfinished())])

    def test_same(self) -> None:
        """The same between the same peers goes on if it was paused or failed; done or cancelled, it begins anew."""
        for number, state in enumerate(State):
            what = {"paths": [f"/{number}"]}
            self.enter(row(f"{number:016x}", state=state, what=what))
            with self.subTest(state):
                found = self.did(self.journal.same("n1.n", "send", "m4.m", what))
                self.assertEqual(state not in (State.DONE, State.CANCELLED), found is not None)
                self.assertEqual(found is not None, self.did(self.journal.is_wanted("n1.n", "send", what)))

    def test_not_the_same(self) -> None:
        """Another peer, another direction or another content is another transfer."""
        self.enter(row())
        others: list[tuple[str, Direction, str, Any]] = [
            ("n2.n", "send", "m4.m", row().what),
            ("n1.n", "get", "m4.m", row().what),
            ("n1.n", "send", "m5.m", row().what),
            ("n1.n", "send", "m4.m", {**row().what, "links": "refuse"}),
        ]
        for acting, direction, peer, what in others:
            with self.subTest(peer=peer, direction=direction):
                self.assertIsNone(self.did(self.journal.same(acting, direction, peer, what)))

    def test_latest(self) -> None:
        """The list begins with what changed last."""
        self.enter(*(row(f"{number:016x}", updated=float(number)) for number in range(5)))
        self.assertEqual([f"{4:016x}", f"{3:016x}"], [one.id for one in self.did(self.journal.latest(2))])

    def test_broken_off(self) -> None:
        """At its start a daemon knows that nothing of what others had begun goes on."""
        self.enter(row(direction="receive", state=State.RUNNING), row("11" * 8, state=State.RUNNING))
        self.did(self.journal.break_off(5000.0))
        states = {one.direction: one.state for one in self.did(self.journal.latest(9))}
        self.assertEqual({"receive": State.WAITING, "send": State.RUNNING}, states)

    def test_commits_together(self) -> None:
        """Whatever is written during a commit is written by the next one, the last word of each transfer alone."""
        self.pool.held = []
        written = [self.journal.enter(row())]
        written += [self.journal.update(row(bytes=size)) for size in range(100)]
        written += [self.journal.enter(row("11" * 8)), self.journal.update(row("11" * 8, bytes=7))]
        self.assertEqual(1, len(self.pool.held))
        self.pool.held.pop()()
        self.assertEqual(1, len(self.pool.held))
        self.assertNoResult(written[1])
        self.pool.held.pop()()
        for one in written:
            self.successResultOf(one)
        self.pool.held = None
        self.assertEqual(2, self.pool.commits)
        self.assertEqual([7, 99], sorted(one.bytes for one in self.did(self.journal.latest(9))))

    def test_reads_what_was_written(self) -> None:
        """Who asks sees what was written before, even if it isn't on disk yet."""
        self.pool.held = []
        self.journal.enter(row())
        self.journal.update(row(bytes=7))
        reading = Deferred.fromCoroutine(self.journal.latest(1))
        while self.pool.held:
            self.pool.held.pop(0)()
        self.assertEqual([row(bytes=7)], self.successResultOf(reading))

    def test_nobody_waits(self) -> None:
        """Who was cancelled while waiting disturbs nobody, and the row is written."""
        self.pool.held = []
        gone = self.journal.enter(row())
        stays = self.journal.enter(row("11" * 8))
        gone.cancel()
        self.failureResultOf(gone)
        while self.pool.held:
            self.pool.held.pop(0)()
        self.successResultOf(stays)
        self.pool.held = None
        self.assertEqual(2, len(self.did(self.journal.latest(9))))

    def test_nobody_waits_any_more(self) -> None:
        """What is to be written is written, even if all who waited for it were cancelled."""
        self.pool.held = []
        self.journal.enter(row())
        gone = self.journal.enter(row("11" * 8))
        gone.cancel()
        self.failureResultOf(gone)
        while self.pool.held:
            self.pool.held.pop(0)()
        self.pool.held = None
        self.assertEqual(2, self.pool.commits)

    def test_disk_full(self) -> None:
        """If the disk doesn't take it, whoever wrote or read learns it in plain words, and later writes may succeed."""

        def broken(interaction: Any) -> Deferred[Any]:
            failing: Deferred[Any] = Deferred()
            failing.errback(Failure(sqlite3.OperationalError("database or disk is full")))
            return failing

        self.pool.runInteraction = broken  # type: ignore[method-assign]  # the disk is full
        failure = self.failureResultOf(self.journal.enter(row()), LocalFileError)
        self.assertIn("disk is full", str(failure.value))
        self.failureResultOf(Deferred.fromCoroutine(self.journal.latest(1)), LocalFileError)
        self.failureResultOf(Deferred.fromCoroutine(self.journal.break_off(1.0)), LocalFileError)
        del self.pool.runInteraction
        self.enter(row())

    def test_fault(self) -> None:
        """A fault of ours isn't called a disk that is full."""

        def broken(interaction: Any) -> Deferred[Any]:
            failing: Deferred[Any] = Deferred()
            failing.errback(Failure(KeyError("fault")))
            return failing

        self.pool.runInteraction = broken  # type: ignore[method-assign]  # a fault
        self.failureResultOf(self.journal.enter(row()), KeyError)

    def test_names_that_are_no_unicode(self) -> None:
        """The name of a file need not be Unicode; it is kept, and in a reason it is shown."""
        odd = row(what={"paths": ["/home/\udcff"]}, reason="no file \udcff")
        self.enter(odd)
        (found,) = self.did(self.journal.latest(1))
        self.assertEqual((odd.what, "no file \\udcff"), (found.what, found.reason))

    def test_forgets(self) -> None:
        """Of ended transfers, and of those that others began, the newest are kept; what was promised is always kept."""
        self.patch(module, "KEEP", 5)
        self.patch(module, "PRUNE_EVERY", 10)
        self.enter(row("aa" * 8, state=State.WAITING, updated=0.0))
        for number in range(20):
            self.enter(row(f"{number:016x}", direction="receive", state=State.WAITING, updated=float(number)))
        kept = [one.id for one in self.did(self.journal.latest(100))]
        self.assertIn("aa" * 8, kept)
        self.assertLessEqual(len(kept), 5 + 10 + 1)
        self.assertIn(f"{19:016x}", kept)

    def test_damaged(self) -> None:
        """A row that makes no sense is told as damage of the file, and what to do about it."""
        for change in (
            "what = '{'",
            "how = '[]'",
            "state = 'odd'",
            "entries = 'many'",
            "bytes_total = 'x'",
            "reason = x'ff'",
        ):
            self.enter(row())
            with self.pool.connection:
                self.pool.connection.execute(f"UPDATE transfers SET {change}")
            failure = self.failureResultOf(Deferred.fromCoroutine(self.journal.latest(10)), LocalFileError)
            self.assertRegex(str(failure.value), f"{self.path}: the journal of transfers is damaged, .* move it")
            with self.pool.connection:
                self.pool.connection.execute("DELETE FROM transfers")

    def test_seal(self) -> None:
        """That everything has come is entered from a thread, without the reactor; nothing else takes that back."""
        got = row(direction="get", bytes=12)
        self.enter(got)
        self.journal.seal(got)
        self.assertTrue(got.sealed)
        self.successResultOf(self.journal.update(row(direction="get", state=State.RUNNING)))
        (found,) = self.did(self.journal.latest(1))
        self.assertEqual((True, State.RUNNING), (found.sealed, found.state))

    def test_seal_fails(self) -> None:
        """If that can't be written, it is said."""
        self.path.unlink()
        self.path.mkdir()
        self.assertRaises(LocalFileError, self.journal.seal, row())

    def test_closed(self) -> None:
        """Closing waits for what is being written; what comes later is refused, not lost in silence."""
        self.pool.held = []
        written = self.journal.enter(row())
        closing_it = Deferred.fromCoroutine(self.journal.close())
        self.assertFalse(self.pool.closed)
        while self.pool.held:
            self.pool.held.pop(0)()
        self.successResultOf(written)
        self.successResultOf(closing_it)
        self.assertTrue(self.pool.closed)
        self.failureResultOf(self.journal.update(row()), LocalFileError)


class OpeningTests(TestCase):
    """The file of a journal."""

    async def test_thread(self) -> None:
        """The real one works in a thread of its own, and keeps what it has for the next."""
        path = Path(self.mktemp())
        journal = Journal.open(path, reactor)
        await journal.enter(row())
        await journal.close()
        journal = Journal.open(path, reactor)
        self.assertEqual([row()], await journal.unfinished())
        await journal.close()

    def test_on_disk(self) -> None:
        """A commit is on disk before anybody hears of it, whatever happens then."""
        path = Path(self.mktemp())
        module.create(path)
        with closing(sqlite3.connect(path)) as connection:
            module.prepare(connection)
            self.assertEqual(("wal",), connection.execute("PRAGMA journal_mode").fetchone())
            self.assertEqual((2,), connection.execute("PRAGMA synchronous").fetchone())

    def test_no_journal(self) -> None:
        """A file that is something else is left as it is, and the message says what to do."""
        path = Path(self.mktemp())
        path.write_bytes(b"something else" * 100)
        error = self.assertRaises(LocalFileError, Journal.open, path, reactor)
        self.assertIn("move it away", str(error))
        self.assertEqual(b"something else" * 100, path.read_bytes())

    def test_before(self) -> None:
        """The journal of a daemon that kept no time left is used as it is, and such a daemon can go on with it."""
        path = Path(self.mktemp())
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"{module._SCHEMA}PRAGMA user_version = 1")
            columns = [name for name in module._COLUMNS if name not in module._ADDED]
            entering = (
                f"INSERT INTO transfers ({', '.join(columns)}) VALUES ({', '.join(f':{one}' for one in columns)})"
            )
            for transfer_id in ("aa" * 8, "bb" * 8):
                connection.execute(entering, module._values(row(transfer_id)))
                connection.commit()
                journal, pool = make_journal(path)
                found = self.successResultOf(Deferred.fromCoroutine(journal.find(transfer_id)))
                self.assertEqual([row(transfer_id)], found)
                pool.close()

    def test_other_version(self) -> None:
        """The journal of another version isn't touched."""
        path = Path(self.mktemp())
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 99")
        error = self.assertRaises(LocalFileError, Journal.open, path, reactor)
        self.assertIn("another version", str(error))

    def test_no_folder(self) -> None:
        """A place that isn't there is told by name."""
        path = Path(self.mktemp()) / "nowhere" / "journal"
        self.assertIn(str(path), str(self.assertRaises(LocalFileError, Journal.open, path, reactor)))
