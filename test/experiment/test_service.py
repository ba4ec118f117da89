"""The service ``experiment``: peers of an in-memory network do what a coordinator orders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs

from p2p.base.config import load_peers
from p2p.base.errors import ConfigError, LocalFileError, Outcome
from p2p.exchange.exchange import Request, Result
from p2p.experiment import service as module
from p2p.experiment.made_files import MadeFiles
from p2p.experiment.service import HOLD_S, ORDERS, Contents, ExperimentService, link_told
from p2p.experiment.words import (
    ORDER_BYTES,
    Cell,
    Ended,
    ExchangeTold,
    GaugeOrder,
    GaugeTold,
    LinkTold,
    Order,
    PrepareOrder,
    RunOrder,
    Told,
    parse_lines,
)
from p2p.link.hello import Steps
from p2p.peer.moments import Moments, Setup
from p2p.services.store import BytesSource
from test.cli.commands import PEER_YAML
from test.exchange.doubles import Gatherer, HeldThreads
from test.experiment.test_words import BLOCK
from test.peer.pair import NodeCase, at_once

COORDINATOR = "coordinator.n"

ORDER = BLOCK.model_copy(update={"partner": "m4.m", "rate": None, "exchanges": 3, "warm_up": 1})
WANTED = (ORDER.content, ORDER.size, ORDER.seed)


class ExperimentCase(NodeCase):
    """n1.n grants orders to the coordinator; m4.m is its partner."""

    def setUp(self) -> None:
        self.pair = self.make_pair()
        self.network = self.pair.network
        self.folder = Path(self.mktemp())
        self.contents = Contents(self.folder, at_once)
        self.service = ExperimentService(
            self.pair.peers,
            [COORDINATOR],
            self.contents,
            self.network,
            lambda: int(self.network.seconds() * 1e9),
            "first",
        )
        around = self.pair.n1._around
        self.pair.n1._around = replace(around, services=around.services.joined_by(self.service))
        self.coordinator = self.pair.host(COORDINATOR, "192.0.2.3")
        self.network.advance(1)  # so that no time is 0

    def order(self, order: Order | bytes, sender: str = COORDINATOR) -> Deferred[Result]:
        """Give n1.n an order."""
        self.sink = Gatherer()
        data = order if isinstance(order, bytes) else order.model_dump_json().encode()
        sender_peer = self.pair.peers[sender]
        giving = Deferred.fromCoroutine(
            sender_peer.exchange("n1.n", Request("experiment"), BytesSource(data), lambda: self.sink, planned_ns=0)
        )
        self.network.settle()
        return giving

    def told(self, giving: Deferred[Result]) -> list[Told]:
        """What n1.n told in an exchange that has ended well."""
        self.successResultOf(giving)
        return list(parse_lines(bytes(self.sink.data).decode()))


class ExperimentServiceTests(ExperimentCase):
    def test_prepare(self) -> None:
        """The link to the partner is fresh, and each leg of its set-up is told."""
        for _ in range(2):
            (link,) = self.told(self.order(PrepareOrder(block=ORDER)))
            assert isinstance(link, LinkTold)
            self.assertEqual((link.table_lookup_ns, link.router_lookup_ns), (400, 90000))
            self.assertIsNotNone(link.ticket_ns)
        asked = [arguments["target"] for initiator, arguments in self.pair.routers.asked if initiator == "n1.n"]
        self.assertEqual(asked, ["m4.m", "m4.m"])

    def test_run(self) -> None:
        """The exchanges of a block come home, and the link to the partner is closed behind it."""
        self.told(self.order(PrepareOrder(block=ORDER)))
        giving = self.order(RunOrder(block=ORDER))
        self.assertEqual(b"", bytes(self.sink.data), "others may still be measured, at another daemon")
        self.network.advance(HOLD_S)
        *samples, end = self.told(giving)
        self.assertEqual(end, Ended(offered=3, bytes=3 * 2 * ORDER.size, took_ns=0, ok=3))
        self.assertEqual(len(samples), 3)
        for one in samples:
            assert isinstance(one, ExchangeTold)
            self.assertEqual((one.bytes, one.reply_bytes, one.outcome), (ORDER.size, ORDER.size, "ok"))
        self.assertNotIn("m4.m", self.pair.n1.links)

    def test_interleaved(self) -> None:
        """The messages of a set have the contents of their kinds, and the partner gets them over one link."""
        cells = [
            Cell(service="echo", content="random", label="data", name="random"),
            Cell(service="uppercase", content="text", label="text", name="text"),
        ]
        order = ORDER.model_copy(update={"cells": cells, "seeds": [1, 2], "exchanges": 2, "warm_up": 0})
        self.told(self.order(PrepareOrder(block=order)))
        giving = self.order(RunOrder(block=order))
        self.network.advance(HOLD_S)
        *samples, _ = self.told(giving)
        found = [(one.set, one.cell, one.outcome) for one in samples if isinstance(one, ExchangeTold)]
        self.assertEqual(sorted(found), [(0, 0, "ok"), (0, 1, "ok"), (1, 0, "ok"), (1, 1, "ok")])
        self.assertEqual(len(list(self.folder.iterdir())), 4)

    def test_unsampled(self) -> None:
        """With sampling off only the sums come home."""
        giving = self.order(RunOrder(block=ORDER.model_copy(update={"sampling": False})))
        self.network.advance(HOLD_S)
        (end,) = self.told(giving)
        self.assertEqual(end, Ended(offered=3, bytes=3 * 2 * ORDER.size, took_ns=0, ok=3))

    def test_each_second(self) -> None:
        """Samples come home each second while the block goes on, and an empty line where there are none."""
        block = ORDER.model_copy(update={"rate": 2.0, "warm_up": 4, "exchanges": 5})
        giving = self.order(RunOrder(block=block))
        self.network.advance(1)
        self.assertEqual(bytes(self.sink.data), b"\n")
        for _ in range(4):
            self.network.advance(0.5)
        self.assertIn(len(list(parse_lines(bytes(self.sink.data).decode()))), (2, 3))
        self.network.advance(2)
        self.assertEqual(len(self.told(giving)), 6)

    def test_quiet(self) -> None:
        """A block that has ended tells its samples when no other of the daemon is under way, or at the next second."""
        other = self.order(RunOrder(block=ORDER.model_copy(update={"rate": 0.5, "exchanges": 1})))
        giving = self.order(RunOrder(block=ORDER))
        sink = self.sink
        self.assertEqual(bytes(sink.data), b"")
        self.network.advance(1)
        self.assertEqual(len(list(parse_lines(bytes(sink.data).decode()))), 3)
        self.network.advance(2)
        self.successResultOf(other)
        self.assertEqual(len(self.told(giving)), 4)

    def test_gauge(self) -> None:
        """A peer tells what its daemon holds."""
        (told,) = self.told(self.order(GaugeOrder()))
        assert isinstance(told, GaugeTold)
        self.assertGreater(told.rss_bytes, 0)
        self.assertEqual(told.life, "first")
        self.patch(module, "read_gauge", lambda pid: None)
        self.assertIn("nobody can tell", self.failed(self.order(GaugeOrder()), Outcome.REFUSED))

    def test_not_granted(self) -> None:
        """Who isn't named in the configuration is refused, with the line that would allow it."""
        self.assertIn("experiment: [m4.m]", self.failed(self.order(GaugeOrder(), "m4.m"), Outcome.REFUSED))

    def test_senseless(self) -> None:
        """What is no order is refused, and so is what is too long for one."""
        self.failed(self.order(b"dance!"), Outcome.REFUSED)
        self.assertIn(f"at most {ORDER_BYTES}", self.failed(self.order(b" " * (ORDER_BYTES + 1)), Outcome.REFUSED))

    def test_too_many(self) -> None:
        """A peer carries out a few orders at once and refuses more."""
        block = ORDER.model_copy(update={"rate": 0.1})
        giving = [self.order(RunOrder(block=block)) for _ in range(ORDERS)]
        self.assertIn("already", self.failed(self.order(GaugeOrder()), Outcome.REFUSED))
        for one in giving:
            one.cancel()
            self.failureResultOf(one, CancelledError)
        self.network.settle()
        self.told(self.order(GaugeOrder()))

    def test_unreachable(self) -> None:
        """A partner that can't be reached ends the order with its outcome, and names both."""
        reason = self.failed(
            self.order(PrepareOrder(block=ORDER.model_copy(update={"partner": "m9.m"}))), Outcome.UNKNOWN_PEER
        )
        self.assertIn("n1.n can't reach m9.m", reason)

    def test_no_content(self) -> None:
        """Content that can't be made is a reason to refuse, with what to do."""

        def full(self: object, content: str, size: int) -> Path:
            raise LocalFileError("no space left")

        self.patch(MadeFiles, "get", full)
        self.assertIn("no space left", self.failed(self.order(PrepareOrder(block=ORDER)), Outcome.REFUSED))

    def test_taken_back(self) -> None:
        """When the coordinator goes, what it ordered ends, nothing is logged as a fault, and nothing is left."""
        with capturedLogs() as events:
            giving = self.order(RunOrder(block=ORDER.model_copy(update={"rate": 1.0, "exchanges": 100})))
            self.network.advance(3)
            giving.cancel()
            self.failureResultOf(giving, CancelledError)
            self.network.settle()
        self.assertEqual([event for event in events if "log_failure" in event], [])
        self.assertEqual(self.service._busy, {"n1.n": 0})
        self.assert_nothing_left(self.pair)


class ContentsTests(NodeCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def test_once(self) -> None:
        """What several peers want at once is made once, and later comes from memory."""
        threads = HeldThreads()
        contents = Contents(self.folder, threads)
        waiting = [Deferred.fromCoroutine(contents.get(*WANTED)) for _ in range(3)]
        waiting[1].cancel()
        self.failureResultOf(waiting[1], CancelledError)
        threads.work()
        first, third = (self.successResultOf(waiting[place]) for place in (0, 2))
        self.assertIs(first, third)
        self.assertEqual(first.source.length, ORDER.size)
        again = Deferred.fromCoroutine(contents.get(*WANTED))
        self.assertIs(self.successResultOf(again), first)
        self.assertEqual(len(list(self.folder.iterdir())), 1)

    def test_memory(self) -> None:
        """Memory has a bound: what wasn't used for the longest time is read from its file again."""
        self.patch(module, "KEPT_BYTES", 2 * ORDER.size)
        contents = Contents(self.folder, at_once)

        def get(seed: int) -> Any:
            return self.successResultOf(Deferred.fromCoroutine(contents.get(ORDER.content, ORDER.size, seed)))

        made = {seed: get(seed) for seed in (1, 2)}
        self.assertIs(get(1), made[1])
        get(3)
        self.assertIs(get(1), made[1])
        self.assertIsNot(get(2), made[2])

    def test_lost(self) -> None:
        """A file that can't be read is named."""
        self.patch(MadeFiles, "get", lambda self, content, size: Path("/nowhere/x"))
        failing = Deferred.fromCoroutine(Contents(self.folder, at_once).get(*WANTED))
        self.assertIn("/nowhere/x", str(self.failureResultOf(failing, LocalFileError).value))


class LinkToldTests(NodeCase):
    def test_legs(self) -> None:
        """The legs follow from the moments of the attempt and the steps of the connection."""
        link = self.make_pair().link()
        moments = Moments(began_ns=100, port=1, bound_ns=150, asked_ns=151, answered_ns=900)
        setup = Setup(setup_ns=1000, table_lookup_ns=5, router_lookup_ns=6, moments=moments)
        link.steps = Steps(connected_ns=700, secured_ns=1050, proved_ns=1100)
        self.assertEqual(
            link_told(link, setup),
            LinkTold(
                setup_ns=1000,
                table_lookup_ns=5,
                router_lookup_ns=6,
                listen_ns=50,
                instruct_ns=750,
                dial_ns=0,
                tls_ns=350,
                ticket_ns=50,
            ),
        )
        link.steps = Steps(connected_ns=1000, secured_ns=0, proved_ns=1100)
        plain = link_told(link, replace(setup, router_lookup_ns=0))
        self.assertEqual((plain.dial_ns, plain.tls_ns, plain.ticket_ns, plain.router_lookup_ns), (100, None, 100, None))

    def test_unseen(self) -> None:
        """A link that the other side asked for, or that was there, has no legs here."""
        link = self.make_pair().link()
        self.assertEqual(link_told(link, Setup(reused=True)), LinkTold())
        self.assertEqual(link_told(link, Setup(setup_ns=7)), LinkTold(setup_ns=7))

    def test_no_socket(self) -> None:
        """Where there is no socket the kernel isn't asked."""
        self.assertIsNone(self.make_pair().link().tcp_info())


class GrantTests(NodeCase):
    def test_grants(self) -> None:
        """The key ``experiment`` names peers, one or several, by whole names; without it nobody is granted anything."""
        folder = Path(self.mktemp())
        folder.mkdir()
        path = folder / "peer.yaml"
        for line, granted in (
            ("", []),
            ("experiment: coordinator.n\n", ["coordinator.n"]),
            ("experiment: [a.n, b.m]\n", ["a.n", "b.m"]),
        ):
            path.write_text(PEER_YAML + line)
            self.assertEqual(load_peers(path, files=False).experiment, granted)
        path.write_text(PEER_YAML + "experiment: ['*.n']\n")
        self.assertIn("experiment", str(self.assertRaises(ConfigError, load_peers, path, files=False)))
