"""What Python programs can ask about transfers: every request says exactly what was meant, every answer is typed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from p2p.base.errors import DaemonFault, InvalidRequest, LocalFileError
from p2p.client import ANSWER_S, ChatLine, TransferEvent, TransfersShown
from p2p.console.server import checked
from p2p.console.transfer_operations import (
    ChatArguments,
    ChatSayArguments,
    DecideArguments,
    GetArguments,
    SendArguments,
    TransfersArguments,
)
from test.client_cases import ClientCase
from test.consoles import failing, peer_operations, pending
from test.moves import ENTRIES, ID, OFFER, Move, done, moved, moved_one, offered, shown, verified, whole

FILE = SendArguments(peers=["m4.m"], paths=["/srv/a"])


class SendTests(ClientCase):
    """``send``."""

    def test_paths(self) -> None:
        """Files go by their absolute paths to every peer that is named, and all events are told in their order."""
        move = whole()
        told: list[TransferEvent] = []
        client = self.client(peer_operations(send=move))
        arguments = SendArguments(
            peers=["m4.m", "*.n"],
            paths=["/srv/a", "/srv/b"],
            type="video",
            links="refuse",
            limit=10_000,
            deadline_s=90,
            detach=True,
            acting="n1.n",
        )
        answer = self.result(client.send(arguments, on_event=told.append))
        (asked,) = move.asked
        self.assertEqual(arguments, SendArguments.read(asked))
        self.assertEqual("n1.n", asked["as"])
        self.assertEqual(["offered", "progress", "progress", "verified", "done"], [one.event for one in told])
        self.assertTrue(answer.complete)
        self.assertEqual(moved(), answer)

    def test_one(self) -> None:
        """Whatever isn't said is left to the daemon, which may be of an earlier version than a new argument."""
        move = whole()
        arguments = SendArguments(peers=["m4.m"], paths=["/srv/a"], name="b")
        self.result(self.client(peer_operations(send=move)).send(arguments))
        self.assertEqual([{"peers": ["m4.m"], "paths": ["/srv/a"], "name": "b"}], move.asked)

    def test_odd_names(self) -> None:
        """A path that isn't UTF-8, which Python holds with lone surrogates, arrives as it is."""
        move = whole()
        self.result(self.client(peer_operations(send=move)).send(SendArguments(peers=["m4.m"], paths=["/srv/\udcff"])))
        self.assertEqual(["/srv/\udcff"], SendArguments.read(move.asked[0]).paths)

    def test_stream(self) -> None:
        """The daemon gets the file descriptor of a stream, and reads it itself."""
        move = whole()
        out, into = os.pipe()
        os.write(into, b"content")
        tar = SendArguments(peers=["m4.m"], stream=True, name="x.tar", limit=2048)
        self.result(self.client(peer_operations(send=move)).send(tar, file=out))
        self.assertEqual([b"content"], move.read)
        self.assertEqual(tar, SendArguments.read(move.asked[0]))
        os.close(out)
        os.close(into)

    def test_incomplete(self) -> None:
        """What failed, or was left out, is in the answer; a source that can't be used raises."""
        for one, complete in ((moved_one("reset"), False), (moved_one(refused=2), False), (moved_one(), True)):
            client = self.client(peer_operations(send=Move(answer=moved(one))))
            self.assertEqual(complete, self.result(client.send(FILE)).complete)
        client = self.client(peer_operations(send=Move(answer=LocalFileError("/srv/a: gone"))))
        self.error(client.send(FILE), LocalFileError)

    def test_newer_daemon(self) -> None:
        """Events of kinds that this version doesn't know are left out; one that makes no sense is a fault."""
        told: list[TransferEvent] = []
        move = Move({**done().model_dump(), "event": "celebrated"}, {"no": "event"}, done())
        client = self.client(peer_operations(send=move))
        self.result(client.send(FILE, on_event=told.append))
        self.assertEqual([done()], told)
        client = self.client(peer_operations(send=Move({"event": "done"})))
        error = self.error(client.send(FILE, on_event=told.append), DaemonFault)
        self.assertIn("same version", str(error))

    def test_other_events(self) -> None:
        """What isn't about a transfer is none of the listener's business."""

        async def send(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            await emit("news", transfer=done().model_dump())
            return moved().model_dump()

        told: list[TransferEvent] = []
        self.result(self.client(peer_operations(send=send)).send(FILE, on_event=told.append))
        self.assertEqual([], told)


class GetTests(ClientCase):
    """``get`` and ``ls``."""

    def test_into_folder(self) -> None:
        """Names go to the daemon, which writes into the folder."""
        move = whole()
        client = self.client(peer_operations(get=move))
        arguments = GetArguments(
            peer="m4.m", names=["a", "b/c"], folder="/srv", exists="replace", links="refuse", limit=5000
        )
        self.assertEqual(moved(), self.result(client.get(arguments)))
        self.assertEqual(arguments, GetArguments.read(move.asked[0]))

    def test_stream(self) -> None:
        """The daemon writes one file to the descriptor that it gets."""
        move = Move(answer=moved(), written=b"content")
        out, into = os.pipe()
        film = GetArguments(peer="m4.m", names=["film.mkv"], stream=True)
        self.result(self.client(peer_operations(get=move)).get(film, file=into))
        self.assertEqual(b"content", os.read(out, 100))
        self.assertEqual(film, GetArguments.read(move.asked[0]))
        os.close(out)
        os.close(into)

    def test_ls(self) -> None:
        """What a peer shares is listed with kinds, sizes and times."""
        listed = self.result(self.client(peer_operations()).list_shared("m4.m", "films"))
        self.assertEqual(("m4.m", "films", list(ENTRIES)), (listed.peer, listed.path, listed.entries))


class KnownTests(ClientCase):
    """``transfers``, ``cancel-transfer``, ``offers`` and ``decide``."""

    def test_list(self) -> None:
        """The daemon's transfers are listed."""
        self.assertEqual([shown()], self.result(self.client(peer_operations()).transfers()).transfers)

    def test_follow(self) -> None:
        """Who follows gets the list, and then every event, until he has enough."""
        known: list[TransfersShown] = []
        told: list[TransferEvent] = []
        client = self.client(peer_operations())
        following = TransfersArguments(follow=True)
        self.result(client.transfers(following, on_shown=known.append, on_event=told.append))
        self.assertEqual([shown()], known[0].transfers)
        self.assertEqual([offered(), verified(), done()], told)
        self.result(client.transfers(following, on_event=told.append))
        self.assertEqual(6, len(told))

    def test_follow_until_cancelled(self) -> None:
        """It takes as long as its caller wants."""
        begun: list[Deferred[None]] = []
        client = self.client(peer_operations(transfers=pending(begun)))
        running = self.begin(client.transfers(TransfersArguments(follow=True)))
        self.reactor.advance(100_000)
        self.assertNoResult(running)
        running.cancel()
        self.failureResultOf(running, CancelledError)

    def test_cancel(self) -> None:
        """A transfer is given up by its id."""
        cancelled = self.result(self.client(peer_operations()).cancel_transfer(ID))
        self.assertEqual([(ID, "cancelled")], [(one.transfer, one.state) for one in cancelled.transfers])

    def test_offers(self) -> None:
        """Offers are listed and decided about."""
        asked: list[DecideArguments] = []

        async def decide(arguments: DecideArguments, emit: object) -> Mapping[str, Any]:
            asked.append(arguments)
            return {}

        client = self.client(peer_operations(decide=checked(DecideArguments, decide)))
        self.assertEqual([OFFER], self.result(client.offers()).offers)
        self.result(client.decide(ID, accept=False))
        self.assertEqual([DecideArguments(offer=ID, accept=False)], asked)
        client = self.client(peer_operations(decide=failing(InvalidRequest("no such offer"))))
        self.error(client.decide(ID, accept=True), InvalidRequest)

    def test_deadlines(self) -> None:
        """What the daemon knows itself it answers within 10 s."""
        begun: list[Deferred[None]] = []
        for ask in (lambda client: client.transfers(), lambda client: client.offers()):
            client = self.client(dict.fromkeys(("transfers", "offers"), pending(begun)))
            running = self.begin(ask(client))
            self.reactor.advance(ANSWER_S)
            self.assertIn("has not answered", str(self.failureResultOf(running).value))

    def test_arguments(self) -> None:
        """Following is what asks for it."""
        seen: list[TransfersArguments] = []

        async def transfers(arguments: TransfersArguments, emit: object) -> TransfersShown:
            seen.append(arguments)
            return TransfersShown(transfers=[])

        client = self.client(peer_operations(transfers=checked(TransfersArguments, transfers)))
        asked = [TransfersArguments(count=3), TransfersArguments(follow=True, count=7)]
        for arguments in asked:
            self.result(client.transfers(arguments))
        self.assertEqual(asked, seen)


class ChatTests(ClientCase):
    """``chat`` and ``chat-say``."""

    def test_chat(self) -> None:
        """Lines go both ways until both sides have ended."""
        said: list[str | None] = []
        told: list[ChatLine] = []
        over: Deferred[None] = Deferred()

        async def chat(arguments: ChatArguments, emit: Any) -> Mapping[str, Any]:
            await emit("news")
            await emit("chat", state="joined", line="")
            await emit("chat", state="line", line="hello")
            await over
            return {}

        async def chat_say(arguments: ChatSayArguments, emit: Any) -> Mapping[str, Any]:
            said.append(arguments.line)
            if arguments.line is None:
                over.callback(None)
            return {}

        operations = {"chat": checked(ChatArguments, chat), "chat-say": checked(ChatSayArguments, chat_say)}
        client = self.client(peer_operations(**operations))
        talking = self.begin(client.chat("m4.m", told.append))
        self.result(client.chat_say("m4.m", "hi"))
        self.assertNoResult(talking)
        self.result(client.chat_say("m4.m", None))
        self.assertIsNone(self.successResultOf(talking))
        self.assertEqual(["hi", None], said)
        self.assertEqual([ChatLine(state="joined"), ChatLine(state="line", line="hello")], told)
