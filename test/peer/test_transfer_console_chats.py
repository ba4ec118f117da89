"""Holding a chat for a client: it lasts until both sides have ended, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed

from p2p.base.errors import InvalidRequest, Outcome
from p2p.exchange.exchange import Request
from p2p.exchange.service import Services
from p2p.peer.node import HostedPeer
from p2p.peer.transfer_console import hold_chat
from p2p.services.chat_room import ALIVE_S, CHAT, WAIT_S, Conversation, chat
from test.peer import pair as pairs
from test.peer.pair import LIMITS, NodeCase, Pair


class Client:
    """Holds a chat.

    :ivar told: states, and lines with a > before them.
    """

    def __init__(self, pair: Pair, peer: HostedPeer, partner: str) -> None:
        self.told: list[str] = []
        self._pair = pair
        self._chats = peer.chats
        self._partner = partner
        self.holding = pair.start(hold_chat(peer, partner, self.emit, pair.network, 0))

    def emit(self, event: str, /, **fields: Any) -> Deferred[None]:
        assert event == "chat"
        self.told.append(f"> {fields['line']}" if fields["state"] == "line" else fields["state"])
        return succeed(None)

    @property
    def conversation(self) -> Conversation:
        return self._chats.conversation(self._partner)

    def say(self, line: str) -> None:
        self._pair.run(self.conversation.say(line))

    def end(self) -> None:
        self.conversation.end()
        self._pair.network.settle()


class HoldChatTests(NodeCase):
    """n1.n and m4.m."""

    def setUp(self) -> None:
        """Have them offer the service."""
        self.patch(pairs, "Services", lambda plugins: Services([*plugins, chat]))
        self.make_pair()

    def hold(self, *, there: bool = False) -> Client:
        """Begin at n1.n, or at m4.m."""
        if there:
            return Client(self.pair, self.pair.m4, "n1.n")
        return Client(self.pair, self.pair.n1, "m4.m")

    def over(self) -> None:
        """Nothing is left."""
        for peer in (self.pair.n1, self.pair.m4):
            self.assertEqual(([], {}), (peer.chats.waiting, peer.chats._conversations))
        self.assert_nothing_left(self.pair)

    def test_both(self) -> None:
        """Each side says what it likes; the chat is over at both when both have ended, whoever began."""
        ours, theirs = self.hold(), self.hold(there=True)
        ours.say("hello")
        theirs.say("good day")
        ours.end()
        self.assertNoResult(ours.holding)
        theirs.say("bye")
        theirs.end()
        self.successResultOf(ours.holding)
        self.successResultOf(theirs.holding)
        self.assertEqual(["waiting", "joined", "> good day", "> bye", "left"], ours.told)
        self.assertEqual(["> hello", "joined", "left"], sorted(theirs.told, key="> hello joined left".find))
        self.over()

    def test_one_at_a_time(self) -> None:
        """A second chat with the same partner is refused, and the first goes on."""
        ours, theirs = self.hold(), self.hold(there=True)
        self.failureResultOf(self.hold().holding, InvalidRequest)
        ours.say("still here")
        self.assertIn("> still here", theirs.told)
        self.leave(ours, theirs)

    def test_nobody_there(self) -> None:
        """Nobody comes: the chat ends with the reason."""
        ours = self.hold()
        self.pair.network.advance(WAIT_S + 3 * ALIVE_S)
        self.assertIn("nobody at m4.m has answered", self.failed(ours.holding, Outcome.TIMEOUT))
        self.assertEqual(["waiting"], ours.told)
        self.over()

    def test_no_such_peer(self) -> None:
        """A partner that isn't there is told with its outcome."""
        ours = Client(self.pair, self.pair.n1, "m9.m")
        self.failed(ours.holding, Outcome.UNKNOWN_PEER)
        self.over()

    def test_client_leaves(self) -> None:
        """When the client goes, the partner's chat is over as well, which isn't a failure."""
        ours, theirs = self.hold(), self.hold(there=True)
        self.leave(ours)
        self.assertEqual("left", theirs.told[-1])
        theirs.end()
        self.pair.network.advance(2 * ALIVE_S)
        self.successResultOf(theirs.holding)
        self.over()

    def test_broken_link(self) -> None:
        """When the link breaks, both sides are told that: somebody's last words may be lost."""
        ours, theirs = self.hold(), self.hold(there=True)
        self.pair.n1.links["m4.m"].abort("cable pulled")
        self.pair.network.settle()
        for client in (ours, theirs):
            self.assertIn("broke", self.failed(client.holding, Outcome.RESET))
        self.over()

    def test_broken_after_ours(self) -> None:
        """It is told as well when this side had said all it wanted."""
        ours, theirs = self.hold(), self.hold(there=True)
        ours.end()
        self.pair.n1.links["m4.m"].abort("cable pulled")
        self.pair.network.settle()
        for client in (ours, theirs):
            self.assertIn("broke", self.failed(client.holding, Outcome.RESET))
        self.over()

    def test_left_after_ours(self) -> None:
        """Somebody who leaves in a hurry has left; the link stands."""
        ours, theirs = self.hold(), self.hold(there=True)
        ours.end()
        self.leave(theirs)
        self.successResultOf(ours.holding)
        self.over()

    def test_silent_partner(self) -> None:
        """A partner that reads and never says anything, not even that it is there, is given up after a while."""
        ours = self.hold()
        conversation = self.answer_without_a_word(self.pair.m4)
        ours.end()
        self.pair.network.advance(1)
        self.assertNoResult(ours.holding)
        self.pair.network.advance(LIMITS.exchange_silence_s)
        self.pair.m4.chats.leave(conversation)
        reason = self.failed(ours.holding, Outcome.TIMEOUT)
        self.assertIn("m4.m joined the chat, but nothing came from there for 30 s", reason)
        self.over()

    def test_late_partner(self) -> None:
        """A partner whose own lines begin a moment after it reads is waited for."""
        ours = self.hold()
        conversation = self.answer_without_a_word(self.pair.m4)
        ours.end()
        self.pair.network.advance(LIMITS.exchange_silence_s / 2)
        request = Request(CHAT, "text")
        exchange = self.pair.m4.exchange("n1.n", request, conversation, conversation.replies, planned_ns=0)
        speaking = self.pair.start(exchange)
        self.pair.network.advance(LIMITS.exchange_silence_s)
        self.assertNoResult(ours.holding)
        self.pair.run(conversation.say("at last"))
        conversation.end()
        self.pair.network.settle()
        self.successResultOf(speaking)
        self.successResultOf(ours.holding)
        self.assertEqual(["waiting", "joined", "> at last", "left"], ours.told)
        self.pair.m4.chats.leave(conversation)
        self.over()

    def answer_without_a_word(self, peer: HostedPeer) -> Conversation:
        """Have somebody read what n1.n says, without an exchange of its own."""
        conversation = peer.chats.join("n1.n", lambda state, line: None)
        self.pair.network.settle()
        return conversation

    def leave(self, *clients: Client) -> None:
        """Have clients go."""
        for client in clients:
            client.holding.cancel()
            self.pair.network.settle()
            self.failureResultOf(client.holding, CancelledError)
        self.pair.network.settle()
