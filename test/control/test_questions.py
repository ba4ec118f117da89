"""The questions of a control channel that wait for their answers."""

from __future__ import annotations

import math

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ProtocolViolation
from p2p.control.commands import Ping
from p2p.control.questions import Question, Questions


class QuestionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.questions = Questions()

    def ask(self, expiry: float) -> tuple[bytes, Question]:
        """Ask a question that waits until a time."""
        tag, question = self.questions.new_tag(), Question(Deferred(), Ping, 10.0, expiry)
        self.questions.add(tag, question)
        return tag, question

    def test_answered(self) -> None:
        """Each answer finds its question by the tag, in whichever order they come, and once."""
        asked = [self.ask(10.0) for _ in range(20)]
        self.assertEqual(20, len({tag for tag, _ in asked}))
        for tag, question in reversed(asked):
            self.assertIs(question, self.questions.take(tag))
            self.assertIsNone(self.questions.take(tag))
        self.assertEqual(0, len(self.questions))

    def test_never_asked(self) -> None:
        """An answer to what was never asked breaks the protocol, whatever its tag is."""
        self.ask(10.0)
        for tag in (b"2", b"0", b"-1", b"", b"x", b"ffffffff"):
            self.assertRaises(ProtocolViolation, self.questions.take, tag)
        self.assertEqual(1, len(self.questions))

    def test_expired(self) -> None:
        """A question whose time is over waits no more; its answer, should it come, is late and no violation."""
        self.assertEqual(math.inf, self.questions.next_expiry())
        (early, first), (_, second), (later, third) = self.ask(5.0), self.ask(5.0), self.ask(7.0)
        self.assertEqual(5.0, self.questions.next_expiry())
        self.assertEqual([], self.questions.expired(4.9))
        self.assertEqual([first, second], self.questions.expired(5.0))
        self.assertEqual(7.0, self.questions.next_expiry())
        self.assertIsNone(self.questions.take(early))
        self.assertIs(third, self.questions.take(later))

    def test_all(self) -> None:
        """At the end of a channel nothing waits any more."""
        asked = [question for _, question in (self.ask(1.0), self.ask(2.0))]
        self.assertEqual((asked, 0), (self.questions.all(), len(self.questions)))
