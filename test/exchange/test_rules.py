"""Tests for :mod:`p2p.exchange.rules`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.exchange.rules import GROWTH, Action, Agreement, Offer, Rule, Verdict, decide


def offer(sender: str = "n1.n", service: str = "transfer", **more: Any) -> Offer:
    return Offer(sender, service, **more)


class RuleTests(SynchronousTestCase):
    """Which offers a rule is about."""

    def test_everything(self) -> None:
        """A rule that names nothing is about everything."""
        self.assertTrue(Rule().meets(offer(bytes=10**15)))

    def test_senders(self) -> None:
        """Patterns are of whole names, and one that fits is enough; the case of letters counts."""
        rule = Rule(senders=("n1.n", "*.m"))
        met = [name for name in ("n1.n", "n11.n", "an1.n", "m1.m", "m1.mm", "m.x", "N1.n") if rule.meets(offer(name))]
        self.assertEqual(["n1.n", "m1.m"], met)

    def test_services(self) -> None:
        """Where services are named, the offer has to be for one of them."""
        rule = Rule(services=frozenset({"transfer", "store"}))
        self.assertTrue(rule.meets(offer(service="store")))
        self.assertFalse(rule.meets(offer(service="echo")))

    def test_types(self) -> None:
        """Where types are named, the offer has to be of one of them."""
        rule = Rule(types=frozenset({"video"}))
        self.assertTrue(rule.meets(offer(type="video")))
        self.assertFalse(rule.meets(offer(type="data")))

    def test_size(self) -> None:
        """An offer may have as many bytes as the rule says, and no more; one of unknown size is held to that later."""
        rule = Rule(size=100)
        self.assertEqual([True, True, False, True], [rule.meets(offer(bytes=size)) for size in (0, 100, 101, None)])


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
        met = [rule for rule in rules if rule.meets(offered)]
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
        self.assertIsNone(Agreement(None).most)
        self.assertTrue(Agreement(None).covers(offer(bytes=10**15)))
        self.assertTrue(Agreement(5).covers(offer(bytes=None)))
