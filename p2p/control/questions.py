"""The questions of a control channel that wait for their answers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.protocols.amp import Command

from p2p.base.errors import ProtocolViolation

__all__ = ["Question", "Questions"]


class Question(NamedTuple):
    """A command that was sent.

    :ivar answer: fires with the answer, or fails.
    :ivar command: what was asked.
    :ivar deadline: how many seconds it waits.
    :ivar expiry: the time at which these are over.
    """

    answer: Deferred[dict[str, Any]]
    command: type[Command]
    deadline: float
    expiry: float


class Questions:
    """Numbers questions and finds them again by the tag that the answer carries.

    A question leaves when it is answered or when its deadline passes, so nothing stays behind for an answer that
    never comes; an answer that comes late is known by its number and dropped.
    """

    __slots__ = ("_count", "_waiting")

    def __init__(self) -> None:
        self._count = 0
        self._waiting: dict[bytes, Question] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def new_tag(self) -> bytes:
        """Return the tag of the next question: its number, in hexadecimal digits."""
        self._count += 1
        return b"%x" % self._count

    def add(self, tag: bytes, question: Question) -> None:
        """Let a question wait."""
        self._waiting[tag] = question

    def take(self, tag: bytes) -> Question | None:
        """Return the question that an answer belongs to, which waits no more; None if the answer is late.

        :raises ProtocolViolation: if no such question was asked.
        """
        question = self._waiting.pop(tag, None)
        if question is None:
            try:
                asked = 0 < int(tag, 16) <= self._count
            except ValueError:
                asked = False
            if not asked:
                raise ProtocolViolation("an answer to a question that wasn't asked")
        return question

    def expired(self, now: float) -> list[Question]:
        """Take out the questions whose deadline has passed."""
        late = [tag for tag, question in self._waiting.items() if question.expiry <= now]
        return [self._waiting.pop(tag) for tag in late]

    def all(self) -> list[Question]:
        """Take out every question."""
        questions = list(self._waiting.values())
        self._waiting.clear()
        return questions

    def next_expiry(self) -> float:
        """The time of the first deadline, infinity if nothing waits."""
        return min((question.expiry for question in self._waiting.values()), default=math.inf)
