"""All transfers of a daemon: those that were asked for here, and those that other peers began."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2p.base.errors import CancelledThere, ExchangeFailed, InvalidRequest, LocalFileError, Outcome, P2PError
from p2p.base.log_gate import LogGate
from p2p.base.names import parse_peer
from p2p.base.waiters import all_of
from p2p.console.transfer_operations import (
    Cancelled,
    Direction,
    GetArguments,
    Moved,
    MovedOne,
    SendArguments,
    TransfersShown,
)
from p2p.exchange.rules import Names, Offer
from p2p.exchange.service import Threads
from p2p.peer.ages import Ages
from p2p.peer.node import HostedPeer
from p2p.peer.transfers.account import IncomingTransfer, TransferContext
from p2p.peer.transfers.audience import Audience, Tell
from p2p.peer.transfers.getting import remove_parts
from p2p.peer.transfers.journal import Journal, State, TransferRow, noted, shown_transfer
from p2p.peer.transfers.peer_way import PeerWay, Pipe
from p2p.peer.transfers.plans import GetPlan, Plan, SendPlan, plan_again
from p2p.peer.transfers.sender_leaves import FORGET_S, KeptState
from p2p.peer.transfers.sending import give_up
from p2p.peer.transfers.stalls import LOOK_S
from p2p.peer.transfers.targets import expanded
from p2p.peer.transfers.transfer import Ending, Transfer
from p2p.transfer.notes import local_id
from p2p.transfer.send_session import FETCH

__all__ = ["Transfers"]

Key = tuple[str, str, str, str]

_PARTS_STAY: Final = "transfer {id}: not all of it could be removed: {reason}"


class Transfers:
    """Begins transfers, brings them to their end, and takes up after a restart what was unfinished.

    :param peers: the hosted peers by name.
    :param state: a folder for what must outlive the daemon.
    :param threads: runs what blocks; a transfer may hold a thread for as long as its source or its target blocks.
    :param wall: reads the Unix time, seconds.
    :param random: gives so many unpredictable bytes.
    :param sessions: how many take place at a time; the others wait for their turn.
    :param unfinished: how many transfers may be under way or wait at a time.
    :param boot: tells this run of the machine from others, see :func:`p2p.wire.monotonic.boot_id`.
    :param gate: what others can provoke in the log passes here; one of its own if left out.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        peers: Mapping[str, HostedPeer],
        journal: Journal,
        state: Path,
        threads: Threads,
        wall: Callable[[], float],
        random: Callable[[int], bytes],
        *,
        sessions: int = 64,
        unfinished: int = 10_000,
        boot: str = "",
        gate: LogGate | None = None,
    ) -> None:
        self._clock = reactor
        self._peers = peers
        self._journal = journal
        self._kept = KeptState(state / "out", journal, threads)
        self._threads = threads
        self._wall = wall
        self._random = random
        self._unfinished = unfinished
        self._followers = Audience()
        self._shared = TransferContext(
            clock=reactor,
            wall=wall,
            chance=lambda: int.from_bytes(random(2)) / 0xFFFF,
            save=journal.update,
            tell=self._followers.tell,
            slots=DeferredSemaphore(sessions),
            gate=gate or LogGate(reactor),
            boot=boot,
            relayed_by=self._relayed_by,
        )
        self._live: dict[Key, Transfer] = {}
        self._incoming: dict[Key, IncomingTransfer] = {}
        self._beginning = DeferredLock()
        self._ticker = LoopingCall(self._look)
        self._ticker.clock = reactor
        self._tidying: set[Deferred[None]] = set()
        self._stopping = False

    def _relayed_by(self, row: TransferRow) -> str:
        link = self._peers[row.acting].links.get(row.peer)
        return "" if link is None else link.relayed_by

    # -- life -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what was unfinished when the daemon ended, however it ended.

        :raises LocalFileError: if the journal can't be used.
        """
        for name, peer in self._peers.items():
            peer.link_watchers.append(partial(self._linked, name))
        await self._journal.break_off(self._wall())
        async with self._beginning:
            rows = [row for row in await self._journal.unfinished() if row.key not in self._live]
            for row in rows:
                if self._stopping:
                    return
                if reason := self._why_not(row):
                    row.state, row.reason, row.updated = State.FAILED, reason, self._wall()
                    await self._journal.update(row)
                else:
                    plan = plan_again(row, self._journal, self._kept, self._threads, self._clock)
                    transfer = self._register(self._peers[row.acting], row, plan, known=True)
                    transfer.detached = True
                    transfer.start(self._over)
        if rows:
            self._log.info("{count} unfinished transfers were found in the journal", count=len(rows))

    async def stop(self) -> None:
        """Break everything off that was asked for here, so that the next start takes it up."""
        self._stopping = True
        transfers = list(self._live.values())
        endings = [transfer.when_over() for transfer in transfers]
        for transfer in transfers:
            transfer.end(Ending.STOPPING)
        await all_of(endings)

    async def close(self) -> None:
        """Nothing comes from elsewhere any more either: close the journal, after :meth:`stop`."""
        while self._tidying:
            await all_of(list(self._tidying))
        if self._ticker.running:
            self._ticker.stop()
        await self._journal.close()

    def _why_not(self, row: TransferRow) -> str:
        """Why a row can't be taken up; empty if it can."""
        if row.what.get("stream"):
            return "the daemon was stopped, and what went through a pipe is gone"
        if row.acting not in self._peers:
            return f"this daemon doesn't host {row.acting} any more"
        return ""

    # -- what is asked for here -------------------------------------------------------------------------------

    async def send(self, peer: HostedPeer, arguments: SendArguments, tell: Tell, file: int | None = None) -> Moved:
        """Send to one or several peers; returns when each of them has it, or won't get it.

        If the caller is cancelled, its transfers are paused: asking for the same again goes on with them.

        :param tell: is told of each of them; may return a Deferred to be told more slowly.
        :param file: the file descriptor of a stream; it stays the caller's to close, at any time.
        :raises LocalFileError: if something can't be read; nobody was asked anything then.
        :raises P2PError: if the peers that are meant can't be found out.
        """
        pipe = Pipe(file) if arguments.stream else None
        try:
            plan = SendPlan.asked(peer.name, arguments, pipe, self._kept, self._threads, self._clock)
            await plan.check()
            targets = await expanded(peer, arguments.peers)
            return await self._move(peer, targets, plan, arguments, tell)
        finally:
            if pipe is not None:
                pipe.release()

    async def get(self, peer: HostedPeer, arguments: GetArguments, tell: Tell, file: int | None = None) -> Moved:
        """Get what a peer shares; returns when it is here, or won't come. As :meth:`send` otherwise.

        :param file: the file descriptor of a stream that the one file goes to.
        """
        pipe = Pipe(file) if arguments.stream else None
        try:
            plan = GetPlan.asked(arguments, pipe, self._journal.seal, self._threads, self._clock)
            await plan.check()
            parse_peer(arguments.peer)
            return await self._move(peer, [arguments.peer], plan, arguments, tell)
        finally:
            if pipe is not None:
                pipe.release()

    async def _move(
        self, peer: HostedPeer, targets: Sequence[str], plan: Plan, arguments: SendArguments | GetArguments, tell: Tell
    ) -> Moved:
        begun, leaves = await self._begin(peer, targets, plan, arguments.deadline_s, tell)
        try:
            if arguments.detach:
                for transfer in begun:
                    transfer.detached = True
                return Moved(
                    transfers=[
                        MovedOne(transfer=each.row.id, peer=each.row.peer, outcome=None, detached=True)
                        for each in begun
                    ]
                )
            return Moved(transfers=await all_of([transfer.when_over() for transfer in begun]))
        finally:
            for leave in leaves:
                leave()
            for transfer in begun:
                if not transfer.clients and not transfer.detached:
                    transfer.end(Ending.PAUSED)

    async def _begin(
        self, peer: HostedPeer, targets: Sequence[str], plan: Plan, deadline_s: float, tell: Tell
    ) -> tuple[list[Transfer], list[Callable[[], None]]]:
        """Begin a transfer with each target, or join in those that are under way, or go on with what was begun."""
        begun: list[Transfer] = []
        leaves: list[Callable[[], None]] = []
        new: list[Transfer] = []
        async with self._beginning:
            rows = [await self._known(peer, target, plan) for target in targets]
            self._check_room(len(targets))
            await plan.share(sum(row is None for row in rows))
            for target, row in zip(targets, rows, strict=True):
                live = None if row is None else self._live.get(row.key)
                if live is None:
                    again = row is not None
                    row = self._renewed(row, plan, deadline_s) if row else self._new(peer, target, plan, deadline_s)
                    live = self._register(peer, row, plan, known=again)
                    new.append(live)
                begun.append(live)
                leaves.append(live.attach(tell, deadline_s))
            try:
                await all_of([self._journal.enter(transfer.row) for transfer in new])
            except BaseException:
                for transfer, leave in zip(begun, leaves, strict=True):
                    leave()
                    if not transfer.clients and not transfer.detached:
                        transfer.end(Ending.PAUSED)
                raise
            finally:
                for transfer in new:
                    transfer.start(self._over)
        return begun, leaves

    async def _known(self, peer: HostedPeer, target: str, plan: Plan) -> TransferRow | None:
        """The transfer of the same that didn't come to its end; what goes through a pipe is never the same."""
        if plan.is_stream:
            return None
        return await self._journal.same(peer.name, plan.direction, target, plan.what)

    def _new(self, peer: HostedPeer, target: str, plan: Plan, deadline_s: float) -> TransferRow:
        now = self._wall()
        row = TransferRow(
            id=self._random(8).hex(),
            acting=peer.name,
            direction=plan.direction,
            peer=target,
            what=plan.what,
            how=plan.how,
            created=now,
            updated=now,
            deadline=now + deadline_s,
        )
        self._shared.note_left(row, deadline_s)
        return row

    def _renewed(self, row: TransferRow, plan: Plan, deadline_s: float) -> TransferRow:
        row.how, row.state, row.updated = plan.how, State.WAITING, self._wall()
        self._shared.note_left(row, deadline_s)
        return row

    def _check_room(self, more: int) -> None:
        if self._stopping:
            raise ExchangeFailed(Outcome.RESET, "the daemon is stopping")
        if len(self._live) + more > self._unfinished:
            raise ExchangeFailed(
                Outcome.REFUSED,
                f"{len(self._live)} transfers are unfinished here, and at most {self._unfinished} may be; wait for "
                "some to end, or cancel some: p2p transfers --cancel",
            )

    def _register(self, peer: HostedPeer, row: TransferRow, plan: Plan, *, known: bool) -> Transfer:
        moving = plan.moving(row, peer, fresh=not known)
        transfer = Transfer(row, moving, self._shared, patience_s=row.how["deadline_s"], known=known)
        self._live[row.key] = transfer
        self._tick()
        return transfer

    def _over(self, transfer: Transfer) -> None:
        row = transfer.row
        del self._live[row.key]
        if row.direction == "send" and not row.what.get("stream") and row.state in (State.DONE, State.CANCELLED):
            self._tidy(self._kept.tidy(row))

    def _tidy(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        """Have something done that the end of the daemon waits for."""
        tidying = Deferred.fromCoroutine(work)
        self._tidying.add(tidying)
        tidying.addErrback(lambda failure: self._log.failure("can't tidy up after a transfer", failure))
        tidying.addCallback(lambda _: self._tidying.discard(tidying))
        return tidying

    def forget(self, ages: Ages, limit_s: float) -> Deferred[None]:
        """Give up what was got in part, and nobody went on with for so long; fires when that is done."""
        return self._tidy(self._forget(ages, limit_s))

    # -- what others began ------------------------------------------------------------------------------------

    def incoming(
        self, acting: str, offer: Offer, stop: Callable[[str], None], folder: Path | None = None
    ) -> IncomingTransfer:
        """A session begins in which another peer moves something to or from a hosted peer.

        :param acting: the hosted peer.
        :param stop: ends the session for good, with a reason.
        :param folder: where what is received goes, so that its parts can be removed if nobody goes on with it.
        """
        now = self._wall()
        names = offer.names or Names((offer.name,), 1)
        listed = noted(names.listed)
        what = {"names": listed, "more_names": names.count - len(listed)}
        row = TransferRow(
            id=offer.id,
            acting=acting,
            direction=_direction(offer),
            peer=offer.sender,
            what={**what, "folder": None if folder is None else str(folder)},
            created=now,
            updated=now,
            deadline=now,
            state=State.RUNNING,
            bytes_total=offer.bytes,
            sessions=1,
        )
        incoming = IncomingTransfer(row, offer.entries, self._shared, stop, self._incoming_over)
        self._incoming[row.key] = incoming
        self._journal.enter(row).addErrback(lambda failure: self._log.warn("{reason}", reason=str(failure.value)))
        self._tick()
        return incoming

    def _incoming_over(self, incoming: IncomingTransfer) -> None:
        if self._incoming.get(incoming.row.key) is incoming:  # else another session of it has begun meanwhile
            del self._incoming[incoming.row.key]

    async def given_up(self, acting: str, offer: Offer, folder: Path) -> None:
        """The other side of a transfer with a hosted peer has cancelled it, whoever began it: remove its parts.

        :param folder: where what is received goes.
        :raises LocalFileError: if they can't be removed.
        """
        reason = Ending.CANCELLED_THERE.value.format(peer=offer.sender)
        endings: list[Deferred[Any]] = []
        for mine in [one for key, one in self._live.items() if _between(key, acting, offer)]:
            endings.append(mine.when_over())
            mine.end(Ending.CANCELLED_THERE)
        for theirs in [one for key, one in self._incoming.items() if _between(key, acting, offer)]:
            endings.append(theirs.when_over())
            theirs.cancel(reason)
        await all_of(endings)
        for row in await self._journal.find(offer.id):
            if _between(row.key, acting, offer) and row.state not in (State.DONE, State.CANCELLED):
                await self._enter_cancelled(row, reason)
                await self._remove_idle(row)
        await self._threads(remove_parts, folder, local_id(offer.sender, offer.id))

    async def check_wanted(self, acting: str, offer: Offer) -> None:
        """See that a transfer, of which another peer begins a session, wasn't cancelled here while none was under way.

        :raises CancelledThere: if it was.
        """
        key = offer.id, acting, _direction(offer), offer.sender
        for row in await self._journal.find(offer.id):
            if row.key == key and row.state is State.CANCELLED:
                raise CancelledThere(Ending.CANCELLED_THERE.value.format(peer=acting))

    # -- what is shown and decided ----------------------------------------------------------------------------

    async def shown(self, count: int) -> TransfersShown:
        """So many transfers, those that changed last first."""
        rows = await self._journal.latest(count)
        live = {key: ours.row for key, ours in self._live.items()}
        live |= {key: theirs.row for key, theirs in self._incoming.items()}
        return TransfersShown(transfers=[shown_transfer(live.get(row.key, row)) for row in rows])

    def follow(self, tell: Tell) -> Callable[[], None]:
        """Tell of all transfers until the function that is returned is called; who is too slow for that misses some."""
        return self._followers.add(tell, patient=False)

    async def cancel(self, transfer: str) -> Cancelled:
        """Give a transfer up, whoever began it.

        :raises InvalidRequest: if there is none of that id, or it is over.
        """
        mine = [one for one in self._live.values() if one.row.id == transfer]
        theirs = [one for one in self._incoming.values() if one.row.id == transfer]
        rows = [one.row for one in mine] + [one.row for one in theirs]
        endings: list[Deferred[Any]] = [one.when_over() for one in theirs]
        for ours in mine:
            ours.end(Ending.CANCELLED)
            endings.append(ours.when_over())
        for other in theirs:
            other.cancel(f"it was cancelled at {other.row.acting}")
        await all_of(endings)
        return Cancelled(transfers=[shown_transfer(row) for row in rows or await self._cancel_idle(transfer)])

    async def _cancel_idle(self, transfer: str) -> list[TransferRow]:
        """Give up what doesn't run now."""
        found = await self._journal.find(transfer)
        rows = [row for row in found if row.state not in (State.DONE, State.CANCELLED)]
        if not rows:
            state = f"is over: {found[0].state}" if found else "isn't known here"
            raise InvalidRequest(f"the transfer {transfer[:40]!r} {state}; to see them: p2p transfers")
        for row in rows:
            await self._enter_cancelled(row, Ending.CANCELLED.value)
            await self._remove_idle(row)
            await self._tell_cancelled(row)
        return rows

    async def _remove_idle(self, row: TransferRow) -> None:
        """Remove what is kept here of a transfer that doesn't run now."""
        if row.direction == "send":
            await self._kept.tidy(row)
        elif row.what.get("folder"):
            here = row.id if row.direction == "get" else local_id(row.peer, row.id)
            await self._threads(remove_parts, Path(row.what["folder"]), here)

    async def _forget(self, ages: Ages, limit_s: float) -> None:
        idle = {"/".join(row.key): row for row in await self._journal.resumable() if not row.state.is_open}
        ages_s = ages.seen("transfers", {key: row.updated for key, row in idle.items()})
        for key, row in idle.items():
            folder = row.what.get("folder")
            if row.direction != "get" or folder is None or ages_s[key] < limit_s:
                continue
            await self._enter_cancelled(row, "nobody went on with it for days")
            try:
                await self._threads(remove_parts, Path(folder), row.id)
            except LocalFileError as error:
                self._log.warn(_PARTS_STAY, id=row.id, reason=str(error))
        async with self._beginning:
            rows = await self._journal.resumable()
            await self._kept.sweep(row for row in rows if ages_s.get("/".join(row.key), 0.0) < FORGET_S)

    async def _enter_cancelled(self, row: TransferRow, reason: str) -> None:
        row.state, row.outcome, row.reason = State.CANCELLED, "", reason
        row.updated = self._wall()
        await self._journal.update(row)

    async def _tell_cancelled(self, row: TransferRow) -> None:
        """Have the other side remove what it has of a transfer, if it can be reached."""
        peer = self._peers.get(row.acting)
        if peer is None or not row.sessions:
            return
        try:
            await give_up(PeerWay(peer, row.peer, self._clock), row, self._clock)
        except P2PError as error:
            self._log.warn(_PARTS_STAY, id=row.id, reason=str(error))
            row.reason += f"; {error}"
            await self._journal.update(row)

    # -- within -----------------------------------------------------------------------------------------------

    def _linked(self, acting: str, other: str) -> None:
        """A link stands: whoever waits to go on with that peer does so now."""
        for transfer in list(self._live.values()):
            if (transfer.row.acting, transfer.row.peer) == (acting, other):
                transfer.wake()

    def _tick(self) -> None:
        if not self._ticker.running:
            self._ticker.start(LOOK_S, now=False).addErrback(
                lambda failure: self._log.failure("transfers aren't looked after any more", failure)
            )

    def _look(self) -> None:
        for transfer in list(self._live.values()):
            transfer.look()
        for incoming in list(self._incoming.values()):
            incoming.look()
        if not self._live and not self._incoming:
            self._ticker.stop()


def _direction(offer: Offer) -> Direction:
    """What a transfer that another peer began is for this side."""
    return "serve" if offer.service == FETCH else "receive"


def _between(key: Key, acting: str, offer: Offer) -> bool:
    """Whether a transfer is the one that an offer names, between these two peers, whoever began it."""
    return (key[0], key[1], key[3]) == (offer.id, acting, offer.sender)
