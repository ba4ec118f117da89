"""Tests of p2p.base.process."""

from __future__ import annotations

import ctypes
import resource

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.process import keep_memory, most_open_files, raise_open_files


class OpenFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.hard = before[1]
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)

    def test_raised(self) -> None:
        """The soft limit of open files becomes the hard one, and the log says from what to what."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.hard - 1, self.hard))
        with capturedLogs() as logs:
            self.assertEqual(self.hard, raise_open_files())
        self.assertEqual((self.hard - 1, self.hard), (logs[0]["soft"], logs[0]["hard"]))
        self.assertEqual((self.hard, self.hard), resource.getrlimit(resource.RLIMIT_NOFILE))

    def test_most(self) -> None:
        """What a daemon may have open at most is the hard limit; where there is none, it is a large number."""
        self.assertEqual(self.hard, most_open_files())
        self.patch(resource, "getrlimit", lambda which: (100, resource.RLIM_INFINITY))
        self.assertEqual(1 << 31, most_open_files())

    def test_high_already(self) -> None:
        """A limit that is as high as it may be is left, and told."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.hard, self.hard))
        with capturedLogs() as logs:
            raise_open_files()
        self.assertNotIn("soft", logs[0])

    def test_not_granted(self) -> None:
        """Where the system doesn't grant it, the daemon starts all the same, and the log warns."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.hard - 1, self.hard))

        def refuse(*arguments: object) -> None:
            raise ValueError("current limit exceeds maximum limit")

        self.patch(resource, "setrlimit", refuse)
        with capturedLogs() as logs:
            self.assertEqual(self.hard - 1, raise_open_files())
        self.assertEqual("current limit exceeds maximum limit", logs[0]["reason"])


class MemoryTests(SynchronousTestCase):
    """What the C library is told, without telling it here."""

    def told(self, library: object) -> bool:
        """Ask for it, with a library that is put in the place of the real one."""
        self.patch(ctypes, "CDLL", lambda name: library)
        return keep_memory()

    def test_kept(self) -> None:
        """GNU's library is told to map no buffer of ours by itself and to keep free memory, 8 MiB each."""
        told: list[tuple[int, int]] = []

        class Library:
            @staticmethod
            def mallopt(option: int, value: int) -> int:
                told.append((option, value))
                return 1

        self.assertTrue(self.told(Library()))
        self.assertEqual([(-1, 8 * 1024 * 1024), (-3, 8 * 1024 * 1024)], told)

    def test_another_library(self) -> None:
        """A library that can't be told is left alone."""
        self.assertFalse(self.told(object()))
