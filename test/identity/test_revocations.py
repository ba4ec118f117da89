"""Tests for :mod:`p2p.identity.revocations`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.identity.revocations import (
    PAGE_STATEMENTS,
    STATEMENT_BYTES,
    BadStatement,
    Revocation,
    RevocationList,
    encode_statements,
    hash_of,
    make_revocation,
    parse_statement,
    split_statements,
)

NOW = 1_800_000_000


def sign(data: bytes) -> bytes:
    """A signature that is easily checked."""
    return b"signed" + hash_of(data)


def verify(signature: bytes, data: bytes) -> bool:
    return signature == sign(data)


def revocation(number: int, *, until: int = NOW + 100, key: bytes | None = None) -> Revocation:
    return make_revocation(number, until, key or hash_of(b"%d" % number), sign)


class StatementTests(SynchronousTestCase):
    @given(st.integers(0, (1 << 59) - 1), st.integers(0, (1 << 40) - 1), st.binary(min_size=32, max_size=32))
    def test_back(self, number: int, until: int, key: bytes) -> None:
        """What was made is read back."""
        made = make_revocation(number, until, key, sign)
        self.assertEqual(made, parse_statement(made.statement, verify))

    def test_forged(self) -> None:
        """A statement of which a bit is another one isn't the authority's."""
        good = revocation(7).statement
        for at in range(0, len(good), 5):
            bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
            with self.assertRaisesRegex(BadStatement, "hasn't signed|can't be"):
                parse_statement(bad, verify)

    def test_cut_off(self) -> None:
        """One that is cut off, or longer than any can be, isn't one."""
        good = revocation(7).statement
        for bad in (b"", good[:48], good + bytes(STATEMENT_BYTES)):
            with self.assertRaisesRegex(BadStatement, "a revocation of"):
                parse_statement(bad, verify)
        with self.assertRaisesRegex(BadStatement, "hasn't signed"):
            parse_statement(good[:-1], verify)

    def test_impossible(self) -> None:
        """Numbers that no clock gives would be the last ones ever."""
        for number, until in ((1 << 59, 1), (1, 1 << 40)):
            with self.assertRaisesRegex(BadStatement, "can't be"):
                parse_statement(make_revocation(number, until, bytes(32), sign).statement, verify)


class FileTests(SynchronousTestCase):
    def test_back(self) -> None:
        """A file gives back what is in it; of one that is cut off, what is whole."""
        statements = [revocation(number).statement for number in (1, 2, 3)]
        data = encode_statements(statements)
        self.assertEqual(statements, split_statements(data))
        for cut in range(len(data)):
            self.assertEqual(statements[: len(split_statements(data[:cut]))], split_statements(data[:cut]))
        self.assertEqual([], split_statements(b"\0"))


class RevocationListTests(SynchronousTestCase):
    def test_grows(self) -> None:
        """What is told once more, or older, changes nothing; nothing is taken back."""
        known = RevocationList()
        self.assertEqual([2, 5], [one.number for one in known.add([revocation(5), revocation(2)], NOW)][::-1])
        self.assertEqual([], known.add([revocation(2)], NOW))
        self.assertEqual([3], [one.number for one in known.add([revocation(3), revocation(5)], NOW)])
        self.assertEqual((5, 3), (known.latest, len(known)))
        self.assertIn(hash_of(b"3"), known)
        self.assertNotIn(hash_of(b"4"), known)

    def test_ends(self) -> None:
        """What has ended is forgotten, and isn't taken in any more; its number counts."""
        known = RevocationList()
        known.add([revocation(1, until=NOW + 10), revocation(2)], NOW)
        self.assertEqual([], known.add([revocation(3, until=NOW + 10)], NOW + 10))
        self.assertEqual((3, [revocation(2).statement]), (known.latest, known.statements))
        self.assertNotIn(hash_of(b"1"), known)

    def test_pages(self) -> None:
        """Who has the first ones is told those behind them, so many at once as an AMP value holds."""
        known = RevocationList()
        known.add([revocation(number) for number in range(1, PAGE_STATEMENTS + 3)], NOW)
        page = known.after(1)
        self.assertEqual(list(range(2, PAGE_STATEMENTS + 2)), [one.number for one in page])
        self.assertEqual([PAGE_STATEMENTS + 2], [one.number for one in known.after(page[-1].number)])
        self.assertEqual([], known.after(known.latest))
        self.assertLess(PAGE_STATEMENTS * (STATEMENT_BYTES + 2), 65_536)
