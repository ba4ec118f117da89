"""Tests for :mod:`p2p.wire.threads`; whoever waits for a thread here waits 5 s at most."""

from __future__ import annotations

import weakref
from queue import SimpleQueue
from threading import Event, get_ident
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.wire.threads import LeanPool

WAIT_S = 5.0


class LeanPoolTests(SynchronousTestCase):
    """A pool of at most two threads."""

    def setUp(self) -> None:
        self.pool = LeanPool(2)
        self.told: SimpleQueue[tuple[bool, Any]] = SimpleQueue()

    def call(self, function: Any, *arguments: Any) -> None:
        """Call something, and be told."""
        self.pool.callInThreadWithCallback(lambda *told: self.told.put(told), function, *arguments)

    def next(self) -> tuple[bool, Any]:
        """What is told next."""
        return self.told.get(timeout=WAIT_S)

    def test_result(self) -> None:
        """A call is made in another thread, with its arguments, and its result is told."""
        self.call(lambda *arguments: (arguments, get_ident()), 1, "two")
        succeeded, (arguments, thread) = self.next()
        self.assertEqual((True, (1, "two")), (succeeded, arguments))
        self.assertNotEqual(get_ident(), thread)

    def test_failure(self) -> None:
        """What a call raises is told as a failure, and the thread goes on."""
        self.call(lambda: 1 // 0)
        succeeded, failure = self.next()
        self.assertEqual((False, ZeroDivisionError), (succeeded, failure.type))
        self.call(len, "four")
        self.assertEqual((True, 4), self.next())

    def test_same_thread(self) -> None:
        """An idle thread is used again."""
        threads = set()
        for _ in range(5):
            self.call(get_ident)
            threads.add(self.next()[1])
        self.assertEqual(1, len(threads))

    def test_most(self) -> None:
        """As many calls are made at once as there may be threads; the others wait, and their limit can be raised."""
        begun: SimpleQueue[int] = SimpleQueue()
        go_on = Event()

        def wait(number: int) -> int:
            begun.put(number)
            go_on.wait(WAIT_S)
            return number

        for number in range(3):
            self.call(wait, number)
        self.assertEqual([0, 1], sorted(begun.get(timeout=WAIT_S) for _ in range(2)))
        self.assertTrue(begun.empty())
        self.pool.adjustPoolsize(3)
        self.call(wait, 3)
        self.assertEqual(2, begun.get(timeout=WAIT_S))
        go_on.set()
        self.assertEqual([0, 1, 2, 3], sorted(self.next()[1] for _ in range(4)))

    def test_nothing_kept(self) -> None:
        """An idle thread holds nothing of its last call."""

        class Large:
            pass

        large = Large()
        gone = Event()
        weakref.finalize(large, gone.set)
        self.call(lambda one: one, large)
        del large
        self.assertTrue(self.next()[0])
        self.assertTrue(gone.wait(WAIT_S))
