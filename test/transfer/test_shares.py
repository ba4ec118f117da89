"""What is shared can be seen and got, and nothing else can."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.transfer import shares
from p2p.transfer.records import Kind
from p2p.transfer.shares import SharedEntry, listed, shared_source
from p2p.transfer.walking import walk
from test.descriptors import open_files
from test.transfer.sources import Link, make


class SharesCase(SynchronousTestCase):
    def setUp(self) -> None:
        """Share a folder with a few things in it, and a file; some secrets lie beside them."""
        self.folder = Path(self.mktemp()).resolve()
        make(
            self.folder,
            {
                "secret": b"s",
                "films": {
                    "a.mp4": b"aaaa",
                    "in": {"b": b"bb"},
                    "out": Link("../secret"),
                    "up": Link(".."),
                    ".p2p-x": {},
                },
                "notes.txt": b"note",
                "elsewhere": Link("films"),
            },
        )
        os.mkfifo(self.folder / "films" / "pipe")
        os.utime(self.folder / "notes.txt", ns=(5, 7))
        self.shares = {name: self.folder / name for name in ("films", "notes.txt", "elsewhere")}

    def refused(self, path: str, why: str) -> None:
        """Neither can it be listed nor got, and nothing stays open."""
        for ask in (listed, shared_source):
            with self.assertRaises(ExchangeFailed) as raised:
                ask(self.shares, path)
            self.assertEqual(Outcome.REFUSED, raised.exception.outcome)
            self.assertIn(why, str(raised.exception))
            self.assertNotIn(str(self.folder), str(raised.exception))
        self.assertEqual([], open_files(self.folder))

    def names(self, path: str) -> list[str]:
        """What is listed there."""
        return [entry.name for entry in listed(self.shares, path)]

    def got(self, path: str) -> list[str]:
        """The paths of what is sent for it."""
        return [found.path for found in walk([shared_source(self.shares, path)])]


class ListedTests(SharesCase):
    def test_all(self) -> None:
        """Without a path, all that is shared; a share may be a link, and is what that leads to."""
        found = listed(self.shares, "")
        kinds = [("elsewhere", Kind.FOLDER), ("films", Kind.FOLDER), ("notes.txt", Kind.FILE)]
        self.assertEqual(kinds, [(entry.name, entry.kind) for entry in found])
        self.assertEqual(SharedEntry("notes.txt", Kind.FILE, 4, 7), found[2])

    def test_gone(self) -> None:
        """A share that isn't on disk isn't listed."""
        self.shares["gone"] = self.folder / "gone"
        self.assertNotIn("gone", self.names(""))
        self.refused("gone", "nothing is shared at 'gone'")

    def test_odd(self) -> None:
        """A share or an entry that can't be looked at, or leads in circles, keeps no other one from being seen."""
        (self.folder / "loop").symlink_to("loop")
        self.shares["loop"] = self.folder / "loop"
        original = os.stat

        def status(name: str | Path, **more: Any) -> os.stat_result:
            if str(name).endswith(("a.mp4", "notes.txt")):
                raise PermissionError(errno.EACCES, "Permission denied")
            return original(name, **more)

        self.patch(os, "stat", status)
        self.assertLessEqual({"elsewhere", "films"}, set(self.names("")))
        self.assertNotIn("notes.txt", self.names(""))
        self.assertEqual(["in", "out", "up"], self.names("films"))
        self.refused("loop", "can't be read there")

    def test_not_entered(self) -> None:
        """A folder whose names may be read, but which may not be entered, isn't said to be empty."""

        def status(name: str, **more: Any) -> os.stat_result:
            raise PermissionError(errno.EACCES, "Permission denied")

        self.patch(os, "stat", status)
        with self.assertRaisesRegex(ExchangeFailed, "'films' can't be read there: Permission denied"):
            listed(self.shares, "films")

    def test_folder(self) -> None:
        """Files, folders and links in the order of their names; nothing else, and nothing that is under way."""
        self.assertEqual(["a.mp4", "in", "out", "up"], self.names("films"))
        self.assertEqual(["b"], self.names("films/in/"))
        self.assertEqual(["a.mp4", "in", "out", "up"], self.names("elsewhere"))
        self.assertEqual([], open_files(self.folder))

    def test_file(self) -> None:
        """A file, or a link, is listed by itself."""
        self.assertEqual([("a.mp4", 4)], [(entry.name, entry.size) for entry in listed(self.shares, "films/a.mp4")])
        self.assertEqual([Kind.LINK], [entry.kind for entry in listed(self.shares, "films/out")])

    def test_too_many(self) -> None:
        """A folder with too many entries isn't listed in part."""
        self.patch(shares, "MAX_LISTED", 5)
        with self.assertRaisesRegex(ExchangeFailed, "'films' has 6 entries, and at most 5"):
            listed(self.shares, "films")
        self.assertEqual([], open_files(self.folder))


class SourceTests(SharesCase):
    def test_share(self) -> None:
        """A share goes under the name that others see."""
        self.assertLessEqual({"elsewhere", "elsewhere/a.mp4"}, set(self.got("elsewhere")))
        self.assertEqual(["notes.txt"], self.got("notes.txt"))

    def test_within(self) -> None:
        """What is within a share goes under its own name."""
        self.assertEqual(["in", "in/b"], self.got("films/in"))
        self.assertEqual(["a.mp4"], self.got("films/a.mp4"))

    def test_nothing_else(self) -> None:
        """Names that aren't shared, paths that lead out, and what lies behind links can't be had."""
        self.refused("secret", "nothing called 'secret' is shared")
        self.refused("films/none", "nothing is shared at 'films/none'")
        self.refused("films/a.mp4/x", "nothing is shared at")
        for path in ("films/../secret", "/etc/passwd", "films/.p2p-x", "films//in", "films/a\nb"):
            self.refused(path, "the path")
        for path in ("films/up/secret", "films/out/x"):
            self.refused(path, "nothing is shared at")

    def test_unreadable(self) -> None:
        """What can't be read says so without saying where it is."""
        self.patch(os, "open", _denied)
        self.refused("films", "what is shared at 'films' can't be read there: Permission denied")

    @given(st.text(st.sampled_from("./afilms\0\n"), max_size=30))
    def test_any_path(self, path: str) -> None:
        """Whatever is asked for, it is refused, or within what is shared."""
        try:
            source = shared_source({"films": self.folder / "films"}, path)
        except ExchangeFailed as failure:
            self.assertEqual(Outcome.REFUSED, failure.outcome)
            return
        place = (source.inside or Path("/")) / (source.path or "")
        self.assertTrue(place.is_relative_to(self.folder / "films"))


def _denied(*arguments: object, **more: object) -> int:
    raise PermissionError(13, "Permission denied")
