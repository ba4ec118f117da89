"""What a sender keeps of large files."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.transfer import sender_state
from p2p.transfer.sender_state import Kept, SenderState, leaf_at
from p2p.transfer.tree import CHUNK, LEAF, leaf_digest
from test.properties import PROPERTY
from test.transfer.sources import new_ctime, pattern, set_time

LEAVES = [leaf_digest([b"%d" % number]) for number in range(20)]


class StateTestCase(SynchronousTestCase):
    """Has a source and a folder for its state."""

    def setUp(self) -> None:
        base = Path(self.mktemp())
        base.mkdir()
        self.folder = base / "state" / "out" / "key"
        self.file = base / "film"
        self.file.write_bytes(b"x" * 100)
        self.status = self.file.stat()

    def state(self) -> SenderState:
        state = SenderState(self.folder)
        self.addCleanup(state.close)
        return state

    def begun(self, path: str = "film", leaves: bytes = b"") -> SenderState:
        state = self.state()
        state.begin(path, self.status, leaves)
        return state

    def opened(self) -> list[Path]:
        """What this process has open."""
        return [each.readlink() for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]

    def kept(self) -> list[str]:
        return sorted((each.name for each in self.folder.iterdir()), key=int)


class SenderStateTests(StateTestCase):
    """Leaves are there again after whatever ended the daemon."""

    def test_goes_on(self) -> None:
        """All leaves that were added are found by the next state of the same sources, without a close."""
        state = self.begun("a/film", LEAVES[0])
        for leaf in LEAVES[1:5]:
            state.add(leaf)
        self.assertEqual(self.state().kept("a/film", self.status), Kept(b"".join(LEAVES[:5])))

    def test_unknown(self) -> None:
        """Of a file that was never begun there is nothing, and asking makes no folder."""
        self.assertEqual(self.state().kept("film", self.status), Kept())
        self.assertFalse(self.folder.exists())
        self.begun()
        self.assertEqual(self.state().kept("other", self.status), Kept())

    def test_changed(self) -> None:
        """A file of another size, time or identity has no leaves: it isn't what it was."""
        self.begun().add(LEAVES[0])
        set_time(self.file, 1)
        self.assertEqual(self.state().kept("film", self.file.stat()), Kept())
        other = self.file.with_name("other")
        other.write_bytes(b"x" * 100)
        set_time(other, self.status.st_mtime_ns)
        self.assertEqual(self.state().kept("film", other.stat()), Kept())
        self.file.write_bytes(b"x" * 101)
        set_time(self.file, self.status.st_mtime_ns)
        self.assertEqual(self.state().kept("film", self.file.stat()), Kept())

    def test_other_ctime(self) -> None:
        """If only its ctime is another one, its leaves are doubtful; those that were kept since then are sound."""
        self.begun(leaves=LEAVES[0] + LEAVES[1])
        self.status = new_ctime(self.file)
        self.assertEqual(self.state().kept("film", self.status), Kept(b"", LEAVES[0] + LEAVES[1]))
        self.begun().add(LEAVES[0])
        self.assertEqual(self.state().kept("film", self.status), Kept(LEAVES[0], LEAVES[0] + LEAVES[1]))

    def test_earlier_version(self) -> None:
        """What was kept when no ctime was noted is read, and is doubtful."""
        status = self.status
        self.begun().close()
        head = json.dumps(["film", status.st_size, status.st_mtime_ns, status.st_ino]).encode() + b"\n"
        (self.folder / "0").write_bytes(head + LEAVES[0])
        self.assertEqual(self.state().kept("film", status), Kept(b"", LEAVES[0]))
        (self.folder / "0").write_bytes(head.replace(b"]", b"7]") + LEAVES[0])
        self.assertEqual(self.state().kept("film", status), Kept())

    def test_private(self) -> None:
        """What is kept is for the daemon's own user alone."""
        self.begun()
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)
        self.assertEqual((self.folder / "0").stat().st_mode & 0o777, 0o600)

    def test_any_name(self) -> None:
        """The name of a file needn't be UTF-8, and may be as long as names are."""
        for path in ("\udcff", "é", "x/" * 2000 + "y"):
            self.begun(path, LEAVES[0])
            self.assertEqual(self.state().kept(path, self.status), Kept(LEAVES[0]))

    @given(st.integers(0, 5 * LEAF))
    @PROPERTY
    def test_cut_anywhere(self, length: int) -> None:
        """However much of the file a crash leaves, what is found is whole leaves, in order."""
        self.begun("film", b"".join(LEAVES[:5])).close()
        (name,) = self.kept()
        path = self.folder / name
        head = path.stat().st_size - 5 * LEAF
        os.truncate(path, head + length)
        self.assertEqual(self.state().kept("film", self.status), Kept(b"".join(LEAVES[: length // LEAF])))
        path.unlink()

    def test_power_cut(self) -> None:
        """A place that reads as zeros was never written: what stands there and after it isn't taken."""
        self.begun("film", LEAVES[0] + LEAVES[1] + bytes(LEAF) + LEAVES[3])
        self.assertEqual(self.state().kept("film", self.status), Kept(LEAVES[0] + LEAVES[1]))

    def test_torn_head(self) -> None:
        """A file whose first line was lost belongs to nothing."""
        self.begun("film", LEAVES[0]).close()
        for raw in (b"", b'["film"', bytes(200), b'["film"]\n' + LEAVES[0]):
            (self.folder / "0").write_bytes(raw)
            self.assertEqual(self.state().kept("film", self.status), Kept())

    def test_strangers(self) -> None:
        """Files that somebody else put into the folder are left alone."""
        self.begun("film", LEAVES[0])
        (self.folder / "notes.txt").write_text("mine")
        self.assertEqual(self.state().kept("film", self.status), Kept(LEAVES[0]))

    def test_synced(self) -> None:
        """Every 256 leaves they are brought to the disk, and the first time the names of the files too."""
        synced: list[str] = []
        self.patch(os, "fdatasync", lambda file: synced.append("data"))
        self.patch(os, "fsync", lambda file: synced.append("names"))
        state = self.begun()
        for _ in range(513):
            state.add(LEAVES[0])
        self.assertEqual(synced, ["data", "names", "data"])

    def test_last_files(self) -> None:
        """Of the files of one transfer the last ones stay, since a receiver may be behind by some."""
        self.patch(sender_state, "_KEPT", 3)
        state = self.state()
        for number in range(6):
            state.begin(f"film {number}", self.status, LEAVES[number])
        self.assertEqual(self.kept(), ["3", "4", "5"])
        self.assertEqual(self.state().kept("film 3", self.status), Kept(LEAVES[3]))
        self.assertEqual(self.state().kept("film 2", self.status), Kept())

    def test_old_files(self) -> None:
        """What earlier transfers left behind is bounded; a file that is growing is never among what goes."""
        self.patch(sender_state, "_KEPT_OF_ALL", 3)
        growing = self.begun("slow")
        for number in range(5):
            self.begun(f"film {number}").close()
        self.begun("another").close()
        self.assertEqual(self.kept(), ["0", "4", "5", "6"])
        growing.add(LEAVES[0])
        self.assertEqual(self.state().kept("slow", self.status), Kept(LEAVES[0]))

    def test_disk_full(self) -> None:
        """A disk that doesn't take it is told of with the folder and what to do."""
        state = self.begun()

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        self.patch(sender_state, "write_all", full)
        for call in (lambda: state.add(LEAVES[0]), lambda: state.begin("b", self.status, b"")):
            error = self.assertRaises(LocalFileError, call)
            self.assertIn(f"{self.folder}: ", str(error))
            self.assertIn("No space left on device", str(error))

    def test_in_the_way(self) -> None:
        """A file where the folder should be is told of, instead of being tried for ever."""
        self.folder.parent.mkdir(parents=True)
        self.folder.write_text("mine")
        self.assertIn("File exists", str(self.assertRaises(LocalFileError, self.begun)))
        self.assertEqual(self.state().kept("film", self.status), Kept())

    def test_close(self) -> None:
        """Closing lets go of the descriptor, and may be done twice."""
        state = self.begun()
        kept = (self.folder / "0").absolute()
        self.assertIn(kept, self.opened())
        state.close()
        state.close()
        self.assertNotIn(kept, self.opened())

    def test_remove(self) -> None:
        """Nothing is left of what is removed; doing it twice is no error."""
        state = self.begun()
        state.remove()
        state.remove()
        self.assertFalse(self.folder.exists())
        self.assertEqual(state.kept("film", self.status), Kept())


class TogetherTests(StateTestCase):
    """Several transfers of the same sources, at the same time."""

    def test_own_files(self) -> None:
        """Each writes files of its own, and neither spoils what the other keeps."""
        one, two = self.begun("one", LEAVES[0]), self.begun("two", LEAVES[1])
        one.add(LEAVES[2])
        two.add(LEAVES[3])
        self.assertEqual(one.kept("two", self.status), Kept(LEAVES[1] + LEAVES[3]))
        self.assertEqual(two.kept("one", self.status), Kept(LEAVES[0] + LEAVES[2]))

    def test_most_leaves(self) -> None:
        """Of a file that several send, the most leaves count: whoever began it last may not be far."""
        one, two = self.begun(), self.begun()
        for leaf in LEAVES[:4]:
            one.add(leaf)
        two.add(LEAVES[0])
        self.assertEqual(self.state().kept("film", self.status), Kept(b"".join(LEAVES[:4])))

    def test_same_moment(self) -> None:
        """Two that take the same number at the same moment get two files."""
        self.begun("one", LEAVES[0])
        two = self.state()
        answers: list[list[int]] = [[], []]
        original = two._numbers
        self.patch(two, "_numbers", lambda: answers.pop() if answers else original())
        two.begin("two", self.status, LEAVES[1])
        self.assertEqual(self.kept(), ["0", "1"])
        self.assertEqual(self.state().kept("one", self.status), Kept(LEAVES[0]))

    def test_removed_by_another(self) -> None:
        """One that goes on after another has removed all keeps its next file again."""
        one, two = self.begun("one"), self.begun("two")
        one.remove()
        two.add(LEAVES[0])
        self.assertEqual(two.kept("two", self.status), Kept())
        two.begin("two", self.status, LEAVES[0])
        self.assertEqual(self.state().kept("two", self.status), Kept(LEAVES[0]))

    def test_removed_while_it_syncs(self) -> None:
        """Bringing names to the disk that another has removed is no error."""
        one, two = self.begun("one"), self.begun("two")
        for _ in range(255):
            two.add(LEAVES[0])
        one.remove()
        two.add(LEAVES[0])

    def test_begun_while_removed(self) -> None:
        """A file that is begun while the others are removed stays, as does the folder."""
        state = self.begun("one")
        original = state._numbers

        def listed() -> list[int]:
            numbers = original()
            self.begun("two", LEAVES[0])
            return numbers

        self.patch(state, "_numbers", listed)
        state.remove()
        self.assertEqual(self.state().kept("two", self.status), Kept(LEAVES[0]))

    def test_removed_twice_at_once(self) -> None:
        """Two that remove all at the same moment don't get into each other's way."""
        state = self.begun("one")
        original = state._numbers

        def listed() -> list[int]:
            numbers = original()
            self.state().remove()
            return numbers

        self.patch(state, "_numbers", listed)
        state.remove()
        self.assertFalse(self.folder.exists())

    def test_not_removable(self) -> None:
        """A folder that can't be removed is told of."""
        state = self.begun("one")

        def broken(path: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        self.patch(Path, "unlink", broken)
        self.assertIn("Permission denied", str(self.assertRaises(LocalFileError, state.remove)))
        self.patch(Path, "unlink", lambda path: None)
        self.patch(Path, "rmdir", broken)
        self.assertIn("Permission denied", str(self.assertRaises(LocalFileError, state.remove)))

    def test_vanishes_while_read(self) -> None:
        """A file that another removes between being listed and being read isn't missed."""
        self.begun("film", LEAVES[0])
        state = self.state()
        self.patch(state, "_numbers", lambda: [7, 0])
        self.assertEqual(state.kept("film", self.status), Kept(LEAVES[0]))

    def test_many_threads(self) -> None:
        """Whatever several do in whatever order, each that goes on undisturbed finds its leaves again."""
        failures: list[Exception] = []
        states = [self.state() for _ in range(4)]

        def work(number: int) -> None:
            try:
                for turn in range(30):
                    state = SenderState(self.folder)
                    state.begin(f"film {number}", self.status, LEAVES[number])
                    state.add(LEAVES[number + 1])
                    state.kept(f"film {number}", self.status)
                    if turn % 3 == 2:
                        state.remove()
                    state.close()
                states[number].begin(f"film {number}", self.status, b"")
            except Exception as error:  # noqa: BLE001 - whatever it was: it fails the test
                failures.append(error)

        threads = [Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(failures, [])
        self.assertFalse(any(thread.is_alive() for thread in threads))


class LeafAtTests(SynchronousTestCase):
    """Leaves of what is on disk."""

    def test_each(self) -> None:
        """The leaf of each chunk is that of its bytes, also of the last one, which is short."""
        path = Path(self.mktemp())
        data = pattern(2 * CHUNK + 5)
        path.write_bytes(data)
        with path.open("rb") as file:
            for index in range(3):
                expected = leaf_digest([data[index * CHUNK : (index + 1) * CHUNK]])
                self.assertEqual(leaf_at(file.fileno(), len(data), index), expected)
