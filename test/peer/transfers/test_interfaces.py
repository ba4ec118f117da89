"""What a transfer asks of the part of it that differs between sending and getting, and what it is told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.peer.transfers.account import Account
from p2p.peer.transfers.getting import Getting
from p2p.peer.transfers.interfaces import Moving, Told
from p2p.peer.transfers.sending import Sending
from p2p.transfer.session_requests import SessionTold
from test.peer.transfers.moving_doubles import ScriptedMoving
from test.protocols import lacking


class InterfaceTests(SynchronousTestCase):
    def test_moving(self) -> None:
        """What sends, what gets, and what stands in for both in tests are asked for the same."""
        self.assertEqual([], lacking(Moving, Sending, Getting, ScriptedMoving))

    def test_told(self) -> None:
        """An account can be told all that a session tells, and that it has begun."""
        self.assertEqual([], lacking(SessionTold, Account) + lacking(Told, Account))
