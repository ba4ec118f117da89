"""Peers at all kinds of sites, asked for by peers at all kinds: what comes of it is what ``docs/reach.rst`` says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from unittest import SkipTest, skipUnless

from twisted.internet.defer import Deferred, gatherResults

from test.functional.cases import FunctionalCase
from test.functional.reach.matrix import EITHER, Matrix, expected
from test.functional.reach.net import ALL_SITES, DELAY_S, SITES, Site, impossible
from test.needs import needs

R = 2 * DELAY_S
"""A round trip between two sites, seconds."""

FIRST_S = 6 * R + 0.3
"""Seconds within which a link stands by a dial or a crossing, ``MAPPED_S`` by a mapping, ``RELAYED_S`` by a relay."""
MAPPED_S = 12 * R + 0.5
RELAYED_S = 3.0
SLACK_S = 2.0
"""Seconds that a machine which does much else may take besides."""


@skipUnless(os.geteuid() == 0 and Path("/dev/net/tun").exists(), "needs root and /dev/net/tun")
@needs("ip", "nft")
class DaemonsCase(FunctionalCase):
    """A peer of each cluster at each site, and the routers and a relay at open ones."""

    timeout = 120
    sites: Sequence[Site]

    async def prepare(self) -> None:
        """Start everybody."""
        if why := impossible():
            raise SkipTest(why)
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.matrix = Matrix(self.sites, Path(folder.name), stack)
        lab = self.own_lab(hosts={"n": self.matrix.host, "m": self.matrix.host})
        self.addCleanup(lambda: Deferred.fromCoroutine(self.matrix.close()))
        await self.matrix.start(lab, stack)

    async def all_as_expected(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Try some pairs beside each other, and see that each ends as the table says, in time."""
        found = [(pair, Deferred.fromCoroutine(self.matrix.tried(*pair))) for pair in pairs]
        all_tried = await gatherResults([one for _, one in found], consumeErrors=True)
        for ((asking, asked), _), tried in zip(found, all_tried, strict=True):
            names = self.sites[asking].name, self.sites[asked].name
            if (wanted := expected(*names)) != EITHER:
                self.assertEqual(wanted, tried.how, " asks ".join(names))
            limit = RELAYED_S if tried.how == "relayed" else MAPPED_S if self.sites[asking].ports else FIRST_S
            self.assertLess(tried.setup_s, max(limit, RELAYED_S if wanted == EITHER else 0) + SLACK_S, names)


class SixKindsTests(DaemonsCase):
    """Open, behind a firewall, and behind four kinds of NAT."""

    sites = SITES

    async def test_every_pair(self) -> None:
        """Every pair is tried, each initiator beside the others."""
        count = len(SITES)
        for turn in range(count):
            await self.all_as_expected((number, (number + turn) % count) for number in range(count))


class OtherKindsTests(DaemonsCase):
    """Two behind one NAT, NATs that give ports other numbers, one IP version, and what leads nowhere."""

    sites = (SITES[0], *ALL_SITES[len(SITES) :])

    async def test_alike_and_with_an_open_one(self) -> None:
        """Two of a kind are tried, each with an open one, both ways, and the one with the other IP version."""
        count = len(self.sites)
        await self.all_as_expected((number, number) for number in range(count))
        await self.all_as_expected((0, number) for number in range(1, count))
        await self.all_as_expected((number, 0) for number in range(1, count))
        names = [site.name for site in self.sites]
        six, dead = names.index("IPv6 alone"), names.index("dead IPv6")
        await self.all_as_expected([(six, dead), (dead, six)])


class TableTests(FunctionalCase):
    """What is expected."""

    def test_both_ways(self) -> None:
        """It doesn't matter who asks."""
        names = [site.name for site in ALL_SITES]
        for asking in names:
            for asked in names:
                self.assertEqual(expected(asking, asked), expected(asked, asking))
