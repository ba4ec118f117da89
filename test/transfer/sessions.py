"""Sessions of transfers over a link in memory, with real engines on real folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.exchange import Request, Result, Serving, perform
from p2p.exchange.service import Context, Services
from p2p.transfer.answers import Asked
from p2p.transfer.listing import listing
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.receiving_service import transfer
from p2p.transfer.records import Have, Receipt
from p2p.transfer.send_session import GetSession, SendSession, fetch_request, send_request
from p2p.transfer.sender_state import SenderState
from p2p.transfer.sending import SendingEngine, SourceRoot
from p2p.transfer.sharing_service import fetch
from p2p.transfer.tree import CHUNK
from test.descriptors import open_files
from test.exchange.doubles import HeldThreads, OpenHost, make_context
from test.link.links import Ends
from test.transfer.sources import Link, Spec, make, pattern

__all__ = ["ID", "SessionCase", "SharingCase", "Told", "tree"]

ID = "0123456789abcdef"


class Told:
    """Keeps what is told of a session.

    :ivar room: what ``on_receipts`` answers.
    """

    def __init__(self) -> None:
        self.pending: list[str] = []
        self.haves: list[Have] = []
        self.progress: list[tuple[int, int]] = []
        self.receipts: list[Receipt] = []
        self.room: Deferred[None] | None = None

    def on_pending(self, reason: str, *, reading: bool = False) -> None:
        self.pending.append(f"reading: {reason}" if reading else reason)

    def on_have(self, have: Have) -> None:
        self.haves.append(have)

    def on_progress(self, entries: int, size: int) -> None:
        self.progress.append((entries, size))

    def on_receipts(self, receipts: Sequence[Receipt]) -> Deferred[None] | None:
        self.receipts += receipts
        return self.room

    def outcomes(self) -> dict[str, str]:
        """How each entry ended."""
        return {receipt.path: receipt.outcome.value for receipt in self.receipts}


def tree(folder: Path) -> dict[str, Any]:
    """What is in a folder: bytes of files, targets of links, None for folders."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


class SessionCase(SynchronousTestCase):
    """n1.n, which begins sessions, and m4.m, which serves them."""

    def setUp(self) -> None:
        """Make two folders and a link."""
        self.folder = Path(self.mktemp()).resolve()
        self.here, self.there = self.folder / "here", self.folder / "there"
        self.here.mkdir(parents=True)
        self.there.mkdir()
        self.host = OpenHost(self.there)
        self.far_threads, self.near_threads = HeldThreads(held=False), HeldThreads(held=False)
        self.told = Told()
        self.connect()

    def connect(self, **limits: Any) -> None:
        """Make a link; the one before it is of no use any more."""
        self.ends = Ends(PeerLimits().model_copy(update=limits), plain=True)
        self.network = self.ends.network
        self.near_link, self.far_link = self.ends.stand()
        self.services = Services([transfer, fetch, listing])
        self.context = make_context(
            self.there,
            threads=self.far_threads,
            clock=self.network,
            now=self.network.seconds,
            host=self.host,
        )
        self.ends.listening.serve = self.serve

    def serve(self, stream: Any) -> None:
        """Serve an exchange."""
        context: Context = self.context
        self.serving = Serving(
            stream,
            "n1.n",
            lambda request, reply: self.services.receive(request, reply, context),
            clock=self.network,
            silence_s=30.0,
            header_bytes=65536,
        )

    # -- what n1.n does ---------------------------------------------------------------------------------------

    def engine(self, *names: str, state: bool = True, **different: Any) -> SendingEngine:
        """What sends things of this side's folder."""
        kept = SenderState(self.folder / "out") if state else None
        return SendingEngine([SourceRoot(self.here / name) for name in names], state=kept, **different)

    def sending(self, engine: Any, *, resume: bool = False, **different: Any) -> SendSession:
        """A session that sends."""
        return SendSession(engine, self.near_threads, self.network, self.told, resume=resume, **different)

    def deaf(self, session: SendSession) -> SendSession:
        """A session that doesn't read what the other side replies, until the test resumes its stream."""
        sink = session.sink

        def paused() -> Any:
            self.stream.pauseProducing()
            return sink()

        session.sink = paused  # type: ignore[method-assign]  # it stands in for one that is slow
        return session

    def send(self, *names: str, resume: bool = False, **request: Any) -> Deferred[Result]:
        """Send things in one session."""
        session = self.sending(self.engine(*names), resume=resume)
        return self.run_session(session, send_request(ID, names[0], resume=resume, **request))

    def getting(self, *names: str, unchecked: bool = False, **different: Any) -> GetSession:
        """A session that gets; ``unchecked`` lets it ask for what no session of ours asks for."""
        terms: dict[str, Any] = {"exists": "rename", "links": "keep", "room": lambda size, entries: None}
        asked = Asked(() if unchecked else names)
        asked.paths = names
        receiver = ReceivingEngine(self.here, ID, asked=asked, **terms)
        return GetSession(receiver, asked, self.near_threads, self.network, self.told, **different)

    def get(self, *names: str, unchecked: bool = False, **request: Any) -> Deferred[Result]:
        """Get things in one session."""
        return self.run_session(self.getting(*names, unchecked=unchecked), fetch_request(ID, **request))

    def run_session(self, session: Any, request: Request) -> Deferred[Result]:
        """Run a session as a hosted peer does, as far as it goes without time passing."""
        running = Deferred.fromCoroutine(self._session(session, request))
        self.network.settle()
        return running

    async def _session(self, session: Any, request: Request) -> Result:
        try:
            try:
                await session.open()
                self.stream = self.near_link.open_stream()
                return await perform(
                    self.stream,
                    request,
                    session,
                    session.sink(),
                    clock=self.network,
                    now_ns=lambda: int(self.network.seconds() * 1e9),
                    planned_ns=0,
                    silence_s=30.0,
                    header_bytes=65536,
                )
            finally:
                session.close()
        finally:
            if hasattr(session, "release"):
                await session.release()

    # -- what is looked at ------------------------------------------------------------------------------------

    def failed(self, running: Deferred[Any], outcome: Outcome) -> str:
        """The reason of an expected failure."""
        failure = self.failureResultOf(running, ExchangeFailed).value
        self.assertEqual(outcome, failure.outcome, str(failure))
        return str(failure)

    def assert_clean(self) -> None:
        """No stream, no timer but those of the link, no file is left open."""
        self.assertEqual((0, 0), (self.near_link.stream_count, self.far_link.stream_count))
        self.assertEqual(2, len(self.network.getDelayedCalls()), self.network.getDelayedCalls())
        self.assertEqual([], open_files(self.folder))


class SharingCase(SessionCase):
    """m4.m shares a folder and a file."""

    def setUp(self) -> None:
        """Make and share them."""
        super().setUp()
        self.shared = self.folder / "shared"
        films: Spec = {
            "a": b"small",
            "film": pattern(6 * CHUNK + 5),
            "in": {"link": Link("none"), "none": {}},
            "z": b"last",
        }
        make(self.shared, {"films": films, "notes": b"text", "secret": b"s"})
        self.host._shares.update({"films": self.shared / "films", "notes": self.shared / "notes"})
