"""Peers at all kinds of sites, asked for by peers at all kinds: what comes of it is what ``docs/reach.rst`` says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from unittest import SkipTest, skipUnless

from twisted.internet.defer import Deferred, gatherResults

from p2p.base.errors import ExchangeFailed
from test.functional.cases import FunctionalCase
from test.functional.lab import reactor
from test.functional.reach.matrix import DIRECT, EITHER, RELAYED, SITUATIONS, Matrix, expected, limit_s, situation
from test.functional.reach.net import ALL_SITES, Site, impossible
from test.needs import needs

ERROR_S: Final = 5.0
"""Seconds within which it is said that no link can be."""
SLACK_S: Final = 2.0
"""Seconds that a machine which does much else may take besides."""
ALIKE: Final = {"NAT that drops", "NAT behind NAT", "one NAT, two networks", "dead IPv6", "a dead interface"}
"""Sites at which the same happens as at others."""
TURNS_AT_ONCE: Final = 3
REACH: Final = Path(__file__).parents[3] / "docs" / "reach.rst"


@skipUnless(os.geteuid() == 0 and Path("/dev/net/tun").exists(), "needs root and /dev/net/tun")
@needs("ip", "nft")
class DaemonsCase(FunctionalCase):
    """A peer of each cluster at each site, and the routers and a relay at open ones."""

    timeout = 300
    sites: Sequence[Site]
    relay = True

    async def prepare(self) -> None:
        """Start everybody."""
        if why := impossible():
            raise SkipTest(why)
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.matrix = Matrix(self.sites, Path(folder.name), stack, relay=self.relay)
        lab = self.own_lab(hosts={"n": self.matrix.host, "m": self.matrix.host})
        self.addCleanup(lambda: Deferred.fromCoroutine(self.matrix.close()))
        await self.matrix.start(lab)

    async def all_as_expected(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Try some pairs beside each other, and see that each ends as the table says, in time."""
        tries = list(pairs)
        trying = [Deferred.fromCoroutine(self.matrix.tried(*pair)) for pair in tries]
        for (asking, asked), tried in zip(tries, await gatherResults(trying, consumeErrors=True), strict=True):
            names = self.sites[asking].name, self.sites[asked].name
            if (wanted := expected(*names)) != EITHER:
                self.assertEqual(wanted, tried.how, " asks ".join(names))
            self.assertLess(tried.setup_s, limit_s(*names) + SLACK_S, names)


class EveryPairTests(DaemonsCase):
    """A site for each way in which a link comes up, and a relay; ``python -m test.functional.reach`` tries all."""

    sites = tuple(site for site in ALL_SITES if site.name not in ALIKE)

    async def test_every_pair(self) -> None:
        """Every ordered pair is tried, each initiator beside the others: those that come to a direct link in turns, and
        those that take seconds some turns at once."""
        count = len(self.sites)
        slow: list[tuple[int, int]] = []
        for turn in range(count):
            pairs = [(number, (number + turn) % count) for number in range(count)]
            quick = [pair for pair in pairs if expected(*(self.sites[one].name for one in pair)) == DIRECT]
            await self.all_as_expected(quick)
            slow += [pair for pair in pairs if pair not in quick]
            if turn % TURNS_AT_ONCE == TURNS_AT_ONCE - 1 or turn == count - 1:
                await self.all_as_expected(slow)
                slow = []


class NoRelayTests(DaemonsCase):
    """Sites between which nothing direct comes up, and no relay."""

    sites = tuple(site for site in ALL_SITES if site.name in {"NAT with random ports", "IPv6 alone"})
    relay = False

    async def test_errors(self) -> None:
        """Where a relay would be needed, an error comes in time, and names the target and what to do."""
        count = len(self.sites)
        pairs = [(asking, asked) for asking in range(count) for asked in range(count)]
        needing = [pair for pair in pairs if expected(*(self.sites[one].name for one in pair)) == RELAYED]
        self.assertEqual(len(pairs) - 1, len(needing))
        await gatherResults([Deferred.fromCoroutine(self.failing(*pair)) for pair in needing], consumeErrors=True)

    async def failing(self, asking: int, asked: int) -> None:
        """See a pair come to nothing."""
        names = " asks ".join(self.sites[one].name for one in (asking, asked))
        began = reactor.seconds()
        try:
            tried = await self.matrix.tried(asking, asked)
        except ExchangeFailed as error:
            self.assertLess(reactor.seconds() - began, ERROR_S + SLACK_S, names)
            self.assertIn("was told to dial", str(error), names)
            remedy = "appoint a relay" if "IPv6 alone" in names else "let TCP in"
            self.assertIn(remedy, str(error), names)
        else:
            self.fail(f"{names}: {tried}")


class TableTests(FunctionalCase):
    """What is expected."""

    def test_both_ways(self) -> None:
        """It doesn't matter who asks."""
        names = [site.name for site in ALL_SITES]
        for asking in names:
            for asked in names:
                self.assertEqual(situation(asking, asked), situation(asked, asking))

    def test_documented(self) -> None:
        """It is what ``docs/reach.rst`` says of each situation, and there is a pair of sites in each."""
        _, *rows = table(REACH.read_text("utf-8"))
        *rows, (without, error) = rows
        self.assertEqual(SITUATIONS, {situation: outcome(told) for situation, told in rows})
        names = [site.name for site in ALL_SITES]
        self.assertEqual(set(SITUATIONS), {situation(asking, asked) for asking in names for asked in names})
        self.assertEqual([RELAYED] * 3, list(SITUATIONS.values())[-3:])
        self.assertEqual("the last three, and no relay", without)
        self.assertIn(f"an error within {ERROR_S:g} s", error)


def table(text: str) -> list[tuple[str, str]]:
    """The rows of the first table with two columns in a document."""
    rows = [("", "")]
    for line in text.splitlines():
        if line.startswith("| "):
            left, right = (cell.strip() for cell in line.strip("|").split("|"))
            rows[-1] = (f"{rows[-1][0]} {left}".strip(), f"{rows[-1][1]} {right}".strip())
        elif line.startswith("+") and rows[-1][0]:
            rows.append(("", ""))
    return rows[:-1]


def outcome(told: str) -> str:
    """What the document says in so many words, in one."""
    if told.startswith("linked by a relay"):
        return RELAYED
    if told.startswith("linked, mostly"):
        return EITHER
    return DIRECT if told.startswith(("linked", "as two firewalls")) else told
