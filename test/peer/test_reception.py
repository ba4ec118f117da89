"""Tests for :mod:`p2p.peer.reception`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import AcceptRule, PeerEntry
from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.exchange.rules import GROWTH, Agreement, Arrived, Bounds, Names, Offer
from p2p.exchange.service import Terms
from p2p.peer.offers import PendingOffers
from p2p.peer.reception import Reception
from p2p.transfer.notes import Notes, completion_notes, local_id
from p2p.transfer.walking import Totals
from test.exchange.doubles import Session
from test.peer.pair import at_once

ID = "0123456789abcdef"
LOCAL = local_id("n1.n", ID)


def rule(then: str = "accept", **more: Any) -> AcceptRule:
    return AcceptRule.model_validate({"then": then, **more})


def transfer(size: int | None = 10, sender: str = "n1.n", transfer_id: str = ID) -> Offer:
    return Offer(sender, "transfer", "data", "project", size, 3, transfer_id)


class ReceptionCase(SynchronousTestCase):
    """m4.m, with an inbox and the rules that a test gives it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.base = Path(self.mktemp()).absolute()
        self.inbox = self.base / "inbox"
        self.inbox.mkdir(parents=True)
        self.told: list[str] = []
        self.given_up: list[tuple[str, Offer, Path]] = []
        self.looked_up: list[tuple[str, Offer]] = []
        self.cannot_remove: LocalFileError | None = None
        self.registered: list[tuple[str, Offer, Path | None]] = []
        self.begin_daemon()

    def begin_daemon(self) -> None:
        """The first one, or one after that was killed."""
        self.tokens = 0
        self.offers = PendingOffers(self.clock, self.token)

    def token(self) -> str:
        self.tokens += 1
        return f"offer-{self.tokens}"

    def host(self, *rules: AcceptRule, **more: Any) -> Reception:
        """The reception; without rules, whatever the configuration has by itself."""
        rules_if_any = {"accept": list(rules)} if rules else {}
        files = {"certificate": Path("m4.m.pem"), "key": Path("m4.m.key"), "inbox": self.inbox}
        entry = PeerEntry.model_validate({"name": "m4.m", **files, **rules_if_any, **more})
        return Reception(
            entry,
            self.offers,
            self.register,
            self.give_up,
            self.check_wanted,
            self.base / "state",
            at_once,
            self.clock.seconds,
        )

    def register(self, acting: str, offer: Offer, stop: Callable[[str], None], folder: Path | None) -> Session:
        self.registered.append((acting, offer, folder))
        return Session(offer, stop)

    async def check_wanted(self, acting: str, offer: Offer) -> None:
        self.looked_up.append((acting, offer))

    async def give_up(self, acting: str, offer: Offer, folder: Path) -> None:
        self.given_up.append((acting, offer, folder))
        if self.cannot_remove is not None:
            raise self.cannot_remove

    def admit(self, host: Reception, offer: Offer | None = None) -> Deferred[Terms]:
        return Deferred.fromCoroutine(host.admit(offer or transfer(), self.told.append))

    def admitted(self, host: Reception, offer: Offer | None = None) -> Terms:
        """Have it admitted; nobody is asked."""
        terms: Terms = self.successResultOf(self.admit(host, offer))
        return terms

    def agreed_to(self, host: Reception, offer: Offer | None = None) -> Terms:
        """Have it admitted by the user."""
        asking = self.admit(host, offer)
        self.assertNoResult(asking)
        self.offers.decide(f"offer-{self.tokens}", True)
        terms: Terms = self.successResultOf(asking)
        return terms

    def begin(self, sender: str = "n1.n", transfer_id: str = ID) -> Path:
        """Something of a transfer has come."""
        folder = self.inbox / f".p2p-{local_id(sender, transfer_id)}"
        folder.mkdir()
        return folder

    def bounds(self, terms: Terms) -> Bounds:
        """What may come on these terms."""
        assert terms.bounds is not None
        return terms.bounds

    def refused(self, call: Callable[..., Any], *arguments: Any) -> str:
        failure = self.assertRaises(ExchangeFailed, call, *arguments)
        self.assertIs(Outcome.REFUSED, failure.outcome)
        return str(failure)

    def not_admitted(self, asking: Deferred[Terms]) -> str:
        failure = self.failureResultOf(asking, ExchangeFailed).value
        self.assertIs(Outcome.REFUSED, failure.outcome)
        return str(failure)


class RulesTests(ReceptionCase):
    """Rules, for what can wait and what can't."""

    def test_no_rules(self) -> None:
        """Without rules every service is allowed to every peer, and nobody is asked."""
        host = self.host()
        host.allow(Offer("n1.n", "echo"))
        host.store_terms(Offer("n1.n", "store"))
        self.assertIsNone(self.admitted(host).bounds)
        self.assertEqual([], self.told)

    def test_no_peer_is_named(self) -> None:
        """With an empty list of rules nothing is allowed."""
        self.assertIn("no rule of m4.m accepts echo", self.refused(self.host(accept=[]).allow, Offer("n1.n", "echo")))

    def test_refused(self) -> None:
        """What a rule refuses is refused at once in all three ways, with the same reason."""
        host = self.host(rule("refuse"))
        reason = "a rule of m4.m refuses transfer of type data from n1.n"
        self.assertEqual(reason, self.refused(host.allow, transfer()))
        self.assertEqual(reason, self.refused(host.store_terms, transfer()))
        self.assertEqual(reason, self.not_admitted(self.admit(host)))

    def test_every_field(self) -> None:
        """A rule of the configuration counts with all that it says."""
        host = self.host(rule(**{"from": "*.n", "service": "transfer", "type": "video", "size": "1kB"}))
        film = Offer("n1.n", "transfer", "video", "film", 1000, 1, ID)
        self.admitted(host, film)
        for wrong in (
            Offer("m1.m", "transfer", "video", "film", 1000, 1, ID),
            Offer("n1.n", "fetch", "video", "film", 1000, 1, ID),
            Offer("n1.n", "transfer", "audio", "film", 1000, 1, ID),
            Offer("n1.n", "transfer", "video", "film", 1001, 1, ID),
        ):
            self.assertIn("no rule of m4.m accepts", self.not_admitted(self.admit(host, wrong)))

    def test_ask_those_who_cannot_wait(self) -> None:
        """What can't wait for a person is refused where one would be asked, and told what can."""
        host = self.host(rule("ask"))
        reason = "m4.m asks its user first, and store can't wait for that; p2p send can"
        self.assertEqual(reason, self.refused(host.allow, Offer("n1.n", "store")))
        self.assertEqual(reason, self.refused(host.store_terms, Offer("n1.n", "store")))
        self.assertEqual([], list(self.offers.offers()))


class ConsentTests(ReceptionCase):
    """Where a rule leaves it to the user."""

    def setUp(self) -> None:
        super().setUp()
        self.asking = self.host(rule("ask"))

    def test_accepted(self) -> None:
        """The sender waits, is told why, and may begin when the user agrees."""
        self.agreed_to(self.asking)
        self.assertEqual(["m4.m asks its user, who has to say there: p2p offers accept offer-1"], self.told)

    def test_refused(self) -> None:
        """The user doesn't want it: the next offer of the same is asked about again."""
        asking = self.admit(self.asking)
        self.offers.decide("offer-1", False)
        self.assertEqual("the user of m4.m doesn't want it", self.not_admitted(asking))
        self.assertNoResult(self.admit(self.asking))

    def test_goes_on(self) -> None:
        """The user isn't asked again about what has begun, even if the daemon was killed meanwhile."""
        self.agreed_to(self.asking)
        self.begin()
        self.admitted(self.asking)
        self.begin_daemon()
        self.admitted(self.host(rule("ask")))

    def test_not_begun(self) -> None:
        """Where nothing of it is here, because it was cancelled perhaps, the user is asked again."""
        self.agreed_to(self.asking)
        self.assertNoResult(self.admit(self.asking))

    def test_of_another_sender(self) -> None:
        """What one peer may send doesn't let another one in, though it names the same id."""
        self.agreed_to(self.asking)
        self.begin()
        self.assertNoResult(self.admit(self.asking, transfer(sender="n2.n")))

    def test_without_agreement(self) -> None:
        """What had begun before rules were made for it is asked about."""
        self.begin()
        self.assertNoResult(self.admit(self.asking))

    def test_complete(self) -> None:
        """A sender that missed the end of a transfer hears of it without the user being asked again."""
        self.agreed_to(self.asking)
        completion_notes(self.base / "state").note(LOCAL, Totals(3, 10))
        self.admitted(self.asking)

    def test_more_than_agreed(self) -> None:
        """A transfer that has become much larger is another offer."""
        self.agreed_to(self.asking)
        self.begin()
        self.admitted(self.asking, transfer(10 + GROWTH))
        self.assertNoResult(self.admit(self.asking, transfer(11 + GROWTH)))

    def test_more_comes_than_agreed(self) -> None:
        """A sender that offers little is held to that, also when it goes on with it and says nothing."""
        bounds = self.bounds(self.agreed_to(self.asking))
        reason = "more comes than the user of m4.m agreed to; offer it again as it is now"
        arrived = Arrived(1, {"data": GROWTH})
        self.assertEqual(["", reason], [bounds.why_not(arrived, "project", size) for size in (10, 11)])
        self.begin()
        again = self.bounds(self.admitted(self.asking, transfer(None)))
        self.assertEqual(reason, again.why_not(arrived, "project", 11))

    def test_any_size(self) -> None:
        """A user who agrees to something of unknown size agrees to whatever comes."""
        bounds = self.bounds(self.agreed_to(self.asking, transfer(None)))
        self.assertEqual("", bounds.why_not(Arrived(), "project", 10**9))

    def test_agreement(self) -> None:
        """All that the offer said binds, and other names are asked about again, though the transfer has begun."""
        names = Names.of(["a.mp3", "b"])
        said = Offer("n1.n", "transfer", "data", "a.mp3", 10, 2, ID, names, {"audio": 6, "data": 4})
        bounds = self.bounds(self.agreed_to(self.asking, said))
        self.assertEqual(Agreement(10, 2, names, frozenset({"audio", "data"})), bounds.agreement)
        self.begin()
        self.admitted(self.asking, said)
        self.assertNoResult(self.admit(self.asking, replace(said, names=Names.of(["a.mp3", "c"]))))

    def test_sender_leaves(self) -> None:
        """An offer whose sender is gone is shown no more."""
        asking = self.admit(self.asking)
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual([], list(self.offers.offers()))

    def test_disk_full(self) -> None:
        """If it can't be noted down that the user agreed, that is logged; the transfer comes all the same."""

        def full(*arguments: Any) -> None:
            raise OSError(28, "No space left on device")

        self.patch(Notes, "note", full)
        with capturedLogs() as logs:
            self.agreed_to(self.asking)
        warnings = [one["reason"] for one in logs if "note down" in one["log_format"]]
        self.assertEqual(["No space left on device"], warnings)


class TermsTests(ReceptionCase):
    """On what terms content is taken."""

    def test_configured(self) -> None:
        """The terms are those of the configuration, for transfers and for stored files."""
        host = self.host(exists="refuse", symlinks="refuse")
        for terms in (self.admitted(host), host.store_terms(Offer("n1.n", "store"))):
            self.assertEqual((self.inbox, "refuse", "refuse"), (terms.folder, terms.exists, terms.links))

    def test_size_of_the_rule(self) -> None:
        """A sender that doesn't say how much it sends, or lies, is held to the size of the rule."""
        host = self.host(rule(size=100))
        reason = "a rule of m4.m takes at most 100 bytes at a time from n1.n"
        for size in (None, 5):
            bounds = self.bounds(self.admitted(host, transfer(size)))
            found = [bounds.why_not(Arrived(1, {"text": 60}), "x", size) for size in (40, 41)]
            self.assertEqual(["", reason], found)
        room = host.store_terms(Offer("n1.n", "store")).room
        room(60)
        room(40)
        self.assertEqual(reason, self.refused(room, 1))

    def test_stored_by_its_name(self) -> None:
        """A film is judged as one, whatever its sender calls it."""
        host = self.host(rule("refuse", type="video"), rule())
        film = Offer("n1.n", "store", "text", "x.mkv", names=Names.of(["x.mkv"]))
        self.assertIn("type video", self.refused(host.store_terms, film))

    def test_quota(self) -> None:
        """All that comes shares the room of the inbox."""
        host = self.host(quota=100_000)
        self.admitted(host, transfer(None)).room(60_000)
        reason = self.refused(self.admitted(host, transfer(None, "n2.n")).room, 60_000)
        self.assertIn("needs 61.4 kB, 38.6 kB are free (its inbox has a quota of 100.0 kB)", reason)

    def test_announced(self) -> None:
        """What won't fit is refused at its first byte, not when the inbox is full."""
        host = self.host(quota=100_000)
        self.assertIn("quota", self.refused(self.admitted(host).needs, 100_001, 0))
        stored = host.store_terms(Offer("n1.n", "store", bytes=100_000))
        self.assertIn("needs 104.1 kB, 100.0 kB are free", self.refused(stored.room, 1))
        fits = host.store_terms(Offer("n1.n", "store", bytes=90_000))
        fits.room(80_000, 1)
        fits.room(10_000)  # what is announced is asked for once

    def test_keep_free(self) -> None:
        """The space that is to stay free stays free."""
        reason = self.refused(self.admitted(self.host(keep_free=1 << 60)).room, 1)
        self.assertIn("of its disk stay free", reason)


class RestTests(ReceptionCase):
    """What else a service asks its host."""

    def test_shares(self) -> None:
        """What is shared is what the configuration says."""
        self.assertEqual({"films": Path("/srv/films")}, self.host(share={"films": Path("/srv/films")}).shares)

    def test_state(self) -> None:
        """What must outlive the daemon has a folder."""
        self.assertEqual(self.base / "state", self.host().state)

    def test_journal(self) -> None:
        """Sessions are written down; those that bring something with the folder where their parts are."""
        host, offer = self.host(), transfer()
        fetched = Offer("n1.n", "fetch", id=ID)
        stopped: list[str] = []
        session = host.incoming(offer, stopped.append)
        host.incoming(fetched, stopped.append)
        self.assertEqual([("m4.m", offer, self.inbox), ("m4.m", fetched, None)], self.registered)
        assert isinstance(session, Session)
        session.stop("cancelled")
        self.assertEqual(["cancelled"], stopped)


class GivenUpTests(ReceptionCase):
    """Transfers that their senders won't go on with."""

    def test_wanted(self) -> None:
        """Whether a transfer was cancelled here is looked up for this very peer."""
        self.successResultOf(Deferred.fromCoroutine(self.host().check_wanted(transfer())))
        self.assertEqual([("m4.m", transfer())], self.looked_up)

    def test_given_up(self) -> None:
        """Whatever the rules say, what came of it into the inbox is removed."""
        self.successResultOf(Deferred.fromCoroutine(self.host(rule("refuse")).given_up(transfer())))
        self.assertEqual([("m4.m", transfer(), self.inbox)], self.given_up)

    def test_cannot_be_removed(self) -> None:
        """If the disk doesn't let it, the sender is told."""
        self.cannot_remove = LocalFileError("the inbox is read-only")
        failure = self.failureResultOf(Deferred.fromCoroutine(self.host().given_up(transfer())), ExchangeFailed).value
        self.assertEqual((Outcome.REFUSED, "the inbox is read-only"), (failure.outcome, str(failure)))
