"""Files with content to measure with."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, get_args

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.experiment import made_files
from p2p.experiment.made_files import MadeFiles, MediaMissing, make_content
from p2p.experiment.making import SMALLEST, Content
from p2p.services.inspect_workers import has_media


class ContentTests(SynchronousTestCase):
    def test_exact(self) -> None:
        """Every kind has exactly the bytes asked for, also below its smallest valid size."""
        for content in get_args(Content):
            for size in (1, 1023, SMALLEST[content], 5001):
                self.assertEqual(size, len(make_content(content, size, 1)), (content, size))

    def test_beginning(self) -> None:
        """What is too small to be valid is the beginning of what is valid."""
        self.assertEqual(make_content("video", SMALLEST["video"], 1)[:1024], make_content("video", 1024, 1))

    def test_no_media(self) -> None:
        """Without PyAV there is no video, and it is told what to install; the rest is made all the same."""
        self.patch(made_files, "has_media", lambda: False)
        error = self.assertRaises(MediaMissing, make_content, "video", 5000, 1)
        self.assertIn("pip install 'p2p[media]'", str(error))
        self.assertEqual(5000, len(make_content("audio", 5000, 1)))

    def test_media(self) -> None:
        """PyAV is found where it is installed."""
        self.assertTrue(has_media())


class MadeFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Name a folder that isn't there yet."""
        self.folder = Path(self.mktemp()) / "content"
        self.files = MadeFiles(self.folder, 7)

    def test_once(self) -> None:
        """A file is made once; then it is taken as it is."""
        path = self.files.get("text", 2000)
        self.assertEqual(self.files.path("text", 2000), path)
        self.assertEqual(make_content("text", 2000, 7), path.read_bytes())
        before = path.stat().st_mtime_ns
        self.assertEqual(path, self.files.get("text", 2000))
        self.assertEqual(before, path.stat().st_mtime_ns)
        self.assertEqual([path], [*self.folder.iterdir()])

    def test_other_seed(self) -> None:
        """Another seed or size is another file."""
        paths = {
            self.files.get("random", 10),
            self.files.get("random", 11),
            MadeFiles(self.folder, 8).get("random", 10),
        }
        self.assertEqual(3, len(paths))

    def test_cut_off(self) -> None:
        """A file of another size than its name says is made again."""
        path = self.files.get("text", 2000)
        os.truncate(path, 100)
        self.assertEqual(2000, self.files.get("text", 2000).stat().st_size)

    def test_no_room(self) -> None:
        """A disk that takes no more is told, and nothing half made is left."""

        def full(*arguments: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        self.patch(os, "replace", full)
        error = self.assertRaises(LocalFileError, self.files.get, "text", 2000)
        self.assertIn("No space left on device", str(error))
        self.assertEqual([], [*self.folder.iterdir()])

    def test_no_folder(self) -> None:
        """A folder that can't be made is told."""
        self.folder.parent.write_text("a file")
        self.assertIn("Not a directory", str(self.assertRaises(LocalFileError, self.files.get, "text", 2000)))
