"""What the requests of sessions say of a transfer: written at one end, and read at the other."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.request import Request
from p2p.exchange.rules import NAMES_BYTES, Names, Offer
from p2p.link.boxes import BoxParser, encode_box
from p2p.transfer.session_requests import offer_of, send_request

ID = "0123456789abcdef"


def arrived(request: Request) -> Request:
    """A request as it arrives."""
    box, _ = BoxParser(65536).feed(memoryview(encode_box(request.fields())))
    assert box is not None
    return Request.parse(box, "n1.n")


class OfferingTests(SynchronousTestCase):
    """What a head offers."""

    def offered(self, name: str = "a", **said: Any) -> Offer:
        return offer_of(arrived(send_request(ID, name, **said)))

    def refused(self, **fields: str | bytes) -> str:
        """The reason for which a head with such fields is refused."""
        request = Request("transfer", name="a", sender="n1.n", more={"id": ID.encode(), **fields})
        failure = self.assertRaises(ExchangeFailed, offer_of, arrived(request))
        self.assertIs(Outcome.REFUSED, failure.outcome)
        return str(failure)

    def test_all(self) -> None:
        """Names, whatever their bytes are, entries and bytes by type arrive as they were said."""
        names = Names.of(["s9.mp3", "gr\udcfc", "größe"])
        by_type = {"audio": 7, "data": 0}
        found = self.offered("s9.mp3", type="audio", names=names, entries=3, bytes=7, by_type=by_type)
        self.assertEqual(Offer("n1.n", "transfer", "audio", "s9.mp3", 7, 3, ID, names, by_type), found)

    def test_resumed(self) -> None:
        """Only a session that goes on with a transfer says so."""
        self.assertEqual("1", send_request(ID, "a", resume=True).more["resume"])
        self.assertNotIn("resume", send_request(ID, "a").more)

    def test_many_names(self) -> None:
        """Names without room come as their count and a digest."""
        names = Names.of([f"{number:06}" for number in range(10_000)])
        self.assertEqual(names, self.offered(names=names).names)

    def test_no_files(self) -> None:
        """An empty folder has no bytes of any type, which is known."""
        self.assertEqual({"data": 0}, self.offered(entries=1, bytes=0, by_type={}).by_type)

    def test_version_0_1(self) -> None:
        """What a sender of version 0.1.0 says is its one name, also if that isn't UTF-8; one without a name says
        none."""
        self.assertEqual(Names(("gr\udcfc",), 1), self.offered("gr\udcfc", entries=3).names)
        self.assertEqual((None, None), (self.offered("").names, self.offered("").by_type))

    def test_senseless(self) -> None:
        """What makes no sense is refused, with what is wrong."""
        digest = "0" * 64
        for fields, reason in (
            ({"names": b""}, "is empty"),
            ({"names": b"a/../b"}, "'..'"),
            ({"names": b"a\nb"}, "control character"),
            ({"names": b"a" * (NAMES_BYTES + 1)}, "at most 16384 bytes"),
            ({"names": b"a/b", "names_count": b"2", "names_digest": digest}, "make no sense"),
            ({"names": b"a/b", "names_count": b"3", "names_digest": digest[1:]}, "make no sense"),
            ({"names": b"a/b", "names_count": b"3"}, "make no sense"),
            ({"names": b"a/b", "names_count": b"-3", "names_digest": digest}, "isn't a number"),
            ({"bytes_video": b"x"}, "isn't a number"),
            ({"bytes_video": b"7"}, "content types"),
            ({"bytes_video": b"7", "bytes_data": b"1", "bytes": b"7"}, "content types"),
        ):
            self.assertIn(reason, self.refused(**fields), fields)
