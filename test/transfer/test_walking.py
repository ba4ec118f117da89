"""What a transfer is made of on the sender's disk."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.python.monkey import MonkeyPatcher
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import InvalidRequest, LocalFileError
from p2p.exchange.paths import MAX_DEPTH, from_bytes
from p2p.transfer import walking
from p2p.transfer.walking import Found, Refusal, SourceRoot, Totals, entry_names, measure, walk, why_not
from test.properties import PROPERTY
from test.transfer.sources import Link, Spec, make

NAMES = st.sampled_from([b"a", b"b", b"a.b", b"a-", b"z", b"\xff", "é".encode(), b"-x", b" "]).map(from_bytes)
TREES = st.recursive(
    st.just(b"x") | st.just(Link("nowhere")), lambda below: st.dictionaries(NAMES, below, max_size=4), max_leaves=12
)


def walked(sources: Iterable[SourceRoot], last: str | None = None) -> list[str]:
    """The paths that a walk comes to; those that can't be sent with a ``!`` before them."""
    return [
        found.path if isinstance(found, Found) else f"!{found.path}: {found.reason}"
        for found in walk(list(sources), last)
    ]


class WalkingTestCase(SynchronousTestCase):
    """Has a folder, and sees to it that no descriptor stays open."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        descriptors = Path("/proc/self/fd")
        before = set(descriptors.iterdir())
        self.addCleanup(lambda: self.assertEqual(set(), set(descriptors.iterdir()) - before))

    def source(self, spec: Spec, name: str = "top") -> SourceRoot:
        return SourceRoot(make(self.folder / name, spec))

    def failing(self, function: str, name: str, code: int) -> Callable[[], object]:
        """Let a function of os fail for one name."""
        original = getattr(os, function)

        def called(path: Any, *arguments: Any, **keywords: Any) -> Any:
            if path == name or (isinstance(path, int) and Path(f"/proc/self/fd/{path}").readlink().name == name):
                raise OSError(code, os.strerror(code))
            return original(path, *arguments, **keywords)

        patch: MonkeyPatcher = self.patch(os, function, called)
        return patch.restore


class WalkTests(WalkingTestCase):
    """The order of a walk, and what it meets."""

    def test_order(self) -> None:
        """A folder comes before what is in it, names are in the order of their text, depth first."""
        spec: Spec = {"b": {"z": b"", "a": {"x": b""}}, "a": b"", "b.txt": b"", "B": {}, "c": Link("a")}
        expected = ["top", "top/B", "top/a", "top/b", "top/b/a", "top/b/a/x", "top/b/z", "top/b.txt", "top/c"]
        self.assertEqual(walked([self.source(spec)]), expected)

    def test_sources(self) -> None:
        """Sources come in the order in which they were given, under their own names or others."""
        make(self.folder, {"b": {"x": b""}, "a": b""})
        sources = [
            SourceRoot(self.folder / "b"),
            SourceRoot(self.folder / "a", name="c"),
            SourceRoot(name="-", stream=0),
        ]
        self.assertEqual(walked(sources), ["b", "b/x", "c", "-"])
        self.assertEqual(walked(sources, "c"), ["-"])
        self.assertEqual(walked(sources, "-"), [])

    @given(st.dictionaries(NAMES, TREES, max_size=4))
    @PROPERTY
    def test_from_anywhere(self, spec: Any) -> None:
        """A walk that begins after an entry is the rest of the whole one; after a folder's end, what follows it."""
        source = SourceRoot(make(Path(self.mktemp()), spec), name="top")
        after = SourceRoot(self.folder, name="zz")
        whole = walked([source, after])
        for number, path in enumerate(whole):
            self.assertEqual(walked([source, after], path), whole[number + 1 :])
            below = [each for each in whole if each.startswith(path + "/")]
            self.assertEqual(walked([source, after], path + "/"), whole[number + 1 + len(below) :])

    def test_from_what_is_gone(self) -> None:
        """A walk also begins after an entry that isn't there any more."""
        source = self.source({"a": b"", "c": {"x": b""}, "d": b""})
        self.assertEqual(walked([source], "top/b"), ["top/c", "top/c/x", "top/d"])
        self.assertEqual(walked([source], "top/c/y/z"), ["top/d"])
        self.assertEqual(walked([source], "top/d/x"), [])
        self.assertEqual(walked([source], "elsewhere"), walked([source]))

    def test_large_folders(self) -> None:
        """A folder of any size is walked in order and whole, with a bounded number of names in memory at a time."""
        self.patch(walking, "_LISTED", 4)
        names = [f"{number:03}" for number in range(57)]
        source = self.source(dict.fromkeys(names, b"") | {"020": {"x": b""}})
        expected = ["top", *(f"top/{name}" for name in names)]
        expected.insert(expected.index("top/020") + 1, "top/020/x")
        self.assertEqual(walked([source]), expected)
        for number in range(0, len(expected), 5):
            self.assertEqual(walked([source], expected[number]), expected[number + 1 :])
        levels: list[walking._Level] = []
        step = walking._step

        def watched(now: list[walking._Level], name: str) -> Any:
            levels[:] = now
            for found in step(now, name):
                self.assertLessEqual(max(len(level.left) for level in now), 8)
                yield found

        self.patch(walking, "_step", watched)
        self.assertEqual(walked([source]), expected)

    def test_links(self) -> None:
        """Links are never followed, so that a loop of them is no loop."""
        source = self.source({"a": {"up": Link(".."), "self": Link("."), "gone": Link("nowhere")}})
        self.assertEqual(walked([source]), ["top", "top/a", "top/a/gone", "top/a/self", "top/a/up"])
        link = SourceRoot(self.folder / "top" / "a" / "up")
        self.assertEqual(walked([link]), ["up"])

    def test_other_kinds(self) -> None:
        """Pipes and sockets are refused by name, and never opened."""
        source = self.source({"a": b""})
        os.mkfifo(self.folder / "top" / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            folder = os.open(self.folder / "top", os.O_RDONLY)
            listener.bind(f"/proc/self/fd/{folder}/sock")  # the name of a socket has at most 107 bytes
            os.close(folder)
        why = ": it is neither a file nor a folder nor a link"
        self.assertEqual(walked([source]), ["top", "top/a", "!top/pipe" + why, "!top/sock" + why])

    def test_names_that_are_refused(self) -> None:
        """What can't be called that at a receiver is refused by name, a folder with all that is in it."""
        source = self.source({"a\nb": b"", "c\n": {"x": b""}, "d": b"", ".p2p-0123456789abcdef": {"x": b""}})
        *others, reserved = sorted(walked([source]), key=lambda path: ".p2p" in path)
        self.assertEqual([path.partition(":")[0] for path in others], ["top", "!top/a\nb", "!top/c\n/", "top/d"])
        self.assertTrue(reserved.startswith("!top/.p2p-0123456789abcdef/: "), reserved)

    def test_depth(self) -> None:
        """A folder that is too deep is refused with all that is in it."""
        spec: Spec = {}
        for _ in range(MAX_DEPTH + 5):
            spec = {"d": spec}
        found = list(walk([self.source(spec)]))
        self.assertEqual(len(found), MAX_DEPTH + 1)
        last = found[-1]
        assert isinstance(last, Refusal)
        self.assertEqual(last.path, "top" + "/d" * MAX_DEPTH + "/")
        self.assertIn("64 folders deep", last.reason)

    def test_source_is_gone(self) -> None:
        """A source that isn't there any more is refused by name, once, and the others are sent."""
        make(self.folder, {"b": b""})
        sources = [SourceRoot(self.folder / "a"), SourceRoot(self.folder / "x" / "c"), SourceRoot(self.folder / "b")]
        why = ": it isn't there any more"
        self.assertEqual(walked(sources), ["!a" + why, "!c" + why, "b"])
        self.assertEqual(walked(sources, "a"), ["!c" + why, "b"])
        self.assertEqual(walked(sources, "c"), ["b"])

    def test_folder_is_unreadable(self) -> None:
        """A folder that can't be opened is refused with its reason, and again nothing of it after a resumption."""
        source = self.source({"a": {"x": b""}, "b": b""})
        self.failing("open", "a", errno.EACCES)
        self.assertEqual(walked([source]), ["top", "!top/a/: the sender may not read it", "top/b"])
        self.assertEqual(walked([source], "top/a"), ["top/b"])
        self.assertEqual(walked([source], "top/a/"), ["top/b"])

    def test_folder_breaks(self) -> None:
        """A folder whose names can't be read is told of after it was found, and all else goes on."""
        source = self.source({"a": {"x": b""}, "b": b""})
        self.failing("scandir", "a", errno.EIO)
        expected = ["top", "top/a", "!top/a/: the sender can't read it: Input/output error", "top/b"]
        self.assertEqual(walked([source]), expected)
        self.assertEqual(walked([source], "top/a"), expected[2:])
        self.assertEqual(walked([source], "top/a/"), expected[3:])

    def test_swapped_for_a_link(self) -> None:
        """A folder that becomes a link while the walk is on its way to it isn't entered."""
        make(self.folder, {"secret": {"key": b""}})
        source = self.source({"a": {}, "b": {"x": b""}, "c": b""})
        found = []
        for each in walk([source]):
            found.append(each.path)
            if each.path == "top/a":
                (self.folder / "top" / "b").rename(self.folder / "top" / "was-b")
                (self.folder / "top" / "b").symlink_to(self.folder / "secret")
        self.assertEqual(found, ["top", "top/a", "top/b/", "top/c"])

    def test_left_halfway(self) -> None:
        """A walk that is given up in the middle leaves nothing open."""
        steps = walk([self.source({"a": {"b": {"c": b""}}})])
        for _ in range(3):
            next(steps)
        steps.close()


class InsideTests(WalkingTestCase):
    """Sources that a folder contains, such as a shared one."""

    def test_inside(self) -> None:
        """A source is found below the folder, however the folder itself is reached."""
        make(self.folder, {"shared": {"a": {"b": {"x": b""}}}, "link": Link("shared")})
        for folder in ("shared", "link"):
            source = SourceRoot(Path("a/b"), inside=self.folder / folder)
            self.assertEqual(walked([source]), ["b", "b/x"])
            self.assertEqual(measure([source]), Totals(2, 0))

    def test_way_out(self) -> None:
        """No path leads out of the folder: not up, not from the root, not by a link on the way."""
        make(self.folder, {"shared": {"out": Link(".."), "abs": Link("/")}, "secret": b""})
        for path in ("../secret", "out/secret", "abs/etc", "/etc/passwd", "out/shared/out", ".."):
            source = SourceRoot(Path(path), name="x", inside=self.folder / "shared")
            (found,) = walk([source])
            assert isinstance(found, Refusal), path
            self.assertRaises(LocalFileError, measure, [source])

    def test_link_at_the_end(self) -> None:
        """A link that is asked for by name is a link, not what it leads to."""
        make(self.folder, {"shared": {"out": Link("../secret")}, "secret": b"x"})
        (found,) = walk([SourceRoot(Path("out"), inside=self.folder / "shared")])
        assert isinstance(found, Found)
        self.assertEqual(found.kind, "link")


class NameTests(WalkingTestCase):
    """What sources are called."""

    def test_names(self) -> None:
        """A source is called as the last part of its path, or as was asked for."""
        sources = [SourceRoot(Path("/a/b/")), SourceRoot(Path("c")), SourceRoot(Path("/x"), name="y")]
        self.assertEqual(entry_names(sources), ["b", "c", "y"])

    def test_impossible(self) -> None:
        """A source with no name, a name that can't be one, or that of another, is told of before anything is sent."""
        for sources, reason in (
            ([SourceRoot(Path("/"))], "give it another name"),
            ([SourceRoot(stream=0)], "give it another name"),
            ([SourceRoot(stream=0, name="a/b")], "has a / in it"),
            ([SourceRoot(stream=0, name="..")], "give it another name"),
            ([SourceRoot(Path("/a/x")), SourceRoot(Path("/b/x"))], "are called 'x'"),
        ):
            kind = InvalidRequest if "are called" in reason else LocalFileError
            for take in (entry_names, measure):
                error = self.assertRaises(kind, take, sources)
                self.assertIn(reason, str(error))


class MeasureTests(WalkingTestCase):
    """How much there is to send."""

    @given(st.dictionaries(NAMES, TREES, max_size=4))
    @PROPERTY
    def test_as_walked(self, spec: Any) -> None:
        """There are as many entries as a walk finds, and the bytes of the files."""
        source = SourceRoot(make(Path(self.mktemp()), spec), name="top")
        files = [path for path in Path(str(source.path)).rglob("*") if path.is_file() and not path.is_symlink()]
        self.assertEqual(measure([source]), Totals(len(walked([source])), len(files)))

    def test_types(self) -> None:
        """The bytes are counted by content type, as the names tell, of what is named itself by the name it gets."""
        make(self.folder, {"d": {"a.mkv": b"123", "b.MKV": b"4", "e": {"c.txt": b""}}, "x.mp3": b"12"})
        sources = [SourceRoot(self.folder / "d"), SourceRoot(self.folder / "x.mp3", name="x")]
        self.assertEqual({"video": 4, "text": 0, "data": 2}, measure(sources).by_type)
        self.assertIsNone(measure([*sources, SourceRoot(name="a.mp3", stream=0)]).by_type)

    def test_refused(self) -> None:
        """What can't be called that at a receiver counts as the one entry that is given up."""
        source = self.source({"c\n": {"x": b"12"}, "d": b"123", ".p2p-1": {"x": b"", "y": {}}})
        self.assertEqual(measure([source]), Totals(4, 3))
        self.assertEqual(len(walked([source])), 4)

    def test_sources(self) -> None:
        """Files count with their size, links, pipes and folders with none; with a stream, nobody knows."""
        make(self.folder, {"a": b"12345", "l": Link("a"), "d": {}})
        os.mkfifo(self.folder / "p")
        sources = [SourceRoot(self.folder / name) for name in "aldp"]
        self.assertEqual(measure(sources), Totals(4, 5))
        self.assertEqual({"data": 5}, measure(sources).by_type)
        self.assertEqual(measure([*sources, SourceRoot(name="-", stream=0)]), Totals(5, None))

    def test_not_there(self) -> None:
        """A source that isn't there is told of by its path."""
        make(self.folder, {"a": b"", "d": {}})
        for path in (self.folder / "b", self.folder / "x" / "y", self.folder / "a" / "b"):
            error = self.assertRaises(LocalFileError, measure, [SourceRoot(path)])
            self.assertIn(str(path), str(error))

    def test_unreadable(self) -> None:
        """A source that may not be read is told of before anything is sent."""
        make(self.folder, {"a": b"", "d": {}})
        for name in "ad":
            restore = self.failing("open", name, errno.EACCES)
            error = self.assertRaises(LocalFileError, measure, [SourceRoot(self.folder / name)])
            self.assertIn("may not read it", str(error))
            restore()

    def test_changes_meanwhile(self) -> None:
        """What vanishes or breaks while it is counted is no reason not to send the rest."""
        source = self.source({"a": {"x": b"123"}, "b": {"y": b"1"}, "c": b"12"})
        self.failing("scandir", "a", errno.ENOENT)
        self.assertEqual(measure([source]), Totals(5, 3))
        self.failing("open", "b", errno.ENOENT)
        self.assertEqual(measure([source]), Totals(4, 2))

    def test_cannot_be_looked_at(self) -> None:
        """An entry of which not even the kind can be told keeps nothing else from being counted and found."""

        class Entry:
            def __init__(self, entry: os.DirEntry[str]) -> None:
                self.name = entry.name
                self._entry = entry

            def __getattr__(self, name: str) -> Any:
                if self.name == "b":
                    raise OSError(errno.EACCES, "no")
                return getattr(self._entry, name)

        class Entries:
            def __init__(self, folder: int) -> None:
                self._entries = scandir(folder)

            def __enter__(self) -> Any:
                return map(Entry, self._entries)

            def __exit__(self, *error: object) -> None:
                self._entries.close()

        source = self.source({"a": b"x", "b": b"yy", "c": {"d": b"zzz"}})
        scandir = os.scandir
        self.patch(os, "scandir", Entries)
        self.assertEqual(measure([source]), Totals(5, 4))
        self.assertEqual(walked([source]), ["top", "top/a", "top/b", "top/c", "top/c/d"])

    def test_holes(self) -> None:
        """More bytes than can be told, as holes may be, are as many as nobody knows."""
        source = self.source({"a": b""})
        self.patch(walking, "_MOST", 10)
        for size, expected in ((10, 10), (11, None)):
            os.truncate(self.folder / "top" / "a", size)
            self.assertEqual(measure([source]), Totals(2, expected))

    def test_unsearchable_parent(self) -> None:
        """The folder that a source is in needn't be readable."""
        make(self.folder, {"closed": {"a": b"123"}})
        flags: dict[Any, int] = {}
        original = os.open

        def opened(path: Any, how: int, *arguments: Any, **keywords: Any) -> int:
            flags[path] = how
            return original(path, how, *arguments, **keywords)

        self.patch(os, "open", opened)
        measure([SourceRoot(self.folder / "closed" / "a")])
        self.assertTrue(flags[self.folder / "closed"] & os.O_PATH)


class ReasonTests(SynchronousTestCase):
    """Errors of the disk in words."""

    def test_known(self) -> None:
        """The usual ones are said plainly, the others as the system does."""
        self.assertEqual(why_not(FileNotFoundError(errno.ENOENT, "x")), "it isn't there any more")
        self.assertEqual(why_not(OSError(errno.EIO, "broken")), "the sender can't read it: broken")
