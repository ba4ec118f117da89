"""What the two ends of a transfer do with the disk or a pipe is the same, whichever engine does it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.transfer.interfaces import Receiver, Sender
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.sending import SendingEngine
from p2p.transfer.sharing import SharedSender
from p2p.transfer.streaming import PipeReceiver
from test.protocols import lacking


class InterfaceTests(SynchronousTestCase):
    def test_senders(self) -> None:
        """Alone, or one of several that share a source: a session asks both for the same."""
        self.assertEqual([], lacking(Sender, SendingEngine, SharedSender))

    def test_receivers(self) -> None:
        """Into a folder, or into a pipe: a session tells both the same."""
        self.assertEqual([], lacking(Receiver, ReceivingEngine, PipeReceiver))

    def test_lacking(self) -> None:
        """What an engine doesn't have, or has with other arguments, is found."""

        class Half:
            def next(self) -> None:
                """It takes too little."""

            def stop(self) -> None:
                """As it must be."""

        self.assertEqual(["Half.resume", "Half.next", "Half.dealt", "Half.close"], lacking(Sender, Half))
