"""What is to be sent, and where what is got goes to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import InvalidRequest, LocalFileError
from p2p.peer.transfers.sources import checked_folder, checked_sources, sources_of


class SourcesTests(SynchronousTestCase):
    """A folder with a film and links."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.film = self.folder / "film.mp4"
        self.film.write_bytes(b"film")

    def refused(self, *paths: object, name: str | None = None) -> str:
        error = self.assertRaises(LocalFileError, checked_sources, [str(path) for path in paths], name)
        return str(error)

    def test_names(self) -> None:
        """A file and a folder are sent under their own names, or the one that was given."""
        film, folder = checked_sources([str(self.film), str(self.folder) + "/"], None)
        self.assertEqual(("film.mp4", self.folder.name), (film.entry_name, folder.entry_name))
        (renamed,) = checked_sources([str(self.film)], "x.mp4")
        self.assertEqual(("x.mp4", self.film), (renamed.entry_name, renamed.path))

    def test_link(self) -> None:
        """A link that was named stands for what it leads to, under its own name."""
        link = self.folder / "newest.mp4"
        link.symlink_to(self.film)
        (source,) = checked_sources([str(link)], None)
        self.assertEqual(("newest.mp4", self.film.resolve()), (source.entry_name, source.path))

    def test_up(self) -> None:
        """What is named by ``..`` has the name that it really has, also through a link."""
        (self.folder / "deep").mkdir()
        link = Path(self.mktemp()).absolute()
        link.symlink_to(self.folder / "deep")
        (source,) = checked_sources([f"{link}/.."], None)
        self.assertEqual((self.folder.name, self.folder.resolve()), (source.entry_name, source.path))

    def test_missing(self) -> None:
        """What isn't there is told by name; so is a link that leads nowhere, or in a circle."""
        (self.folder / "dead").symlink_to("nowhere")
        (self.folder / "circle").symlink_to("circle")
        for name in ("missing", "dead", "circle", "film.mp4/x"):
            with self.subTest(name):
                self.assertIn(name, self.refused(self.folder / name))

    def test_all_are_looked_at(self) -> None:
        """One that is missing among others is found before anything is sent."""
        self.assertIn("missing", self.refused(self.film, self.folder / "missing"))

    def test_relative(self) -> None:
        """A relative path means something else to the daemon than to its client."""
        for path in ("film.mp4", "", "/a\0b"):
            with self.subTest(path):
                self.assertIn("absolute", self.refused(path))

    def test_pipe(self) -> None:
        """A named pipe isn't opened: that would wait for whoever writes to it."""
        os.mkfifo(self.folder / "pipe")
        self.assertIn("neither", self.refused(self.folder / "pipe"))

    def test_same_name(self) -> None:
        """Two things of one name can't be told apart at the other end."""
        (self.folder / "deep").mkdir()
        (self.folder / "deep" / "film.mp4").touch()
        paths = [str(self.film), str(self.folder / "deep" / "film.mp4")]
        for twice in (paths, [str(self.film)] * 2):
            self.assertRaises(InvalidRequest, checked_sources, twice, None)

    def test_no_name(self) -> None:
        """The root has no name, and a name with a slash is none."""
        self.refused("/")
        self.refused(self.film, name="a/b")

    def test_unreadable(self) -> None:
        """What the daemon may not read is told."""

        def denied(path: object, flags: int) -> int:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

        self.patch(os, "open", denied)
        self.assertIn("film.mp4': Permission denied", self.refused(self.film))

    def test_again(self) -> None:
        """For a transfer that is taken up nothing has to be there: what isn't is given up by its name."""
        gone, circle = sources_of([str(self.folder / "gone"), str(self.folder / "circle")], None)
        self.assertEqual(("gone", "circle"), (gone.entry_name, circle.entry_name))


class FolderTests(SynchronousTestCase):
    """Where things go."""

    def test_folder(self) -> None:
        """A folder is taken, and what isn't one is told."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "file").touch()
        self.assertEqual(folder, checked_folder(str(folder)))
        for path in (folder / "file", folder / "missing"):
            with self.subTest(path.name):
                self.assertIn(path.name, str(self.assertRaises(LocalFileError, checked_folder, str(path))))
        self.assertRaises(LocalFileError, checked_folder, "relative")

    def test_not_writable(self) -> None:
        """A folder that the daemon can't write to is told before anything is asked for."""
        self.patch(os, "access", lambda path, mode: False)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.assertIn("may not write", str(self.assertRaises(LocalFileError, checked_folder, str(folder))))
