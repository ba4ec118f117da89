"""Both engines together: whatever crashes whenever, the same tree arrives, and what was verified isn't sent again."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.exchange import naming
from p2p.transfer import arriving, partial, receiver_memory, records, sender_state, sending, tree
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.records import Have
from p2p.transfer.sending import SenderState, SendingEngine, SourceRoot
from test.transfer.arrivals import quick_folder

ID = "0123456789abcdef"
CHUNK = 6

CALLS: tuple[str, ...] = (
    "write",
    "writev",
    "link",
    "open",
    "replace",
    "ftruncate",
    "unlink",
    "rename",
    "mkdir",
    "rmdir",
    "symlink",
)
CALLS += ("utime", "fchmod")
"""What changes a disk: each may be where the machine goes off."""

NAMES = st.text(st.sampled_from("ab-. (1)é\udcff"), min_size=1, max_size=4).filter(
    lambda name: name not in (".", "..") and name.strip()
)
CONTENTS = st.binary(max_size=5 * CHUNK)
TREES: Any = st.recursive(
    st.one_of(CONTENTS, st.just("link")),
    lambda children: st.dictionaries(NAMES, children, max_size=5),
    max_leaves=8,
)


def make(folder: Path, name: str, what: Any) -> None:
    """Make what a tree says."""
    path = folder / name
    if isinstance(what, dict):
        path.mkdir()
        for each, inner in what.items():
            make(path, each, inner)
        os.utime(path, ns=(10**18, 10**18))
    elif what == "link":
        path.symlink_to("somewhere")
    else:
        path.write_bytes(what)
        path.chmod(0o640)


def seen(path: Path) -> Any:
    """What is at a path."""
    if path.is_symlink():
        return str(path.readlink())
    status = path.stat()
    marks = (status.st_mode, status.st_mtime_ns)
    if path.is_dir():
        return marks, {each.name: seen(each) for each in path.iterdir()}
    return marks, path.read_bytes()


def cannot(error: int) -> OSError:
    """How a disk says that it can't do that."""
    return OSError(error, os.strerror(error))


class Crash(Exception):
    """The machine goes off."""


class ResumeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Make chunks small."""
        self.folder = quick_folder(self)
        modules = (arriving, partial, records, sender_state, sending, receiver_memory, tree)
        for module in modules:
            if hasattr(module, "CHUNK"):
                self.patch(module, "CHUNK", CHUNK)
        self.patch(receiver_memory, "GROUP_BYTES", CHUNK)
        self.patch(receiver_memory, "GROUP_ENTRIES", 3)

    @given(
        TREES,
        st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 400)), max_size=5),
        st.integers(1, 200),
        st.sampled_from([(), ("rename",), ("rename", "link")]),
    )
    def test_crashes(self, what: Any, crashes: list[tuple[int, int]], cut: int, lacks: tuple[str, ...]) -> None:
        """Sessions end after so many bytes, or at so many calls of the system; the next ones go on from there."""
        top = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            with ExitStack() as disk:
                if "rename" in lacks:
                    disk.enter_context(mock.patch.object(naming, "_rename_new", side_effect=cannot(errno.EINVAL)))
                if "link" in lacks:
                    disk.enter_context(mock.patch.object(os, "link", side_effect=cannot(errno.EPERM)))
                self.crash(top, what, crashes, cut)
        finally:
            shutil.rmtree(top)

    def crash(self, top: Path, what: Any, crashes: list[tuple[int, int]], cut: int) -> None:
        source, inbox = top / "from", top / "to"
        source.mkdir()
        inbox.mkdir()
        make(source, "x", what)
        self.noted = False
        self.verified = 0
        whole = seen(source / "x")
        for most_bytes, most_calls in [*crashes, (1 << 30, 1 << 30)]:
            verified = self.session(top, source, inbox, most_bytes, most_calls, cut)
            self.assert_nothing_partial(whole, inbox)
        self.assertTrue(verified)
        self.assertEqual(whole, seen(inbox / "x"))
        self.assertEqual([inbox / "x"], list(inbox.iterdir()))

    def session(self, top: Path, source: Path, inbox: Path, most_bytes: int, most_calls: int, cut: int) -> bool:
        """Send until the crash; returns whether the transfer has come to its end."""
        calls = most_calls

        def counted(original: Any) -> Any:
            def call(*arguments: Any, **more: Any) -> Any:
                nonlocal calls
                calls -= 1
                if calls < 0:
                    raise Crash
                return original(*arguments, **more)

            return call

        sender = SendingEngine([SourceRoot(source / "x")], state=SenderState(top / "out"))
        receiver = ReceivingEngine(inbox, ID, sync=False)
        try:
            with (
                mock.patch.multiple(os, **{name: counted(getattr(os, name)) for name in CALLS}),
                mock.patch.object(naming, "_rename_new", counted(naming._rename_new)),
            ):
                have = receiver.have()
                if have == Have() and self.noted:
                    receiver.abandon()
                    return True
                self.noted = False
                self.assertGreaterEqual(have.bytes + have.offset, self.verified - CHUNK)
                sender.resume(have)
                sent = 0
                while not sender.ended:
                    for buffer in sender.next(100):
                        view = memoryview(buffer)
                        for at in range(0, len(view), cut):
                            piece = view[at : at + cut]
                            sent += len(piece)
                            if sent > most_bytes:
                                raise Crash
                            receiver.feed([piece])
                receiver.finish(lambda totals: setattr(self, "noted", True))
                return True
        except Crash:
            self.verified = max(self.verified, receiver.done_bytes)
            receiver._close()
            return False
        finally:
            sender.close()

    def assert_nothing_partial(self, whole: Any, inbox: Path) -> None:
        """Whatever has its final name is complete."""

        def compare(found: Any, expected: Any) -> None:
            if isinstance(found, tuple) and isinstance(found[1], dict):
                for name, inner in found[1].items():
                    compare(inner, expected[1][name])
            elif isinstance(found, tuple):
                self.assertEqual(expected, found)

        if (inbox / "x").exists():
            compare(seen(inbox / "x"), whole)
