"""What a receiver reports: nothing is lost on the way, and nonsense is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.link.boxes import encode_box
from p2p.transfer.final_names import Receipt
from p2p.transfer.records import Have
from p2p.transfer.reports import (
    Began,
    PendingReport,
    ProgressReport,
    ReportReader,
    encode_have,
    encode_pending,
    encode_progress,
    encode_receipts,
    number_of,
)

ROOT = "ab" * 32
PATHS = st.binary(min_size=1, max_size=40).map(lambda raw: raw.replace(b"\0", b"-").decode("utf-8", "surrogateescape"))


def began() -> ReportReader:
    """A reader of a session that has begun."""
    reader = ReportReader()
    reader.feed(encode_have(Have()))
    return reader


class ReportTests(SynchronousTestCase):
    """Reports come out as they went in."""

    def test_beginning(self) -> None:
        """First it is told that a person is asked, any number of times, then what there is."""
        have = Have("box/a", "box/b", 2**20, 7, 12345)
        raw = encode_pending("a person is asked") * 2 + encode_have(have)
        expected = [PendingReport("a person is asked")] * 2 + [Began(have, done=False)]
        self.assertEqual(expected, ReportReader().feed(raw))
        self.assertEqual(
            [Began(Have(entries=3), done=True)], ReportReader().feed(encode_have(Have(entries=3), done=True))
        )

    def test_progress(self) -> None:
        """How much is verified."""
        self.assertEqual([ProgressReport(3, 2**40)], began().feed(encode_progress(3, 2**40)))
        self.assertEqual([ProgressReport(0, 0)], began().feed(encode_progress(0, 0)))

    def test_between(self) -> None:
        """It is known whether the bytes so far end with a report."""
        reader, raw = began(), encode_progress(1, 2)
        self.assertIs(True, reader.between)
        reader.feed(raw[:-1])
        self.assertIs(False, reader.between)
        reader.feed(raw[-1:])
        self.assertIs(True, reader.between)

    def test_receipts(self) -> None:
        """What became of entries; what goes without saying takes no room."""
        receipts = [
            Receipt("a", "a", 5, ROOT),
            Receipt("b", "b (1)", 2**40, ROOT),
            Receipt("dir", "dir"),
            Receipt("log", "log", 5, ROOT, note="it grew"),
            Receipt("c", "", outcome=Outcome.REFUSED, reason="it is a link"),
        ]
        raw = encode_receipts(receipts)
        self.assertEqual(receipts, began().feed(raw))
        self.assertLess(len(encode_receipts(receipts[:1])), 110)

    @given(PATHS)
    def test_any_path(self, path: str) -> None:
        """Names that aren't UTF-8 get through; what could steer a terminal doesn't."""
        (receipt,) = began().feed(encode_receipts([Receipt(path, path)]))
        assert isinstance(receipt, Receipt)
        self.assertEqual(len(path), len(receipt.path))
        self.assertFalse(any(character < " " or "\x7f" <= character < "\xa0" for character in receipt.path))

    def test_reasons(self) -> None:
        """Reasons are cut and cleaned on both sides."""
        (pending,) = ReportReader().feed(encode_box({"pending": "\x1b[2J" + "x" * 9000}))
        assert isinstance(pending, PendingReport)
        self.assertTrue(pending.reason.isprintable())
        self.assertLessEqual(len(pending.reason), 500)
        self.assertLess(len(encode_pending("x" * 10**6)), 1000)
        self.assertEqual(
            [PendingReport("it reads", reading=True)], ReportReader().feed(encode_pending("it reads", reading=True))
        )


class NonsenseTests(SynchronousTestCase):
    """What a receiver never reports."""

    def refused(self, reader: ReportReader, raw: bytes) -> None:
        """It is corrupt."""
        with self.assertRaises(ExchangeFailed) as raised:
            reader.feed(raw)
        self.assertEqual(Outcome.CORRUPT, raised.exception.outcome)

    def test_order(self) -> None:
        """Nothing is verified before it began, and it begins once."""
        for raw in (encode_progress(1, 1), encode_receipts([Receipt("a", "a")]), encode_box({"what": "ever"})):
            self.refused(ReportReader(), raw)
        for raw in (encode_pending("again"), encode_have(Have()), encode_box({"what": "ever"})):
            self.refused(began(), raw)

    def test_values(self) -> None:
        """Numbers are numbers of a sensible size, roots are roots, outcomes are outcomes, texts are UTF-8."""
        nonsense: list[dict[str, str | bytes]] = [
            {"bytes": "-1", "entries": "1"},
            {"bytes": "1" * 30, "entries": "1"},
            {"path": "a", "root": "zz" * 32},
            {"path": "a", "root": ROOT, "size": "many"},
            {"path": "a", "outcome": "wonderful"},
            {"path": "a", "reason": b"\xff"},
        ]
        for fields in nonsense:
            self.refused(began(), encode_box(fields))
        self.refused(ReportReader(), encode_box({"have": "1", "offset": "x"}))

    def test_size(self) -> None:
        """A report that is larger than any is refused before it is here."""
        self.refused(ReportReader(), encode_box({"pending": "x" * 60000}))

    def test_numbers(self) -> None:
        """A field that isn't there is no number, and no fault."""
        self.assertIsNone(number_of({}, "size"))
        self.assertEqual(5, number_of({"size": b"5"}, "size"))
        self.assertRaises(ProtocolViolation, number_of, {"size": b""}, "size")
