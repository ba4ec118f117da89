"""Tests for :mod:`p2p.exchange.rules`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.exchange.rules import (
    GROWTH,
    GROWTH_ENTRIES,
    NAMES_BYTES,
    Action,
    Agreement,
    Arrived,
    Bounds,
    Names,
    Offer,
    Rule,
    Verdict,
    decide,
)


def offer(sender: str = "n1.n", service: str = "transfer", **more: Any) -> Offer:
    return Offer(sender, service, **more)


def content(*names: str, **by_type: int) -> Offer:
    """An offer that says what is in it."""
    size = sum(by_type.values())
    return offer(names=Names.of(names), bytes=size, entries=len(names), by_type=by_type)


class RuleTests(SynchronousTestCase):
    """Which offers a rule is about."""

    def test_everything(self) -> None:
        """A rule that names nothing is about everything."""
        self.assertTrue(Rule().meets(offer(bytes=10**15), "data"))

    def test_senders(self) -> None:
        """Patterns are of whole names, and one that fits is enough; the case of letters counts."""
        rule = Rule(senders=("n1.n", "*.m"))
        met = [
            name
            for name in ("n1.n", "n11.n", "an1.n", "m1.m", "m1.mm", "m.x", "N1.n")
            if rule.meets(offer(name), "data")
        ]
        self.assertEqual(["n1.n", "m1.m"], met)

    def test_services(self) -> None:
        """Where services are named, the offer has to be for one of them."""
        rule = Rule(services=frozenset({"transfer", "store"}))
        self.assertTrue(rule.meets(offer(service="store"), "data"))
        self.assertFalse(rule.meets(offer(service="echo"), "data"))

    def test_types(self) -> None:
        """Where types are named, the offer has to be of one of them."""
        rule = Rule(types=frozenset({"video"}))
        self.assertTrue(rule.meets(offer(), "video"))
        self.assertFalse(rule.meets(offer(), "data"))

    def test_size(self) -> None:
        """An offer may have as many bytes as the rule says, and no more; one of unknown size is held to that later."""
        rule = Rule(size=100)
        met = [rule.meets(offer(bytes=size), "data") for size in (0, 100, 101, None)]
        self.assertEqual([True, True, False, True], met)

    def test_size_of_types(self) -> None:
        """The size is that of the types which the rule is about, together; of all if it names none."""
        mixture = content("a", "b", audio=60, video=50, text=1000)
        for types, met in ((("audio",), True), (("audio", "video"), False), (("text",), False), ((), False)):
            self.assertEqual(met, Rule(types=frozenset(types), size=100).meets(mixture, "audio"), types)


class OfferTests(SynchronousTestCase):
    """What is in an offer."""

    def test_names(self) -> None:
        """Names are listed as far as there is room for them; of the others there is a count, and a digest of all."""
        few = Names.of(["a", "b"])
        self.assertEqual(Names(("a", "b"), 2), few)
        fits = [f"{number:06}" for number in range(NAMES_BYTES // 7)]
        self.assertEqual(Names(tuple(fits), len(fits)), Names.of(fits))
        exact = ["a" * (NAMES_BYTES - 3), "é"]
        self.assertEqual(NAMES_BYTES, len("/".join(exact).encode()))
        self.assertEqual((2, 1), (len(Names.of(exact).listed), len(Names.of([exact[0], "é+"]).listed)))
        many = [f"{number:06}" for number in range(10_000)]
        known = Names.of(many)
        self.assertEqual((len(fits), 10_000, 64), (len(known.listed), known.count, len(known.digest)))
        self.assertLessEqual(len("/".join(known.listed)), NAMES_BYTES)
        self.assertNotEqual(known.digest, Names.of([*many[:-1], "another"]).digest)

    def test_types(self) -> None:
        """They are those of what is in it; what the sender says adds one and takes none away."""
        for offered, types in (
            (content("s9.mp3", "y", audio=3, data=4), {"audio", "data"}),
            (content("films", video=3), {"video"}),
            (content("x.mkv", data=3), {"data", "video"}),
            (content("empty"), {"data"}),
            (offer(names=Names.of(["s9.mp3", "films"])), {"audio", "data"}),
            (offer(names=Names.of(["x.mkv"]), type="data"), {"video"}),
            (offer(names=Names.of(["y.sh"]), type="audio"), {"audio", "text"}),
            (offer(names=Names.of(["y"]), type="audio"), {"audio", "data"}),
            (offer(service="echo", type="text"), {"text"}),
        ):
            self.assertEqual(types, offered.types, offered)


class DecideTests(SynchronousTestCase):
    """What is done with offers."""

    def test_no_rules(self) -> None:
        """Without rules everything is accepted: only peers of the lab get here."""
        self.assertEqual(Verdict("accept"), decide(None, offer(), "m4.m"))

    def test_first_match(self) -> None:
        """The first rule that an offer meets decides, with its size, whatever the later ones say."""
        rules = [
            Rule(senders=("n9.n",), action="refuse"),
            Rule(size=10, action="accept"),
            Rule(size=1000, action="ask"),
            Rule(action="accept"),
        ]
        self.assertEqual(Verdict("accept", 10), decide(rules, offer(bytes=10), "m4.m"))
        self.assertEqual(Verdict("ask", 1000), decide(rules, offer(bytes=11), "m4.m"))
        self.assertEqual(Verdict("accept"), decide(rules, offer(bytes=1001), "m4.m"))
        self.assertEqual("refuse", decide(rules, offer("n9.n", bytes=1), "m4.m").action)

    def test_refused_by_a_rule(self) -> None:
        """Whoever is refused is told whose rule does so, and what it refuses."""
        verdict = decide([Rule(action="refuse")], offer(type="video"), "m4.m")
        self.assertEqual(Verdict("refuse", reason="a rule of m4.m refuses transfer of type video from n1.n"), verdict)

    def test_no_match(self) -> None:
        """Where there are rules and none is met, the offer is refused, and told with its size: that may be why."""
        rules = [Rule(senders=("*.m",)), Rule(size=10)]
        verdict = decide(rules, offer(bytes=11), "m4.m")
        reason = "no rule of m4.m accepts transfer of type data from n1.n, 11 bytes"
        self.assertEqual(Verdict("refuse", reason=reason), verdict)
        self.assertEqual("no rule of m4.m accepts transfer of type data from n1.n", decide([], offer(), "m4.m").reason)

    def test_strictest(self) -> None:
        """Of several types each meets its own rule, and the strictest of these decides, whatever their order."""
        audio, rest = frozenset({"audio"}), frozenset({"text", "data"})
        rules = [Rule(types=audio, size=50, action="ask"), Rule(types=rest, size=20), Rule(action="refuse")]
        for offered, verdict in (
            (content("a", audio=50), Verdict("ask", 50)),
            (content("a", text=20), Verdict("accept", 20)),
            (content("a", "b", audio=50, text=20), Verdict("ask", 20)),
            (content("a", "b", text=15, data=6), Verdict("refuse", reason="a rule of m4.m refuses transfer of type")),
            (content("a", "b", audio=1, video=1), Verdict("refuse", reason="a rule of m4.m refuses transfer of type")),
        ):
            found = decide(rules, offered, "m4.m")
            self.assertEqual((verdict.action, verdict.size), (found.action, found.size), offered)
            self.assertTrue(found.reason.startswith(verdict.reason), found)

    def test_folder_of_films(self) -> None:
        """A rule on films fits a folder of films, and not one that has something else in it as well."""
        rules = [Rule(types=frozenset({"video"}))]
        self.assertEqual("accept", decide(rules, content("films", video=5), "m4.m").action)
        self.assertEqual("refuse", decide(rules, content("films", video=5, data=1), "m4.m").action)

    @given(
        st.lists(
            st.builds(
                Rule,
                senders=st.lists(st.sampled_from(["*", "*.n", "n1.n", "*.m"]), min_size=1).map(tuple),
                services=st.frozensets(st.sampled_from(["transfer", "store"])),
                types=st.frozensets(st.sampled_from(["data", "video"])),
                size=st.none() | st.integers(0, 100),
                action=st.sampled_from(["accept", "ask", "refuse"]),
            )
        ),
        st.sampled_from(["n1.n", "n2.n", "m1.m"]),
        st.none() | st.integers(0, 100),
    )
    def test_closed(self, rules: list[Rule], sender: str, size: int | None) -> None:
        """Nothing gets in without a rule for it, and never with more bytes than that rule says."""
        offered = offer(sender, bytes=size)
        verdict = decide(rules, offered, "m4.m")
        met = [rule for rule in rules if rule.meets(offered, "data")]
        expected: Action = met[0].action if met else "refuse"
        self.assertEqual(expected, verdict.action)
        self.assertEqual(verdict.action == "refuse", bool(verdict.reason))
        if met:
            self.assertEqual(met[0].size, verdict.size)


class AgreementTests(SynchronousTestCase):
    """What a person has agreed to."""

    def test_size(self) -> None:
        """A little more than was offered may come, since logs grow while they wait; much more is another offer."""
        agreement = Agreement(10**9)
        self.assertEqual(10**9 + 10**7 + GROWTH, agreement.most)
        self.assertTrue(agreement.covers(offer(bytes=10**9 + 10**7 + GROWTH)))
        self.assertFalse(agreement.covers(offer(bytes=10**9 + 10**7 + GROWTH + 1)))

    def test_unknown(self) -> None:
        """Who agrees to a size that nobody knows agrees to any; and who doesn't say a size is held to the one known."""
        self.assertEqual((None, None), (Agreement(None).most, Agreement(None).most_entries))
        self.assertTrue(Agreement(None).covers(offer(bytes=10**15)))
        self.assertTrue(Agreement(5).covers(offer(bytes=None)))

    def test_entries(self) -> None:
        """A few more entries may come, since folders get files while they wait; a single thing stays a single thing."""
        self.assertEqual([0, 1, 2 + GROWTH_ENTRIES], [Agreement(None, entries).most_entries for entries in (0, 1, 2)])
        most = 1000 + 10 + GROWTH_ENTRIES
        agreement = Agreement(None, 1000)
        self.assertEqual(10**6 + 10**4 + GROWTH_ENTRIES, Agreement(None, 10**6).most_entries)
        self.assertEqual([True, False], [agreement.covers(offer(entries=most + more)) for more in (0, 1)])
        self.assertTrue(agreement.covers(offer()))

    def test_names_and_types(self) -> None:
        """Other names are another offer, and so are types of which nothing was said; fewer of these are not."""
        agreement = Agreement.to(content("a.mp3", "b.mp3", audio=5, text=1))
        self.assertEqual(frozenset({"audio", "text"}), agreement.types)
        self.assertTrue(agreement.covers(content("a.mp3", "b.mp3", audio=5)))
        self.assertTrue(agreement.covers(offer()))
        self.assertFalse(agreement.covers(content("a.mp3", "c.mp3", audio=5)))
        self.assertFalse(agreement.covers(content("a.mp3", "b.mp3", audio=5, data=0)))
        self.assertTrue(Agreement.to(offer(names=Names.of(["a"]))).covers(content("a", video=5)))


class ArrivedTests(SynchronousTestCase):
    """What has come."""

    def test_counts(self) -> None:
        """What was taken counts, with its bytes by type; names at the top count whatever became of them."""
        arrived = Arrived()
        for path, size, taken in (
            ("photos", 0, True),
            ("photos/a.mkv", 5, True),
            ("photos/b.MKV", 6, True),
            ("photos/c.mkv", 7, False),
            ("gone/", 0, False),
        ):
            arrived.add(path, size, taken=taken)
        self.assertEqual((3, {"video": 11}, 2), (arrived.entries, arrived.by_type, arrived.names))

    def test_digest(self) -> None:
        """It has the digest of an offer as soon as all names of that have come, in its order."""
        names = [f"{number:0200}" for number in range(100)]
        arrived, turned = Arrived(), Arrived()
        for name in names:
            arrived.add(name, 1, taken=True)
        for name in reversed(names):
            turned.add(name, 1, taken=True)
        self.assertEqual(Names.of(names).digest, arrived.digest)
        self.assertNotEqual(arrived.digest, turned.digest)


class BoundsTests(SynchronousTestCase):
    """What may come."""

    def bounds(self, rules: list[Rule], offered: Offer, *, asked: bool = True) -> Bounds:
        """What may come of an offer."""
        found = decide(rules, offered, "m4.m").rules
        assert found is not None
        return Bounds("m4.m", "n1.n", found, Agreement.to(offered) if asked else None)

    def test_accepted(self) -> None:
        """Where nobody was asked, whatever the rules accept may come, by any name, and as much as they say."""
        bounds = self.bounds([Rule(size=100)], content("a.mp3", audio=1), asked=False)
        self.assertEqual("", bounds.why_not(Arrived(99, {"text": 60}), "other.mkv", 40))
        self.assertEqual("", bounds.why_not(Arrived(), "folder", None))
        reason = "a rule of m4.m takes at most 100 bytes at a time from n1.n"
        self.assertEqual(reason, bounds.why_not(Arrived(1, {"text": 60}), "other.mkv", 41))

    def test_types(self) -> None:
        """A file of a type that the rules don't take isn't taken, whatever was offered; what has no type is."""
        rules = [Rule(types=frozenset({"video"}), action="refuse"), Rule(types=frozenset({"text", "data"}))]
        bounds = self.bounds(rules, content("a", data=1), asked=False)
        self.assertEqual("", bounds.why_not(Arrived(), "a.txt", 1))
        self.assertEqual("", bounds.why_not(Arrived(), "a.mkv", None))
        self.assertIn("a rule of m4.m refuses files of type video", bounds.why_not(Arrived(), "a/x.mkv", 0))
        self.assertIn("no rule of m4.m accepts files of type audio", bounds.why_not(Arrived(), "a/x.mp3", 0))

    def test_not_asked(self) -> None:
        """What the user is to be asked about comes only if the offer said so, or nobody knew what is in it."""
        rules = [Rule(types=frozenset({"audio", "video"}), action="ask"), Rule()]
        reason = "m4.m asks its user about files of type video, and the offer didn't say that there are any"
        for offered, asked, told in (
            (content("a", data=1), False, reason),
            (content("a", audio=1), True, reason),
            (content("a", video=1), True, ""),
            (offer(names=Names.of(["a"])), True, ""),
        ):
            bounds = self.bounds(rules, offered, asked=asked)
            self.assertEqual(told, bounds.why_not(Arrived(), "a/x.mkv", 1), offered)
            self.assertEqual("", bounds.why_not(Arrived(), "a/x.txt", 1), offered)

    def test_names(self) -> None:
        """Only what the user was asked about by its name comes, and what is in it."""
        bounds = self.bounds([Rule(action="ask")], content("photo.jpg", "b", data=1))
        for path in ("photo.jpg", "b", "b/any"):
            self.assertEqual("", bounds.why_not(Arrived(), path, 1))
        reason = "the user of m4.m wasn't asked about '.bashrc'; offer it by its name"
        self.assertEqual([reason, reason], [bounds.why_not(Arrived(), ".bashrc", size) for size in (1, None)])

    def test_many_names(self) -> None:
        """Of names that weren't listed so many come as were offered; whether it were those is seen at the end."""
        names = [f"{number:0200}" for number in range(100)]
        bounds = self.bounds([Rule(action="ask")], content(*names, data=1))
        arrived = Arrived()
        for name in [*names[:-1], "other"]:
            self.assertEqual("", bounds.why_not(arrived, name, 0))
            arrived.add(name, 0, taken=True)
        self.assertIn("agreed to 100 names", bounds.why_not(arrived, "one more", 0))
        self.assertIn("aren't the 100", bounds.why_not_all(arrived))
        arrived = Arrived()
        for name in names:
            arrived.add(name, 0, taken=True)
        self.assertEqual("", bounds.why_not_all(arrived))

    def test_all(self) -> None:
        """Where the names are listed, or nobody was asked, there is nothing left to see at the end."""
        for asked in (True, False):
            self.assertEqual("", self.bounds([Rule(action="ask")], content("a"), asked=asked).why_not_all(Arrived()))

    def test_entries(self) -> None:
        """More entries than agreed to don't come: of a file that was offered not a folder full of them."""
        bounds = self.bounds([Rule(action="ask")], content("photo.jpg", data=10))
        reason = "more entries come than the user of m4.m agreed to; offer it again as it is now"
        self.assertEqual("", bounds.why_not(Arrived(), "photo.jpg", None))
        self.assertEqual(reason, bounds.why_not(Arrived(1), "photo.jpg/1", 0))

    def test_bytes(self) -> None:
        """More bytes than agreed to, of all types together, don't come."""
        bounds = self.bounds([Rule(action="ask")], content("a", "b", audio=10, data=10))
        reason = "more comes than the user of m4.m agreed to; offer it again as it is now"
        arrived = Arrived(1, {"audio": GROWTH})
        self.assertEqual(["", reason], [bounds.why_not(arrived, "b", size) for size in (20, 21)])
