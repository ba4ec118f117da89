"""Requests that move something, and the events that tell of it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import InvalidRequest
from p2p.console.operations import Arguments
from p2p.console.transfer_operations import EVENTS, Done, GetArguments, SendArguments
from test.moves import done, progress


class ArgumentsTests(SynchronousTestCase):
    """``send`` and ``get``."""

    def test_contradictions(self) -> None:
        """A request that says too little or contradicts itself is none."""
        wrong: list[tuple[type[Arguments], dict[str, Any]]] = [
            (SendArguments, {"peers": [], "paths": ["/a"]}),
            (SendArguments, {"peers": ["m4.m"]}),
            (SendArguments, {"peers": ["m4.m"], "paths": ["/a"], "stream": True, "name": "x"}),
            (SendArguments, {"peers": ["m4.m"], "stream": True}),
            (SendArguments, {"peers": ["m4.m"], "stream": True, "name": "x", "detach": True}),
            (SendArguments, {"peers": ["m4.m"], "paths": ["/a"], "limit": 10}),
            (GetArguments, {"peer": "m4.m", "names": ["a"]}),
            (GetArguments, {"peer": "m4.m", "names": ["a", "b"], "stream": True}),
            (GetArguments, {"peer": "m4.m", "names": ["a"], "folder": "/a", "exists": "shout"}),
        ]
        for kind, fields in wrong:
            self.assertRaises(InvalidRequest, kind.read, fields)


class EventTests(SynchronousTestCase):
    """The kinds of events."""

    def test_kinds(self) -> None:
        """They are known by name."""
        kinds = {"offered", "pending", "resumed", "progress", "verified", "stalled", "waiting", "done", "failed"}
        self.assertEqual(kinds, EVENTS)
        self.assertIsInstance(progress(1).bytes, int)
        self.assertEqual("done", Done.model_validate(done().model_dump()).event)
