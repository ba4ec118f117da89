"""Whole sessions as their receiver sees them: nothing is taken that isn't wanted, nor twice."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from p2p.base.errors import CancelledThere, ExchangeFailed, Outcome
from p2p.base.rates import Pace
from p2p.transfer import receiving_service
from p2p.transfer.notes import local_id
from p2p.transfer.records import Have
from p2p.transfer.send_session import NotFresh, send_request
from p2p.transfer.tree import CHUNK
from p2p.transfer.walking import Totals
from test.descriptors import open_files
from test.transfer.sessions import ID, SessionCase, tree
from test.transfer.sources import make, pattern

LOCAL = local_id("n1.n", ID)


class ConsentTests(SessionCase):
    """Nothing is taken that isn't wanted."""

    def setUp(self) -> None:
        """Have something to send."""
        super().setUp()
        (self.here / "a").write_bytes(pattern(3 * CHUNK))

    def test_refused(self) -> None:
        """A receiver that doesn't want it says why, at once, whether the sender waits for it or not."""
        self.host.refusal = ExchangeFailed(Outcome.REFUSED, "m4.m takes nothing from n1.n")
        for resume in (False, True):
            reason = self.failed(self.send("a", resume=resume), Outcome.REFUSED)
            self.assertEqual("m4.m takes nothing from n1.n", reason)
        self.assertEqual(({}, []), (tree(self.there), self.host.sessions))
        self.assert_clean()

    def test_pending(self) -> None:
        """While a person is asked, the sender is told again and again, and what it has sent waits in the stream."""
        self.host.consent = Deferred()
        running = self.send("a")
        self.assertEqual(["a person is asked"], self.told.pending)
        self.assertLess(self.near_link.sent_bytes, CHUNK)
        for _ in range(20):
            self.network.advance(5.0)
            self.host.pending("still")
            self.network.settle()
        self.assertEqual(21, len(self.told.pending))
        self.assertEqual([], self.told.haves)
        self.host.consent.callback(None)
        self.network.settle()
        self.successResultOf(running)
        self.assertEqual(tree(self.here), tree(self.there))
        self.assert_clean()

    def test_reads_again(self) -> None:
        """While what is here is read again, for however long, the sender is told so and doesn't take it for silence."""
        self.far_threads.held = True
        running = self.send("a")
        for _ in range(10):
            self.network.advance(10.0)
        self.assertEqual(10, len(self.told.pending))
        self.assertEqual("reading: it reads once more what it has of this transfer", self.told.pending[0])
        self.far_threads.held = False
        self.far_threads.work(1)
        self.network.settle()
        self.successResultOf(running)
        self.assertEqual(tree(self.here), tree(self.there))
        self.assert_clean()

    def test_refused_by_a_person(self) -> None:
        """A person may say no."""
        self.host.consent = Deferred()
        running = self.send("a")
        self.host.consent.errback(ExchangeFailed(Outcome.REFUSED, "not today"))
        self.network.settle()
        self.assertEqual("not today", self.failed(running, Outcome.REFUSED))
        self.assert_clean()

    def test_sender_leaves(self) -> None:
        """Nobody is asked any longer when the sender has gone."""
        asked: list[str] = []
        self.host.consent = Deferred(lambda _: asked.append("cancelled"))
        running = self.send("a")
        running.cancel()
        self.network.settle()
        self.failureResultOf(running)
        self.assertEqual(["cancelled"], asked)
        self.assertEqual([], self.host.sessions)
        self.assert_clean()

    def test_silent_receiver(self) -> None:
        """A receiver that says nothing for too long, not even that it asks, has gone."""
        self.host.consent = Deferred()
        running = self.send("a", resume=True)
        self.network.advance(60.0)
        self.failed(running, Outcome.TIMEOUT)
        self.assert_clean()

    def test_small_while_pending(self) -> None:
        """A transfer that is here whole before it is allowed is taken when it is."""
        (self.here / "b").write_bytes(b"small")
        self.host.consent = Deferred()
        running = self.send("b")
        self.assertEqual({}, tree(self.there))
        self.host.consent.callback(None)
        self.network.settle()
        self.successResultOf(running)
        self.assertEqual({"b": b"small"}, tree(self.there))

    def test_given_up_here(self) -> None:
        """The receiving side ends it: the sender learns why, and nothing of it stays."""
        self.far_threads.held = True
        running = self.send("a")
        self.far_threads.work(3)
        self.network.settle()
        (journal,) = self.host.sessions
        journal.stop("m4.m gave it up")
        self.network.settle()
        self.assertEqual("m4.m gave it up", str(self.failureResultOf(running, CancelledThere).value))
        self.far_threads.release()
        self.assertEqual([Outcome.REFUSED], [end[0] for end in journal.ends])
        self.assertEqual([], list(self.there.iterdir()))
        self.assert_clean()

    def test_fault_of_the_host(self) -> None:
        """A fault in whoever decides ends this exchange alone, and is logged."""
        self.host.refusal = ValueError("a fault")
        self.failed(self.send("a"), Outcome.RESET)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.assert_clean()

    def test_requests(self) -> None:
        """An id that is none, and numbers that are none, are refused."""
        for more in ({}, {"id": "../../etc/passwd0"}, {"id": ID, "bytes": "-5"}, {"id": ID, "entries": "x"}):
            request = send_request(ID, "a")
            session = self.sending(self.engine("a"))
            object.__setattr__(request, "more", more)
            self.failed(self.run_session(session, request), Outcome.REFUSED)
        self.assert_clean()


class ResumeTests(SessionCase):
    """What was verified isn't sent again."""

    def setUp(self) -> None:
        """Have a folder to send."""
        super().setUp()
        make(self.here, {"box": {"a": b"small", "film": pattern(9 * CHUNK + 5), "z": b"last"}})

    def broken(self) -> None:
        """Begin to send the folder, and break the link within the film."""
        running = self.run_session(self.sending(self.engine("box"), pace=Pace(CHUNK, 0.0)), send_request(ID, "box"))
        self.network.advance(5.0)
        self.near_link.abort("broken by the test")
        self.network.settle()
        self.failed(running, Outcome.RESET)
        self.assert_let_go()
        (journal,) = self.host.sessions
        self.assertEqual([Outcome.RESET], [end[0] for end in journal.ends])
        self.assertGreater(journal.ends[0][3], 3 * CHUNK)
        self.assertEqual(["box"], [path for path in tree(self.there) if "box" in path and "film" in path] or ["box"])
        self.connect()

    def assert_let_go(self) -> None:
        """Nothing is open, and no timer is left."""
        self.assertEqual([], open_files(self.folder))
        self.assertEqual([], self.network.getDelayedCalls())

    def test_broken_link(self) -> None:
        """A session after a broken link begins with what was verified, and sends nothing of that again."""
        self.broken()
        session = self.sending(self.engine("box"), resume=True)
        self.successResultOf(self.run_session(session, send_request(ID, "box", resume=True)))
        have = self.told.haves[-1]
        self.assertEqual("box/film", have.partial)
        self.assertGreaterEqual(have.offset, 4 * CHUNK)
        self.assertLess(self.near_link.sent_bytes, 10 * CHUNK - have.offset)
        self.assertEqual(tree(self.here), tree(self.there))
        self.assertEqual(Totals(4, 9 * CHUNK + 14), session.totals)
        self.assert_clean()

    def test_room_for_the_rest(self) -> None:
        """What is announced and hasn't come must have room, at the first try as at every later one."""
        asked: list[tuple[int, int]] = []

        def needs(size: int, entries: int) -> None:
            asked.append((size, entries))
            raise ExchangeFailed(Outcome.REFUSED, f"it needs {size} bytes, 7 are free")

        self.broken()
        announced = {"entries": 4, "bytes": 9 * CHUNK + 14}
        self.host.terms["needs"] = needs
        for resume in (False, True):
            told = self.failed(self.send("box", resume=resume, **announced), Outcome.REFUSED)
            (size, entries), asked = asked[-1], []
            self.assertEqual((f"it needs {size} bytes, 7 are free", 2), (told, entries))
            self.assertTrue(0 < size < 6 * CHUNK, size)

    def test_begun_at_once(self) -> None:
        """A sender that doesn't know of an earlier session is told, and nothing is spoilt by what it has sent."""
        self.broken()
        failure = self.failureResultOf(self.send("box"), NotFresh).value
        self.assertEqual("box/film", failure.have.partial)
        self.network.settle()
        self.assert_clean()
        self.successResultOf(self.send("box", resume=True))
        self.assertEqual(tree(self.here), tree(self.there))

    def test_fresh(self) -> None:
        """A sender that waits is told that there is nothing, and begins at the start."""
        self.successResultOf(self.send("box", resume=True))
        self.assertEqual([Have()], self.told.haves)
        self.assertEqual(tree(self.here), tree(self.there))

    def test_complete_but_unheard(self) -> None:
        """A sender that never heard that all has arrived asks again, and nothing arrives twice."""
        session = self.deaf(self.sending(self.engine("box")))
        running = self.run_session(session, send_request(ID, "box"))
        self.near_link.abort("broken by the test")
        self.network.settle()
        self.failed(running, Outcome.RESET)
        self.assertEqual([Outcome.OK], [end[0] for end in self.host.sessions[0].ends])
        self.connect()
        self.told.receipts.clear()
        session = self.sending(self.engine("box"), resume=True)
        self.successResultOf(self.run_session(session, send_request(ID, "box", resume=True)))
        self.assertEqual(tree(self.here), tree(self.there))
        self.assertEqual((Totals(4, 9 * CHUNK + 14), []), (session.totals, self.told.receipts))
        self.assertLess(self.near_link.sent_bytes, 1000)
        self.failureResultOf(self.send("box"), NotFresh)
        self.network.settle()
        self.assertEqual(tree(self.here), tree(self.there))
        self.assert_clean()

    def test_same_id_of_somebody_else(self) -> None:
        """Nobody goes on with what another peer has begun, or learns of it."""
        self.broken()
        self.patch(receiving_service, "local_id", lambda sender, transfer: local_id("n2.n", transfer))
        self.successResultOf(self.send("box"))
        self.assertEqual(Have(), self.told.haves[-1])

    def test_opened_again(self) -> None:
        """A session that has given out records isn't begun again on another stream."""
        session = self.sending(self.engine("box"))
        self.successResultOf(self.run_session(session, send_request(ID, "box")))
        self.failed(Deferred.fromCoroutine(session.open()), Outcome.RESET)
