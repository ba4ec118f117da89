"""Tests for :mod:`p2p.transfer.receiving`: what goes beyond what was agreed to is left out, and all else comes."""

from __future__ import annotations

from p2p.base.errors import Outcome
from p2p.exchange.rules import GROWTH, Agreement, Bounds, Names, Rule
from p2p.transfer.records import Buffer
from test.transfer.arrivals import ReceivingTestCase, begun, chunk, end, ended, file, folder, gave_up, link

TYPES = ("text", "audio", "video", "data")


def agreed(*names: str, entries: int | None = None, size: int | None = None, types: str = "data text") -> Bounds:
    """What a person has agreed to; who asks about everything."""
    agreement = Agreement(size, entries, Names.of(names), frozenset(types.split()))
    return Bounds("m4.m", "n1.n", dict.fromkeys(TYPES, Rule(action="ask")), agreement)


class BoundsTests(ReceivingTestCase):
    """An engine that is told what may come."""

    def received_of(self, bounds: Bounds, *records: list[Buffer]) -> dict[str, str]:
        """The reasons why entries of a whole transfer were refused; empty for those that were taken."""
        receipts = self.received(*records, bounds=bounds)
        for receipt in receipts.values():
            self.assertIs(Outcome.REFUSED if receipt.reason else Outcome.OK, receipt.outcome)
        return {path: receipt.reason for path, receipt in receipts.items()}

    def test_folder_for_a_file(self) -> None:
        """Of one entry of 10 bytes there comes one entry, however much is sent."""
        many = [file(f"photo.jpg/{number}", b"12345") for number in range(600)]
        reasons = self.received_of(agreed("photo.jpg", entries=1, size=10), folder("photo.jpg"), *many, end(601))
        self.assertEqual({"photo.jpg": {}}, self.there())
        self.assertEqual("", reasons.pop("photo.jpg"))
        self.assertEqual(
            {"more entries come than the user of m4.m agreed to; offer it again as it is now"}, {*reasons.values()}
        )

    def test_other_names(self) -> None:
        """What wasn't named isn't taken, be it a file, a link or a folder with all that is in it; the rest comes."""
        reasons = self.received_of(
            agreed("a", "d"),
            file(".bashrc", b"evil"),
            folder(".ssh"),
            folder(".ssh/more"),
            file(".ssh/more/keys", b"evil"),
            link(".ssh/link", "keys"),
            link("l", "a"),
            file("a", b"good"),
            folder("d"),
            file("d/b", b"fine"),
            end(9),
        )
        self.assertEqual({"a": b"good", "d": {"b": b"fine"}}, self.there())
        self.assertEqual({"a", "d", "d/b"}, {path for path, reason in reasons.items() if not reason})
        self.assertEqual("the user of m4.m wasn't asked about '.bashrc'; offer it by its name", reasons[".bashrc"])
        self.assertEqual("its folder '.ssh/more' wasn't taken", reasons[".ssh/more/keys"])

    def test_types(self) -> None:
        """A file of a type that nobody was asked about isn't taken, wherever it is."""
        reasons = self.received_of(agreed("d"), folder("d"), file("d/x.mkv", b"film"), file("d/a.txt"), end(3))
        self.assertEqual({"d": {"a.txt": b""}}, self.there())
        self.assertIn("asks its user about files of type video", reasons["d/x.mkv"])

    def test_growth(self) -> None:
        """A file that is larger than agreed to isn't taken, and isn't written either; what fits comes all the same."""
        asked: list[int] = []
        engine = self.engine(bounds=agreed("a", "b", "c", size=10), room=lambda size, entries: asked.append(size))
        self.fed(engine, file("a", bytes(10)), file("b", bytes(GROWTH // 2)))
        self.fed(engine, file("c", bytes(GROWTH // 2 + 1)), file("c", bytes(GROWTH // 2)), end(4))
        engine.finish()
        self.assertEqual([0, 10, 0, GROWTH // 2, 0, GROWTH // 2], asked)
        self.assertEqual({"a": 10, "b": GROWTH // 2, "c": GROWTH // 2}, {n: len(d) for n, d in self.there().items()})

    def test_sessions(self) -> None:
        """What came in earlier sessions counts, so that nobody gets more in by breaking off and going on."""
        bounds = agreed("d", entries=2, size=0)
        names = [f"d/{number}" for number in range(20)]
        engine = self.engine(bounds=bounds)
        self.fed(engine, folder("d"), *(file(name) for name in names[:15]))
        engine.suspend()
        engine = self.engine(bounds=bounds)
        receipts = self.fed(engine, *(file(name) for name in names[15:]), end(21))
        receipts += engine.finish()[0]
        self.assertEqual(names[17:], [receipt.path for receipt in receipts if receipt.reason])
        self.assertEqual(17, len(self.there()["d"]))

    def test_stream(self) -> None:
        """A file of unknown size ends the session as soon as more of it comes than agreed to."""
        self.chunks_of(8)
        bounds = Bounds("m4.m", "n1.n", dict.fromkeys(TYPES, Rule(size=20)))
        engine = self.engine(bounds=bounds)
        self.fed(engine, begun("a", None), chunk(bytes(8)), chunk(bytes(8)))
        self.assertIn("at most 20 bytes", self.refused(Outcome.REFUSED, self.fed, engine, chunk(bytes(8))))
        engine.abandon()
        self.received(file("a", bytes(20), streamed=True), end(1), bounds=bounds)
        self.assertEqual({"a": bytes(20)}, self.there())

    def test_part(self) -> None:
        """If what has come in part isn't to come any more, because the rules are others now, the session ends."""
        self.chunks_of(8)
        engine = self.engine()
        self.fed(engine, begun("a", 20), chunk(bytes(8)))
        engine.suspend()
        engine = self.engine(bounds=agreed("b"))
        self.assertIn("wasn't asked", self.refused(Outcome.REFUSED, self.fed, engine, begun("a", 20, offset=8)))

    def test_many_names(self) -> None:
        """Where not all names were listed, it is seen at the end whether they were those, in all sessions together."""
        names = [f"{number:0200}" for number in range(100)]
        bounds = agreed(*names)
        for last, goes in ((names[-1], True), ("x", False)):
            engine = self.engine(bounds=bounds)
            self.fed(engine, *(file(name) for name in names[:50]), gave_up(names[50]))
            engine.suspend()
            engine = self.engine(bounds=bounds)
            self.fed(engine, *(file(name) for name in names[51:-1]), file(last))
            if goes:
                self.fed(engine, end(100))
                self.assertEqual(1, engine.finish()[1].refused)
            else:
                reason = "the names that came aren't the 100 that the user of m4.m agreed to"
                self.assertEqual(reason, self.refused(Outcome.CORRUPT, self.fed, engine, end(100)))
                engine.abandon()

    def test_bad_paths(self) -> None:
        """What has no possible path is refused for that, as without bounds."""
        reasons = self.received_of(agreed("a"), folder("../x"), file("../x/y"), end(2))
        self.assertEqual([True, True], ["'..'" in reason for reason in reasons.values()])

    def test_verified(self) -> None:
        """What isn't taken has to make sense all the same."""
        engine = self.engine(bounds=agreed("a"))
        wrong = [*begun("b", 3), *chunk(b"abc"), *ended(b"abd")]
        self.refused(Outcome.CORRUPT, self.fed, engine, wrong)
