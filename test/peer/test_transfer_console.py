"""What the console of a peer daemon passes on about transfers, offers and chats, and how it tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, InvalidName, InvalidRequest, Outcome
from p2p.console.server import FileHandler
from p2p.console.transfer_operations import (
    Cancelled,
    Listed,
    ListedEntry,
    Moved,
    Offers,
    TransfersShown,
)
from p2p.link.boxes import encode_box
from p2p.peer import transfer_console
from p2p.peer.transfer_console import CERTAINLY_SHORT, EARLY, TransferConsole, list_shared
from test.moves import ID, OFFER, done, moved, offered, shown, verified
from test.peer.movers import Consent, Mover

SECOND = 1_000_000_000

NOTES = {"name": "notes", "kind": "file", "size": "5", "mtime": "170000000500000000"}


class Conversation:
    """Takes what is said."""

    def __init__(self) -> None:
        self.said: list[str | None] = []
        self.room: Deferred[None] = succeed(None)

    async def say(self, line: str) -> None:
        self.said.append(line)
        await self.room

    def end(self) -> None:
        self.said.append(None)


class Peer:
    """A hosted peer, as far as it matters here; its chats are with m4.m alone.

    :param listed: what other peers share, as boxes.
    """

    def __init__(self, name: str, *listed: Mapping[str, str]) -> None:
        self.name = name
        self.with_m4 = Conversation()
        self.chats = self
        self.asked: list[tuple[str, str, int]] = []
        self.reply = b"".join(map(encode_box, listed))

    async def exchange(self, target: str, request: Any, source: Any, sink: Any, *, planned_ns: int) -> None:
        """Answer with what is listed."""
        self.asked.append((target, request.service, planned_ns))
        sink().write(self.reply)

    def conversation(self, partner: str) -> Conversation:
        if partner != "m4.m":
            raise InvalidRequest(f"no chat with {partner}")
        return self.with_m4


class ConsoleCase(SynchronousTestCase):
    """The console of a daemon that hosts n1.n.

    :ivar events: what was emitted.
    :ivar room: fires when the client reads.
    """

    def setUp(self) -> None:
        """Make it."""
        self.mover = Mover()
        self.consent = Consent()
        self.peer: Any = Peer("n1.n", NOTES)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.room: Deferred[None] = succeed(None)
        console = TransferConsole(
            Clock(),
            lambda arguments: self.peer,
            transfers=self.mover,
            consent=self.consent,
            now_ns=lambda: 5 * SECOND,
        )
        self.handlers = console.handlers()

    def emit(self, event: str, /, **fields: Any) -> Deferred[None]:
        """Write an event down."""
        self.events.append((event, fields))
        return self.room

    def ask(self, op: str, file: int | None = None, **arguments: Any) -> Deferred[Mapping[str, Any]]:
        """Ask for something."""

        async def handle() -> Mapping[str, Any]:
            handler = self.handlers[op]
            if isinstance(handler, FileHandler):
                return await handler.run(arguments, self.emit, file)
            return await handler(arguments, self.emit)

        return Deferred.fromCoroutine(handle())

    def answer(self, op: str, file: int | None = None, **arguments: Any) -> Mapping[str, Any]:
        """Ask, and return the answer."""
        answer: Mapping[str, Any] = self.successResultOf(self.ask(op, file, **arguments))
        return answer


class MoveTests(ConsoleCase):
    """``send`` and ``get``."""

    def test_send(self) -> None:
        """What is asked goes to the acting peer's transfers, each event to the client, and the end is the answer."""
        self.mover.events = [offered(), verified(), done()]
        answer = self.answer("send", peers=["*.m"], paths=["/srv/a"])
        self.assertEqual(moved(), Moved.model_validate(answer))
        ((acting, arguments, file),) = self.mover.asked
        self.assertEqual(("n1.n", ["*.m"], ["/srv/a"], None), (acting, arguments.peers, arguments.paths, file))
        self.assertEqual(
            [("transfer", {"transfer": event.model_dump(mode="json")}) for event in self.mover.events], self.events
        )

    def test_pace(self) -> None:
        """Whoever tells gets to know when the client has room for more."""
        self.room = Deferred()
        self.mover.events = [verified()]
        self.answer("send", peers=["m4.m"], paths=["/srv/a"])
        self.assertEqual([self.room], self.mover.waits)

    def test_get(self) -> None:
        """Getting is asked for in the same way."""
        answer = self.answer("get", peer="m4.m", names=["a"], folder="/srv")
        self.assertEqual(moved(), Moved.model_validate(answer))
        ((acting, arguments, _),) = self.mover.asked
        self.assertEqual(("n1.n", "m4.m", "/srv"), (acting, arguments.peer, arguments.folder))
        self.failureResultOf(self.ask("get", peer="*.m", names=["a"], folder="/srv"), InvalidName)

    def test_streams(self) -> None:
        """A descriptor that came along is passed on; where one is needed and didn't come, that is told."""
        requests: list[tuple[str, dict[str, Any]]] = [
            ("send", {"peers": ["m4.m"], "stream": True, "name": "x"}),
            ("get", {"peer": "m4.m", "stream": True, "names": ["x"]}),
        ]
        for op, arguments in requests:
            self.answer(op, 7, **arguments)
            self.assertEqual(7, self.mover.asked[-1][2])
            error = self.failureResultOf(self.ask(op, **arguments), InvalidRequest)
            self.assertIn("SCM_RIGHTS", str(error.value))

    def test_arguments(self) -> None:
        """Requests that contradict themselves are refused, and nothing is begun."""
        self.failureResultOf(self.ask("send", 7, peers=["m4.m"], paths=["/a"], stream=True), InvalidRequest)
        self.assertEqual([], self.mover.asked)


class KnownTests(ConsoleCase):
    """``transfers``, ``cancel-transfer`` and ``ls``."""

    def test_list(self) -> None:
        """The list is that of the journal."""
        self.mover.list.callback(TransfersShown(transfers=[shown()]))
        self.assertEqual([shown()], TransfersShown.model_validate(self.answer("transfers")).transfers)
        self.assertEqual([], self.mover.told)

    def test_follow(self) -> None:
        """The list comes first, then what happened meanwhile, then what happens, until the client leaves."""
        following = self.ask("transfers", follow=True)
        (tell,) = self.mover.told
        tell(offered())
        self.assertEqual([], self.events)
        self.mover.list.callback(TransfersShown(transfers=[shown()]))
        tell(done())
        self.assertEqual(["transfers", "transfer", "transfer"], [event for event, _ in self.events])
        self.assertEqual(["offered", "done"], [fields["transfer"]["event"] for _, fields in self.events[1:]])
        self.assertNoResult(following)
        following.cancel()
        self.failureResultOf(following, CancelledError)
        self.assertEqual([], self.mover.told)

    def test_follower_that_does_not_read(self) -> None:
        """Events that wait for the list to be read are bounded; they come in their order."""
        self.room = Deferred()
        following = self.ask("transfers", follow=True)
        self.mover.list.callback(TransfersShown(transfers=[]))
        (tell,) = self.mover.told
        for number in range(EARLY + 10):
            tell(done(entries=number))
        self.assertEqual(1, len(self.events))
        room, self.room = self.room, succeed(None)
        room.callback(None)
        self.assertEqual(list(range(10, EARLY + 10)), [fields["transfer"]["entries"] for _, fields in self.events[1:]])
        following.cancel()
        self.failureResultOf(following, CancelledError)

    def test_cancel(self) -> None:
        """A transfer is given up by its id."""
        answer = Cancelled.model_validate(self.answer("cancel-transfer", transfer=ID))
        self.assertEqual([(ID, "cancelled")], [(one.transfer, one.state) for one in answer.transfers])

    def test_ls(self) -> None:
        """The peer is asked what it shares."""
        listed = Listed.model_validate(self.answer("ls", peer="m4.m", path="films"))
        self.assertEqual(("m4.m", "films", ["notes"]), (listed.peer, listed.path, [one.name for one in listed.entries]))
        self.assertEqual([("m4.m", "list", 5 * SECOND)], self.peer.asked)
        self.failureResultOf(self.ask("ls", peer="M"), InvalidName)


class ListTests(SynchronousTestCase):
    """``list_shared``."""

    def listed(self, peer: Any) -> Deferred[list[ListedEntry]]:
        """Ask m4.m what is in films."""
        return Deferred.fromCoroutine(list_shared(peer, "m4.m", "films", 5))

    def test_entries(self) -> None:
        """Entries come in their order, times in seconds."""
        peer = Peer(
            "n1.n",
            {"name": "a", "kind": "file", "size": "5", "mtime": "170000000500000000"},
            {"name": "b", "kind": "folder", "size": "0", "mtime": "0"},
        )
        self.assertEqual(
            [ListedEntry(name="a", kind="file", size=5, mtime=170_000_000.5), ListedEntry(name="b", kind="folder")],
            self.successResultOf(self.listed(peer)),
        )
        self.assertEqual([("m4.m", "list", 5)], peer.asked)

    def test_many(self) -> None:
        """A long list is fine, as long as an answer of the console can hold it."""
        boxes = [{"name": f"{number}", "kind": "file"} for number in range(CERTAINLY_SHORT + 1)]
        self.assertEqual(CERTAINLY_SHORT + 1, len(self.successResultOf(self.listed(Peer("n1.n", *boxes)))))
        peer: Any = Peer("n1.n")
        names = (b"%05d" % number + b"\xff" * 250 for number in range(11_000))
        peer.reply = b"".join(encode_box({"name": name, "kind": b"file", "mtime": b"1"}) for name in names)
        failure = self.failureResultOf(self.listed(peer), ExchangeFailed).value
        self.assertEqual(Outcome.REFUSED, failure.outcome)
        self.assertIn("get the folder as a whole", str(failure))


class OfferTests(ConsoleCase):
    """``offers`` and ``decide``."""

    def test_offers(self) -> None:
        """What waits for consent is listed, and decided about."""
        self.assertEqual([OFFER], Offers.model_validate(self.answer("offers")).offers)
        self.assertEqual({"offer": ID, "accepted": True}, self.answer("decide", offer=ID, accept=True))
        self.assertEqual([(ID, True)], self.consent.decided)
        self.failureResultOf(self.ask("decide", offer="x", accept=True), InvalidRequest)


class ChatTests(ConsoleCase):
    """``chat`` and ``chat-say``."""

    def test_hold(self) -> None:
        """A chat is held by the acting peer, and what happens in it is emitted."""
        held: list[tuple[Any, ...]] = []

        async def hold_chat(peer: Any, partner: str, emit: Any, clock: Any, planned_ns: int) -> None:
            held.append((peer.name, partner, planned_ns))
            await emit("chat", state="line", line="hello")

        self.patch(transfer_console, "hold_chat", hold_chat)
        self.assertEqual({"peer": "m4.m"}, self.answer("chat", peer="m4.m"))
        self.assertEqual([("n1.n", "m4.m", 5 * SECOND)], held)
        self.assertEqual([("chat", {"state": "line", "line": "hello"})], self.events)
        self.failureResultOf(self.ask("chat", peer="M"), InvalidName)

    def test_say(self) -> None:
        """A line is taken when there is room for it; without one, this side ends."""
        self.peer.with_m4.room = Deferred()
        saying = self.ask("chat-say", peer="m4.m", line="hello")
        self.assertNoResult(saying)
        self.peer.with_m4.room.callback(None)
        self.assertEqual({"peer": "m4.m"}, self.successResultOf(saying))
        self.answer("chat-say", peer="m4.m")
        self.assertEqual(["hello", None], self.peer.with_m4.said)
        self.failureResultOf(self.ask("chat-say", peer="m5.m", line="x"), InvalidRequest)
