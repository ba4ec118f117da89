"""What the other side may answer: what was asked for and what was sent gets through, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome
from p2p.transfer import answers
from p2p.transfer.answers import Asked, Dealt, ListedNames, Sent, check_have
from p2p.transfer.records import Entry, Have, Kind, Receipt
from test.properties import PROPERTY

ROOT = "ab" * 32
FILE, FOLDER, LINK = Kind.FILE, Kind.FOLDER, Kind.LINK

PATHS = ("a", "b", "c", "a/", "b/", "a/b", "b/a", "c/a", "b/a/c", "", "/", "/a", ".", "..", "../a", "a/..")

Step = tuple[str, Kind | None]
"""A path, and what begins there; None if it is given up."""


class AnswersCase(SynchronousTestCase):
    """Sees answers fail."""

    def wrong(self, words: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """An answer is corrupt, and the reason has these words."""
        failure = self.assertRaises(ExchangeFailed, function, *arguments, **named)
        self.assertEqual(Outcome.CORRUPT, failure.outcome, str(failure))
        self.assertIn(words, str(failure))


class AskedTests(AnswersCase):
    """What comes for what was asked for."""

    def come(self, asked: Asked, *steps: Step) -> None:
        """All of this comes."""
        for path, kind in steps:
            if kind is None:
                asked.given_up(path)
            else:
                asked.begins(Entry(path, kind, 0o644, 0, target="t" if kind is LINK else None))

    def whole(self, paths: Sequence[str], *steps: Step) -> None:
        """All of this comes, and was all."""
        asked = Asked(paths)
        self.come(asked, *steps)
        asked.complete()

    def unasked(self, paths: Sequence[str], *steps: Step, words: str = "wasn't asked for") -> None:
        """The last of this doesn't get through."""
        asked = Asked(paths)
        self.come(asked, *steps[:-1])
        self.wrong(words, self.come, asked, steps[-1])

    def test_all_that_was_asked_for(self) -> None:
        """Each thing comes under the last part of its path, whatever it is, with what is in it; or it can't be sent."""
        self.whole(["share/a.txt"], ("a.txt", FILE))
        self.whole(["share"], ("share", FOLDER), ("share/x", FILE), ("share/d", FOLDER), ("share/d/y", LINK))
        self.whole(["s/a", "s/d", "b"], ("a", LINK), ("d", FOLDER), ("d/a", FILE), ("d/x", None), ("b", FILE))
        self.whole(["s/a", "b"], ("a", None), ("b/", None))
        self.whole(["d"], ("d", FOLDER), ("d/", None))
        name = b"caf\xc3\xa9".decode("ascii", "surrogateescape")  # as a console in another encoding has it
        self.whole([name], ("café", FILE))

    def test_names_that_nobody_asked_for(self) -> None:
        """No name at the top gets through but those asked for, however it is written."""
        for path in (".bash_profile", ".ssh/authorized_keys", "share/a.txt", "", "/a.txt", "../a.txt", "./a.txt"):
            for kind in (FILE, FOLDER, LINK, None):
                self.unasked(["share/a.txt"], (path, kind))
                self.unasked(["share/a.txt"], ("a.txt", FILE), (path, kind))
        self.unasked(["d"], ("d", FOLDER), ("d/x", FILE), ("e", FILE))

    def test_once(self) -> None:
        """Each thing comes once, in the order in which it was asked for, and nothing is within what is no folder."""
        for second in (FILE, FOLDER, None):
            self.unasked(["a"], ("a", FILE), ("a", second), words="twice")
            self.unasked(["a", "b"], ("b", second), words="before what was asked for first")
            self.unasked(["d", "b"], ("d", FOLDER), ("b", FILE), ("d", second), words="twice")
        for first in (FILE, LINK, None):
            for inside in (FILE, None):
                self.unasked(["a"], ("a", first), ("a/x", inside), words="without its folder")
        self.unasked(["d", "b"], ("d", FOLDER), ("b", FOLDER), ("d/x", FILE), words="without its folder")
        self.unasked(["d"], ("d/x", FILE), words="without its folder")
        self.unasked(["d"], ("d", None), ("d/", None), words="twice")

    def test_not_all(self) -> None:
        """An end before everything came is none."""
        asked = Asked(["a", "b"])
        self.wrong("'a' was asked for, and nothing came", asked.complete)
        self.come(asked, ("a", FILE))
        self.wrong("'b' was asked for, and nothing came", asked.complete)

    def test_folders(self) -> None:
        """Where a folder was asked for, neither a file nor a link comes."""
        for kind in (FILE, LINK):
            failure = self.assertRaises(ExchangeFailed, self.come, Asked(["s/d"], ["s/d"]), ("d", kind))
            self.assertEqual((Outcome.REFUSED, True), (failure.outcome, f"is a {kind}" in str(failure)))
        self.come(Asked(["s/d"], ["s/d"]), ("d", FOLDER))

    def test_resumed(self) -> None:
        """In a later session comes what is missing, and nothing of what has come."""
        asked = Asked(["a", "d", "z"])
        asked.resume("d/x/y", inside=True)
        self.come(asked, ("d/x/z", FILE), ("z", FILE))
        asked.complete()
        asked.resume("d/", inside=False)
        self.wrong("without its folder", self.come, asked, ("d/x", FILE))
        self.wrong("twice", self.come, asked, ("a", FILE))
        asked.resume("z", inside=False)
        asked.complete()
        asked.resume(None, inside=False)
        self.come(asked, ("a", FILE))
        failure = self.assertRaises(ExchangeFailed, asked.resume, ".bash_profile", inside=False)
        self.assertEqual(Outcome.REFUSED, failure.outcome)
        self.assertIn("p2p transfers --cancel", str(failure))

    def test_requests(self) -> None:
        """What is no path isn't asked for, nor two things that would have one name."""
        for path in ("", "/", "/etc/passwd", "a/../b", "a//b", "a\nb", "\ud800"):
            self.assertRaises(InvalidRequest, Asked, [path])
        error = self.assertRaises(InvalidRequest, Asked, ["x/a", "b", "y/a"])
        self.assertIn("two things to get are called 'a'", str(error))

    def test_links(self) -> None:
        """A link at the top leads only to something that was asked for as well."""
        asked = Asked(["s/a", "s/d"])
        self.assertTrue(all(map(asked.reaches, ("d", "./d/x", "a"))))
        self.assertFalse(any(map(asked.reaches, (".ssh/authorized_keys", ".", "", "s/a"))))

    @given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from([FILE, FOLDER, None])), max_size=8))
    @PROPERTY
    def test_any_answer(self, steps: list[Step]) -> None:
        """Whatever comes, what gets through has a name at its top that was asked for, and each such name once."""
        asked = Asked(["x/a", "b"])
        tops: list[str] = []
        for path, kind in steps:
            try:
                self.come(asked, (path, kind))
            except ExchangeFailed:
                break
            top, slash, rest = path.partition("/")
            self.assertIn(top, ("a", "b"))
            if not slash or (kind is None and not rest and top not in tops):
                tops.append(top)
        self.assertEqual(["a", "b"][: len(tops)], tops)


class ListedNamesTests(AnswersCase):
    """The names of a list."""

    def test_names(self) -> None:
        """Any name that a folder can have gets through as it is: whoever shows it makes it harmless."""
        names = ListedNames()
        for raw, shown in (
            (b"a", "a"),
            (b"..a", "..a"),
            (b"\x1b[2J", "\x1b[2J"),
            (b"\xff", "\udcff"),
            (b"x" * 255,) * 2,
        ):
            self.assertEqual(shown if isinstance(shown, str) else "x" * 255, names.checked(raw))

    def test_no_names(self) -> None:
        """What no folder can have in it, or has twice, doesn't."""
        names = ListedNames()
        for raw in (b"", b".", b"..", b"a/b", b"/etc", b"a\0", b"x" * 256):
            self.wrong("which is no name", names.checked, raw)
        names.checked(b"a")
        self.wrong("twice", names.checked, b"a")


class HaveTests(AnswersCase):
    """How far a receiver says it is."""

    def test_possible(self) -> None:
        """Anything that can have come of this transfer."""
        for have in (
            Have(),
            Have("a", None, 0, 1, 5),
            Have("d/x/", "d/y", 2**20, 7, 12),
            Have(None, "a", 2**20),
            Have("d/", entries=2),
        ):
            check_have(have, ["a", "d"])

    def test_impossible(self) -> None:
        """What isn't of this transfer, or contradicts itself."""
        for have in (Have("b", None, 0, 1), Have("a", "b/x", 5, 1), Have("", None, 0, 1)):
            self.wrong("isn't of this transfer", check_have, have, ["a", "d"])
        for have in (Have("a"), Have(entries=1), Have(offset=5), Have(None, "a")):
            self.wrong("makes no sense", check_have, have, ["a", "d"])
        self.wrong("5 bytes of no entry", check_have, Have(bytes=5), ["a", "d"])


class SentTests(AnswersCase):
    """What is reported of what was sent."""

    def setUp(self) -> None:
        """A folder with a file, a link and something unreadable, and another file."""
        self.sent = Sent(["d", "f"])
        self.entries = [
            Dealt("d", FOLDER),
            Dealt("d/f", FILE, 5, ROOT),
            Dealt("d/l", LINK),
            Dealt("d/\x1b", None),
            Dealt("f", FILE, 7, ROOT),
        ]
        self.sent.add(self.entries, 1000)
        self.right = [
            Receipt("d", "d (1)"),
            Receipt("d/f", "d (1)/f", 5, ROOT),
            Receipt("d/l", "", outcome=Outcome.REFUSED, reason="links aren't taken"),
            Receipt("d/?", "", outcome=Outcome.TRUNCATED, reason="it can't be read"),
            Receipt("f", "f", 7, ROOT),
        ]

    def report(self, *receipts: Receipt) -> None:
        """All of this is reported."""
        for receipt in receipts:
            self.sent.receipt(receipt)

    def test_right(self) -> None:
        """Receipts of what was sent, in its order, and sums that are theirs get through."""
        self.sent.began(Have(), done=False)
        self.report(*self.right)
        self.sent.progress(5, 1000)
        self.sent.ended(5, 12, 2)

    def test_unsent(self) -> None:
        """What wasn't sent, comes out of turn, or was reported before doesn't."""
        for path in ("x", "d/f", "f", "", "d/", "../d"):
            self.wrong("wasn't sent", self.report, Receipt(path, path))
        self.report(self.right[0])
        self.wrong("reported before", self.report, self.right[0])
        self.report(*self.right[1:])
        for receipt in self.right:
            self.wrong("reported before", self.report, receipt)

    def test_something_else(self) -> None:
        """Sizes and roots are those that were sent, whether it was taken or not; what wasn't sent isn't complete."""
        self.report(self.right[0])
        for size, root in ((6, ROOT), (5, "cd" * 32), (0, ""), (5, "")):
            self.setUp()
            self.report(self.right[0])
            self.wrong("something else", self.report, Receipt("d/f", "d/f", size, root))
        self.setUp()
        self.report(self.right[0])
        self.wrong("something else", self.report, Receipt("d/f", "", 6, ROOT, Outcome.REFUSED))
        self.setUp()
        self.report(self.right[0])
        self.wrong("something else", self.report, Receipt("d/f", "", 5, ROOT))
        self.setUp()
        self.report(*self.right[:3])
        self.wrong("couldn't be sent", self.report, Receipt("d/?", "d/?"))
        self.report(Receipt("f", "", 7, ROOT, Outcome.REFUSED))
        for outcome in (Outcome.CORRUPT, Outcome.RESET, Outcome.UNKNOWN_PEER):
            self.wrong("no end of an entry", self.report, Receipt("f", "", outcome=outcome))

    def test_names(self) -> None:
        """What was stored has a name in the folders in which it was sent, and doesn't lead out of them."""
        self.report(Receipt("d", "e/"))  # a receiver cuts what is too long
        for name in ("../f", "/d/f", "d/..", "d//f", "d/x/f", "./f"):
            self.wrong("where it can't be", self.report, Receipt("d/f", name, 5, ROOT))

    def test_ended_folders(self) -> None:
        """A folder that has ended may get a second receipt, once, if its mode can't be set; nothing else may."""
        failed: dict[str, Any] = {"outcome": Outcome.REFUSED, "reason": "the mode can't be set"}
        self.sent = Sent(["d"])
        self.sent.add([Dealt("d", FOLDER), Dealt("d/e", FOLDER), Dealt("d/e/f", FILE, 1, ROOT)], 100)
        self.report(Receipt("d", "d"), Receipt("d/e", "d/e"), Receipt("d/e/f", "d/e/f", 1, ROOT))
        for path in ("d/e/f", "d/x", ""):
            self.wrong("reported before", self.report, Receipt(path, "", **failed))
        self.report(Receipt("d/e", "d/e", **failed))
        self.wrong("reported before", self.report, Receipt("d/e", "d/e", **failed))
        self.wrong("reported before", self.report, Receipt("d", "d"))
        self.report(Receipt("d", "d", **failed))
        for path in ("d", ""):
            self.wrong("reported before", self.report, Receipt(path, "", **failed))
        self.sent.ended(3, 1, 0)
        self.sent = Sent(["d"])
        self.sent.add([Dealt("d", FOLDER)], 100)
        self.report(Receipt("d", "d"), Receipt("d", "d", **failed))

    def test_earlier_sessions(self) -> None:
        """Of earlier sessions some receipts may still come, before those of this one, and no more than can be."""
        self.sent = Sent(["d", "f"])
        self.sent.began(Have("d/x", None, 0, 2, 9), done=False)
        self.sent.add([Dealt("f", FILE, 7, ROOT)], 100)
        self.report(Receipt("d", "d"), Receipt("d/x", "d/x", 9, ROOT))
        self.wrong("wasn't sent", self.report, Receipt("x", "x"))
        self.report(Receipt("d", "d", outcome=Outcome.REFUSED), self.right[4])
        self.wrong("reported before", self.report, Receipt("d/x", "d/x", 9, ROOT))
        self.sent.ended(3, 16, 2)
        self.sent = Sent(["d"])
        self.sent.began(Have("d", None, 0, 1), done=False)
        self.report(Receipt("d/1", "d/1"), Receipt("d/2", "d/2"))
        self.wrong("wasn't sent", self.report, Receipt("d/3", "d/3"))
        self.patch(answers, "OWED", 1)
        self.sent.began(Have("d/x", None, 0, 10**9), done=False)
        self.report(Receipt("d/1", "d/1"))
        self.wrong("wasn't sent", self.report, Receipt("d/2", "d/2"))

    def test_complete_before(self) -> None:
        """Where everything came earlier, nothing is reported but how much it was."""
        self.sent = Sent(["d"])
        self.sent.began(Have(entries=5, bytes=9), done=True)
        self.wrong("wasn't sent", self.report, Receipt("d", "d"))
        self.sent.progress(5, 9)
        self.sent.ended(5, 9, 3)
        for sums in ((4, 9, 0), (5, 8, 0), (5, 9, 6)):
            self.wrong("reported as complete", self.sent.ended, *sums)

    def test_more_than_was_sent(self) -> None:
        """Neither progress nor the end has more in it than was sent; nor is it the end without all receipts."""
        self.sent.began(Have("d", "d/f", 10, 3, 20), done=False)
        self.sent.progress(8, 1030)
        for entries, size in ((9, 0), (0, 1031)):
            self.wrong("more than was sent", self.sent.progress, entries, size)
        self.report(*self.right[:-1])
        self.wrong("what became of 'f'", self.sent.ended, 8, 32, 2)
        self.report(self.right[-1])
        for sums in ((7, 32, 2), (9, 32, 2), (8, 31, 2), (8, 33, 2), (8, 32, 1), (8, 32, 6)):
            self.wrong("8 entries and 32 bytes are", self.sent.ended, *sums)
        self.sent.ended(8, 32, 2)

    def test_full(self) -> None:
        """While too much is unreported, no more is to be sent."""
        self.patch(answers, "MOST_UNREPORTED", 4)
        self.assertTrue(self.sent.is_full)
        self.report(self.right[0])
        self.assertFalse(self.sent.is_full)
