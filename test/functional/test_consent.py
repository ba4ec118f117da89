"""What a person has agreed to is what comes, whatever the sender does: real daemons, and a sender made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from p2p.exchange.exchange import Request, perform
from p2p.exchange.rules import Names
from p2p.identity.lab import issue_name
from p2p.transfer.send_session import SendSession, send_request
from p2p.transfer.sending import SendingEngine, SourceRoot
from test.exchange.doubles import HeldThreads
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab, reactor, until
from test.functional.test_tickets import HandMadePeer
from test.peer.pair import Obeying
from test.transfer.sessions import Told


class ConsentTests(FunctionalCase):
    """m1.m asks its user about everything; m2.m is honest, and x1.m is made by hand."""

    timeout = 60

    async def prepare(self) -> None:
        """Start the lab, with a rule for m1.m."""
        self.lab: RunningLab = self.own_lab(("m",))
        path = self.lab.peers_file("m", "m1.m")
        text = path.read_text()
        end = text.index("\n", text.index("    inbox:")) + 1
        path.write_text(
            text[:end] + "    accept:\n      - {service: transfer, then: ask}\n      - {then: accept}\n" + text[end:]
        )
        await self.lab.start(m=["m1.m"], s=["m2.m"])
        self.console = await self.client(self.lab, "m")
        self.sources = self.lab.folder / "sources"
        self.sources.mkdir()

    def source(self, name: str, size: int = 0) -> Path:
        """A file to send."""
        path = self.sources / name
        path.write_bytes(bytes(size))
        return path

    async def offered(self) -> Any:
        """The offer that waits."""

        async def waits() -> bool:
            return bool((await self.console.offers()).offers)

        await until(waits, "an offer")
        (offer,) = (await self.console.offers()).offers
        return offer

    async def lie(self, request: Request, names: Sequence[str]) -> dict[str, str]:
        """Have x1.m offer something and send these things, when m1.m has agreed; what became of them."""
        issue_name(self.lab.folder, "x1.m")
        peer = HandMadePeer(self.lab, "x1.m")
        peer.registration.start(Obeying(peer.instructed))
        self.addCleanup(lambda: Deferred.fromCoroutine(peer.registration.stop()))
        await peer.registration.when_registered()
        answer = Deferred.fromCoroutine(self.console.link("x1.m", acting="m1.m"))
        ticket, port = await peer.told.get()
        caller = await peer.dial(ticket, port)
        assert caller.link is not None
        await caller.opened
        await answer
        told = Told()
        engine = SendingEngine([SourceRoot(self.sources / name) for name in names])
        session = SendSession(engine, HeldThreads(held=False), reactor, told)
        sending = Deferred.fromCoroutine(
            perform(
                caller.link.open_stream(),
                request,
                session,
                session.sink(),
                clock=reactor,
                now_ns=lambda: 0,
                planned_ns=0,
                silence_s=30.0,
                header_bytes=65536,
            )
        )
        await self.console.decide((await self.offered()).offer, accept=True)
        await sending
        await session.release()
        caller.link.abort("the test is over")
        await caller.ended
        return told.outcomes()

    async def test_folder_for_a_file(self) -> None:
        """A sender offers ``photo.jpg``, 10 bytes, 1 entry, in the words of version 0.1.0, and sends a folder of 3,001
        entries: there is the one entry, empty, and each other one was refused by its receipt."""
        folder = self.sources / "photo.jpg"
        folder.mkdir()
        for number in range(3000):
            (folder / f"{number:04}").write_bytes(b"evil")
        outcomes = await self.lie(send_request("ab" * 8, "photo.jpg", entries=1, bytes=10), ["photo.jpg"])
        self.assertEqual(["photo.jpg"], self.lab.inbox("m1.m"))
        self.assertEqual([], list((self.lab.folder / "inbox" / "m1.m" / "photo.jpg").iterdir()))
        self.assertEqual("ok", outcomes.pop("photo.jpg"))
        self.assertEqual((3000, {"refused"}), (len(outcomes), set(outcomes.values())))

    async def test_other_names_and_types(self) -> None:
        """A sender that offers a photo and a folder gets neither another name nor a film in; all else comes."""
        for name in ("photo.jpg", ".bashrc"):
            self.source(name, 10)
        (self.sources / "trip").mkdir()
        for name in ("trip/a.txt", "trip/film.mkv"):
            self.source(name, 10)
        names, by_type = Names.of(["photo.jpg", "trip"]), {"data": 10, "text": 10}
        request = send_request("ab" * 8, "photo.jpg", names=names, entries=4, bytes=20, by_type=by_type)
        outcomes = await self.lie(request, ["photo.jpg", ".bashrc", "trip"])
        self.assertEqual(["photo.jpg", "trip"], self.lab.inbox("m1.m"))
        refused = {path for path, outcome in outcomes.items() if outcome == "refused"}
        self.assertEqual({".bashrc", "trip/film.mkv"}, refused)

    async def test_shown(self) -> None:
        """An honest sender of two things called audio: both names and both types are shown before anybody agrees, and
        both names on either side afterwards."""
        song, script = self.source("s9.mp3", 5), self.source("y.sh", 6)
        run = self.p2p(self.lab, "s", "send", "m1.m", song, script, "--type", "audio")
        offer = await self.offered()
        self.assertEqual((["s9.mp3", "y.sh"], ["audio", "text"]), (offer.names, offer.types))
        listed = self.p2p(self.lab, "m", "offers")
        await self.ended(listed, 0)
        self.assertIn("s9.mp3, y.sh   audio, text   2         11 bytes", listed.printed.decode())
        await self.ended(self.p2p(self.lab, "m", "offers", "accept", offer.offer), 0)
        await self.ended(run, 0)
        self.assertEqual(["s9.mp3", "y.sh"], self.lab.inbox("m1.m"))
        for daemon in ("m", "s"):
            shown = self.p2p(self.lab, daemon, "transfers", "--json")
            await self.ended(shown, 0)
            (transfer,) = json.loads(shown.printed)["transfers"]
            self.assertEqual(
                (["s9.mp3", "y.sh"], 0, "done"), tuple(transfer[one] for one in ("names", "more_names", "state"))
            )
