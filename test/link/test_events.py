"""What a Yamux session says of the bytes that arrive."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from p2p.link import events
from p2p.link.events import DataReceived, Event, StreamOpened


class EventTests(SynchronousTestCase):
    def test_all(self) -> None:
        """Every kind of event is one of ``Event``, so that whoever handles those has handled all."""
        kinds = {one for _, one in inspect.getmembers(events, inspect.isclass) if one.__module__ == events.__name__}
        self.assertEqual(kinds, set(get_args(Event)))
        self.assertEqual({*(kind.__name__ for kind in kinds), "Event"}, set(events.__all__))

    def test_values(self) -> None:
        """Events are values: two that say the same are equal, and none can be changed on its way."""
        self.assertEqual(DataReceived(1, memoryview(b"a")), DataReceived(1, memoryview(b"a")))
        self.assertNotEqual(StreamOpened(1), StreamOpened(2))
        with self.assertRaises(FrozenInstanceError):
            StreamOpened(1).stream_id = 2  # type: ignore[misc]  # it must not go
